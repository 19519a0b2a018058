"""Reading the fields of a JSON request: the right type, or an error that names the field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from weaver._json_reading.json_types import is_array
from weaver._serving.http.errors import ApiError, invalid


class Fields:
    """The fields of a JSON object; ``null`` counts as left out. Unknown fields are ignored.

    Args:
        values: the object.
        place: its path in the request, for errors: ``"tools[0]."``; "" for the body.

    Attributes:
        values, place: likewise.

    Raises:
        ApiError: by every method, with status 400: the field has the wrong type or value.
    """

    def __init__(self, values: Any, place: str = "") -> None:
        if not isinstance(values, Mapping):
            where = place.rstrip(".") or "The body"
            raise invalid(f"{where} must be a JSON object.", place.rstrip(".") or None)
        self.values: Mapping[str, Any] = values
        self.place = place

    def error(self, name: str, problem: str) -> ApiError:
        """An error about a field: ``problem`` completes "NAME ..."."""
        where = f"{self.place}{name}"
        return invalid(f"{where} {problem}.", where)

    def has(self, name: str) -> bool:
        """True if the field is there and not null."""
        return self.values.get(name) is not None

    def any(self, name: str) -> Any:
        """The value as it is, or None."""
        return self.values.get(name)

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.error(name, "must be a string")
        return value

    def required_text(self, name: str) -> str:
        """A string that is not empty."""
        if not (value := self.text(name).strip()):
            raise self.error(name, "is required")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(name, "must be true or false")
        return value

    def number(self, name: str, low: float, high: float, *, from_text: bool = False) -> float | None:
        """A number from ``low`` to ``high``, or None.

        Args:
            from_text: a string with a number in it will do (headers, metadata).
        """
        value = self.values.get(name)
        if value is None:
            return None
        if from_text and isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise self.error(name, "must be a number") from None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
            raise self.error(name, "must be a number")
        if not low <= value <= high:
            raise self.error(name, f"must be a number from {low:g} to {high:g}")
        return value

    def count(self, name: str, low: int, high: int) -> int | None:
        """A whole number from ``low`` to ``high``, or None."""
        value = self.number(name, low, high)
        if value is not None and value != int(value):
            raise self.error(name, "must be a whole number")
        return None if value is None else int(value)

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        """One of ``choices``, or None."""
        value = self.values.get(name)
        if value is not None and value not in choices:
            raise self.error(name, f"must be one of {', '.join(choices)}")
        return value

    def items(self, name: str, limit: int = 100_000) -> list[Any]:
        """A list of at most ``most`` items; empty when it is left out."""
        value = self.values.get(name)
        if value is None:
            return []
        if not is_array(value):
            raise self.error(name, "must be a list")
        if len(value) > limit:
            raise self.error(name, f"may have at most {limit:,} items")
        return value

    def objects(self, name: str, limit: int = 100_000) -> list[Fields]:
        """A list of JSON objects."""
        return [
            Fields(item, f"{self.place}{name}[{index}].")
            for index, item in enumerate(self.items(name, limit))
        ]

    def object(self, name: str) -> Fields | None:
        """A JSON object, or None."""
        value = self.values.get(name)
        return None if value is None else Fields(value, f"{self.place}{name}.")

    def texts(self, name: str, limit: int) -> tuple[str, ...]:
        """A string or a list of strings."""
        value = self.values.get(name)
        texts = [value] if isinstance(value, str) else self.items(name, limit)
        if not all(isinstance(text, str) for text in texts):
            raise self.error(name, "must be a string or a list of strings")
        return tuple(texts)
