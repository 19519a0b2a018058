"""The server that counts: what it says depends on the request alone, how fast also on a mood."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

from tests.long_inputs.reader import says
from tests.strategies.sensible import sense
from weaver._models.protocol import Request
from weaver._strategies.long_inputs import reading, reducing
from weaver._strategies.long_inputs.explore import EXPLORE
from weaver.errors import ServerError
from weaver.testing import Scripted, ScriptedModel

SLOWEST = 0.12
"""Most seconds until the first word of a reply, except of those that are slow by design."""


@dataclass
class CountingModel(ScriptedModel):
    """Says something sensible to every request.

    Attributes:
        plays: what a model trained for a native format writes.
        is_reversed: whoever was slow is quick now, so that a race which was run again would end differently.
    """

    is_reversed: bool = False
    plays: Callable[[str], Any] | None = None

    def _reply_to(self, request: Request) -> Scripted:
        text = asked(request)
        number = crc32(text.encode())
        first = SLOWEST * (number % 97) / 97
        if self.is_reversed:
            first = SLOWEST - first
        if request.prompt is not None:
            assert self.plays is not None
            reply = self.plays(request.prompt)
            reply = reply if isinstance(reply, Scripted) else Scripted(reply)
            return cut_at_stop(replace(reply, first=first), request.stop)
        if "toy 3 of" in text and "attempt 2" not in text:
            return Scripted(error=ServerError("broken", model="scripted"))
        if "toy 6 of" in text and not self.is_reversed:
            first = 30.0
        if "use the tool" in text and "wrote" not in text:
            return Scripted("", tool_calls=(("add_line", json.dumps({"text": "done"})),), first=first)
        if EXPLORE in text:
            return Scripted(explored(text), first=first)
        if any(mark in text for mark in (reading.READ, reducing.MERGE, reducing.WRITE)):
            return Scripted(_read(request), first=first)
        words = sense(request).replace("First", f"Point {number % 1000}")
        return Scripted(words, logprobs=(-1.0,) * 20, first=first, each=0.002)


_read = says(lambda line: "Lima" in line)


def explored(text: str) -> str:
    """Find lines, then ask about some of them, then answer."""
    if "Sub-question" in text:
        return json.dumps({"thought": "", "actions": [], "answer": "The orders of Lima."})
    actions = [
        {"tool": "find", "text": "Lima"},
        {"tool": "ask", "text": "Sub-question", "first": 1, "last": 99},
    ]
    return json.dumps({"thought": "", "actions": actions, "answer": ""})


def cut_at_stop(reply: Scripted, stops: Sequence[str]) -> Scripted:
    """Return what a server of completions sends of ``reply``: all up to the first stop string."""
    assert isinstance(reply.text, str)
    hits = [(at, stop) for stop in stops if (at := reply.text.find(stop)) >= 0]
    at, stop = min(hits, default=(len(reply.text), None))
    return replace(reply, text=reply.text[:at], stop=stop)


def asked(request: Request) -> str:
    """What tells one request of a run from the others."""
    if request.prompt is not None:
        return f"{request.seed} {request.prompt}"
    return f"{request.seed} " + "\n".join(message.text for message in request.messages)


def asked_in(body: Mapping[str, Any]) -> str:
    """`asked`, of the body that a server received."""
    seed = body.get("seed")
    if "prompt" in body:
        return f"{seed} {body['prompt']}"
    return f"{seed} " + "\n".join(words(message.get("content")) for message in body["messages"])


def words(content: str | Sequence[Mapping[str, Any]] | None) -> str:
    """The text of a message."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.get("text", "") for part in content)
