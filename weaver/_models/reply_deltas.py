"""From deltas to a whole reply, and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from weaver._data.usage import Usage
from weaver._models.protocol import (
    Delta,
    Finish,
    Logprobs,
    MessageData,
    Reasoning,
    Refusal,
    Text,
    ToolCallPart,
    UsageReport,
)
from weaver._models.reply import Reply
from weaver._models.tool_call_parts import ToolCallParts
from weaver.errors import ModelError, WeaverError


class ReplyReader:
    """Collects the deltas of one stream into ``reply``.

    Attributes:
        usage: as the server reported it; None when it did not.
        texts, reasoning, refusal: the pieces so far.
        tools: the tool calls so far.
    """

    __slots__ = ("reasoning", "refusal", "reply", "texts", "tools", "usage")

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.usage: Usage | None = None
        self.texts: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.tools = ToolCallParts()

    def take(self, delta: Delta) -> None:
        """Take the next delta."""
        match delta:
            case Text(text):
                self.texts.append(text)
            case Reasoning(text):
                self.reasoning.append(text)
            case Refusal(text):
                self.refusal.append(text)
            case ToolCallPart():
                self.tools.add(delta)
            case MessageData(fields):
                self.reply.provider_data = {**self.reply.provider_data, **fields}
            case Logprobs(tokens):
                self.reply.logprobs.extend(tokens)
            case UsageReport(usage):
                self.usage = self.reply.usage = usage
            case Finish(reason, stop, word):
                self.reply.finish, self.reply.stop = reason, stop
                self.reply.finish_word = word or reason

    def fill(self) -> None:
        """Put what was collected into the reply."""
        reply = self.reply
        reply.text = "".join(self.texts)
        reply.reasoning = "".join(self.reasoning)
        reply.refusal = "".join(self.refusal)
        reply.tool_calls = self.tools.calls()

    def whole(self) -> Reply:
        """The reply, after its last delta."""
        self.fill()
        self.reply.state = "succeeded"
        return self.reply


def deltas_of(reply: Reply) -> Iterator[Delta]:
    """The deltas of a whole reply, without its usage."""
    if reply.reasoning:
        yield Reasoning(reply.reasoning)
    if reply.text:
        yield Text(reply.text)
    if reply.refusal:
        yield Refusal(reply.refusal)
    for i, call in enumerate(reply.tool_calls):
        yield ToolCallPart(i, call.id, call.name, call.arguments, call.provider_data)
    if reply.logprobs:
        yield Logprobs(tuple(reply.logprobs))
    if reply.provider_data:
        yield MessageData(reply.provider_data)
    yield Finish(reply.finish or "stop", reply.stop, reply.finish_word)


async def stream_of(reply: Reply) -> AsyncIterator[Delta]:
    """`deltas_of` as a stream that ends with the reply's usage."""
    for delta in deltas_of(reply):
        yield delta
    yield UsageReport(reply.usage)


def as_model_error(error: Exception, model: str) -> WeaverError:
    """The error itself, or, for an adapter that raised something foreign, an error that says so."""
    if isinstance(error, WeaverError):
        return error
    return ModelError(
        f"The adapter of {model} raised {type(error).__name__}: {error}.",
        model=model,
        hint="An adapter should raise ModelError; please tell its author.",
    )
