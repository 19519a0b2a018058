"""Static decomposition into exactly k parts."""

from __future__ import annotations

import json

import pytest

from weaver import Weaver
from weaver._testing.scripted import text_of
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio

SPLIT, MERGE = "Split a task into exactly", "Several workers"


def parts(number: int) -> str:
    return json.dumps({"value": [{"title": f"T{i}", "prompt": f"part {i}"} for i in range(1, number + 1)]})


async def test_every_task_is_split_into_exactly_k_parts():
    model = ScriptedModel(
        [Scripted(parts(3), when=SPLIT), Scripted("merged", when=MERGE), Scripted("x", when="part", first=1)]
    )
    result = await Weaver(model, strategy="fixed:k=3").run("2 + 2?")
    assert result.answer == "merged"
    assert [(t.id, t.title, t.state) for t in result.threads] == [
        (f"p{i}", f"T{i}", "succeeded") for i in (1, 2, 3)
    ]
    assert [s.prompt for s in result.plan.subtasks] == ["part 1", "part 2", "part 3"]
    assert (result.decision.parallel, result.decision.by) == (True, "user")
    threads = [r for r in model.requests if text_of(r.request).endswith(("part 1", "part 2", "part 3"))]
    assert [r.at for r in threads] == [0, 0, 0]


async def test_another_number_of_parts_is_repaired():
    model = ScriptedModel(
        [
            Scripted(parts(2), when=SPLIT, times=1),
            Scripted(parts(4), when=SPLIT),
            Scripted("merged", when=MERGE),
            Scripted("x"),
        ]
    )
    result = await Weaver(model, strategy="fixed").run("q")
    assert len(result.threads) == 4
    assert "at least 4 items" in text_of(model.requests[1].request)


async def test_without_a_plan_the_task_is_answered_directly():
    model = ScriptedModel([Scripted("no", when=SPLIT), Scripted("direct")])
    result = await Weaver(model, strategy="fixed").run("q")
    assert (result.answer, result.decision.by, result.threads) == ("direct", "fallback", ())
    assert len(model.requests) == 4  # two repairs, then the direct answer


@pytest.mark.parametrize(
    ("options", "question", "answer"),
    [
        ("k=2", "Describe T1 and T2.", "T1: x\nT2: x"),
        ("k=2", "Is T1 or T2 best?", "merged"),
        ("k=2", "Describe both.", "merged"),
        ("k=2,merge=write", "Describe T1 and T2.", "merged"),
        ("k=2,merge=concat", "Describe both.", "T1: x\nT2: x"),
    ],
)
async def test_the_merge_is_chosen_as_by_adaptive(options, question, answer):
    model = ScriptedModel(
        [Scripted(parts(2), when=SPLIT), Scripted("merged", when=MERGE), Scripted("x", when="part")]
    )
    result = await Weaver(model, strategy=f"fixed:{options}").run(question)
    assert result.answer == answer
