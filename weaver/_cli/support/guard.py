"""What stands between a command and the shell: exit codes, and no traceback, ever."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from weaver.errors import WeaverError

INTERRUPTED = 130
PIPE_CLOSED = 141
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

F = TypeVar("F", bound=Callable[..., Any])

_debug: ContextVar[bool] = ContextVar("weaver_debug", default=False)


def debug_option(command: F) -> F:
    """``--debug``: show the traceback of an unexpected error. Also ``WEAVER_DEBUG=1``."""

    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            _debug.set(True)

    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=remember,
        help="Show tracebacks of unexpected errors.",
    )(command)


def guarded(command: click.Command, arguments: list[str] | None) -> int:
    """Run a click command; every way in which it can end becomes an exit code and at most a few lines."""
    _debug.set(False)
    if "_WEAVER_COMPLETE" in os.environ:
        command.main(arguments, prog_name="weaver")  # a shell asks what could follow; click answers and exits
    try:
        # Not `command.main`: it ends the process with 1 when a pipe is closed.
        with command.make_context("weaver", sys.argv[1:] if arguments is None else arguments) as ctx:
            code = command.invoke(ctx)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        visible_error = error
        return _quietly(lambda: visible_error.show(sys.stderr), visible_error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _quietly(lambda: click.echo("Interrupted.", err=True), INTERRUPTED)
    except SystemExit as end:  # somebody's own code; its number would be taken for one of our exit codes
        message = f"Error: a function that weaver called tried to end the program (SystemExit: {end.code})."
        return _quietly(lambda: click.echo(message, err=True), 1)
    except Exception as error:  # noqa: BLE001 - the last line of defence
        inner = leaf(error)
        if isinstance(inner, BrokenPipeError):
            _close_stdout()
            return PIPE_CLOSED
        if isinstance(inner, OSError) and inner.filename is None and inner.errno in _FULL:
            why = inner.strerror
            _close_stdout()
            return _quietly(lambda: click.echo(f"Error: the output cannot be written: {why}.", err=True), 1)
        return _quietly(lambda: _tell(inner), _exit_code(inner))


def tell_error(error: WeaverError) -> None:
    """Say on stderr what happened and what to do."""
    from weaver._display.words import printable

    click.echo(f"Error: {printable(error.message)}", err=True)
    if error.hint:
        click.echo(f"  {printable(error.hint)}", err=True)


def stop_at_once() -> NoReturn:
    """End the process without waiting for anything: the user asked twice."""
    try:
        sys.stderr.write("\x1b[?25h\n" if sys.stderr.isatty() else "")
        sys.stderr.flush()
    finally:
        os._exit(INTERRUPTED)


def leaf(error: Exception) -> Exception:
    """The error inside groups of one, which task groups wrap around it."""
    from weaver._environment.exception_groups import without_groups_of_one

    inner = without_groups_of_one(error)
    return inner if isinstance(inner, Exception) else error


def _tell(error: Exception) -> None:
    from weaver.errors import WeaverError

    debug = _debug.get() or os.environ.get("WEAVER_DEBUG", "") not in {"", "0"}
    if debug:
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, WeaverError):
        tell_error(error)
        return
    from weaver._display.words import printable

    message = printable(" ".join(str(error).split()))[:300]
    click.echo(f"Error: unexpected {type(error).__name__}: {message}", err=True)
    if not debug:
        click.echo(
            "  This is a bug in weaver or in a plugin. Please report it with what "
            "`weaver --debug ...` and `weaver version` print.",
            err=True,
        )


def _exit_code(error: Exception) -> int:
    from weaver.errors import WeaverError

    return error.exit_code if isinstance(error, WeaverError) else 1


def _quietly(say: Callable[[], None], code: int) -> int:
    try:
        say()
    except BrokenPipeError:
        _close_stdout()
    return code


def _close_stdout() -> None:
    """Keep the interpreter from complaining when it flushes what nobody reads, or what cannot be written."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
