"""The live view on a terminal: the plan, one row per thread, and the answer while it is written."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from weaver import events
from weaver._cli.display.progress import decided, line_of
from weaver._data.plan import Subtask
from weaver._display.words import count, one_line, printable, seconds

_ANSWER_LINES = 8
_KEPT = 20_000  # characters of the answer that the view remembers

# state: (mark, mark where the terminal has no Unicode, style)
_MARKS = {
    "planned": ("·", ".", "dim"),
    "waiting": ("·", ".", "dim"),
    "running": ("▸", ">", "cyan"),
    "succeeded": ("✓", "+", "green"),
    "failed": ("✗", "x", "red"),
    "timed_out": ("⧖", "t", "yellow"),
    "cancelled": ("⊘", "-", "dim"),
    "skipped": ("⊘", "-", "dim"),
}
_OVER = {"succeeded", "failed", "timed_out", "cancelled", "skipped"}


@dataclass(slots=True)
class Row:
    """What is known of one thread so far. ``tokens`` is exact once it has finished."""

    title: str
    parent: str | None = None
    depth: int = 1
    state: str = "planned"
    characters: int = 0
    tokens: int | None = None
    began: float | None = None
    took: float | None = None
    remark: str = ""
    last: str = ""


def terminal() -> Console | None:
    """The console to draw on: stderr, when it is a terminal that can move its cursor."""
    # What others write to stderr meanwhile passes through the console too: no markup, no emoji codes.
    console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
    return console if console.is_terminal and not console.is_dumb_terminal else None


@dataclass
class LiveView:
    """Draws the run on ``console`` until it is left; the last picture (without the answer) stays."""

    console: Console
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    heading: str = "starting"
    decision: str = ""
    answer: str = ""
    told_notes: bool = True

    def __post_init__(self) -> None:
        encoding = (getattr(self.console.file, "encoding", None) or "utf-8").lower()
        self._plain = not encoding.startswith("utf")
        self._done = False
        self._began = time.monotonic()
        self._live = self._drawing()
        self._held: list[str] | None = None

    def _drawing(self) -> Live:
        return Live(
            console=self.console, get_renderable=self._picture, auto_refresh=False, vertical_overflow="crop"
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done = True
        self._live.stop()

    def tick(self) -> None:
        """Draw what is known by now. Drawn from the event loop: a thread would see rows change."""
        if self._held is None:
            self._live.refresh()

    @contextmanager
    def paused(self) -> Generator[None]:
        """The picture leaves the screen, and comes back below what was written meanwhile."""
        self._live.transient = True
        self._live.stop()
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            self._live = self._drawing()
            self._live.start()
            for line in held:
                self._remark(line)

    def show(self, event: Any) -> None:
        """Take one event in; the next `tick` draws it."""
        match event:
            case events.RunStarted():
                self.heading = f"{one_line(event.model, 60)} · {one_line(event.strategy, 60)}"
            case events.Decided():
                self.decision = decided(event.decision)
            case events.SubtaskPlanned():
                self._plan(event.subtask)
            case events.Planned():
                for subtask in event.plan.subtasks:
                    self._plan(subtask)
            case events.ThreadStarted():
                row = self.rows.setdefault(event.thread, Row(event.title))
                row.title, row.depth, row.state = event.title, event.depth, "running"
                row.parent, row.began = event.parent, time.monotonic()
            case events.ThreadDelta():
                row = self._row(event.thread)
                row.characters += len(event.text)
                row.last = (row.last + event.text)[-200:]
            case events.ThreadRestarted():
                row = self._row(event.thread)
                row.characters, row.last, row.remark = 0, "", "started again"
            case events.ThreadFinished():
                row = self._row(event.thread)
                row.state, row.tokens, row.took = event.state, event.usage.output_tokens, event.seconds
                row.remark = event.cancel_reason or one_line(event.error or "", 200)
            case events.AnswerStarted():
                self.answer = ""
            case events.AnswerDelta():
                self.answer = (self.answer + event.text)[-_KEPT:]
            case _:
                if line := line_of(event):
                    self._remark(line)

    def _remark(self, line: str) -> None:
        """A line above the picture."""
        if self._held is not None:
            self._held.append(line)
        else:
            self.console.print(Text(line, style="yellow"), soft_wrap=True)

    def _plan(self, subtask: Subtask) -> None:
        self.rows.setdefault(subtask.id, Row(subtask.label))

    def _row(self, thread: str) -> Row:
        return self.rows.setdefault(thread, Row(thread))

    def _picture(self) -> RenderableType:
        width, height = self.console.size
        parts: list[RenderableType] = [_line(self._title(), width)]
        if self.decision:
            parts.append(_line(Text(self.decision, style="dim"), width))
        answer = [] if self._done else self._tail(width, min(_ANSWER_LINES, max(1, height // 3)))
        if self.rows:
            parts.append(self._table(width, max(3, height - len(parts) - len(answer) - 3)))
        if answer:
            parts += [Text(""), *answer]
        return Group(*parts)

    def _title(self) -> Text:
        title = Text(self.heading, style="bold")
        if not self._done:
            phase = "answering" if self.answer else "thinking" if self.rows else "deciding"
            title.append(f"  {phase}, {seconds(time.monotonic() - self._began)}", style="not bold dim")
        return title

    def _table(self, width: int, most: int) -> Table:
        visible, hidden = self._visible(most)
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=1)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        now = time.monotonic()
        for name, row in visible:
            mark, plain, style = _MARKS.get(row.state, ("?", "?", ""))
            title = Text("  " * (row.depth - 1) + one_line(row.title or name, 120))
            if row.remark:
                title.append(f"  {row.remark}", style=style or "dim")
            elif row.state == "running" and width >= 60 and row.last:
                title.append(f"  {one_line(row.last, 200)[-60:]}", style="dim")
            tokens = row.tokens if row.tokens is not None else (row.characters + 3) // 4
            took = row.took if row.took is not None else (now - row.began if row.began else None)
            table.add_row(
                Text(plain if self._plain else mark, style=style),
                title,
                Text(f"{tokens:,} tok" if tokens else "", style="dim"),
                Text(seconds(took) if took is not None else "", style="dim"),
            )
        if hidden:
            over = sum(row.state in _OVER for row in hidden)
            table.add_row(
                "", Text(f"{count(len(hidden), 'more thread')}, {over} finished", style="dim"), "", ""
            )
        return table

    def _visible(self, most: int) -> tuple[list[tuple[str, Row]], list[Row]]:
        """The rows that fit, running ones first, in the order they were planned; and the others."""
        rows = self._tree()
        if len(rows) <= most:
            return list(rows.items()), []
        order = {"running": 0, "failed": 1, "timed_out": 1, "planned": 2, "waiting": 2}
        names = sorted(self.rows, key=lambda name: order.get(self.rows[name].state, 3))
        chosen = set(names[: most - 1])
        return (
            [(name, row) for name, row in rows.items() if name in chosen],
            [row for name, row in rows.items() if name not in chosen],
        )

    def _tree(self) -> dict[str, Row]:
        """All rows, nested threads below their parents."""
        if all(row.parent not in self.rows for row in self.rows.values()):
            return self.rows
        below: dict[str | None, list[str]] = {}
        for name, row in self.rows.items():
            below.setdefault(row.parent if row.parent in self.rows else None, []).append(name)
        ordered: dict[str, Row] = {}
        waiting = below.get(None, [])[::-1]
        while waiting:
            name = waiting.pop()
            ordered[name] = self.rows[name]
            waiting += below.get(name, [])[::-1]
        return ordered

    def _tail(self, width: int, lines: int) -> list[Text]:
        """The last lines of the answer so far, as the terminal will break them."""
        if not self.answer:
            return []
        end = printable(self.answer[-width * (lines + 1) :])
        return list(Text(end).wrap(self.console, width))[-lines:]


def _line(text: Text, width: int) -> Text:
    text.truncate(max(1, width), overflow="ellipsis")
    return text
