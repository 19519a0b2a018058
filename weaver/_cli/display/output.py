"""What a run puts on stdout (and only that), and the summary on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any, Literal, Protocol

import click

from weaver import errors
from weaver._cli.display.progress import conflict_line
from weaver._data.result import ErrorReport, Result
from weaver._display.words import one_line, printable, summary

PARTIAL = 3

Form = Literal["text", "json", "events"]


class Output(Protocol):
    """One form of stdout.

    Attributes:
        complete: whether it holds the whole result, or only the answer.
    """

    complete: bool

    def event(self, event: Any) -> None:
        """One event, while the run goes on."""
        ...

    def result(self, result: Result[Any]) -> None:
        """The run is over."""
        ...


class AnswerText:
    """The answer, as text."""

    complete = False

    def event(self, event: Any) -> None:
        """Nothing until the answer is final: an earlier text may be replaced."""

    def result(self, result: Result[Any]) -> None:
        """The answer and a newline; nothing when there is none."""
        if result.answer:
            # A file or a pipe gets what the model said, a terminal only what cannot steer it.
            if sys.stdout.isatty():
                click.echo(f"\n{_writable(printable(result.answer))}\n")
            else:
                click.echo(_writable(result.answer))


class OneObject:
    """One JSON object (docs/cli.md)."""

    complete = True

    def event(self, event: Any) -> None:
        """Nothing until the end."""

    def result(self, result: Result[Any]) -> None:
        """The object."""
        click.echo(_json(result.as_dict()))


class EventLines:
    """One JSON object per event and line; the last one is ``RunFinished`` with the result."""

    complete = True

    def __init__(self) -> None:
        self._finished = False

    def event(self, event: Any) -> None:
        """The event's line, at once."""
        from weaver.events import RunFinished

        self._finished = self._finished or isinstance(event, RunFinished)
        click.echo(_json(event.as_dict()))
        sys.stdout.flush()

    def result(self, result: Result[Any]) -> None:
        """The last line, where the run never got so far as to have events."""
        from weaver.events import RunFinished

        if not self._finished:
            self.event(RunFinished(result))


FORMS: dict[Form, type[AnswerText] | type[OneObject] | type[EventLines]] = {
    "text": AnswerText,
    "json": OneObject,
    "events": EventLines,
}


def refused(error: Exception, *, strategy: str = "") -> Result[Any]:
    """The result of a run that could not even begin, so that ``--json`` always prints its object."""
    partial_result = error.result if isinstance(error, errors.WeaverError) else None
    return partial_result or Result(
        run_id="",
        status="failed",
        answer="",
        strategy=strategy,
        model="",
        error=ErrorReport(type(error).__name__, str(error)),
    )


def exit_code(result: Result[Any]) -> int:
    """0 complete, 3 partial, 1 failed, 2 wrong usage or configuration, 130 interrupted."""
    if result.status == "complete":
        return 0
    if result.status == "partial":
        return PARTIAL
    kind = getattr(errors, result.error.type, None) if result.error else None
    return kind.exit_code if isinstance(kind, type) and issubclass(kind, errors.WeaverError) else 1


def last_words(result: Result[Any], *, told_notes: bool, told_all: bool, interrupted: bool) -> None:
    """Tell on stderr how the run went: notes, conflicts, the error, what had been finished, totals.

    Args:
        told_notes: notes and conflicts were shown when they came.
        told_all: stdout holds the whole result.
        interrupted: the user stopped the run.
    """
    if not told_notes:
        for note in result.notes:
            _tell(f"note: {one_line(note, 400)}")
        for conflict in result.conflicts:
            _tell(conflict_line(conflict))
    if not result.answer and not told_all:
        _finished_threads(result)
    if interrupted:
        _tell("Interrupted.")
    elif result.error is not None and result.status == "failed":
        _tell(f"Error: {printable(result.error.message)}")
    elif result.status == "partial":
        _tell("The answer is partial: see the notes." if result.notes else "The answer is partial.")
    if result.run_id:
        _tell(summary(result))
    if result.trace_id:
        _tell(f"trace {result.trace_id}")


def _finished_threads(result: Result[Any]) -> None:
    """Answers that would be lost otherwise: no merged answer came of them."""
    for thread in result.threads:
        if thread.answer and thread.state == "succeeded":
            _tell(f"\n[{thread.id}] {one_line(thread.title)}\n{printable(thread.answer)}\n")


def _tell(line: str) -> None:
    click.echo(line, file=sys.stderr)


def _json(value: Any) -> str:
    # ASCII escapes keep lone surrogates of broken model text out of the encoder's way.
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(", ", ": "))


def _writable(text: str) -> str:
    """``text`` in what stdout's encoding can say; the rest becomes ``?``."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
