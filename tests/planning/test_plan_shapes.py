"""Plans in unusual shapes, plans that are cut, and the limits of what is read: each rule of the reader."""

from __future__ import annotations

import json

import pytest

from weaver._planning import reader as module
from weaver._planning.reader import MAX_PARTS, MAX_PLAN_CHARS, PlanReader
from weaver.errors import InvalidPlanError

A, B = {"id": "a", "prompt": "Camera?"}, {"id": "b", "prompt": "Battery?"}
PLAN = {"parallel": True, "parts": [A, B]}


def reader_of(*pieces: str, **options) -> PlanReader:
    reader = PlanReader(**options)
    for piece in pieces:
        reader.feed(piece)
    return reader


def ids(text: str, **options) -> list[str]:
    return [s.id for s in reader_of(text, **options).finish().subtasks]


def test_a_reader_that_has_read_nothing_knows_nothing():
    reader = PlanReader()
    assert (reader.parallel, reader.reason, reader.ask, reader.merge) == (None, "", "", None)
    assert (reader.subtasks, reader.revision, reader.done, reader.cut) == ([], 0, False, False)
    assert (reader.text, reader.notes) == ("", ())


@pytest.mark.parametrize("key", ["parts", "subtasks", "tasks"])
def test_parts_may_stand_under_three_names(key):
    assert ids(json.dumps({"parallel": True, key: [A, B]})) == ["a", "b"]


@pytest.mark.parametrize(
    "plan",
    [
        [A, B],
        {"parts": [A, B]},
        {"subtasks": [A, B]},
        {"plan": PLAN},
        {"id": 7, "answer": {"plan": {"parts": [A, B]}}},
    ],
)
def test_a_plan_may_be_a_bare_list_or_stand_inside_another_object(plan):
    made = reader_of(json.dumps(plan)).finish()
    assert made.parallel
    assert [s.prompt for s in made.subtasks] == ["Camera?", "Battery?"]


@pytest.mark.parametrize(
    "plan",
    [
        ["Camera", "Battery"],
        [A, "Battery"],
        [{"id": "a"}, {"id": "b"}],
        {"tasks": [A, B]},  # alone, "tasks" may be anything
        {"one": {"note": 1}, "other": PLAN},
        {"a": {"b": {"c": PLAN}}},
        {"plan": None},
    ],
)
def test_other_json_is_no_plan(plan):
    with pytest.raises(InvalidPlanError, match="neither 'parallel' nor 'subtasks'"):
        reader_of(json.dumps(plan)).finish()


def test_a_plan_that_is_written_as_a_text_is_read():
    assert ids(json.dumps(json.dumps(PLAN))) == ["a", "b"]


def test_of_several_plans_behind_prose_the_last_one_counts():
    draft = {"parallel": True, "parts": [{"prompt": "draft 1"}, {"prompt": "draft 2"}]}
    text = "First I think about it.\n\n" + "Much text. " * 20 + json.dumps(draft)
    text += "\nNo, better:\n" + json.dumps(PLAN) + '\n{"hope": "it helps"}'
    reader = reader_of(text)
    assert (reader.parallel, reader.subtasks, reader.done) == (None, [], False)
    assert [s.id for s in reader.finish().subtasks] == ["a", "b"]
    assert not reader.cut


def test_what_follows_a_plan_is_ignored():
    reader = reader_of(json.dumps(PLAN), '{"parallel": false}', json.dumps({"parts": [B]}))
    assert reader.done
    assert [s.id for s in reader.finish().subtasks] == ["a", "b"]


@pytest.mark.parametrize(
    ("plan", "done"), [({"parallel": False}, True), ({"parts": [A]}, True), ({"x": 1}, False)]
)
def test_a_plan_is_done_when_it_says_whether_to_fork_or_has_parts(plan, done):
    assert reader_of(json.dumps(plan)).done is done


def test_an_object_before_the_plan_is_not_taken_for_it():
    reader = reader_of('{"x": 1}')
    assert not reader.feed(json.dumps(PLAN))
    assert [s.id for s in reader.finish().subtasks] == ["a", "b"]


@pytest.mark.parametrize(
    ("word", "parallel"),
    [
        (True, True), ("YES", True), (" on ", True), (1, True), ("parallel", True),
        (False, False), ("No", False), (0, False), ("sequential", False), (None, False), ("none", False),
        ("maybe", None), (7, None), ([], None),
    ],
)  # fmt: skip
def test_words_for_yes_and_no_are_understood_and_others_decide_nothing(word, parallel):
    assert reader_of(json.dumps({"parallel": word, "parts": [A]})[:-1]).parallel is parallel


def test_a_plan_that_says_no_has_no_parts_and_no_notes():
    reader = reader_of(json.dumps({"parallel": False, "reason": "short", "parts": [A, B]}))
    plan = reader.finish()
    assert (plan.parallel, plan.subtasks, plan.reason, plan.notes) == (False, (), "short", ())
    assert reader.parallel is False


@pytest.mark.parametrize(("parts", "text"), [([], "no parts"), ([A], "1 part")])
def test_a_plan_with_too_few_parts_says_how_many_it_has(parts, text):
    plan = reader_of(json.dumps({"parallel": True, "parts": parts})).finish()
    assert plan.notes[-1] == f"The plan has {text} that can be worked on; the task is answered directly."


def test_parts_put_together_into_fewer_than_are_worth_a_fork_are_no_fork():
    assert ids(json.dumps(PLAN), max_subtasks=1) == []
    assert ids(json.dumps({"parallel": True, "parts": [A]}), min_parts=1) == ["a"]


def test_agents_of_parts_that_are_put_together_are_named():
    agents = ["zoe", "adam", "zoe", "adam", None]
    parts = [{"id": f"s{i}", "prompt": f"do {i}", "agent": agent} for i, agent in enumerate(agents)]
    plan = reader_of(json.dumps({"parallel": True, "parts": parts}), max_subtasks=2).finish()
    assert [s.agent for s in plan.subtasks] == [None, None]
    assert plan.notes == (
        "The plan has 5 parts, and at most 2 threads are allowed; parts were put together.",
        "Parts of adam, zoe went to workers where they were put together.",
    )


def test_a_list_of_parts_may_be_written_as_a_text():
    assert ids(json.dumps({"parallel": True, "parts": json.dumps([A, B])})) == ["a", "b"]
    assert ids(json.dumps({"parallel": True, "parts": " Camera ;\n Battery "})) == ["camera", "battery"]


def test_parts_by_name_get_the_name_as_title_or_id():
    plan = reader_of(
        json.dumps(
            {"parallel": True, "parts": {"Camera": "Which one?", "b": {"prompt": "Go."}, "Screen": None}}
        )
    ).finish()
    assert [(s.id, s.title, s.prompt) for s in plan.subtasks][:2] == [
        ("camera", "Camera", "Which one?"),
        ("b", "", "Go."),
    ]
    assert plan.subtasks[2].title == "Screen"


# Cut texts: what may not be whole does not count.


def test_a_template_that_is_cut_is_no_template():
    text = '{"parallel": true, "parts": ["Peru", "Japan"], "ask": "What is the capital of {}? Say it in Fre'
    reader = reader_of(text)
    plan = reader.finish()
    assert (plan.ask, reader.ask, reader.cut) == ("", "", True)
    assert [s.title for s in plan.subtasks] == ["Peru", "Japan"]
    assert reader_of(text + 'nch."').finish().ask == "What is the capital of {}? Say it in French."


def test_a_merge_that_is_cut_does_not_count_and_one_before_the_cut_does():
    text = '{"parallel": true, "parts": ["Peru", "Japan"], "merge": "con'
    reader = reader_of(text, question="Go")
    assert not [note for note in [*reader.finish().notes, *reader.notes] if "merge" in note]
    reader = reader_of(text + 'catenate", "reason": "a li', question="Go")
    assert any("'concatenate' that does not exist" in note for note in reader.finish().notes)


@pytest.mark.parametrize("merge", ["auto", " AUTO ", "", "none", None])
def test_a_merge_that_leaves_the_choice_to_the_run_is_not_noted(merge):
    plan = reader_of(json.dumps({**PLAN, "merge": merge})).finish()
    assert (plan.merge, plan.notes) == (None, ())


def test_an_unknown_merge_is_shown_in_forty_characters():
    plan = reader_of(json.dumps({**PLAN, "merge": "m" * 50})).finish()
    assert plan.notes == (f"The plan names a merge {'m' * 40!r} that does not exist; the run chooses one.",)


def test_a_text_of_parts_that_is_cut_has_no_parts():
    with pytest.raises(InvalidPlanError, match="ends before its first subtask is complete") as refused:
        reader_of('{"parallel": true, "parts": "Camera; Batt').finish()
    assert "The JSON is wrong at line 1" in refused.value.message


@pytest.mark.parametrize(
    ("tail", "kept"),
    [
        ('{"id": "b", "prompt": "Battery?"', ["a", "b"]),
        ('{"id": "b", "prompt": "Battery?", "needs": ["a"]', ["a", "b"]),
        ('{"prompt": "Battery?"', ["a"]),
        ('{"id": "b"', ["a"]),
        ('"Battery"', ["a", "battery"]),
        ('"Battery life and how', ["a"]),
        ('["Battery", "Scr', ["a", "battery"]),
    ],
)
def test_the_last_part_of_a_cut_plan_counts_where_it_has_an_id_and_a_prompt(tail, kept):
    reader = reader_of(f'{{"parallel": true, "parts": [{json.dumps(A)}, {tail}')
    assert [s.id for s in reader.finish().subtasks] == kept
    assert reader.cut


def test_a_plan_that_is_no_json_says_where_it_is_wrong():
    with pytest.raises(InvalidPlanError) as refused:
        reader_of('{"x": 1\n}').finish()
    assert refused.value.message.endswith("neither 'parallel' nor 'subtasks'.")
    with pytest.raises(InvalidPlanError, match=r"nor 'subtasks'\. The JSON is wrong at line 1, column 6: "):
        reader_of('{"x" 1}').finish()


# Limits.


def test_a_text_is_read_up_to_its_limit_and_refused_beyond(monkeypatch):
    monkeypatch.setattr(module, "MAX_PLAN_CHARS", 100)
    reader = reader_of(" " * 40, " " * 60)
    with pytest.raises(InvalidPlanError) as refused:
        reader.feed(" ")
    assert refused.value.message == "The plan is longer than 100 characters."
    assert MAX_PLAN_CHARS == 200_000


def test_64_parts_are_read_and_65_are_refused():
    parts = [{"id": f"s{i}", "prompt": f"do {i}"} for i in range(MAX_PARTS + 1)]
    made = reader_of(json.dumps({"parallel": True, "parts": parts[:-1]}), max_subtasks=MAX_PARTS).finish()
    assert len(made.subtasks) == MAX_PARTS == 64
    with pytest.raises(InvalidPlanError) as refused:
        reader_of(json.dumps({"parallel": True, "parts": parts}), max_subtasks=8)
    assert refused.value.message == "The plan has more than 64 parts."
    assert refused.value.hint == "Put parts together so that there are no more than 8."


def test_each_time_the_parts_begin_anew_the_revision_grows():
    reader = reader_of('{"parallel": true, "parts": ["Peru", "Japan", "Chile"')
    assert (reader.revision, [s.title for s in reader.subtasks]) == (0, ["Peru", "Japan"])
    again = reader.feed('], "ask": "The capital of {}?", "x": 1, ')
    assert reader.revision == 1
    assert [s.prompt for s in again] == [f"The capital of {name}?" for name in ("Peru", "Japan", "Chile")]
    again = reader.feed('"ask": "The river of {}?", "y": 1}')
    assert (reader.revision, len(again)) == (2, 3)
    assert again == reader.subtasks
    assert again[0].prompt == "The river of Peru?"


def test_the_same_template_twice_changes_nothing():
    reader = reader_of('{"parallel": true, "ask": "The capital of {}?", "parts": ["Peru", "Japan"]')
    assert reader.feed(', "ask": "The capital of {}?"}') == []
    assert (reader.revision, len(reader.subtasks)) == (0, 2)
