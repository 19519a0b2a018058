"""Results and plans for rich: ``rich.print(result)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weaver._display.words import one_line, printable, seconds, summary

if TYPE_CHECKING:
    from rich.console import RenderableType

    from weaver._data.plan import Plan
    from weaver._data.result import Result

STYLES = {"complete": "green", "succeeded": "green", "partial": "yellow", "failed": "red", "timed_out": "red"}


def of_result(result: Result[Any]) -> RenderableType:
    """The answer, the threads, and how the run went."""
    from rich.console import Group
    from rich.markdown import Markdown
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    if result.answer:
        parts.append(Markdown(printable(result.answer)))
    if result.error is not None:
        parts.append(Text(f"{result.error.type}: {printable(result.error.message)}", style="red"))
    if result.threads:
        table = Table(box=None, pad_edge=False)
        for name in ("thread", "title", "state", "time"):
            table.add_column(name, style="dim" if name == "thread" else "")
        for t in result.threads:
            state = Text(t.state, style=STYLES.get(t.state, ""))
            state.append(f" ({t.cancel_reason})" if t.cancel_reason else "")
            table.add_row(Text(t.id), Text(one_line(t.title, 60)), state, seconds(t.seconds))
        parts += [Text(""), table]
    parts += [Text(f"note: {one_line(note)}", style="dim") for note in result.notes]
    parts.append(Text.assemble((result.status, STYLES.get(result.status, "")), f" · {summary(result)}"))
    return Group(*parts)


def of_plan(plan: Plan) -> RenderableType:
    """The subtasks in their order."""
    from rich.table import Table
    from rich.text import Text

    if not plan.subtasks:
        return Text(f"Answer directly: {one_line(plan.reason)}" if plan.reason else "Answer directly.")
    table = Table(box=None, pad_edge=False, caption=Text(one_line(plan.reason)), caption_justify="left")
    for name in ("subtask", "title", "after", "agent", "prompt"):
        table.add_column(name)
    for s in plan.subtasks:
        cells = (s.id, s.title, ", ".join(s.depends_on), s.agent or "", s.prompt)
        table.add_row(*(Text(one_line(cell, 120)) for cell in cells))
    return table
