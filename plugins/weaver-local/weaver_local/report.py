"""How far a download is, for people: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress


class Report(Protocol):
    """Hears how a download goes. Called from the thread that downloads."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def at(self, done: int) -> None:
        """``done`` bytes are there."""
        ...

    def say(self, text: str) -> None:
        """Something that a person wants to know."""
        ...


class Lines:
    """A line at the start, at every tenth, and for everything that is said."""

    def __init__(self, title: str, total: int, out: TextIO | None = None) -> None:
        self._title = title
        self._total = total
        self._out = out or sys.stderr
        self._told = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def at(self, done: int) -> None:
        """Tell every tenth once."""
        tenth = done * 10 // self._total
        if tenth > self._told:
            self._told = tenth
            self.say(f"{self._title}: {done / 1e6:,.0f} of {self._total / 1e6:,.0f} MB ({tenth * 10} %)")

    def say(self, text: str) -> None:
        """One line."""
        print(text, file=self._out, flush=True)


class Bar:
    """A moving bar on a terminal, with speed and remaining time."""

    def __init__(self, title: str, total: int, out: TextIO | None = None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.table import Column

        self._progress: Progress = Progress(
            # On a narrow terminal the name gives way, then the bar; the numbers stay on one line.
            TextColumn(
                "{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")
            ),
            BarColumn(bar_width=20),
            DownloadColumn(table_column=Column(no_wrap=True, min_width=14)),
            TransferSpeedColumn(table_column=Column(no_wrap=True, min_width=9)),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            console=Console(file=out or sys.stderr),
        )
        self._title = title
        self._total = total
        self._task = self._progress.add_task(title, total=total, start=False)
        self._last = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def at(self, done: int) -> None:
        """Move the bar, a few times a second."""
        now = time.monotonic()
        if self._last and now - self._last < 0.1 and done < self._total:
            return
        if not self._last:  # what an earlier attempt left must not count as speed
            self._progress.reset(self._task, completed=done)
        self._last = now
        self._progress.update(self._task, completed=done)

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False)


def report(title: str, total: int) -> Report:
    """Return what fits stderr: a bar on a terminal, lines elsewhere."""
    return Bar(title, total) if sys.stderr.isatty() else Lines(title, total)
