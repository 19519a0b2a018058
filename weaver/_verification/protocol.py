"""What a check is, and what comes of it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, SupportsFloat

import anyio.to_thread

from weaver._data.result import Answer
from weaver.errors import ConfigurationError, ToolError, WeaverError

Check = Callable[[Answer], Any]
"""Gets an `Answer`; returns True or False, a score, a `Verdict`, or an awaitable of one of them."""
MAX_REASON = 2000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says about an answer.

    Args:
        passed: None where the answer has nothing that could be checked.
        reason: what is wrong, for the model that is to repair it; at most `MAX_REASON` characters are used.
        score: the higher the better, where the check gives one; a score alone passes from 1 on.
    """

    passed: bool | None
    reason: str = ""
    score: float | None = None


async def verdict_of(check: Check, answer: Answer) -> Verdict:
    """Run a check; a sync one in a worker thread, so it may take its time.

    Raises:
        ToolError: it raised, or returned something else.
    """
    name = getattr(check, "__name__", type(check).__name__)
    try:
        if inspect.iscoroutinefunction(check) or inspect.iscoroutinefunction(type(check).__call__):
            value = await check(answer)
        elif getattr(check, "is_quick", False):
            value = check(answer)
        else:
            value = await anyio.to_thread.run_sync(check, answer, abandon_on_cancel=True)
        if inspect.isawaitable(value):  # of a lambda
            value = await value
    except WeaverError:
        raise
    except Exception as error:
        raise ToolError(f"The verifier {name} raised {type(error).__name__}: {error}.") from error
    if isinstance(value, Verdict):
        return value
    if isinstance(value, bool):
        return Verdict(value)
    if not isinstance(value, SupportsFloat) or math.isnan(float(value)):
        raise ToolError(
            f"The verifier {name} returned {value!r:.80}.",
            hint="Return True or False, or a score (a number, the higher the better).",
        )
    score = float(value)
    return Verdict(score >= 1, "" if score >= 1 else f"It scored {score:g}.", score)


@dataclass
class Verification:
    """The check of one run, and what it said.

    Attributes:
        passed: of the answer that the run gives; None before, and where nothing could be checked.
    """

    check: Check
    passed: bool | None = None
    _known: dict[str, Verdict] = field(default_factory=dict[str, Verdict])

    def __post_init__(self) -> None:
        if not callable(self.check):
            raise ConfigurationError(
                f"verify= is a {type(self.check).__name__}.",
                hint="Give a function of the Answer, 'arithmetic', a JSON Schema, or a verifiers.Command.",
            )

    async def verdict(self, answer: Answer) -> Verdict:
        """Check an answer; the same text once.

        Raises:
            ToolError: as `verdict_of`.
        """
        if answer.text not in self._known:
            self._known[answer.text] = await verdict_of(self.check, answer)
        return self._known[answer.text]
