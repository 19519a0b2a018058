"""What verbs that call models share: requests from texts, listeners, and the answer that a reply is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from weaver._data.messages import Message, user
from weaver._data.result import Answer
from weaver._models.protocol import Delta, Request
from weaver._models.reply import Reply
from weaver._runtime.calls.repetition import REPETITION
from weaver._runtime.state.context import ThreadContext

Listen = Callable[[Delta], None]


@runtime_checkable
class BeginsAnew(Protocol):
    """A listener that wants to know when what it heard so far is not the answer after all."""

    def begin_anew(self) -> None:
        """Forget what was heard: a tool was called, or the call is repeated."""
        ...


def as_request(request: Request | str | Sequence[Message]) -> Request:
    """Return a request for a question, or for messages."""
    if isinstance(request, Request):
        return request
    if isinstance(request, str):
        return Request(messages=(user(request),))
    return Request(messages=tuple(request))


def answer_of(context: ThreadContext, reply: Reply, text: str | None = None) -> Answer:
    """Return the answer that a reply is; not complete, with a note, unless the model came to its own end.

    Args:
        text: the answer's text, where it is not the reply's own.
    """
    # Calls note the other ways to end abnormally.
    if reply.finish == "length" and reply.finish_word != REPETITION:
        context.note(f"{context.path or 'The answer'} is cut: {reply.model} {reply.why_incomplete}.")
    return Answer((reply.text if text is None else text).strip(), complete=reply.is_complete)
