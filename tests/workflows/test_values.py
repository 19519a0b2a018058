"""Durations, money, sizes and types: read as people write them, written so that they read the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from weaver._settings.units import (
    format_duration,
    format_money,
    format_size,
    parse_duration,
    parse_money,
    parse_size,
)
from weaver._workflows.schema.types import Value, ValueSpec

SPEC: TypeAdapter[ValueSpec] = TypeAdapter(Value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("1m30s", 90),
        ("500ms", 0.5),
        ("2h", 7200),
        ("1.5h", 5400),
        ("1d", 86400),
        (45, 45),
        (0.25, 0.25),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "wrong", ["30", "30 s", "s", "-5s", "0s", "", "1m30", True, None, [], float("inf"), "5S", -1]
)
def test_what_is_no_duration(wrong):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(wrong)


@pytest.mark.parametrize("wrong", ["50 cents", "0.5", "$", "-$1", "$1,000", True, None, float("nan")])
def test_what_is_no_money(wrong):
    with pytest.raises(ValueError, match=r"dollars|money"):
        parse_money(wrong)


@pytest.mark.parametrize(
    ("text", "count"),
    [("20k", 20_000), ("1.5M", 1_500_000), ("800", 800), (3, 3), (2.0, 2), ("1.234k", 1234)],
)
def test_sizes(text, count):
    assert parse_size(text) == count


@pytest.mark.parametrize("wrong", ["20K", "k", "-1", 0, 1.5, "0.0001k", True, None])
def test_what_is_no_size(wrong):
    with pytest.raises(ValueError, match=r"number|or more"):
        parse_size(wrong)


@given(st.floats(min_value=1e-9, max_value=1e9))
def test_durations_round_trip_exactly(seconds):
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.floats(min_value=0, max_value=1e9))
def test_money_round_trips_exactly(dollars):
    assert parse_money(format_money(dollars)) == dollars


@given(st.integers(min_value=1, max_value=10**12))
def test_sizes_round_trip_exactly(count):
    assert parse_size(format_size(count)) == count


def test_short_forms_of_types_are_read_and_written():
    for written in [
        "string",
        ["integer"],
        {"properties": {"a": "string", "b": ["number"]}},
        [{"properties": {"a": "any"}}],
    ]:
        spec = SPEC.validate_python(written)
        assert SPEC.dump_python(spec, exclude_unset=True) == written


def test_json_schema_spells_everything_out():
    spec = SPEC.validate_python(
        {
            "properties": {
                "a": {"type": "string", "maxLength": 5},
                "b": {"type": "array", "items": "integer", "maxItems": 2},
            },
            "required": ["a"],
        }
    )
    assert spec.json_schema() == {
        "type": "object",
        "properties": {
            "a": {"type": "string", "maxLength": 5},
            "b": {"type": "array", "items": {"type": "integer"}, "maxItems": 2},
        },
        "required": ["a"],
        "additionalProperties": False,
    }
    assert spec.problem_with({"a": "x"}) is None
    assert spec.problem_with({"a": "toolong"}) == "a: it should have at most 5 characters"
    assert spec.problem_with({"b": [1]}) == "a: field required"
    assert spec.problem_with({"a": "x", "b": [1, "2"]}) == "b[1]: it should be a valid integer"


def test_the_python_type_reads_field_names_that_python_has_no_words_for():
    spec = SPEC.validate_python(
        {"properties": {"class": "string", "my-field": {"type": "integer", "nullable": True}}}
    )
    adapter = TypeAdapter(spec.python_type("odd"))
    assert adapter.validate_python({"class": "a", "my-field": None}) == {"class": "a", "my-field": None}
    assert adapter.json_schema()["required"] == ["class", "my-field"]
    with pytest.raises(ValidationError):
        adapter.validate_python({"class": "a"})


@pytest.mark.parametrize(
    ("spec", "text", "value"),
    [
        ("string", "3", "3"),
        ("integer", " 3 ", 3),
        ("number", "3", 3.0),
        ("boolean", "true", True),
        (["string"], "a, b", ["a", "b"]),
        (["string"], '["a"]', ["a"]),
        (["integer"], "1,2", [1, 2]),
        ("object", '{"a": 1}', {"a": 1}),
        ("any", "free text", "free text"),
        ("any", "[1]", [1]),
    ],
)
def test_values_from_a_command_line(spec, text, value):
    assert SPEC.validate_python(spec).read(text) == value


@pytest.mark.parametrize(
    ("spec", "text"), [("integer", "x"), ("integer", "1.5"), ("boolean", "yes"), ("object", "[1]")]
)
def test_texts_that_are_no_such_value(spec, text):
    with pytest.raises(ValueError, match=r"it should be|JSON|true or false"):
        SPEC.validate_python(spec).read(text)


def test_the_schema_of_a_spec_is_json():
    assert json.loads(json.dumps(SPEC.json_schema()))
