"""What structured output must fit, and where it stands in a reply."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

from weaver.errors import ConfigurationError, OutputInvalid
from weaver.json_reading.whole import problem_in, read_json
from weaver.models.protocol import Delta, OutputSchema, Text, ToolCallPart
from weaver.models.reply import Reply

T = TypeVar("T")
_MOST_VALUES = 100  # of the JSON values in a text, the last ones


class Shape(Generic[T]):
    """A Python type that a model's output must fit, with its JSON Schema.

    Types whose schema is not an object (``list[int]``, ``int``) travel as ``{"value": ...}``, because most
    endpoints accept objects only.

    Raises:
        ConfigurationError: the type has no JSON Schema.
    """

    def __init__(
        self, type_: Any, *, name: str | None = None, schema: Mapping[str, Any] | None = None
    ) -> None:
        self.name = re.sub(r"\W+", "_", name or getattr(type_, "__name__", "") or "output")[:64]
        try:
            self._adapter: TypeAdapter[T] = TypeAdapter(type_)
            given = dict(schema or self._adapter.json_schema())
        except (PydanticSchemaGenerationError, ValueError) as error:
            raise ConfigurationError(
                f"{type_!r} cannot be an output type: {error}.", hint="Use a pydantic model or a dataclass."
            ) from error
        self._fields = frozenset(given.get("properties") or ())
        self._wrapped = given.get("type") != "object" and "$ref" not in given
        if self._wrapped:
            definitions = given.pop("$defs", None)
            given = {"type": "object", "properties": {"value": given}, "required": ["value"]}
            if definitions:
                given["$defs"] = definitions
        self.schema = OutputSchema(self.name, given)

    def parse(self, text: str, *, cut: bool = True) -> T:
        """The value in ``text`` that fits, the last of several; prose, fences and drafts may stand around it.

        Args:
            cut: whether the text may have been cut off; a value that ends early is then not taken.

        Raises:
            OutputInvalid: no JSON that fits; the message says what does not, or where it is no JSON.
        """
        values = [one.value for one in read_json(text) if not (one.cut and cut)][-_MOST_VALUES:]
        candidates = [one for value in reversed(values) for one in self._readings(value)]
        # Any object fits a type without required fields: one that has a field comes before one that has none.
        candidates.sort(key=lambda one: not self._has_a_field(one))
        problem: ValidationError | None = None
        for candidate in candidates:
            try:
                return self._adapter.validate_python(candidate)
            except ValidationError as error:
                problem = problem or error
        if problem is None:
            where = problem_in(text)
            what = f"The output's JSON is wrong at {where}" if where else "The output has no JSON"
            raise OutputInvalid(f"{what}: {text[:200]!r}.")
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'output'}: {e['msg']}" for e in problem.errors()[:8]
        )
        raise OutputInvalid(f"The output does not fit {self.name}: {wrong}.") from problem

    def _readings(self, value: Any) -> Iterator[Any]:
        """What ``value`` may stand for: itself, or what is inside the only key of a wrapping object."""
        if self._wrapped and isinstance(value, dict) and "value" in value:
            yield value["value"]
        yield value
        if isinstance(value, dict) and len(value) == 1:
            (inner,) = value.values()
            if isinstance(inner, dict | list):
                yield inner

    def _has_a_field(self, value: Any) -> bool:
        return not isinstance(value, dict) or not self._fields.isdisjoint(value)


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
