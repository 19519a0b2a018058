"""How the command line makes its `Weaver`."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from weaver.cli.text import printable

if TYPE_CHECKING:
    from weaver.api import Weaver
    from weaver.settings import Settings


def weaver_from(settings: Settings, *, yes: bool) -> Weaver:
    """The façade for ``settings``.

    Args:
        yes: the user agrees beforehand to what would be asked (downloading the embedded model).
    """
    from weaver.api import Weaver

    if yes:
        return Weaver(settings=settings, confirm=_agreed)
    asks = sys.stdin.isatty() and sys.stderr.isatty()
    return Weaver(settings=settings, confirm=_ask if asks else None)


def _agreed(question: str) -> bool:
    click.echo(f"{printable(question)} yes (--yes)", err=True)
    return True


def _ask(question: str) -> bool:
    with _ctrl_c_ends_the_prompt():
        return click.confirm(printable(question), err=True)


@contextmanager
def _ctrl_c_ends_the_prompt() -> Iterator[None]:
    """While a run is going, Ctrl-C is the event loop's, which a prompt keeps from running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
