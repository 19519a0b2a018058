"""Tracing of the command line: one set-up per command, which every `Weaver` made in it uses."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import click

from weaver._display.words import printable

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

    from weaver._tracing.export.setup import Telemetry
    from weaver._tracing.tracer import Tracing

_current: ContextVar[Tracing | None] = ContextVar("weaver_cli_tracing", default=None)


def current_tracing() -> Tracing | None:
    """The tracing of the command that is running, if it has any."""
    return _current.get()


@contextmanager
def telemetry(*, live: bool = False, question: str = "") -> Generator[Telemetry]:
    """Trace runs in this block as the environment says; report at its end what was lost.

    Args:
        live: serve a page that follows the run, and say where.
        question: shown on that page.
    """
    if live:
        with _live(question) as session:
            yield session
    else:
        with _configured() as session:
            yield session


@contextmanager
def _live(question: str) -> Generator[Telemetry]:
    from weaver._tracing.export.live import LiveFeed, LiveServer

    feed = LiveFeed(question)
    # The page sees the last spans before the exporters, which may take their time, are flushed.
    with _configured(feed) as session, LiveServer(feed) as server:
        click.echo(f"live view: {server.url}", err=True)
        yield session


@contextmanager
def _configured(*processors: SpanProcessor) -> Generator[Telemetry]:
    from weaver._tracing.export.setup import configure

    session = configure(processors=processors)
    count_before = len(session.notes)
    _say(session.notes)
    try:
        with session:
            token = _current.set(session.tracing)
            try:
                yield session
            finally:
                _current.reset(token)
    finally:
        _say(session.notes[count_before:])


def _say(notes: list[str]) -> None:
    for note in notes:
        click.echo(f"note: {printable(note)}", err=True)
