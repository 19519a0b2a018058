"""Calling a strategy or a thread's body. It is often a user's code, so what comes back is looked at."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from weaver._data.result import Answer
from weaver._text.shortening import shorten
from weaver.errors import StrategyError

if TYPE_CHECKING:
    from weaver._data.task import Task

HINT = "Write `async def name(run, task)` and end it with `return Answer(text)` (from weaver import Answer)."


async def answered(body: Callable[[Any, Task], Any], run: Any, task: Task, *, who: str) -> Answer:
    """Return what ``body`` answers.

    Args:
        who: whose body it is, for messages: ``Strategy 'mine'``.

    Raises:
        StrategyError: it is not async, tried to end the program, or came back with anything but an `Answer`.
        Exception: what it raises.
    """
    try:
        coming = body(run, task)
        if not inspect.isawaitable(coming):
            problem = f"is not async and returned {_short(coming)}"
            raise StrategyError(f"{who}{_where(body)} {problem}.", hint=HINT)
        answer = await coming
    except SystemExit as end:
        # Let through, it would end the whole program from inside the event loop.
        raise StrategyError(
            f"{who}{_where(body)} tried to end the program (SystemExit: {end.code}).",
            hint="Return an Answer, or raise an error that says what is wrong.",
        ) from end
    if not isinstance(answer, Answer):
        raise StrategyError(f"{who}{_where(body)} returned {_short(answer)}, not an Answer.", hint=HINT)
    text: Any = answer.text
    if not isinstance(text, str):
        problem = f"returned an Answer whose text is {_short(text)}"
        raise StrategyError(f"{who}{_where(body)} {problem}, not a text.", hint="Write `Answer(str(value))`.")
    return answer


def _short(value: Any) -> str:
    if value is None:
        return "None"
    return f"{shorten(repr(value), 60)} (of type {type(value).__name__})"


def _where(body: Callable[..., Any]) -> str:
    """The file and line of a function, in words; ``""`` for anything without code of its own."""
    while isinstance(body, partial):
        body = body.func
    code = getattr(inspect.unwrap(body), "__code__", None)
    return f" ({code.co_filename}, line {code.co_firstlineno})" if code is not None else ""
