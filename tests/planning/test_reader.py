"""Reading a plan while it is being written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weaver._data.plan import ONLY_THIS, YOUR_PART
from weaver._planning.reader import PlanReader
from weaver.errors import InvalidPlanError

SUBTASKS = [
    {"id": "a", "title": "A", "prompt": 'say "}]" and {"x": [1]}', "depends_on": []},
    {"id": "b", "prompt": "line\nbreak \\ done", "depends_on": ["c", "a"], "max_tokens": 600},
    {"id": "c", "prompt": "x", "depends_on": None, "agent": None, "unknown": 1},
]
PLAN = {"parallel": True, "reason": 'it has "subtasks": [', "subtasks": SUBTASKS}


def read(text: str, sizes=(1,), **options) -> PlanReader:
    reader = PlanReader(**options)
    at = i = 0
    while at < len(text):
        size = sizes[i % len(sizes)]
        reader.feed(text[at : at + size])
        at += size
        i += 1
    return reader


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.sampled_from([None, 2]))
def test_however_the_text_is_cut_the_plan_is_the_same(sizes, indent):
    plan = read(json.dumps(PLAN, indent=indent), sizes).finish()
    assert plan.parallel
    assert plan.reason == PLAN["reason"]
    assert [s.id for s in plan.subtasks] == ["a", "b", "c"]
    assert [s.prompt for s in plan.subtasks] == [s["prompt"] for s in SUBTASKS]
    assert plan.subtasks[1].max_tokens == 600


def test_a_subtask_is_handed_over_with_its_closing_brace():
    reader = PlanReader()
    text = json.dumps(PLAN)
    given_at = {}
    for i, char in enumerate(text):
        for subtask in reader.feed(char):
            given_at[subtask.id] = i
    assert given_at["a"] == text.index("}, {")
    assert given_at["a"] < given_at["b"] == given_at["c"] < len(text) - 1  # b needs c


def test_parallel_is_known_as_soon_as_it_is_written():
    reader = PlanReader()
    reader.feed('Sure!\n```json\n{"parallel": fal')
    assert reader.parallel is None
    reader.feed("se, ")
    assert reader.parallel is False


def test_prose_around_the_plan_is_skipped_and_keys_may_come_in_any_order():
    text = f'Here: ```json\n{{"subtasks": {json.dumps(SUBTASKS)}, "parallel": true}}\n``` Hope it helps {{}}'
    plan = read(text, (7,)).finish()
    assert len(plan.subtasks) == 3
    assert plan.parallel


@pytest.mark.parametrize(
    "text", ["", "I cannot do that.", '{"parallel": true, "subtasks": [{"id": "a", "pro', "[]", "{}"]
)
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(InvalidPlanError):
        read(text or " ").finish()


def test_ten_thousand_parts_are_read_up_to_a_cap_and_refused():
    many = [{"id": f"s{i}", "prompt": f"{'x' * 200} {i}"} for i in range(10_000)]
    reader = PlanReader(max_subtasks=8)
    text = json.dumps({"parallel": True, "subtasks": many})
    assert [s.id for s in reader.feed(text[: text.index('"s8"')])] == [f"s{i}" for i in range(8)]
    with pytest.raises(InvalidPlanError, match="more than 64 parts"):
        reader.feed(text[text.index('"s8"') : text.index('"s150"')])


@given(st.text(alphabet='{}[]":,atrue lsp\\\n', max_size=200))
def test_any_noise_is_a_plan_or_a_typed_error(text):
    try:
        read('{"parallel": true, "subtasks": [' + text, (3,)).finish()
    except InvalidPlanError:
        return


QUESTION = "Compare the phones X1 and Y2: camera, battery."


def read_short(plan: str, *, step: int = 3) -> tuple[PlanReader, list[int]]:
    """The reader after the whole plan, and how many subtasks it had after each piece."""
    reader, known = PlanReader(question=QUESTION), []
    for at in range(0, len(plan), step):
        reader.feed(plan[at : at + step])
        known.append(len(reader.subtasks))
    return reader, known


def test_a_part_may_be_a_bare_name_and_starts_when_its_quote_is_closed():
    plan = '{"parallel": true, "reason": "aspects", "subtasks": ["Screen", "Battery life"]}'
    reader, known = read_short(plan, step=1)
    assert known[plan.index('",', plan.index("Screen")) + 1] == 1
    assert known[plan.index('"]') + 1] == 2
    screen, battery = reader.finish().subtasks
    assert (screen.id, screen.title) == ("screen", "Screen")
    assert battery.id == "battery-life"
    assert screen.prompt == f'{QUESTION}\n\nDo only the part "Screen" of it. Others do the other parts.'
    assert battery.prompt.startswith(QUESTION)


def test_parts_that_the_task_lists_get_its_question_with_one_item_when_the_list_is_closed():
    plan = '{"parallel": true, "reason": "aspects", "subtasks": ["Camera", "Battery"]}'
    reader, known = read_short(plan, step=1)
    assert known[plan.index('"]')] == 0
    assert known[plan.index('"]') + 1] == 2
    camera, battery = reader.finish().subtasks
    assert camera.prompt == "Compare the phones X1 and Y2: camera."
    assert battery.prompt == "Compare the phones X1 and Y2: battery."
    assert reader.finish().merge == "concat"


def test_a_template_makes_the_prompts():
    plan = '{"parallel": true, "ask": "What is the capital of {}?", "subtasks": ["Peru", "Japan"]}'
    reader, _ = read_short(plan)
    assert [s.prompt for s in reader.finish().subtasks] == [
        "What is the capital of Peru?",
        "What is the capital of Japan?",
    ]


@pytest.mark.parametrize("ask", ['"ask": "What are the capitals?", ', '"ask": null, ', '"ask": 3, ', ""])
def test_a_template_without_a_place_for_the_part_is_no_template(ask: str):
    reader, _ = read_short(f'{{"parallel": true, {ask}"subtasks": ["Peru", "Japan"]}}')
    assert [s.prompt for s in reader.finish().subtasks] == [
        f"{QUESTION}{YOUR_PART}{name}{ONLY_THIS}" for name in ("Peru", "Japan")
    ]


def test_equal_names_get_ids_of_their_own():
    reader, _ = read_short('{"parallel": true, "subtasks": ["Part", "Part", "part!", "日本", "?"]}')
    assert [s.id for s in reader.finish().subtasks] == ["part", "part-2", "part-3", "日本", "part-4"]


def test_names_and_objects_mix_and_needs_may_be_names():
    reader, _ = read_short(
        '{"parallel": true, "subtasks": ["Price of A", {"name": "Total", "prompt": "Add them.", '
        '"needs": ["Price of A"], "id": "sum", "max_tokens": 50}]}'
    )
    price, total = reader.finish().subtasks
    assert price.id == "price-of-a"
    assert (total.id, total.title, total.depends_on) == ("sum", "Total", ("price-of-a",))
    assert total.max_tokens == 50


def test_a_name_that_was_cut_is_no_part():
    reader, _ = read_short('{"parallel": true, "subtasks": ["Camera", "Batt')
    assert [s.title for s in reader.finish().subtasks] == ["Camera"]
    assert reader.cut
    reader, _ = read_short('{"parallel": true, "subtasks": ["Camera", "Screen", "Batt')
    assert [s.title for s in reader.finish().subtasks] == ["Camera", "Screen"]
