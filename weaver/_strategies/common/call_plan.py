"""Reading a plan of tool calls while the model is still writing it (the format of LLMCompiler)."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weaver._json_reading.json_types import JsonLike
from weaver._models.protocol import ToolSpec

STEP = re.compile(r"^\W*?(?:(\d+)\s*[.):]\s*)?([A-Za-z_]\w*)\s*\((.*)\)[^()]*$")
REFERENCE = re.compile(r"\$(?:(?P<bare>\d{1,6})(?![.,]?\d)|\{(?P<braced>\d{1,6})\})")
"""``$1`` or ``${1}``, if the plan has that call before; else it is text, such as a price (``$100``)."""
BARE = r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(\$\{?\d+(?:\.\d+)?\}?)"""
JOIN = re.compile(r"^\W*(?:\d+\s*[.):]\s*)?join\s*\(")
END_OF_PLAN = "<END_OF_PLAN>"


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a plan.

    Attributes:
        arguments: by parameter name; strings may hold references (``$1``).
        needs: numbers of the steps that it refers to.
    """

    number: int
    tool: str
    arguments: Mapping[str, Any]
    needs: tuple[int, ...] = ()

    def __str__(self) -> str:
        arguments = ", ".join(f"{k}={json.dumps(v)}" for k, v in self.arguments.items())
        return f"{self.number}. {self.tool}({arguments})"


class CallPlan:
    """Hands each step over as soon as its line is complete.

    Lines that are no step (thoughts, prose) are skipped; a call without a number gets the next one. A step
    that cannot be run (unknown tool, arguments that cannot be read, a reference to a step that was left out)
    is left out, with the reason. A ``$n`` that is the number of no step before it is text, such as a price.

    Args:
        tools: what may be called.
        done: the steps of earlier plans; they may be referred to, and numbers go on after them.

    Attributes:
        steps: those of this plan so far.
        problems: why lines were left out.
        joined: the plan has come to ``join()`` or its end.
    """

    def __init__(self, tools: Mapping[str, ToolSpec], done: Mapping[int, Step] | None = None) -> None:
        self._tools = tools
        self._known = set(done or ())
        self._left_out: set[int] = set()
        self._rest = ""
        self.steps: list[Step] = []
        self.problems: list[str] = []
        self.joined = False

    def feed(self, piece: str) -> list[Step]:
        """Read on; the steps whose lines ``piece`` completed."""
        *lines, self._rest = (self._rest + piece).split("\n")
        before = len(self.steps)
        for line in lines:
            self._read(line)
        return self.steps[before:]

    def finish(self) -> list[Step]:
        """Read the last line, which needs no line break."""
        return self.feed("\n")

    def _read(self, line: str) -> None:
        if self.joined or JOIN.match(line):
            self.joined = True
            return
        line, end, _ = line.partition(END_OF_PLAN)
        self.joined = bool(end)
        if (match := STEP.match(line.rstrip())) is None:
            return
        tool, written = match[2], match[3]
        if match[1] is None and tool not in self._tools:
            return
        number = int(match[1]) if match[1] else max(self._known, default=0) + 1
        problem: str
        if number in self._known:
            problem = f"there is a step {number} already"
        elif tool not in self._tools:
            problem = f"there is no tool {tool!r}"
        else:
            try:
                arguments = arguments_of(written, self._tools[tool])
            except ValueError as error:
                problem = str(error)
            else:
                named = {number_of(m) for m in REFERENCE.finditer(json.dumps(arguments))}
                if not (dropped := named & self._left_out):
                    self._known.add(number)
                    needs = tuple(sorted(named & (self._known - {number})))
                    self.steps.append(Step(number, tool, arguments, needs))
                    return
                problem = f"it refers to {', '.join(f'${n}' for n in sorted(dropped))}, which was left out"
        if number not in self._known:
            self._left_out.add(number)
        self.problems.append(f"Step {number} was left out: {problem}.")


def arguments_of(written: str, tool: ToolSpec) -> dict[str, Any]:
    """The arguments of a call as the model wrote them (Python literals), by parameter name.

    References may stand bare (``$1``) or within strings. Where the tool has one parameter, anything that is
    no Python literal is taken as its text.

    Raises:
        ValueError: they cannot be read, or there are too many.
    """
    names = list(tool.parameters.get("properties", {}))
    quoted = re.sub(BARE, _quote, written)
    try:
        call = ast.parse(f"f({quoted})", mode="eval").body
        assert isinstance(call, ast.Call)
        positional = [ast.literal_eval(a) for a in call.args]
        named = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg is not None}
        json.dumps([positional, named])
    except (SyntaxError, ValueError, TypeError, AssertionError, RecursionError, MemoryError):
        if len(names) == 1:
            return {names[0]: written.strip()}
        raise ValueError(f"its arguments cannot be read: {written[:80]}") from None
    if len(positional) > len(names):
        if len(names) == 1:  # a comma inside an unquoted text
            return {names[0]: written.strip()}
        raise ValueError(f"{tool.name} takes {len(names)} arguments, not {len(positional)}")
    return {**dict(zip(names, positional, strict=False)), **named}


def resolved(arguments: Mapping[str, Any], observations: Mapping[int, str], tool: ToolSpec) -> dict[str, Any]:
    """The arguments with every reference to an observation replaced by it.

    A string that is nothing but a reference becomes the observation itself (its JSON value, unless the
    parameter is a text); within a longer text the observation is put in as text.
    """
    properties = tool.parameters.get("properties", {})
    return {
        name: _resolve(value, observations, text=properties.get(name, {}).get("type") == "string")
        for name, value in arguments.items()
    }


def _resolve(value: JsonLike, observations: Mapping[int, str], *, text: bool = False) -> Any:
    if isinstance(value, str):
        whole = REFERENCE.fullmatch(value.strip())
        if text or whole is None or number_of(whole) not in observations:
            return REFERENCE.sub(lambda m: observations.get(number_of(m), m[0]), value)
        observed = observations[number_of(whole)]
        try:
            return json.loads(observed)
        except ValueError:
            return observed
    if isinstance(value, (list, tuple)):
        return [_resolve(v, observations) for v in value]
    if isinstance(value, dict):
        return {k: _resolve(v, observations) for k, v in value.items()}
    return value


def number_of(reference: re.Match[str]) -> int:
    """The number in a match of `REFERENCE`."""
    return int(reference["bare"] or reference["braced"])


def _quote(match: re.Match[str]) -> str:
    return match[1] or json.dumps(match[2])
