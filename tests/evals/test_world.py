"""The simulated planner and workers: sensible plans for each strategy that plans, as large as asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from weaver._evals.comparing import Comparison, compare
from weaver._evals.records import RecordFile
from weaver._evals.summary import Summary, summarize
from weaver._evals.tasks import load
from weaver._evals.tasks.pieces import independent_pieces, pieces
from weaver._evals.tasks.world import StructuredWorld
from weaver.testing import SimulatedModel, virtual_time

pytestmark = pytest.mark.anyio
TASKS = [
    "mixed:chains=6",
    "mixed:chains=12,digits=2",
    "sorting",
    "sorting:numbers=4..9,digits=1..3",
    "independent",
    "independent:parts=20,digits=1",
    "tree_sum",
    "tree_sum:terms=2..20,digits=1",
    "tree_product",
    "chain",
]


@pytest.fixture
def anyio_backend():
    return virtual_time()


async def simulated(
    folder: Path, task: str, *strategies: str, skill: float = 1.0, n: int = 5
) -> list[Summary]:
    """A simulation whose model is never wrong, unless its skill is less than 1."""
    items = load(task, n=n, seed=1)
    model = SimulatedModel(StructuredWorld(items.items), skill=skill, half_life=float("inf"))
    comparison = Comparison(tasks=[items], strategies=strategies, models=[model], simulated=True)
    with RecordFile(folder / "r.jsonl", comparison.header) as file:
        await compare(comparison, file)
    assert all(record.status == "complete" for record in file.records)
    return summarize(file.records)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "strategy",
    [
        "sequential",
        "adaptive:gate=off",
        "adaptive:gate=off,max_subtasks=2",
        "fixed",
        "fixed:k=7",
        "llm_compiler",
        "skeleton_of_thought",
    ],
)
async def test_a_model_that_is_never_wrong_is_right_by_every_strategy_that_plans(
    tmp_path: Path, task: str, strategy: str
) -> None:
    [found] = await simulated(tmp_path, task, strategy)
    assert found.accuracy == 1.0
    if strategy.startswith("fixed"):
        assert found.activation_ratio == 1.0
    elif strategy.startswith("adaptive") and task == "tree_product":
        assert found.activation_ratio == 0.0  # "What is 2 * 9 * 4 * 7?" is one short question
    elif strategy.startswith(("adaptive", "llm_compiler")) and task != "chain":
        assert found.activation_ratio > 0.5


async def test_forking_pays_where_there_are_parts_and_not_in_a_chain(tmp_path: Path) -> None:
    for task, pays in (("mixed:chains=6", True), ("sorting", True), ("chain", False)):
        given = ("sequential", "adaptive:gate=off", "fixed", "llm_compiler")
        base, *others = await simulated(tmp_path / task[:5], task, *given)
        for found in others:
            gained = found.critical_path_tokens < base.critical_path_tokens
            assert gained is pays or (task, found.strategy) == ("sorting", "fixed")


async def test_mistakes_of_threads_reach_the_answer(tmp_path: Path) -> None:
    given = ("adaptive:gate=off", "fixed", "llm_compiler")
    found = await simulated(tmp_path, "mixed:chains=6", *given, skill=0.8, n=12)
    assert all(0 < (s.accuracy or 0) < 0.9 for s in found)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("most", [1, 2, 3, 8, 32])
def test_pieces_are_at_most_as_many_and_are_worked_on_in_order(task: str, most: int) -> None:
    for item in load(task, n=5, seed=2).items:
        found = pieces(item.parts, most)
        assert 1 <= len(found) <= most
        assert all(needed < number for number, piece in enumerate(found) for needed in piece.after)
        home = {part: number for number, piece in enumerate(found) for part in piece.members}
        assert len(home) == sum(len(piece.members) for piece in found)  # no part twice
        left = set(range(len(item.parts))) - home.keys()
        if len(found) == 1:
            assert not left
        for number in left:  # only what puts the results of others together
            assert item.parts[number].after
        for part, number in home.items():
            for needed in item.parts[part].after:
                assert home[needed] in (number, *found[number].after)
        apart = independent_pieces(item.parts, most)
        assert 1 <= len(apart) <= most
        assert not any(piece.after for piece in apart)
        members = {part for piece in apart for part in piece.members}
        assert all(members.issuperset(item.parts[part].after) for part in members)


def test_pieces_are_as_fine_as_there_is_room_for() -> None:
    def sizes(task: str, most: int) -> list[int]:
        return [len(piece.members) for piece in pieces(load(task, n=1, seed=1).items[0].parts, most)]

    assert sizes("mixed:chains=6", 8) == [3, 3, 3, 3, 3, 3]
    assert sizes("mixed:chains=6", 3) == [6, 6, 6]
    assert sizes("tree_sum:terms=8", 8) == [1, 1, 1, 1, 1, 1]
    assert sizes("tree_sum:terms=8", 2) == [3, 3]
    assert sizes("chain:steps=5", 8) == [5]
    assert sizes("independent:parts=20", 4) == [5, 5, 5, 5]
