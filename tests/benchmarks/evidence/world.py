"""A simulated model for the tests of this benchmark: it reads what it is shown, and nothing else."""

from __future__ import annotations

import json
import re

from tests.benchmarks.evidence.baselines import NOTES
from weaver._strategies.long_inputs import explore, reading, reducing
from weaver._testing.scripted import text_of
from weaver.models import Capabilities, Request
from weaver.testing import Scripted, ScriptedModel

_NUMBERED = re.compile(r"^(\d+): (.*)$", re.MULTILINE)


def simulated(window: int) -> ScriptedModel:
    """A model with this context window; a call takes a second."""
    can = Capabilities(json_schema=True, context=window)
    return ScriptedModel([Scripted(_say, first=1.0)], can=can)


def _say(request: Request) -> str:
    text = text_of(request)
    wanted = _wanted(text)
    if reading.READ in text:
        lines = _NUMBERED.findall(text.rpartition("lines\n")[2])
        return _read(text, [(int(number), line) for number, line in lines if wanted.search(line)])
    if explore.EXPLORE in text:
        return _explore(text, wanted)
    if reducing.WRITE in text:
        return " ".join(re.findall(r"^\d+\. (.*) \(", text, re.MULTILINE))
    if NOTES in text:
        counted = re.search(r"```notes\n(\d+)", text)
        found = wanted.findall(text.rpartition("text\n")[2])
        if "How many" in text:
            return str(int(counted[1] if counted else 0) + len(found))
        return "\n".join([*re.findall(r"```notes\n(The .*)", text), *found])[:400] or "nothing"
    if "```python" in text:
        return "```python\nraise SystemExit(1)\n```"
    found = wanted.findall(text.partition("?")[2])
    notes = re.search(r"```notes\n(\d+)\n```", text)
    if "How many" in text:
        return notes[1] if notes else str(len(found))
    return " ".join(found) or "I do not know."


def _wanted(text: str) -> re.Pattern[str]:
    """The lines that answer the question."""
    if match := re.search(r"How many orders are from (\w+)\?", text):
        return re.compile(rf"Order \d+: \w+ from {match[1]} .*")
    match = re.search(r"(access code|budget) of project (\w+)", text)
    what, project = (match[1], match[2]) if match else ("nothing", "nothing")
    return re.compile(rf"The {what} of project {project} is .*")


def _read(text: str, lines: list[tuple[int, str]]) -> str:
    if reading.INSTRUCTIONS["count"] in text:
        return json.dumps({"lines": [number for number, _ in lines]})
    entries = [
        {"line": number, "text": line, "about": "the project", "value": " ".join(re.findall(r"\d+", line))}
        for number, line in lines
    ]
    return json.dumps({"entries": entries})


def _explore(text: str, wanted: re.Pattern[str]) -> str:
    results = text.partition("```result\n")[2]
    if counted := re.search(r"(\d+) lines have", results):
        return json.dumps({"answer": counted[1]})
    if results:
        return json.dumps({"answer": " ".join(wanted.findall(results)) or "unknown"})
    if match := re.search(r"from (\w+)\?", text):
        return json.dumps({"actions": [{"tool": "count", "text": f"from {match[1]} "}]})
    match = re.search(r"(access code|budget) of project (\w+)", text)
    return json.dumps({"actions": [{"tool": "find", "text": match[0] if match else "x"}]})
