"""Lists and objects with texts in them, parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weaver._json_reading.json_types import JsonLike
from weaver._workflows.expressions.templates import Template, parse_template, templates_in


@dataclass(frozen=True, slots=True)
class Values:
    """Lists and objects with texts in them, parsed: ``with``, ``outputs``, ``fallback``, a written list."""

    given: Any
    texts: Mapping[tuple[str | int, ...], Template]

    @classmethod
    def of(cls, given: Any) -> Values:
        """Parse every text inside ``given``.

        Raises:
            TemplateError: one of them cannot be read.
        """
        return cls(given, {path: parse_template(text) for path, text in templates_in(given)})

    def value(self, names: Mapping[str, Any]) -> Any:
        """Everything filled in.

        Raises:
            ExpressionError: something has no value.
        """
        return self._fill(self.given, (), names)

    def _fill(self, at: JsonLike, path: tuple[str | int, ...], names: Mapping[str, Any]) -> Any:
        if isinstance(at, str):
            return self.texts[path].value(names)
        if isinstance(at, Mapping):
            return {str(key): self._fill(value, (*path, str(key)), names) for key, value in at.items()}
        if isinstance(at, (list, tuple)):
            return [self._fill(item, (*path, index), names) for index, item in enumerate(at)]
        return at
