"""``weaver run``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from weaver._cli.display.answering import answer, progress_for
from weaver._cli.display.output import FORMS, Form, refused
from weaver._cli.support.asking import Person, somebody_there
from weaver._cli.support.begun import Begun, Command, tell_how_to_resume
from weaver._cli.support.facade import weaver_from
from weaver._cli.support.flags import settings_flags, settings_from
from weaver._cli.support.guard import debug_option, leaf
from weaver._cli.support.interrupt import run_async
from weaver._cli.support.question import question_from
from weaver._cli.support.telemetry import telemetry
from weaver._cli.support.verifying import check_from
from weaver._cli.workflow import is_workflow, run_workflow
from weaver._data.task import Task, with_parts
from weaver._documents.opening import documents_from

if TYPE_CHECKING:
    from weaver._sessions.protocol import Session

MAX_SESSION_ID = 200


@click.command()
@click.argument("question", metavar="QUESTION|FILE.yaml")
@click.option("-i", "--input", "inputs", multiple=True, metavar="KEY=VALUE", help="Input of a workflow file.")
@click.option(
    "--part",
    "parts",
    multiple=True,
    metavar="TEXT",
    help="One part of the task; repeat it for each. They are worked on at the same time where that pays.",
)
@click.option(
    "--document",
    "documents",
    multiple=True,
    metavar="FILE",
    help="A file that the question is about: text, Markdown, code, CSV, JSON, HTML, PDF; repeat it for each. "
    "It may be much longer than the model's context window.",
)
@click.option(
    "--verify",
    metavar="CHECK",
    help="Check the answer, and have it repaired once: arithmetic, a JSON Schema (FILE.json), "
    "python:FILE.py:FUNCTION, or 'command: python -m pytest -q test_answer.py' (the answer is answer.py).",
)
@click.option("--root", metavar="FOLDER", help="Workflows: the folder that `uses` may not leave.")
@click.option(
    "--dry-run", is_flag=True, help="Workflows: ask no model and call no function; show what would run."
)
@click.option(
    "--approve",
    "approved",
    multiple=True,
    metavar="STEP|all",
    help="Workflows: say yes to what this step asks, beforehand.",
)
@click.option(
    "--session",
    metavar="ID",
    help="Go on with the conversation of this id, which is kept on this machine; a new one if there is none.",
)
@settings_flags
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object (docs/cli.md) instead of the answer."
)
@click.option(
    "--events", "as_events", is_flag=True, help="Print every event as a line of JSON, as it happens."
)
@click.option("--live", "live_page", is_flag=True, help="Serve a page on this machine that follows the run.")
@click.option("--no-live", is_flag=True, help="No moving picture: progress as plain lines.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary, only errors.")
@click.option("--run-id", metavar="ID", help="Id of a durable run; that of a recorded one goes on with it.")
@click.option("-y", "--yes", is_flag=True, help="Agree to download the embedded model without being asked.")
@debug_option
def run(
    question: str,
    inputs: tuple[str, ...],
    parts: tuple[str, ...],
    documents: tuple[str, ...],
    verify: str | None,
    root: str | None,
    dry_run: bool,
    approved: tuple[str, ...],
    session: str | None,
    as_json: bool,
    as_events: bool,
    live_page: bool,
    no_live: bool,
    quiet: bool,
    yes: bool,
    run_id: str | None,
    **options: Any,
) -> int:
    """Answer QUESTION with as many reasoning threads as it deserves.

    QUESTION is text, - to read it from stdin, @FILE to read it from a file, or a workflow (.yaml).

    Exit code: 0 complete, 3 partial, 1 failed, 2 wrong usage or configuration,
    4 refused by a guardrail, 130 interrupted.
    """
    if as_json and as_events:
        raise click.UsageError("--json and --events exclude each other.")
    view = View("json" if as_json else "events" if as_events else "text", live_page, no_live, quiet, yes)
    command = Command(question, inputs, parts, documents, verify, root, dry_run, approved, session, options)
    return run_command(command, view, run_id)


@dataclass(frozen=True, slots=True)
class View:
    """The look of a run: the flags of ``run`` that have no influence on it."""

    form: Form = "text"
    live_page: bool = False
    no_live: bool = False
    quiet: bool = False
    yes: bool = False


def run_command(command: Command, view: View, run_id: str | None = None) -> int:
    """Run what a command line says; returns the exit code.

    Args:
        run_id: the id of the run; that of a recorded one goes on with it.
    """
    output = FORMS[view.form]()
    options = command.options
    try:
        if is_workflow(command.question) and command.text is None:
            return _run_file(command, view, run_id)
        if command.inputs or command.dry_run or command.root or command.approved:
            raise click.UsageError(
                "-i is for workflows, and so are --approve, --dry-run and --root: "
                "give a .yaml file, not a question."
            )
        text = question_from(command.question) if command.text is None else command.text
        task = with_parts(Task(text), command.parts)
        task = replace(task, documents=documents_from([Path(name) for name in command.documents]))
        settings = settings_from(dict(options))
        if run_id is not None and not settings.durable:
            raise click.UsageError("--run-id is for durable runs: add --durable.")
        with telemetry(live=view.live_page, question=task.user_words):
            progress = progress_for(view.form, no_live=view.no_live, quiet=view.quiet)
            approve = Person(progress).approve_tool if somebody_there() else None
            weaver = weaver_from(settings, yes=view.yes, approve=approve)
            if settings.durable:
                begun = Begun.of(replace(command, text=text), run_id)
                weaver.begun_by, run_id = begun.about, begun.run_id
            show = partial(
                answer,
                quiet=view.quiet,
                session=_session(command.session),
                run_id=run_id,
                verify=check_from(command.verify),
            )
            code: int = run_async(lambda: show(weaver, task, output, progress))
            if code and run_id is not None:
                tell_how_to_resume(run_id)
            return code
    except Exception as error:
        # The machine that reads stdout gets its object also when nothing could be started.
        inner = leaf(error)
        if view.form != "text" and not isinstance(inner, (BrokenPipeError, click.UsageError)):
            output.result(refused(inner, strategy=str(options.get("strategy") or "")))
        raise


def _run_file(command: Command, view: View, run_id: str | None) -> int:
    """Run the workflow that a command line names."""
    if command.parts:
        raise click.UsageError("--part is for questions: give a question instead of a .yaml file.")
    if command.documents:
        raise click.UsageError("--document is for questions: give a question instead of a .yaml file.")
    if command.verify is not None:
        raise click.UsageError("--verify is for questions, not for workflows.")
    if command.session is not None:
        raise click.UsageError("--session is for questions, not for workflows.")
    flags = {
        "json": view.form == "json",
        "events": view.form == "events",
        "no_live": view.no_live,
        "quiet": view.quiet,
        "yes": view.yes,
        "dry_run": command.dry_run,
        "root": command.root,
        "approve": command.approved,
    }
    begun = None if command.dry_run else Begun.of(command, run_id)
    with telemetry(live=view.live_page, question=command.question):
        return run_workflow(Path(command.question), command.inputs, {**command.options, **flags}, begun)


def _session(name: str | None) -> Session | None:
    """The conversation of an id, in the file of this machine."""
    if name is None:
        return None
    if not name.strip() or len(name) > MAX_SESSION_ID:
        raise click.UsageError(f"--session must be an id of 1 to {MAX_SESSION_ID} characters.")
    from weaver._sessions.sqlite import SQLiteSession

    return SQLiteSession(name)
