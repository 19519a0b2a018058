"""Workflow files given to ``run`` and ``plan``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from weaver._cli.support.reading import UnreadableError, read_text
from weaver._display.words import printable
from weaver.errors import ConfigurationError, RunCancelled, UnknownNameError

if TYPE_CHECKING:
    from weaver._cli.display.output import Form
    from weaver._cli.support.begun import Begun
    from weaver._settings.settings import Settings
    from weaver._streaming.run_stream import RunStream
    from weaver._workflows.execution.runner import Start
    from weaver._workflows.format.definition import Definition
    from weaver._workflows.schema.components import Input

_CHANGES = (
    *("model", "planner_model", "judge_model", "synthesizer_model", "deadline", "thread_timeout"),
    *(
        "max_total_tokens",
        "max_cost",
        "max_calls",
        "max_threads",
        "max_depth",
        "temperature",
        "seed",
        "strategy",
    ),
)


def is_workflow(argument: str) -> bool:
    """Return True if the argument names a workflow file rather than being a question that ends like one."""
    if not argument.lower().endswith((".yaml", ".yml")) or argument.startswith("@"):
        return False
    return not any(map(str.isspace, argument)) or Path(argument).is_file()


def run_workflow(
    path: Path, inputs: tuple[str, ...], options: Mapping[str, Any], begun: Begun | None = None
) -> int:
    """``weaver run flow.yaml``. ``options`` are the flags by name, unchecked; returns the exit code.

    Raises:
        InvalidWorkflowError: every problem of the file.
        ConfigurationError: an input or a flag is wrong.
        RunCancelled: the user stopped at a question about an input.
    """
    import anyio

    from weaver._cli.display.answering import answer, progress_for
    from weaver._cli.display.output import FORMS
    from weaver._cli.support.asking import Person, somebody_there
    from weaver._cli.support.begun import tell_how_to_resume
    from weaver._cli.support.interrupt import run_async
    from weaver._workflows.execution.runner import Given

    workflow = loaded(path, options.get("root"))
    approved = _approved(workflow, options.get("approve") or ())
    values = inputs_of(workflow, inputs)
    form: Form = "json" if options.get("json") else "events" if options.get("events") else "text"
    quiet = bool(options.get("quiet"))
    progress = progress_for(form, no_live=bool(options.get("no_live")), quiet=quiet)
    person = Person(progress) if somebody_there() else None
    if options.get("dry_run"):
        from weaver._workflows.tools.testing import dry

        hooks = dry(workflow)
        click.echo("Dry run: no model is asked, no function called; answers are placeholders.", err=True)
    else:
        hooks = Given(approve=person.approve if person else None, approved=approved, turn=anyio.Lock())
    settings = _settings(options)

    async def work() -> int:
        from weaver._cli.support.facade import weaver_from
        from weaver._workflows.execution.runner import started

        start = await started(workflow, values, settings, hooks, _explicit(options, settings))
        weaver = weaver_from(
            _without_servers_of(workflow, settings),
            yes=bool(options.get("yes")),
            approve=person.approve_tool if person else None,
        )
        ready: Any = _Begun(weaver, start)
        run_id = None
        if begun is not None and start.changes.get("durable"):
            weaver.begun_by, run_id = begun.about, begun.run_id
        code = await answer(ready, start.task, FORMS[form](), progress, quiet=quiet, run_id=run_id)
        if run_id is not None and code:
            tell_how_to_resume(run_id)
        return code

    return run_async(work)


def _without_servers_of(workflow: Definition, settings: Settings) -> Settings:
    """The settings without the servers that the file has; they are not in the settings file as well."""
    from weaver._workflows.execution.preparation.servers import server_names

    own = server_names(workflow) - settings.mcp_servers.keys()
    return settings.changed(mcp=tuple(name for name in settings.mcp if name not in own))


def plan_workflow(path: Path, inputs: tuple[str, ...], options: Mapping[str, Any]) -> int:
    """``weaver plan flow.yaml``, likewise: the steps, and the most that they can take.

    Without inputs, nothing is known about them; with some, all that have no default must be there.
    """
    import json
    from dataclasses import asdict

    from weaver._workflows.execution.preparation.prepared import prepare
    from weaver._workflows.tools import diagram as draw
    from weaver._workflows.tools.cost_bound import worst_case
    from weaver._workflows.tools.foreseen import foresee
    from weaver._workflows.validation.graph import levels
    from weaver._workflows.validation.registry import Surroundings

    workflow = loaded(path, options.get("root"))
    for warning in workflow.compiled.all_warnings:
        click.echo(printable(f"warning: {warning}"), err=True)
    prepared = prepare(workflow, Surroundings(), connects=False)
    foreseen = foresee(prepared, inputs_of(workflow, inputs)) if inputs else {}
    skipped = {id_ for id_, decided in foreseen.items() if decided.is_skipped}
    worst = worst_case(prepared, prices=_prices(workflow, options), skipped=skipped)
    form = "json" if options.get("json") else options.get("draw") or "terminal"
    graph = workflow.compiled.graph
    if form == "json":
        steps: dict[str, dict[str, Any]] = {
            id_: {"needs": list(graph[id_]), "at_most": asdict(worst.steps[id_])} for id_ in graph
        }
        for id_, decided in foreseen.items():
            steps[id_] |= {"skipped": decided.is_skipped, "items": decided.items, "task": decided.task}
        document = {"workflow": workflow.name, "levels": levels(graph), "longest_chain": list(worst.chain)}
        click.echo(json.dumps({**document, "steps": steps, "at_most": asdict(worst.total)}))
    elif form == "mermaid":
        click.echo(draw.mermaid(prepared))
    elif form == "svg":
        click.echo(draw.svg(prepared, worst))
    else:
        click.echo(draw.terminal(prepared, worst, foreseen))
    sys.stdout.flush()
    return 0


def loaded(path: Path, root: str | None = None) -> Definition:
    """A checked workflow file.

    Raises:
        InvalidWorkflowError: every problem of the file.
    """
    from weaver._workflows.validation.loader import load

    return load(Path(path), root=root)


class _Begun:
    """Stands for the `Weaver` of a run whose task and settings are decided."""

    def __init__(self, weaver: Any, start: Start) -> None:
        self._weaver, self._start = weaver, start

    def stream(self, task: Any, **options: Any) -> RunStream[Any]:
        """The run's stream."""
        stream: RunStream[Any] = self._weaver.stream(task, **options, **self._start.changes)
        return stream


def _settings(options: Mapping[str, Any]) -> Settings:
    from weaver._cli.support.flags import settings_from

    return settings_from(dict(options))


def _explicit(options: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return what flags say; it beats the workflow, which beats environment and settings file."""
    return {name: getattr(settings, name) for name in _CHANGES if options.get(name) is not None}


def inputs_of(workflow: Definition, given: tuple[str, ...]) -> dict[str, Any]:
    """Return the inputs of ``-i key=value`` and ``-i key=@file``, and those that a person is asked for."""
    from weaver._cli.support.asking import somebody_there
    from weaver._workflows.execution.preparation.inputs import checked_inputs, read_inputs

    if sum(pair.partition("=")[2] == "@-" for pair in given) > 1:
        raise ConfigurationError("Only one input can be read from stdin.", hint="Put the others into files.")
    texts: dict[str, list[str]] = {}
    whole: set[str] = set()
    for pair in given:
        name, equals, value = pair.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ConfigurationError(
                f"-i {pair!r} is no input.", hint="Write -i name=value, or -i name=@file."
            )
        text, from_file = _text(value, name)
        if from_file:
            whole.add(name)
        texts.setdefault(name, []).append(text)
    values, wrong = read_inputs(workflow, texts, whole)
    if somebody_there():
        values |= _asked(workflow, {*values, *wrong})
    return checked_inputs(workflow, values, wrong=wrong, hint="Give inputs as -i name=value.")


def _text(given: str, key: str) -> tuple[str, bool]:
    """Return the text that an argument means: ``@path`` is a file's, ``@-`` stdin's, ``@@`` a plain @.

    Returns:
        The text, and whether it was read from a file.
    """
    if given.startswith("@@"):
        return given[1:], False
    if given.startswith("@") and len(given) > 1:
        return _from_file(given[1:], key), True
    return given, False


def _from_file(name: str, key: str) -> str:
    try:
        return read_text(name)
    except UnreadableError as problem:
        raise ConfigurationError(
            f"The input {key!r}: {problem}.",
            hint="A value that begins with @ is a file; write @@ for a text that does.",
        ) from None


def _asked(workflow: Definition, given: Collection[str]) -> dict[str, Any]:
    """Ask on the terminal for every input that is missing, until it fits."""
    values: dict[str, Any] = {}
    for name, spec in workflow.inputs.items():
        if name in given or spec.optional:
            continue
        about = f" - {spec.description}" if spec.description else ""
        choices = f"({', '.join(map(str, spec.enum))})" if spec.enum else _ASKED_AS.get(spec.type, "")
        click.echo(" ".join(filter(None, [name, choices or f"[{spec.type}]"])) + about, err=True)
        try:
            values[name] = click.prompt(f"{name}", value_proc=_reader(name, spec), err=True)
        except click.Abort:
            click.echo(err=True)
            raise RunCancelled(f"Interrupted at the question for the input {name!r}.") from None
    return values


_ASKED_AS = {
    "boolean": "[yes or no]",
    "object": '[object, as JSON: {"name": "value"}; or @file]',
    "array": "[list: a, b, or as JSON; or @file]",
    "string": "[string, or @file]",
}
_YES_OR_NO = {**dict.fromkeys(("true", "yes", "y"), True), **dict.fromkeys(("false", "no", "n"), False)}


def _reader(name: str, spec: Input) -> Callable[[str], Any]:
    from weaver._workflows.execution.preparation.inputs import read_input

    def read(given: str) -> Any:
        try:
            text, whole = _text(given, name) if given != "@-" else (given, False)
        except ConfigurationError as error:
            raise click.UsageError(error.message) from None
        if spec.type == "boolean":
            if text.strip().lower() not in _YES_OR_NO:
                raise click.UsageError("yes or no is expected")
            return _YES_OR_NO[text.strip().lower()]
        try:
            value = read_input(spec, [text], whole=whole)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        if (problem := spec.problem_with(value)) is not None:
            raise click.UsageError(problem)
        return value

    return read


def _approved(workflow: Definition, names: Sequence[str]) -> frozenset[str]:
    """The steps that ``--approve`` names, checked.

    Raises:
        UnknownNameError: no step of that name asks.
    """
    from weaver._workflows.execution.approval import EVERY_STEP

    asking_steps = list(_asking(workflow))
    for name in names:
        if name != EVERY_STEP and name not in asking_steps:
            raise UnknownNameError("step that asks for approval", name, [*asking_steps, EVERY_STEP])
    return frozenset(names)


def _asking(workflow: Definition, within: str = "") -> Iterator[str]:
    """Paths of the steps with ``approve``, those of used workflows too."""
    for id_, step in workflow.steps.items():
        if step.approve is not None:
            yield f"{within}{id_}"
        if (used := workflow.compiled.steps[id_].action.workflow) is not None:
            yield from _asking(used, f"{within}{id_}/")


def _prices(workflow: Definition, options: Mapping[str, Any]) -> Any:
    """Prices of the thread model, where they can be known without asking anybody."""
    import anyio

    from weaver._workflows.execution.runner import opened
    from weaver.errors import WeaverError

    if not (ref := workflow.models.thread or workflow.models.default) and not options.get("model"):
        return None

    async def look() -> Any:
        from weaver._models.catalog.resolve import choose

        name = options.get("model") or await opened(ref)  # type: ignore[arg-type]
        model = name if not isinstance(name, str) else (await choose(name)).model
        try:
            return model.prices
        finally:
            await model.aclose()

    try:
        return anyio.run(look)
    except (WeaverError, OSError):
        return None


__all__ = ["inputs_of", "is_workflow", "loaded", "plan_workflow", "run_workflow"]
