"""Reading plans of calls: lines, arguments, references."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaver._models.protocol import ToolSpec
from weaver._strategies.common.call_plan import CallPlan, Step, arguments_of, resolved


def spec(name: str, **types: str) -> ToolSpec:
    properties = {k: {"type": v} for k, v in types.items()}
    return ToolSpec(name, "", {"type": "object", "properties": properties})


SEARCH, ADD = spec("search", query="string"), spec("add", a="number", b="number")
LISTS = spec("lists", items="array", flags="object")
TOOLS = {t.name: t for t in (SEARCH, ADD, LISTS)}


@pytest.mark.parametrize(
    ("written", "tool", "arguments"),
    [
        ('"a, (b)"', SEARCH, {"query": "a, (b)"}),
        ("'it''s'", SEARCH, {"query": "its"}),
        ("population of Japan, 2020", SEARCH, {"query": "population of Japan, 2020"}),
        ("$1", SEARCH, {"query": "$1"}),
        ("${12}", SEARCH, {"query": "${12}"}),
        ("1, -2.5", ADD, {"a": 1, "b": -2.5}),
        ("$1, b=$2", ADD, {"a": "$1", "b": "$2"}),
        ("b=1, a=2", ADD, {"a": 2, "b": 1}),
        ('[1, "$2"], {"x": True}', LISTS, {"items": [1, "$2"], "flags": {"x": True}}),
        ("[$1, $2]", LISTS, {"items": ["$1", "$2"]}),
        ("", ADD, {}),
    ],
)
def test_arguments(written, tool, arguments):
    assert arguments_of(written, tool) == arguments


@pytest.mark.parametrize("written", ["1, 2, 3", "open('x').read(), 1", "a b, c", "1 +, 2", "{1, 2}, b'x'"])
def test_arguments_that_cannot_be_read(written):
    with pytest.raises(ValueError, match=r"add takes 2|cannot be read"):
        arguments_of(written, ADD)


def test_references_are_resolved_longest_first_and_by_type():
    seen = {1: "one", 2: "42", 3: "[1, 2]", 12: "twelve"}
    assert resolved({"query": "$12 or $1 or ${2}"}, seen, SEARCH) == {"query": "twelve or one or 42"}
    assert resolved({"query": "$2"}, seen, SEARCH) == {"query": "42"}
    assert resolved({"a": "$2", "b": 5}, seen, ADD) == {"a": 42, "b": 5}
    assert resolved({"items": "$3", "flags": {"k": "$1"}}, seen, LISTS) == {
        "items": [1, 2],
        "flags": {"k": "one"},
    }


@pytest.mark.parametrize(
    "line",
    [
        '1. search("a")',
        "  1) search('a')",
        '$1. search("a") # why',
        '- 1. search("a");',
        '1. search("a")<END_OF_PLAN>',
    ],
)
def test_lines_that_are_steps(line):
    assert [s.arguments for s in CallPlan(TOOLS).feed(line + "\n")] == [{"query": "a"}]


def test_calls_without_numbers_are_numbered():
    steps = CallPlan(TOOLS).feed('search("a")\nf(x) is no call\n5. search("b")\n- search("$5")\n')
    assert [(s.number, s.needs) for s in steps] == [(1, ()), (5, ()), (6, (5,))]


def test_the_plan_ends_with_join():
    plan = CallPlan(TOOLS)
    steps = plan.feed('Thought: so\n1. search("a")\n2. join()\n3. search("b")\n')
    assert [str(s) for s in steps] == ['1. search(query="a")']
    assert plan.joined
    assert plan.feed('4. search("c")\n') == []


def test_the_last_line_needs_no_line_break():
    plan = CallPlan(TOOLS)
    assert plan.feed('1. search("a")') == []
    assert len(plan.finish()) == 1


def test_numbers_go_on_after_earlier_plans():
    done = {1: Step(1, "search", {"query": "a"})}
    plan = CallPlan(TOOLS, done)
    plan.feed('1. search("x")\n2. search("$1")\n')
    assert [s.needs for s in plan.steps] == [(1,)]
    assert plan.problems == ["Step 1 was left out: there is a step 1 already."]


@given(st.text(max_size=200), st.integers(1, 7))
def test_whatever_a_model_writes_is_read_the_same_in_any_pieces(text, size):
    whole, parts = CallPlan(TOOLS), CallPlan(TOOLS)
    steps = [*whole.feed(text), *whole.finish()]
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    assert [*(s for p in pieces for s in parts.feed(p)), *parts.finish()] == steps
    assert (parts.problems, parts.joined) == (whole.problems, whole.joined)


def test_a_price_is_no_reference():
    plan = CallPlan(TOOLS)
    plan.feed(
        '1. search("$100 less 20%")\n2. search("$5 each, $1.50 more, $1,000 in all")\n3. search("$1 by $2")\n'
    )
    assert [s.needs for s in plan.steps] == [(), (), (1, 2)]
    assert plan.problems == []


def test_a_number_is_a_reference_only_to_steps_before():
    plan = CallPlan(TOOLS)
    plan.feed('1. search("$1 or $2")\n2. search("${1} and $3")\n')
    assert [s.needs for s in plan.steps] == [(), (1,)]


def test_a_step_that_refers_to_one_that_was_left_out_is_left_out_too():
    plan = CallPlan(TOOLS)
    plan.feed('1. dig("a")\n2. search("$1")\n3. search("b")\n')
    assert [s.number for s in plan.steps] == [3]
    assert plan.problems == [
        "Step 1 was left out: there is no tool 'dig'.",
        "Step 2 was left out: it refers to $1, which was left out.",
    ]


def test_text_that_looks_like_a_reference_stays():
    seen = {1: "one"}
    assert resolved({"query": "$100, $1.50, ${7} or $1."}, seen, SEARCH) == {
        "query": "$100, $1.50, ${7} or one."
    }
    assert resolved({"a": "$7", "b": "$1.50"}, seen, ADD) == {"a": "$7", "b": "$1.50"}
