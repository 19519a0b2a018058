"""Asking a person on a terminal before something large is done."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable

from weaver.errors import RunCancelled


def on_terminal(*, yes: bool = False) -> Callable[[str], bool] | None:
    """A function that asks on the terminal, for ``weaver.models.resolve.choose``.

    Args:
        yes: agree to everything without asking; the question is still shown.

    Returns:
        None when there is no terminal: nobody can be asked.
    """
    if yes:
        return _agree
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return _ask


def _agree(question: str) -> bool:
    import click

    click.echo(f"{question} Yes (--yes).", err=True)
    return True


def _ask(question: str) -> bool:
    import click

    # Under an event loop Ctrl-C only sets a flag that the loop would read after the answer.
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler) if main else None
    try:
        return click.confirm(question, default=True, err=True)
    except (KeyboardInterrupt, click.Abort):
        click.echo(err=True)
        raise RunCancelled("Interrupted at the question.") from None
    finally:
        if main:
            signal.signal(signal.SIGINT, before)
