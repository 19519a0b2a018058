"""How the command line makes its `Weaver`, and how it asks a person before something large is done."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from weaver.errors import RunCancelled

if TYPE_CHECKING:
    from weaver._facade.weaver import Weaver
    from weaver._settings.settings import Settings
    from weaver._tools.approvals import Approve


def weaver_from(settings: Settings, *, yes: bool, approve: Approve | None = None) -> Weaver:
    """The façade for ``settings``.

    Args:
        yes: the user agrees beforehand to what would be asked (downloading the embedded model).
        approve: asks about tool calls that need approval; None: nobody can be asked.
    """
    from weaver._cli.support.telemetry import current_tracing
    from weaver._facade.weaver import Weaver

    return Weaver(
        settings=settings, confirm=confirmation(yes=yes), tracing=current_tracing(), approve=approve
    )


def confirmation(*, yes: bool) -> Callable[[str], bool] | None:
    """A function that shows a question and says whether to go on; None when nobody can be asked.

    Args:
        yes: agree to everything; the question is still shown.
    """
    if yes:
        return _agree
    return _ask if sys.stdin.isatty() and sys.stderr.isatty() else None


def _agree(question: str) -> bool:
    click.echo(f"{question} Yes (--yes).", err=True)
    return True


def _ask(question: str) -> bool:
    with _ctrl_c_reaches_the_prompt():
        try:
            return click.confirm(question, default=True, err=True)
        except (KeyboardInterrupt, click.Abort):
            click.echo(err=True)
            raise RunCancelled("Interrupted at the question.") from None


@contextmanager
def _ctrl_c_reaches_the_prompt() -> Generator[None]:
    """Let Ctrl-C end a prompt at once: under an event loop it only sets a flag."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
