"""What the layers around a model tell about one call, for its span and its events."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import time_ns

from weaver._models.layers.rates import Allowance
from weaver._models.protocol import Prices


@dataclass(slots=True)
class Retry:
    """A failed attempt that will be repeated after ``delay`` seconds. ``at_ns`` is when, for its span."""

    attempt: int
    error: str
    delay: float
    at_ns: int = field(default_factory=time_ns, compare=False, repr=False)


@dataclass(slots=True)
class Fallback:
    """A model that failed permanently and the one that is tried instead. ``at_ns`` is when."""

    failed: str
    error: str
    instead: str
    at_ns: int = field(default_factory=time_ns, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A wish (``temperature``, ``stream``) that ``model`` does not take, and what is done ``instead``."""

    model: str
    wish: str
    instead: str = "its own is used"


Change = Retry | Fallback | Dropped


@dataclass(slots=True)
class CallLog:
    """Filled in by the layers while a call is opened; read by the runtime.

    Attributes:
        queue_seconds: time spent waiting for the endpoint's concurrency or rate limit.
        retries, fallbacks: in the order they happened.
        answered_by: name of the model that answers, when a fallback chain chose.
        prices: that model's prices; None: those of the model that was asked.
        run: id of the run, so that endpoints are shared fairly between runs.
        probable_tokens: what the call will probably use, input and output together; None: unknown.
        deadline_at: the latest time (event loop clock) at which anybody still wants the answer.
        is_cached: the answer comes from a cache, and costs nothing.
        received: bytes of the answer on the wire, and ``tokens`` as the server counts them (input and
            output; None: it did not say); the adapter fills these in when the stream is closed.
        abort: closes the call's connection at once; None while it has none. An adapter sets it.
        allowances: what the server's headers say about limits by the minute, of the last attempt.
        on_change: called after each entry, so that listeners see it while it happens.
    """

    queue_seconds: float = 0.0
    retries: list[Retry] = field(default_factory=list[Retry])
    fallbacks: list[Fallback] = field(default_factory=list[Fallback])
    answered_by: str | None = None
    prices: Prices | None = None
    run: str = ""
    probable_tokens: int | None = None
    deadline_at: float = float("inf")
    is_cached: bool = False
    received: int = 0
    tokens: int | None = None
    on_change: Callable[[Change], None] | None = None
    abort: Callable[[], None] | None = None
    allowances: tuple[Allowance, ...] = ()

    def take_allowances(self) -> tuple[Allowance, ...]:
        """Return what the server said about its limits, once."""
        allowances, self.allowances = self.allowances, ()
        return allowances

    def add(self, entry: Change) -> None:
        """Record what has happened."""
        match entry:
            case Retry():
                self.retries.append(entry)
            case Fallback():
                self.fallbacks.append(entry)
                self.answered_by = entry.instead
            case Dropped():
                pass  # for the listener alone
        if self.on_change is not None:
            self.on_change(entry)


current_call: ContextVar[CallLog | None] = ContextVar("weaver_current_call", default=None)


def tell(entry: Change) -> None:
    """Record ``entry`` with the call that is being opened, if somebody keeps its log."""
    if (log := current_call.get()) is not None:
        log.add(entry)
