"""Damaged plans: each still leads to a right answer, and a note says what was done."""

from __future__ import annotations

import json
from collections import Counter

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaver import Weaver
from weaver._data.plan import ONLY_THIS, YOUR_PART, Plan
from weaver._planning.reader import PlanReader
from weaver.testing import Scripted, ScriptedModel, virtual_time

QUESTION = "Compare the phones X1 and Y2: camera, battery, screen."
CAMERA, BATTERY = {"id": "a", "prompt": "Camera?"}, {"id": "b", "prompt": "Battery?"}


def read(text: str, step: int = 0, **options) -> tuple[PlanReader, Plan]:
    reader = PlanReader(question=QUESTION, **options)
    for at in range(0, len(text), step or len(text)):
        reader.feed(text[at : at + (step or len(text))])
    return reader, reader.finish()


def plan_of(*parts, step: int = 0, options=None, **keys) -> Plan:
    return read(json.dumps({"parallel": True, **keys, "parts": list(parts)}), step, **(options or {}))[1]


@pytest.mark.parametrize(
    ("parts", "kept", "note"),
    [
        ([CAMERA, {**BATTERY, "id": "a"}], [("a", ()), ("a-2", ())], "Two parts have the id 'a'"),
        ([CAMERA, {**BATTERY, "depends_on": ["z"]}], [("a", ()), ("b", ())], "needs 'z', which the plan"),
        ([CAMERA, {**BATTERY, "needs": ["b"]}], [("a", ()), ("b", ())], "needs itself"),
        (
            [{**CAMERA, "needs": ["b"]}, {**BATTERY, "needs": ["a"]}],
            [("a", ()), ("b", ("a",))],
            "The parts 'a', 'b' need one another",
        ),
        (
            [{"id": "end", "prompt": "x", "needs": ["a"]}, {**CAMERA, "needs": "b"},
             {**BATTERY, "needs": ["a"]}],
            [("end", ("a",)), ("a", ()), ("b", ("a",))],
            "need one another in a cycle; 'a' starts first",
        ),
        ([CAMERA, BATTERY, {"id": "c", "prompt": "camera? "}], [("a", ()), ("b", ())], "the same"),
        (["Poem", "Poem"], [("poem", ()), ("poem-2", ())], "names 'Poem' more than once"),
        (["Camera", "camera", "Screen"], [("camera", ()), ("screen", ())], "'camera' asks for the same"),
        (["Camera", QUESTION.upper(), "Battery"], [("camera", ()), ("battery", ())], "repeats the whole"),
        ([CAMERA, BATTERY, {"id": "all", "prompt": QUESTION}], [("a", ()), ("b", ())], "'all' repeats"),
        ([CAMERA, None, {}, "", [], True, BATTERY], [("a", ()), ("b", ())], "4 of the plan's parts"),
        ([2019, 2020.5, ["a", "b"]], [("2019", ()), ("2020-5", ()), ("a", ()), ("b", ())], ""),
        (
            [{**CAMERA, "id": "../x\n" * 20}, {**BATTERY, "needs": ["../x\n" * 20]}],
            [("x-" * 19 + "x", ()), ("b", ("x-" * 19 + "x",))],
            "cannot be used",
        ),
        (
            [CAMERA, {**BATTERY, "agent": "cook", "tools": ["fly"]}],
            [("a", ()), ("b", ())],
            "names the agent 'cook'",
        ),
    ],
)  # fmt: skip
def test_parts_are_repaired_and_noted(parts, kept, note):
    plan = plan_of(*parts, options={"agents": ["smith"], "tools": ["dig"]})
    assert plan.parallel
    assert [(s.id, s.depends_on) for s in plan.subtasks] == kept
    assert note in " ".join(plan.notes)
    assert bool(plan.notes) == bool(note)


@pytest.mark.parametrize("parts", [[], ["Camera"], [QUESTION], [QUESTION, QUESTION], [{}, None], [[[[]]]]])
def test_with_fewer_than_two_parts_the_task_is_answered_directly(parts):
    plan = plan_of(*parts)
    assert (plan.parallel, plan.subtasks) == (False, ())
    assert "answered directly" in plan.notes[-1]


@pytest.mark.parametrize("step", [0, 1, 7])
@pytest.mark.parametrize("ask", [None, "Describe {part}."])
def test_forty_parts_in_eight_threads(step, ask):
    names = [f"part{i:02}" for i in range(40)]
    plan = plan_of(*names, step=step, ask=ask, options={"max_subtasks": 8})
    assert len(plan.subtasks) == 8
    for name in names:
        assert sum(name in s.prompt for s in plan.subtasks) == 1
    assert "40 parts" in plan.notes[-1]


def test_parts_that_need_one_another_are_grouped_behind_what_they_need():
    chain = [{"id": f"s{i}", "prompt": f"do {i}", "needs": [f"s{i - 1}"] if i else []} for i in range(12)]
    plan = plan_of(*chain, options={"max_subtasks": 5})
    assert len(plan.subtasks) == 5
    plan.check()
    assert [s.depends_on for s in plan.subtasks][1:] == [(s.id,) for s in plan.subtasks[:-1]]


@pytest.mark.parametrize("step", [0, 1, 5])
def test_a_template_and_a_merge_behind_the_parts_count_as_much_as_before_them(step):
    text = '{"parallel": true, "parts": ["Camera", "Battery"], "ask": "How good is the {name}?", '
    text += '"merge": "Concat"}'
    reader, plan = read(text, step)
    assert [s.prompt for s in plan.subtasks] == ["How good is the Camera?", "How good is the Battery?"]
    assert (plan.ask, plan.merge, plan.notes) == ("How good is the {}?", "concat", ())
    assert list(plan.subtasks) == reader.subtasks
    assert reader.revision == (step > 0)  # threads that had begun without the template begin anew


def test_a_template_without_a_place_is_noted():
    plan = plan_of("Camera", "Battery", ask="How good are they?")
    assert [s.prompt for s in plan.subtasks] == [
        f"{QUESTION}{YOUR_PART}{name}{ONLY_THIS}" for name in ("Camera", "Battery")
    ]
    assert "no {} for the part" in plan.notes[0]


def test_an_unknown_merge_is_noted():
    plan = plan_of("Camera", "Battery", merge="blend")
    assert plan.merge == "concat"
    assert "'blend'" in plan.notes[0]


def test_names_of_agents_and_tools_are_read_in_any_case():
    part = {**CAMERA, "agent": "SMITH", "tools": "dig, Bore"}
    plan = plan_of(part, BATTERY, options={"agents": ["smith"], "tools": ["dig", "bore"]})
    assert (plan.subtasks[0].agent, plan.subtasks[0].tools) == ("smith", ("dig", "bore"))
    assert not plan.notes


def test_sums_that_differ_in_a_sign_are_different_work():
    plan = plan_of({"prompt": "25 + 42"}, {"prompt": "25 - 42"}, {"prompt": "25 / 42"})
    assert len(plan.subtasks) == 3


def test_words_name_a_part_before_a_number_does():
    plan = plan_of({"name": "Camera", "title": 0}, {"title": 1, "name": "Battery"}, {"title": 7})
    assert [s.title for s in plan.subtasks] == ["Camera", "Battery", "7"]


def test_parts_by_name_and_parts_in_one_text():
    by_name = read('{"parallel": true, "parts": {"Camera": "Which?", "Battery": {"needs": "Camera"}}}', 3)[1]
    assert [(s.title, s.depends_on) for s in by_name.subtasks] == [
        ("Camera", ()),
        ("", ("camera",)),
    ]
    in_text = read('{"parallel": true, "parts": "Camera; Battery\\nScreen"}', 3)[1]
    assert [s.title for s in in_text.subtasks] == ["Camera", "Battery", "Screen"]


names = st.one_of(
    st.sampled_from(
        ["Camera", "camera", "Battery", "Screen", QUESTION, "", "a/b", "../../etc", "x" * 300, "日本", "1"]
    ),
    st.text(max_size=12),
)
scalars = st.one_of(names, st.none(), st.booleans(), st.integers(-3, 9), st.floats(allow_nan=False))
fields = st.sampled_from(
    ["id", "title", "name", "prompt", "needs", "depends_on", "agent", "tools", "max_tokens", "x"]
)
parts = st.one_of(
    names,
    scalars,
    st.dictionaries(fields, st.one_of(scalars, st.lists(scalars, max_size=3)), max_size=6),
    st.lists(scalars, max_size=3),
)
plans = st.fixed_dictionaries(
    {"parallel": st.sampled_from([True, "yes", None])},
    optional={
        "reason": scalars,
        "ask": st.sampled_from(["", "Describe {}.", "Describe it.", None, 3]),
        "merge": scalars,
        "parts": st.one_of(st.lists(parts, max_size=40), st.dictionaries(names, parts, max_size=5), scalars),
    },
)


def names_in(part) -> list[str]:
    """What a part is called."""
    if isinstance(part, dict):
        label = next(
            (v for k in ("title", "name", "id") if isinstance(v := part.get(k), str) and v.strip()), ""
        )
        return [label] if label else []
    return [part] if isinstance(part, str) and part.strip() else []


@settings(max_examples=300, deadline=None)
@given(
    plans,
    st.permutations(["parallel", "reason", "ask", "merge", "parts"]),
    st.integers(1, 60),
    st.integers(1, 8),
)
def test_any_damage_is_repaired_whatever_the_pieces(plan, order, step, most):
    text = json.dumps({key: plan[key] for key in order if key in plan})
    if plan["parallel"] is None and not plan.get("parts"):
        return  # that is no plan
    whole = read(text, max_subtasks=most, agents=["smith"], tools=["dig"])[1]
    reader, made = read(text, step, max_subtasks=most, agents=["smith"], tools=["dig"])
    assert made == whole
    made.check(max_subtasks=max(most, 2))
    assert {s.id for s in reader.subtasks} == {s.id for s in made.subtasks}
    assert all(s in made.subtasks for s in reader.subtasks)
    assert all(s.prompt and len(s.id) <= 64 and "/" not in s.id for s in made.subtasks)
    if not made.parallel:
        assert made.notes or plan["parallel"] is None  # that is no
        return
    shown = " ".join([*made.notes, *(s.prompt for s in made.subtasks), *(s.title for s in made.subtasks)])
    shown = "".join(shown.split()).casefold()
    if isinstance(plan.get("parts"), list):
        for part in plan["parts"]:
            for name in names_in(part):
                if name.strip().casefold() not in {"none", "null", "nil", "n/a", "na", "-", "nothing", "[]"}:
                    assert any(
                        "".join(text.split()).casefold()[:40] in shown for text in (name, repr(name)[1:-1])
                    )


@settings(max_examples=60, deadline=None)
@given(plans, st.integers(1, 5))
def test_a_run_with_a_damaged_plan_has_an_answer_and_says_what_was_wrong(plan, most):
    async def run():
        model = ScriptedModel([Scripted(json.dumps(plan), when="You decide how"), Scripted("an answer")])
        return await Weaver(model, strategy=f"adaptive:max_subtasks={most},conflicts=off").run(QUESTION)

    backend, options = virtual_time()
    result = anyio.run(run, backend=backend, backend_options=options)
    assert result.status == "complete"
    assert "an answer" in result.answer
    assert set(result.plan.notes if result.plan else ()) <= set(result.notes)
    forks = Counter(t.parent for t in result.threads if t.state == "succeeded")  # a part may be forked again
    assert max(forks.values(), default=0) <= max(1, most)
