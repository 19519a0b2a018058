"""A scripted model that reads what it is shown, and nothing else: what strategies lose, it cannot know."""

from __future__ import annotations

import json
import re

from weaver._models.protocol import Capabilities, Request
from weaver._strategies.long_inputs import reading, reducing
from weaver._testing.scripted import text_of
from weaver.testing import Scripted, ScriptedModel

NUMBERED = re.compile(r"^(\d+): (.*)$", re.MULTILINE)


def reader(matches, *, value=None, fact=None, context=2048, small=False, **how) -> ScriptedModel:
    """A model that names the lines for which ``matches(line)`` is true.

    Args:
        value: makes the value, or the item, of a line.
        fact: makes (text, about, value) of a line.
    """

    can = Capabilities(json_schema=True, tools=True, context=context, small=small)
    return ScriptedModel([Scripted(says(matches, value=value, fact=fact), **how)], can=can)


def says(matches, *, value=None, fact=None):
    """What `reader` answers to a request."""

    def say(request: Request) -> str:
        text = text_of(request)
        if reading.READ in text:
            lines = [(int(n), line) for n, line in NUMBERED.findall(shown_lines(request)) if matches(line)]
            return json.dumps(_reading(text, lines, value, fact))
        if reducing.MERGE in text:
            facts = re.findall(r"^(\d+)\. (.*) \(", text, re.MULTILINE)
            return json.dumps({"facts": [{"text": t, "of": [int(n)]} for n, t in facts[::2]]})
        if reducing.WRITE in text:
            return "Answer: " + "; ".join(re.findall(r"^\d+\. (.*) \(", text, re.MULTILINE)) + " [1]"
        return "direct"

    return say


def shown_lines(request: Request) -> str:
    return str(request.messages[-1].content).rpartition("lines\n")[2]


def _reading(text, lines, value, fact):
    if reading.INSTRUCTIONS["count"] in text:
        return {"lines": [n for n, _ in lines]}
    if reading.INSTRUCTIONS["sum"] in text:
        return {"entries": [{"line": n, "value": value(line)} for n, line in lines]}
    if reading.INSTRUCTIONS["write"] in text:
        facts = [(n, (fact or (lambda line: (line, "", "")))(line)) for n, line in lines]
        return {"entries": [{"line": n, "text": t, "about": a, "value": v} for n, (t, a, v) in facts]}
    return {"entries": [{"line": n, "text": (value or str)(line)} for n, line in lines]}
