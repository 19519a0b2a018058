"""Which merge a task gets, and what the gate is told of it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from weaver import Plan, Subtask, Task, Weaver
from weaver._planning.gate.gate import CostGate
from weaver._strategies.planned.adaptive import adaptive
from weaver._synthesis.choice import MERGES, auto, chosen, name_of
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio
ONE_LEVEL = Plan(parallel=True, subtasks=(Subtask(id="a", prompt="a"), Subtask(id="b", prompt="b")))
CHAIN = Plan(
    parallel=True, subtasks=(Subtask(id="a", prompt="a"), Subtask(id="b", prompt="b", depends_on=("a",)))
)


@pytest.fixture
def anyio_backend():
    return virtual_time()


class Asked(CostGate):
    """Writes down which merges it was asked about."""

    def __init__(self) -> None:
        super().__init__(follow=True)
        object.__setattr__(self, "merges", [])

    async def before(self, *args: Any, merge: str = "write", **kwargs: Any) -> Any:
        self.merges.append(merge)
        return await super().before(*args, merge=merge, **kwargs)

    async def planned(self, *args: Any, merge: str = "write", **kwargs: Any) -> Any:
        self.merges.append(merge)
        return await super().planned(*args, merge=merge, **kwargs)


@pytest.mark.parametrize("merge", ["auto", "write", "concat", "data", "pick", "reference"])
async def test_the_gate_is_told_which_merge_is_meant(merge):
    written = {"parallel": True, "reason": "two", "subtasks": [s.model_dump() for s in ONE_LEVEL.subtasks]}
    gate = Asked()
    model = ScriptedModel([Scripted(json.dumps(written), when="You decide how"), Scripted("1")])
    await Weaver(model, strategy=partial(adaptive, gate=gate, merge=merge)).run(
        "Compare the sums 1+1 and 2+2."
    )
    assert gate.merges == ["write" if merge == "auto" else merge] * 2


@pytest.mark.parametrize(
    ("merge", "output", "plan", "name", "reads_data"),
    [
        ("auto", None, ONE_LEVEL, "write", False),
        ("auto", list[int], ONE_LEVEL, "write", True),
        ("auto", list[int], CHAIN, "write", False),
        ("auto", int, ONE_LEVEL, "write", False),
        ("concat", None, ONE_LEVEL, "concat", False),
        ("concat", list[int], ONE_LEVEL, "write", True),
        ("reference", int, ONE_LEVEL, "write", False),
        ("data", int, ONE_LEVEL, "data", True),
    ],
)
def test_the_users_choice_comes_before_the_type_where_it_can_make_the_type(
    merge, output, plan, name, reads_data
):
    got = chosen(MERGES[merge], Task("x", output=output), plan)
    assert name_of(got) == name
    assert (type(got).__name__ == "Data") == reads_data


@pytest.mark.parametrize(("word", "name"), [("concat", "concat"), ("", "write"), ("nonsense", "write")])
def test_the_plans_word_counts_where_nothing_else_does(word, name):
    class Worded(Plan):
        merge: str | None = None

    plan = Worded(parallel=True, subtasks=ONE_LEVEL.subtasks, merge=word)
    assert name_of(chosen(auto, Task("x"), plan)) == name
    assert name_of(chosen(MERGES["pick"], Task("x"), plan)) == "pick"
