"""What views need to know of a kind of span."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


def _name(name: str, _attributes: Mapping[str, Any]) -> str:
    return name


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of span, as views see it.

    Attributes:
        name: what views call the kind.
        operations: the values of ``gen_ai.operation.name`` by which it is recognized.
        label: returns what a view calls one span, from the span's name and its attributes; the name by
            default.
    """

    name: str
    operations: tuple[str, ...] = ()
    label: Callable[[str, Mapping[str, Any]], str] = _name
