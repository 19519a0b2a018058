"""The stream of a response whose own events are gone: after a restart, or because they were too many."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from weaver._serving.responses.event_log import EventLog
from weaver._serving.responses.items import Events, FunctionCall, Item, MessageItem, ReasoningItem
from weaver._serving.work.outbox import Piece

_LAST = {"cancelled": "incomplete"}
"""The event that ends a response, where its status is not its name."""


def events_of(response: Mapping[str, Any]) -> EventLog:
    """Write the events of a response that has ended, with the whole text of each part in one delta."""
    log = EventLog()
    for number, (kind, fields) in enumerate(_events(response)):
        data = {"type": kind, "sequence_number": number, **fields}
        log.add(f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode())
    log.end()
    return log


def _events(response: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    begun: dict[str, Any] = {**response, "status": "in_progress", "output": [], "usage": None}
    begun |= {"error": None, "incomplete_details": None}
    begun.pop("weaver", None)
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    for place, item in enumerate(response["output"]):
        yield from _item_events(item, place)
    status = response["status"]
    yield f"response.{_LAST.get(status, status)}", {"response": response}


def _item_events(item: Mapping[str, Any], place: int) -> Iterator[tuple[str, dict[str, Any]]]:
    written: Item
    added: list[Events] = []
    match item["type"]:
        case "reasoning":
            written = reasoning = ReasoningItem(item["id"], place)
            begun = reasoning.begin()
            added = [reasoning.add(Piece("reasoning", part["text"])) for part in item["summary"]]
        case "function_call":
            written = call = FunctionCall(item["id"], place, item["call_id"], item["name"])
            begun = call.begin()
            added = [call.add(item["arguments"])]
        case _:
            written = message = MessageItem(item["id"], place)
            begun = message.begin()
            added = [message.add(_piece(part)) for part in item["content"]]
    for events in (begun, *added, written.end()):
        yield from events


def _piece(part: Mapping[str, Any]) -> Piece:
    return Piece("refusal", part["refusal"]) if part["type"] == "refusal" else Piece("text", part["text"])
