"""What came back from one model call, complete or cut short."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from weaver.messages import ToolCall
from weaver.models.layers.call_log import Fallback, Retry
from weaver.models.protocol import FinishReason, TokenLogprob
from weaver.result import CancelReason
from weaver.usage import NOTHING, Usage

CallState = Literal["open", "succeeded", "failed", "cancelled"]


@dataclass(slots=True)
class Reply:
    """One model call, filled in while it streams.

    Attributes:
        name: structural name of the call within its thread (``call/0``, ``plan``).
        model: name of the model that answered; provider and endpoint are that model's.
        state: ``cancelled`` when the stream was left before its end; never an error.
        finish: why generation ended, None while it has not; ``stop`` is the matched stop string.
        usage: reported by the server, else estimated and marked so. One call, whatever its retries.
        seconds: from sending to the end; ``first_delta`` until the first delta (None: none came);
            ``queue_seconds`` waited for the endpoint's limits before sending (not part of ``seconds``).
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
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish: FinishReason | None = None
    stop: str | None = None
    usage: Usage = NOTHING
    state: CallState = "open"
    cancel_reason: CancelReason | None = None
    error: Exception | None = None
    seconds: float = 0.0
    first_delta: float | None = None
    queue_seconds: float = 0.0
    retries: list[Retry] = field(default_factory=list)
    fallbacks: list[Fallback] = field(default_factory=list)
    replayed: bool = False
