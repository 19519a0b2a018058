"""``weaver plan``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from weaver._cli.support.facade import weaver_from
from weaver._cli.support.flags import settings_flags, settings_from
from weaver._cli.support.guard import debug_option
from weaver._cli.support.interrupt import run_until_interrupted
from weaver._cli.support.question import question_from
from weaver._cli.workflow import is_workflow, plan_workflow
from weaver._data.task import Task, with_parts
from weaver._display.words import count, one_line, printable
from weaver._planning.estimate import NO_CALL, Estimate, estimate

if TYPE_CHECKING:
    from weaver._data.plan import Plan
    from weaver._data.result import Decision
    from weaver._facade.weaver import Weaver


@click.command()
@click.argument("question", metavar="QUESTION|FILE.yaml")
@click.option(
    "--part",
    "parts",
    multiple=True,
    metavar="TEXT",
    help="One part of the task; repeat it for each.",
)
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="KEY=VALUE",
    help="Workflows: an input; shows what it decides.",
)
@click.option("--root", metavar="FOLDER", help="Workflows: the folder that `uses` may not leave.")
@click.option(
    "--draw", type=click.Choice(["terminal", "mermaid", "svg"]), help="Workflows: how the steps are drawn."
)
@settings_flags
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-y", "--yes", is_flag=True, help="Agree to download the embedded model without being asked.")
@debug_option
def plan(
    question: str,
    parts: tuple[str, ...],
    inputs: tuple[str, ...],
    root: str | None,
    draw: str | None,
    as_json: bool,
    yes: bool,
    **options: Any,
) -> int:
    """Show how QUESTION would be taken apart: one planner call at most, nothing else is run.

    QUESTION is text, - for stdin, @FILE for a file, or a workflow (.yaml).
    """
    if is_workflow(question):
        if parts:
            raise click.UsageError("--part is for questions: give a question instead of a .yaml file.")
        flags = {"json": as_json, "root": root, "draw": draw}
        return plan_workflow(Path(question), inputs, options | flags)
    if root or draw or inputs:
        raise click.UsageError(
            "-i, --root and --draw are for workflows: give a .yaml file instead of a question."
        )
    task = with_parts(Task(question_from(question)), parts)
    weaver = weaver_from(settings_from(options), yes=yes)
    made, expected, decision = run_until_interrupted(lambda: _planned(weaver, task))
    click.echo(json.dumps(as_dict(made, expected, decision)) if as_json else drawn(made, expected, decision))
    sys.stdout.flush()
    return 0


async def _planned(weaver: Weaver, task: Task) -> tuple[Plan, Estimate, Decision]:
    async with weaver:
        made = await weaver.plan(task)
        decision = await weaver.forecast(task, made)
        prices = (await weaver.model()).prices
    return made, estimate(made, question=task.question, prices=prices), decision


def as_dict(made: Plan, expected: Estimate, decision: Decision) -> dict[str, Any]:
    """The object that ``weaver plan --json`` prints."""
    return {
        **made.model_dump(mode="json"),
        "levels": [[subtask.id for subtask in level] for level in made.levels],
        "critical_path": list(expected.critical_path),
        "estimate": {
            "calls": expected.usage.calls,
            "input_tokens": expected.usage.input_tokens,
            "output_tokens": expected.usage.output_tokens,
            "cost_usd": expected.usage.cost_usd,
            "critical_path_tokens": expected.critical_path_tokens,
            "self_parallel_speedup": expected.speedup,
        },
        "decision": asdict(decision),
    }


def drawn(made: Plan, expected: Estimate, decision: Decision) -> str:
    """The plan for people: levels, what waits for what, the critical path (*), estimate and decision."""
    lines: list[str] = []
    if not made.subtasks:
        lines.append(f"Direct answer{_because(made)}: one call, no threads.")
    else:
        levels = made.levels
        lines.append(
            f"{count(len(made.subtasks), 'subtask')} in {count(len(levels), 'level')}{_because(made)}"
        )
        critical = set(expected.critical_path)
        for number, level in enumerate(levels, 1):
            lines += ["", f"Level {number}" + (", at the same time" if len(level) > 1 else "")]
            for subtask in level:
                mark = "*" if subtask.id in critical else " "
                facts = [f"after {', '.join(subtask.depends_on)}"] if subtask.depends_on else []
                facts += [f"agent {subtask.agent}"] if subtask.agent else []
                facts += [f"{len(subtask.parts)} parts"] if subtask.parts else []
                facts += [f"tools {', '.join(subtask.tools)}"] if subtask.tools else []
                facts += [f"{subtask.max_tokens:,} tokens"] if subtask.max_tokens else []
                end = f"  ({'; '.join(facts)})" if facts else ""
                lines.append(printable(f"{mark} {subtask.id}  {subtask.label}{end}"))
                lines.append(f"      {one_line(subtask.prompt, 160)}")
        if made.ask:
            lines += ["", f"Each part: {one_line(made.ask, 160)}"]
        lines += ["", f"Merge: {made.merge}"] if made.merge else []
        lines += ["", f"* critical path: {printable(' -> '.join(expected.critical_path))}{_ending(made)}"]
    notes = [f"Note: {one_line(note, 300)}" for note in made.notes]
    return "\n".join([*lines, *notes, "", *_expectation(expected), _gate(decision)])


def _expectation(expected: Estimate) -> list[str]:
    usage = expected.usage
    cost = "unknown (no prices for this model)" if usage.cost_usd is None else f"${usage.cost_usd:.4f}"
    tokens = f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"
    longest = count(expected.critical_path_tokens, "token")
    return [
        f"Estimate: {count(usage.calls, 'call')}, {tokens}, cost {cost}",
        f"Longest chain: {longest}, {expected.speedup:.1f} times shorter than one after the other",
    ]


def _gate(decision: Decision) -> str:
    """Return what a run would do with the plan."""
    forecast = decision.forecast
    width = f" in {count(forecast.width, 'thread')}" if decision.parallel and forecast is not None else ""
    action = f"fork{width}" if decision.parallel else "answer directly"
    return f"Decision: {action} ({one_line(decision.reason, 300)})"


def _ending(made: Plan) -> str:
    return "" if made.merge in NO_CALL else " -> synthesis"


def _because(made: Plan) -> str:
    return f" ({one_line(made.reason)})" if made.reason else ""
