"""Results and plans as Markdown, which notebooks show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from weaver._display.words import one_line, printable, seconds, summary

if TYPE_CHECKING:
    from weaver._data.plan import Plan
    from weaver._data.result import Result

CELL = 200
"""Most characters of a cell in a table."""


def of_result(result: Result[Any]) -> str:
    """The answer, then how the run went."""
    parts = [printable(result.answer).strip()] if result.answer else []
    if result.error is not None:
        parts.append(f"**{result.error.type}:** {_inline(result.error.message)}")
    parts.append(
        f"*{result.status} · {_inline(result.strategy)} · {_inline(result.model)} · {summary(result)}*"
    )
    if result.threads:
        rows = (
            (
                t.id,
                t.title,
                t.state + (f" ({t.cancel_reason})" if t.cancel_reason else ""),
                seconds(t.seconds),
            )
            for t in result.threads
        )
        parts.append(_table(("thread", "title", "state", "time"), rows))
    if result.notes:
        parts.append("\n".join(f"- {_inline(note)}" for note in result.notes))
    return "\n\n".join(parts)


def of_plan(plan: Plan) -> str:
    """The subtasks in their order."""
    if not plan.subtasks:
        return f"*Answer directly{f': {_inline(plan.reason)}' if plan.reason else ''}*"
    rows = ((s.id, s.title, ", ".join(s.depends_on), s.agent or "", s.prompt) for s in plan.subtasks)
    table = _table(("subtask", "title", "after", "agent", "prompt"), rows)
    return f"{table}\n\n*{_inline(plan.reason)}*" if plan.reason else table


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_inline(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _inline(text: str) -> str:
    """``text`` on one line, with nothing in it that Markdown would read."""
    line = one_line(text, CELL)
    return "".join(f"\\{mark}" if mark in "\\`*_[]<>|#!" else mark for mark in line)
