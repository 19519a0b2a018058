"""What settings may be: checks of raw values, before pydantic's own."""

from __future__ import annotations

import json
import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from weaver._json_reading.json_types import is_mapping
from weaver._models.protocol import Prices
from weaver._settings.units import parse_duration


def no_bool(value: Any) -> Any:
    """Refuse true and false where a number is meant."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def seconds_value(value: Any) -> Any:
    """Read ``30s`` and ``1m30s``; leave numbers, also as text, to pydantic."""
    if isinstance(value, timedelta) or (isinstance(value, str) and value[-1:].isalpha()):
        return parse_duration(value)
    return no_bool(value)


def model_value(value: Any) -> Any:
    """Check a model: its name, or an object."""
    if isinstance(value, str):
        if not value.strip():
            raise ValueError("must not be empty")
        return value.strip()
    if not hasattr(value, "stream"):
        raise ValueError("must be a model's name or a weaver.models.Model")
    return value


def strategy_value(value: Any) -> Any:
    """Check a strategy: its name, or a function."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    if not callable(value):
        raise ValueError("must be a strategy's name (NAME or NAME:key=value,...) or a strategy function")
    return value


def policy_value(value: Any) -> Any:
    """Check a policy: its name or file, or an object."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str):
        if not value.strip():
            raise ValueError("must not be empty")
        return value.strip()
    if value is not None and not callable(getattr(value, "judge", None)):
        raise ValueError("must be a policy's file or name, or an object with a method judge")
    return value


def url_value(value: Any) -> Any:
    """Check the address of an endpoint."""
    if isinstance(value, str) and not value.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://, for example http://localhost:8080/v1")
    return value


def headers_value(value: Any) -> Any:
    """Read HTTP headers: a table, JSON, or lines of NAME: VALUE."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.lstrip().startswith("{") else _header_lines(value)
        except ValueError:
            raise ValueError("must be a JSON object, or lines of NAME: VALUE") from None
    if not is_mapping(value):
        raise ValueError("must be a table of header names and values")
    for name, text in value.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", str(name)):
            raise ValueError("has a name that is not the name of a header")
        plain = text.get_secret_value() if isinstance(text, SecretStr) else text
        if not isinstance(plain, str) or not (plain.isascii() and plain.isprintable()):
            raise ValueError(f"{name} must be text that can be sent (printable ASCII)")
    return value


def _header_lines(text: str) -> dict[str, str]:
    pairs = [line.partition(":") for line in text.splitlines() if line.strip()]
    if not all(colon for _, colon, _ in pairs):
        raise ValueError("no colon")
    return {name.strip(): value.strip() for name, _, value in pairs}


def prices_value(value: Any) -> Any:
    """Read prices of a model."""
    if isinstance(value, Prices):
        return value
    if not is_mapping(value) or not {"input", "output"} <= set(value) <= {
        "input",
        "output",
        "cached",
        "written",
    }:
        raise ValueError(
            "must have input and output, and may have cached and written: US dollars per million tokens"
        )
    for name, price in value.items():
        if isinstance(price, bool) or not isinstance(price, (int, float)) or not 0 <= price < math.inf:
            raise ValueError(f"{name} must be a number of US dollars per million tokens")
    return Prices(**value)


def names_value(value: Any) -> Any:
    """Read names that commas separate."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return value


def hooks_value(value: Any) -> Any:
    """Read hooks: objects, or names that commas separate."""
    if not isinstance(value, (str, list, tuple)):
        raise ValueError("must be a list of hooks: objects, or names such as app.guards:NoSecrets")
    return names_value(value)
