"""Chat Completions: answers, whole and in chunks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from weaver._models.protocol import ToolCallPart
from weaver._serving.http.errors import ApiError
from weaver._serving.work.client_tools import tool_call_fields
from weaver._serving.work.outbox import Piece
from weaver._serving.work.running import Outcome

DONE = b"data: [DONE]\n\n"
_FIELDS = {"text": "content", "reasoning": "reasoning_content", "refusal": "refusal"}


class ChatWriter:
    """Writes one answer.

    Args:
        model: as the client named it.
        usage: whether a stream ends with a chunk that has the usage.
    """

    def __init__(self, run_id: str, model: str, created: int, *, usage: bool) -> None:
        self._id = f"chatcmpl-{run_id}"
        self._model = model
        self._created = created
        self._usage = usage
        self._sends_nulls = b',"usage":null' if usage else b""
        head = json.dumps(self._head("chat.completion.chunk"), separators=(",", ":"))[:-1]
        self._start = f'data: {head},"choices":[{{"index":0,"delta":'.encode()

    def whole(self, outcome: Outcome) -> dict[str, Any]:
        """The object ``chat.completion``."""
        calls = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in outcome.tool_calls
        ]
        message: dict[str, Any] = {
            "role": "assistant",
            "content": outcome.text or None if calls or outcome.refusal else outcome.text,
            "refusal": outcome.refusal or None,
        }
        if calls:
            message["tool_calls"] = calls
        if outcome.reasoning:
            message["reasoning_content"] = outcome.reasoning
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": outcome.ending}
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": usage_of(outcome),
            "weaver": outcome.weaver,
        }

    def begin(self) -> bytes:
        """The chunk with the role."""
        return self._chunk({"role": "assistant", "content": ""})

    def pieces(self, pieces: Sequence[Piece | ToolCallPart]) -> bytes:
        """A chunk for each piece."""
        return b"".join(
            self._chunk({_FIELDS[p.kind]: p.text})
            if isinstance(p, Piece)
            else self._chunk({"tool_calls": [tool_call_fields(p)]})
            for p in pieces
        )

    def end(self, outcome: Outcome) -> bytes:
        """The chunk with the reason of the end, one with the usage if it was asked for, and `DONE`."""
        extra = f',"weaver":{json.dumps(outcome.weaver, separators=(",", ":"))}'.encode()
        end = self._chunk({}, json.dumps(outcome.ending).encode(), extra)
        if self._usage:
            body: dict[str, Any] = {
                **self._head("chat.completion.chunk"),
                "choices": [],
                "usage": usage_of(outcome),
            }
            end += b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
        return end + DONE

    def failed(self, error: ApiError) -> bytes:
        """The error. The stream ends without `DONE`: it is not whole."""
        return b"data: " + error.encoded + b"\n\n"

    def _chunk(self, delta: Mapping[str, Any], ending: bytes = b"null", extra: bytes = b"") -> bytes:
        written = json.dumps(delta, separators=(",", ":")).encode()
        end = b',"logprobs":null,"finish_reason":' + ending + b"}]" + self._sends_nulls + extra + b"}\n\n"
        return self._start + written + end

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}


def usage_of(outcome: Outcome) -> dict[str, Any]:
    """The usage of the whole run in OpenAI's shape."""
    usage = outcome.usage
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": outcome.reasoning_tokens},
    }
