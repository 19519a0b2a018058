"""Errors as JSON and back, for the journal."""

from __future__ import annotations

from typing import Any

from weaver import errors
from weaver.errors import ModelError, ToolError, WeaverError


def dump_error(error: WeaverError) -> dict[str, Any]:
    """Return the JSON that is recorded of an error."""
    return {
        "type": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "model": getattr(error, "model", ""),
    }


def error_from(value: dict[str, Any]) -> WeaverError:
    """The error that `dump_error` was given; of its nearest public class, if its own is not weaver's."""
    kind = getattr(errors, str(value["type"]), None)
    if isinstance(kind, type) and issubclass(kind, ModelError):
        return kind(value["message"], model=value["model"], hint=value["hint"])
    if isinstance(kind, type) and issubclass(kind, ToolError):
        return kind(value["message"], hint=value["hint"])
    return ModelError(value["message"], model=value["model"], hint=value["hint"])
