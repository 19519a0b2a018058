"""Schemas of users that are no proper JSON Schemas: they are sent as they are, without strict mode."""

from __future__ import annotations

from typing import Any

import pytest

from weaver._models.openai.request import fits_strict_mode


@pytest.mark.parametrize(
    "odd", [{"required": True}, {"required": None}, {"required": [["a"]]}, {"properties": None}]
)
def test_a_schema_of_an_odd_shape_does_not_fit_strict_mode(odd: dict[str, Any]) -> None:
    closed = {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}
    assert fits_strict_mode(closed)
    assert not fits_strict_mode({**closed, **odd})
