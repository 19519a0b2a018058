"""What registered functions take and give, as far as their annotations say it clearly."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from weaver._tools.function import FunctionTool
from weaver._tools.protocol import Tool
from weaver._workflows.schema.types import TYPE_NAMES, ValueSpec

UNKNOWN = ValueSpec(type="any")


def parameters(tool: Tool) -> dict[str, ValueSpec]:
    """The types of a function's parameters, by name."""
    schema = tool.spec.parameters
    definitions = schema.get("$defs", {})
    return {
        name: spec_of(property_schema, definitions)
        for name, property_schema in schema.get("properties", {}).items()
    }


def result(tool: Tool) -> ValueSpec:
    """The type of what a step gets that calls the function."""
    if gives_text(tool):
        return ValueSpec(type="string")
    if not isinstance(tool, FunctionTool):
        return UNKNOWN
    try:
        returned = get_type_hints(tool.function, include_extras=True)["return"]
        schema = TypeAdapter(returned).json_schema(mode="serialization")
    except (PydanticUserError, NameError, TypeError, KeyError):
        return UNKNOWN
    spec = spec_of(schema, schema.get("$defs", {}))
    # A text that is not announced as one is read as JSON where it can be.
    return UNKNOWN if spec.type == "string" else spec


def gives_text(tool: Tool) -> bool:
    """Return True if a function always returns a text."""
    if not isinstance(tool, FunctionTool):
        return False
    try:
        return get_type_hints(tool.function).get("return") is str
    except (NameError, TypeError):
        return inspect.signature(tool.function).return_annotation in (str, "str")


def spec_of(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], within: tuple[str, ...] = ()
) -> ValueSpec:
    """The part of a JSON Schema that a `ValueSpec` can say; ``any`` for what it cannot.

    Args:
        definitions: the schema's ``$defs``.
        within: the definitions that this schema is part of.
    """
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return UNKNOWN if name in within else spec_of(definitions[name], definitions, (*within, name))
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if option.get("type") != "null"]
        if len(options) != 1:
            return UNKNOWN
        nullable = len(options) < len(schema["anyOf"])
        return spec_of(options[0], definitions, within).model_copy(update={"nullable": nullable})
    if schema.get("type") not in TYPE_NAMES:
        return UNKNOWN
    spec: dict[str, Any] = {"type": schema["type"]}
    enum = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if enum and all(isinstance(value, (str, int, float)) for value in enum):
        spec["enum"] = tuple(enum)
    if "items" in schema:
        spec["items"] = spec_of(schema["items"], definitions, within)
    if "properties" in schema and not schema.get("additionalProperties"):
        fields = schema["properties"]
        spec["properties"] = {name: spec_of(option, definitions, within) for name, option in fields.items()}
        spec["required"] = tuple(schema.get("required", ()))
    return ValueSpec(**spec)
