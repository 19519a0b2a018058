"""What came back from one model call, complete or cut short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from weaver._data.messages import Message, ToolCall
from weaver._data.result import CancelReason
from weaver._data.usage import NOTHING, Usage
from weaver._models.layers.call_log import Fallback, Retry
from weaver._models.protocol import FinishReason, TokenLogprob

CallState = Literal["open", "succeeded", "failed", "cancelled"]


@dataclass(slots=True)
class Reply:
    """One model call, filled in while it streams.

    Attributes:
        name: structural name of the call within its thread (``call/0``, ``plan``).
        model: name of the model that answered; provider and endpoint are that model's.
        state: ``cancelled`` when the stream was left before its end; never an error.
        refusal: what the model said instead of an answer.
        provider_data: what has to go back with the message: see `weaver.models.Message`.
        finish: why generation ended, None while it has not; ``stop`` is the matched stop string,
            ``finish_word`` the server's own word for the reason.
        usage: reported by the server, else estimated and marked so. One call, whatever its retries.
        seconds: from sending to the end; ``first_delta`` until the first delta (None: none came);
            ``queue_seconds`` waited for the endpoint's limits before sending (not part of ``seconds``).
        is_cached: True when a cache or a hook answered, and no model was asked.
        replayed: True when it was read from the journal instead of being paid for.
    """

    name: str
    role: str
    model: str
    provider: str
    endpoint: str
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: list[TokenLogprob] = field(default_factory=list[TokenLogprob])
    refusal: str = ""
    provider_data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    finish: FinishReason | None = None
    stop: str | None = None
    finish_word: str = ""
    usage: Usage = NOTHING
    state: CallState = "open"
    cancel_reason: CancelReason | None = None
    error: Exception | None = None
    seconds: float = 0.0
    first_delta: float | None = None
    queue_seconds: float = 0.0
    retries: list[Retry] = field(default_factory=list[Retry])
    fallbacks: list[Fallback] = field(default_factory=list[Fallback])
    replayed: bool = False
    is_cached: bool = False

    @property
    def is_complete(self) -> bool:
        """True if the model came to its own end: nothing cut, filtered, refused, interrupted or lost."""
        return self.state == "succeeded" and self.finish not in _ABNORMAL and not self.refusal

    @property
    def ended_abnormally(self) -> bool:
        """True if the provider ended it for a reason that is neither the model's nor the caller's."""
        return bool(self.refusal) or (self.finish in _ABNORMAL and self.finish != "length")

    @property
    def why_incomplete(self) -> str:
        """The reason where `is_complete` is False, as a predicate of the model: "was stopped by ..."."""
        if self.state == "failed":
            return f"failed ({type(self.error).__name__})" if self.error else "failed"
        if self.refusal:
            return f"refused to go on: {' '.join(self.refusal.split())[:300]}"
        if self.finish in _ABNORMAL:
            word = f" (finish reason {self.finish_word!r})" if self.finish_word else ""
            return f"{_ABNORMAL[self.finish]}{word}"
        return "was cut before its end" if self.state == "cancelled" else ""

    @property
    def message(self) -> Message:
        """The reply as a message of the conversation, with all that has to go back to the provider."""
        return Message("assistant", self.text, self.tool_calls, provider_data=self.provider_data)


_ABNORMAL: dict[FinishReason | None, str] = {
    "length": "reached its limit of tokens",
    "content_filter": "was stopped by the provider's content filter",
    "refusal": "refused to go on",
    "interrupted": "was interrupted by its provider",
}
