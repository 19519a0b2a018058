"""What structured output must fit, and where it stands in a reply."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from weaver._json_reading.json_types import Json
from weaver._json_reading.streaming import Found
from weaver._json_reading.whole import problem_in, read_json, without_thoughts
from weaver._models.protocol import Delta, OutputSchema, Text, ToolCallPart
from weaver._models.reply import Reply
from weaver._runtime.output.output_types import MisfitError, output_type
from weaver.errors import InvalidOutputError

T = TypeVar("T")
_MOST_VALUES = 100  # of the JSON values in a text, the last ones
_MOST_BARE_CHARS = 10_000
_FENCE = re.compile(r"```\w*\n(.*)\n```", re.DOTALL)
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")


class Shape(Generic[T]):
    """A Python type, or a JSON Schema, that a model's output must fit.

    Types whose schema is not an object (``list[int]``, ``int``) travel as ``{"value": ...}``, because most
    endpoints accept objects only.

    Args:
        schema: asks for this instead of the type's own JSON Schema.

    Raises:
        ConfigurationError: the type has no JSON Schema, or the JSON Schema is none.
    """

    def __init__(
        self, type_: Any, *, name: str | None = None, schema: Mapping[str, Any] | None = None
    ) -> None:
        self.type = output_type(type_)
        self.name = re.sub(r"\W+", "_", name or self.type.name)[:64]
        schema_shown = dict(schema or self.type.json_schema)
        self._fields = frozenset(schema_shown.get("properties") or ())
        if self._fields and "$ref" not in schema_shown:
            schema_shown.setdefault("type", "object")
        self.is_wrapped = schema_shown.get("type") != "object" and "$ref" not in schema_shown
        if self.is_wrapped:
            definitions: dict[str, Any] = {
                key: schema_shown.pop(key) for key in ("$defs", "definitions") if key in schema_shown
            }
            schema_shown = {
                "type": "object",
                "properties": {"value": schema_shown},
                "required": ["value"],
                **definitions,
            }
        self.schema = OutputSchema(self.name, schema_shown)

    def parse(self, text: str, *, cut: bool = True) -> T:
        """The value in ``text`` that fits, the last of several; prose, fences and drafts may stand around it.

        Where one scalar is asked for, the text may also be just that: ``42``, ``"red"``, ``Yes.``

        Args:
            cut: whether the text may have been cut off; a value that ends early is then not taken.

        Raises:
            InvalidOutputError: no JSON that fits; the message says what does not, or where it is no JSON.
        """
        values = [item.value for item in read_json(text) if not (cut and _may_go_on(item))][-_MOST_VALUES:]
        candidates = [reading for value in reversed(values) for reading in self._readings(value)]
        # Any object fits a type without required fields: one that has a field comes before one that has none.
        candidates.sort(key=lambda one: not self._has_a_field(one))
        if self.is_wrapped and not cut:
            candidates += bare_values(text, self.type.choices)
        problem: MisfitError | None = None
        for candidate in candidates:
            try:
                value: T = self.type.validated(candidate)
            except MisfitError as error:
                problem = problem or error
            else:
                return value
        if problem is None or not values:
            where = problem_in(text)
            summary = f"The output's JSON is wrong at {where}" if where else "The output has no JSON"
            raise InvalidOutputError(f"{summary}: {text[:200]!r}.")
        raise InvalidOutputError(f"The output does not fit {self.name}: {problem}.") from problem

    def _readings(self, value: Json) -> Iterator[Any]:
        """Return the readings of ``value``: itself, or the value of a wrapping object's only key."""
        if self.is_wrapped and isinstance(value, dict) and "value" in value:
            yield value["value"]
        yield value
        if isinstance(value, dict) and len(value) == 1:
            (inner,) = value.values()
            if self.is_wrapped or isinstance(inner, dict | list):
                yield inner

    def _has_a_field(self, value: Json) -> bool:
        return not isinstance(value, dict) or not self._fields.isdisjoint(value)


def _may_go_on(value: Found) -> bool:
    """True where more text might have changed the value."""
    return value.cut or (isinstance(value.value, int | float) and not isinstance(value.value, bool))


def bare_values(text: str, choices: Mapping[str, Any]) -> Iterator[Any]:
    """Values that a text which is nothing but one scalar may mean, the likeliest first.

    Args:
        choices: texts that name a value, in lower case.
    """
    bare = without_thoughts(text).strip()
    if fenced := _FENCE.fullmatch(bare):
        bare = fenced[1].strip()
    if len(bare) > _MOST_BARE_CHARS:
        return
    word = bare.strip("*_`\"' \t\r\n").rstrip(".").strip("*_`\"' ")
    for candidate in (bare, word):
        try:
            value = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if not isinstance(value, dict | list):
            yield value
    if word.lower() in choices:
        yield choices[word.lower()]
    if _GROUPED.fullmatch(word):
        yield word.replace(",", "")
    yield bare
    yield word


def output_piece(delta: Delta) -> str:
    """The part of a structured output that a delta carries, whichever way was taken."""
    if isinstance(delta, Text):
        return delta.text
    return delta.arguments if isinstance(delta, ToolCallPart) else ""


def output_text(reply: Reply) -> str:
    """The structured output of a finished reply, whichever way was taken.

    A reply without text or tool calls whose reasoning ends with JSON has its output there: some servers take
    everything that a model writes for reasoning.
    """
    if reply.text.strip():
        return reply.text
    if reply.tool_calls:
        return reply.tool_calls[0].arguments
    thoughts = reply.reasoning.rstrip().removesuffix("```").rstrip()
    if reply.finish == "stop" and thoughts[-1:] in {"}", "]"}:
        return json.dumps(values[-1].value) if (values := read_json(thoughts)) else ""
    return reply.text
