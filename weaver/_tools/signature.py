"""A function's parameters as a JSON Schema, with the descriptions of its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from weaver._tools.protocol import Context
from weaver.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model is told about a function.

    Attributes:
        arguments: validates the arguments and makes their JSON Schema.
        context: name of the parameter that gets the `Context`, or None.
        description: the docstring without its sections about arguments.
    """

    arguments: type[BaseModel]
    context: str | None
    description: str


def signature_of(function: Callable[..., Any], name: str) -> Signature:
    """Read a function's annotations and docstring.

    Raises:
        ConfigurationError: a parameter cannot be described to a model.
    """
    description, texts = _docstring(function)
    context: str | None = None
    fields: dict[str, Any] = {}
    try:
        hints = get_type_hints(function, include_extras=True)
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise ConfigurationError(
                    f"Tool {name!r} takes *{parameter.name}: models need named parameters."
                )
            kind = hints.get(parameter.name, Any)
            if kind is Context or get_origin(kind) is Context:
                context = parameter.name
                continue
            default = ... if parameter.default is parameter.empty else parameter.default
            if text := texts.get(parameter.name):
                default = Field(default, description=text)
            fields[parameter.name] = (kind, default)
        model = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
        model.model_json_schema()
    except (TypeError, ValueError, NameError) as error:
        raise ConfigurationError(f"Tool {name!r} cannot be described to a model: {error}.") from error
    return Signature(model, context, description)


def _docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """The text of a docstring, and what it says about each parameter (Google, NumPy or Sphinx style)."""
    text = inspect.getdoc(function) or ""
    if "\n" not in text:
        return text, {}
    from docstring_parser import ParseError, parse

    try:
        parsed = parse(text)
    except ParseError:
        return text, {}
    parameters = {p.arg_name: " ".join((p.description or "").split()) for p in parsed.params}
    if not parameters:
        return text, {}
    parts = (parsed.short_description, parsed.long_description)
    returns = parsed.returns.description if parsed.returns is not None else None
    if returns:
        returns = f"Returns: {' '.join(returns.split())}"
    return "\n\n".join(part for part in (*parts, returns) if part), parameters
