"""Ctrl-C: the first one ends the run in good order, the second one ends the process."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, TypeVar

import anyio

from weaver._cli.support.guard import stop_at_once
from weaver._models.layers.capacity import MAX_CALLS

T = TypeVar("T")

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM") if hasattr(signal, name))


@dataclass(slots=True)
class Interrupt:
    """Whether the user asked to stop, and what to do then.

    Attributes:
        code: the exit code that the first signal asks for (130 for Ctrl-C), or None.
        stop: called once, on the event loop, by the first signal.
    """

    stop: Callable[[], object]
    code: int | None = field(default=None, init=False)

    def receive(self, number: int) -> None:
        """A signal came."""
        if self.code is not None:
            stop_at_once()
        self.code = 128 + number
        self.stop()


@contextmanager
def interrupts(stop: Callable[[], object]) -> Generator[Interrupt]:
    """Turn signals into a call of ``stop`` while the block runs; needs a running event loop."""
    interrupt = Interrupt(stop)
    loop = asyncio.get_running_loop()
    taken: list[tuple[int, Any]] = []
    for number in _SIGNALS:
        try:
            loop.add_signal_handler(number, interrupt.receive, number)
            taken.append((number, None))
        except NotImplementedError:  # Windows
            handler = signal.signal(
                number,
                lambda n, _: loop.call_soon_threadsafe(interrupt.receive, n),
            )
            taken.append((number, handler))
        except (ValueError, RuntimeError):  # not the main thread: signals are somebody else's
            break
    try:
        yield interrupt
    finally:
        for number, handler in taken:
            if handler is None:
                loop.remove_signal_handler(number)
            else:
                signal.signal(number, handler)


def run_async(function: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine function to its end, on uvloop where it is installed."""
    _allow_open_files()
    gc.freeze()  # what was imported is never garbage: do not look at it again and again
    gc.set_threshold(20_000, 20, 20)  # calls in flight are many objects, and nearly none of them garbage
    return anyio.run(function, backend_options={"use_uvloop": find_spec("uvloop") is not None})


def _allow_open_files() -> None:
    """Raise the limit on open files, each call in flight being one: shells often allow 1,024 or 256."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted_files = MAX_CALLS + 1024
    if hard != resource.RLIM_INFINITY:
        wanted_files = min(wanted_files, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted_files:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted_files, hard))


def run_until_interrupted(function: Callable[[], Awaitable[T]]) -> T:
    """Like `run_async`, but the first Ctrl-C cancels the function.

    Raises:
        KeyboardInterrupt: the user stopped it.
    """

    async def guarded() -> T:
        with anyio.CancelScope() as scope, interrupts(scope.cancel):
            return await function()
        raise KeyboardInterrupt

    return run_async(guarded)
