"""Responses: answers, whole and as events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from weaver._models.protocol import ToolCallPart
from weaver._serving.http.errors import RATE, ApiError
from weaver._serving.responses.items import FunctionCall, Item, MessageItem, ReasoningItem
from weaver._serving.work.outbox import Piece
from weaver._serving.work.running import Outcome

_ECHOED = (
    "instructions", "max_output_tokens", "metadata", "previous_response_id", "reasoning", "temperature",
    "text", "tool_choice", "tools", "top_p", "truncation", "user",
)  # fmt: skip
"""Fields of a request that stand in its response again."""
_DEFAULTS: Mapping[str, Any] = {
    "metadata": {},
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "truncation": "disabled",
    "parallel_tool_calls": True,
}
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseWriter:
    """Writes one response.

    Args:
        body: of the request.
        model: as the client named it.
        stored: whether the response can be retrieved later.
        background: whether it goes on without its client.
    """

    def __init__(
        self,
        run_id: str,
        model: str,
        created: int,
        body: Mapping[str, Any],
        *,
        stored: bool,
        background: bool = False,
    ) -> None:
        self.id = f"resp_{run_id}"
        self._run_id = run_id
        self._head: dict[str, Any] = {
            "id": self.id,
            "object": "response",
            "created_at": created,
            "model": model,
            "background": background,
            "store": stored,
            "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
            **{
                name: body.get(name) if body.get(name) is not None else _DEFAULTS.get(name)
                for name in _ECHOED
            },
        }
        self._number = 0
        self._items: list[Item] = []
        self._open: ReasoningItem | MessageItem | None = None
        self._calls: dict[int, FunctionCall] = {}

    def whole(self, outcome: Outcome) -> dict[str, Any]:
        """The object ``response``."""
        items: list[Item] = []
        if outcome.reasoning:
            items.append(ReasoningItem(f"rs_{self._run_id}_0", 0, outcome.reasoning))
        if outcome.text or outcome.refusal or not outcome.tool_calls:
            message = MessageItem(
                f"msg_{self._run_id}_{len(items)}", len(items), outcome.text, outcome.refusal
            )
            items.append(message)
        for call in outcome.tool_calls:
            items.append(
                FunctionCall(
                    f"fc_{self._run_id}_{len(items)}", len(items), call.id, call.name, call.arguments
                )
            )
        return self._response(outcome, items)

    def current(self, status: str = "in_progress") -> dict[str, Any]:
        """The object ``response`` of a run that has not come to its end."""
        items = [item.whole() for item in self._items]
        return {**self._head, **self._state(status), "output": items, "usage": None}

    def cancelled(self) -> bytes:
        """The last event of a response that somebody cancelled."""
        return self._event("response.incomplete", response=self.current("cancelled"))

    def begin(self) -> bytes:
        """``response.created`` and ``response.in_progress``."""
        response = self.current()
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def pieces(self, pieces: Sequence[Piece | ToolCallPart]) -> bytes:
        """The events for some pieces."""
        return b"".join(
            self._text(piece) if isinstance(piece, Piece) else self._tool_call(piece) for piece in pieces
        )

    def end(self, outcome: Outcome) -> bytes:
        """The events that end the items and the response."""
        events = self._end_item()
        if not self._items:
            events += self._begin_message(MessageItem(self._item_id("msg"), 0)) + self._end_item()
        for call in self._calls.values():
            events += self._events(call.end())
        response = self._response(outcome, self._items)
        return events + self._event(f"response.{response['status']}", response=response)

    def failed(self, error: ApiError) -> bytes:
        """``response.failed``."""
        return self._event("response.failed", response=self.failure(error))

    def failure(self, error: ApiError) -> dict[str, Any]:
        """The object ``response`` of a run without an answer."""
        code = "rate_limit_exceeded" if error.type == RATE else error.code or "server_error"
        return {
            **self.current(),
            **self._state("failed", error={"code": code, "message": error.message}),
        }

    def _text(self, piece: Piece) -> bytes:
        events = b""
        if piece.kind == "reasoning":
            if isinstance(self._open, MessageItem) or self._calls:
                return b""  # an item is not restarted, and the answer is more than its progress
            if self._open is None:
                self._open = ReasoningItem(self._item_id("rs"), len(self._items))
                self._items.append(self._open)
                events = self._events(self._open.begin())
        elif not isinstance(self._open, MessageItem):
            events = self._end_item() + self._begin_message(
                MessageItem(self._item_id("msg"), len(self._items))
            )
        assert self._open is not None
        return events + self._events(self._open.add(piece))

    def _begin_message(self, message: MessageItem) -> bytes:
        self._open = message
        self._items.append(message)
        return self._events(message.begin())

    def _tool_call(self, part: ToolCallPart) -> bytes:
        events = self._end_item()
        if (call := self._calls.get(part.index)) is None:
            call = FunctionCall(
                self._item_id("fc"), len(self._items), part.id or f"call_{part.index}", part.name or ""
            )
            self._calls[part.index] = call
            self._items.append(call)
            events += self._events(call.begin())
        return events + (self._events(call.add(part.arguments)) if part.arguments else b"")

    def _end_item(self) -> bytes:
        if self._open is None:
            return b""
        item, self._open = self._open, None
        return self._events(item.end())

    def _item_id(self, prefix: str) -> str:
        return f"{prefix}_{self._run_id}_{len(self._items)}"

    def _response(self, outcome: Outcome, items: Sequence[Item]) -> dict[str, Any]:
        why = _INCOMPLETE.get(outcome.ending)
        state = self._state("incomplete" if why else "completed", incomplete={"reason": why} if why else None)
        return {
            **self._head,
            **state,
            "output": [item.whole() for item in items],
            "usage": usage_of(outcome),
            "weaver": outcome.weaver,
        }

    def _state(self, status: str, *, error: Any = None, incomplete: Any = None) -> dict[str, Any]:
        return {"status": status, "error": error, "incomplete_details": incomplete}

    def _events(self, events: Sequence[tuple[str, dict[str, Any]]]) -> bytes:
        return b"".join(self._event(kind, **fields) for kind, fields in events)

    def _event(self, kind: str, /, **fields: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def usage_of(outcome: Outcome) -> dict[str, Any]:
    """The usage of the whole run in the shape of Responses."""
    usage = outcome.usage
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": outcome.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
