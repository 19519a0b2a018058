"""`weaver runs show` says a few words of whatever a step has recorded."""

from __future__ import annotations

from typing import Any

import pytest

from weaver._cli.running.runs import _short
from weaver._journal.port import Entry


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"text": "An answer."}, "An answer."),
        ({"error": {"message": "It broke."}}, "It broke."),
        ({"error": "It broke."}, "It broke."),
        ({"error": 3}, "3"),
        ({"error": None}, '{"error": null}'),
        ([1, 2], "[1, 2]"),
    ],
)
def test_values_of_any_shape_are_shown(value: Any, words: str) -> None:
    assert _short(Entry("s1/once", "ok", value)) == words
