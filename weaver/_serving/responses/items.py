"""The items of a response's output, and the events that write each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weaver._serving.work.outbox import Piece

Events = Sequence[tuple[str, dict[str, Any]]]


class Item:
    """One item of ``output``.

    Args:
        id: unique in its response.
        place: its index in ``output``.
    """

    def __init__(self, id: str, place: int) -> None:  # noqa: A002 - the protocol's word
        self.id = id
        self.place = place
        self._at = {"item_id": id, "output_index": place}

    def whole(self, status: str = "completed") -> dict[str, Any]:
        """The item as JSON."""
        raise NotImplementedError

    def end(self) -> Events:
        """The events after its content."""
        raise NotImplementedError

    def _added(self, item: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return "response.output_item.added", {"output_index": self.place, "item": item}

    def _done(self) -> tuple[str, dict[str, Any]]:
        return "response.output_item.done", {"output_index": self.place, "item": self.whole()}


class ReasoningItem(Item):
    """A run's progress, or a model's reasoning, as a summary."""

    def __init__(self, id: str, place: int, text: str = "") -> None:  # noqa: A002 - as above
        super().__init__(id, place)
        self._texts = [text]

    def whole(self, status: str = "completed") -> dict[str, Any]:
        """The item as JSON."""
        return {"id": self.id, "type": "reasoning", "summary": [self._part()], "status": status}

    def begin(self) -> Events:
        """The events before its text."""
        empty: dict[str, Any] = {"id": self.id, "type": "reasoning", "summary": [], "status": "in_progress"}
        part = {"type": "summary_text", "text": ""}
        return (
            self._added(empty),
            ("response.reasoning_summary_part.added", {**self._at, "summary_index": 0, "part": part}),
        )

    def add(self, piece: Piece) -> Events:
        """The event for a piece of its text."""
        self._texts.append(piece.text)
        fields = {**self._at, "summary_index": 0, "delta": piece.text}
        return (("response.reasoning_summary_text.delta", fields),)

    def end(self) -> Events:
        """The events after its text."""
        place, part = {**self._at, "summary_index": 0}, self._part()
        return (
            ("response.reasoning_summary_text.done", {**place, "text": part["text"]}),
            ("response.reasoning_summary_part.done", {**place, "part": part}),
            self._done(),
        )

    def _part(self) -> dict[str, Any]:
        return {"type": "summary_text", "text": "".join(self._texts)}


class MessageItem(Item):
    """The answer's text, and a refusal if there is one."""

    def __init__(self, id: str, place: int, text: str = "", refusal: str = "") -> None:  # noqa: A002 - as above
        super().__init__(id, place)
        self._texts: dict[str, list[str]] = {}
        if text or not refusal:
            self._texts["text"] = [text]
        if refusal:
            self._texts["refusal"] = [refusal]
        self._parts: list[str] = list(self._texts)

    def whole(self, status: str = "completed") -> dict[str, Any]:
        """The item as JSON."""
        content = [_part(kind, "".join(self._texts[kind])) for kind in self._parts]
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}

    def begin(self) -> Events:
        """The events before its text."""
        empty: dict[str, Any] = {
            "id": self.id,
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        self._texts, self._parts = {}, []
        return (self._added(empty),)

    def add(self, piece: Piece) -> Events:
        """The events for a piece of its text."""
        kind = "refusal" if piece.kind == "refusal" else "text"
        events: list[tuple[str, dict[str, Any]]] = []
        if kind not in self._texts:
            self._texts[kind] = []
            self._parts.append(kind)
            fields = {**self._where(kind), "part": _part(kind, "")}
            events.append(("response.content_part.added", fields))
        self._texts[kind].append(piece.text)
        fields = {**self._where(kind), "delta": piece.text}
        if kind == "text":
            fields["logprobs"] = []
        events.append((f"response.{_NAMES[kind]}.delta", fields))
        return events

    def end(self) -> Events:
        """The events after its text."""
        events: list[tuple[str, dict[str, Any]]] = []
        if not self._parts:
            events += self.add(Piece("text", ""))
        for kind in self._parts:
            text, where = "".join(self._texts[kind]), self._where(kind)
            last: dict[str, Any] = {"text": text, "logprobs": []} if kind == "text" else {"refusal": text}
            events.append((f"response.{_NAMES[kind]}.done", {**where, **last}))
            events.append(("response.content_part.done", {**where, "part": _part(kind, text)}))
        return (*events, self._done())

    def _where(self, kind: str) -> dict[str, Any]:
        return {**self._at, "content_index": self._parts.index(kind)}


_NAMES = {"text": "output_text", "refusal": "refusal"}


def _part(kind: str, text: str) -> dict[str, Any]:
    if kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


class FunctionCall(Item):
    """A call of one of the client's functions."""

    def __init__(self, id: str, place: int, call_id: str, name: str, arguments: str = "") -> None:  # noqa: A002
        super().__init__(id, place)
        self._call_id = call_id
        self._name = name
        self._arguments = [arguments]

    def whole(self, status: str = "completed") -> dict[str, Any]:
        """The item as JSON."""
        return {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "call_id": self._call_id,
            "name": self._name,
            "arguments": "".join(self._arguments),
        }

    def begin(self) -> Events:
        """The event before its arguments."""
        return (self._added(self.whole("in_progress")),)

    def add(self, arguments: str) -> Events:
        """The event for a piece of its arguments."""
        self._arguments.append(arguments)
        return (("response.function_call_arguments.delta", {**self._at, "delta": arguments}),)

    def end(self) -> Events:
        """The events after its arguments."""
        arguments = "".join(self._arguments)
        done = {**self._at, "name": self._name, "arguments": arguments}
        return (("response.function_call_arguments.done", done), self._done())
