"""Pairwise self-verification: every answer is compared, then those that are hard to tell apart."""

from __future__ import annotations

import json
import random
import re
from functools import partial

import pytest

from weaver import Weaver
from weaver._strategies.common.pair_ratings import Ratings, Standing
from weaver._testing.scripted import text_of
from weaver.models import Request
from weaver.strategies import best_of_n
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def judges(request: Request) -> bool:
    return request.output is not None


def by_value(request: Request) -> str:
    """Rates answers by the number in them."""
    first, second = re.findall(r"```answer \d\nvalue (\d+)", text_of(request))
    return json.dumps({"first": int(first), "second": int(second)})


def test_every_answer_is_covered():
    for number in range(2, 9):
        standing = Standing(number)
        pairs = standing.covering(random.Random(number))
        standing.compared.update(pairs)
        assert len(pairs) == len(set(pairs))
        assert all(standing.degree(i) >= min(2, number - 1) for i in range(number))
        assert len(pairs) <= number + 1


def test_a_comparison_counts_by_how_far_the_ratings_are_apart():
    standing = Standing(3)
    standing.add(0, 1, Ratings(first=10, second=1))
    standing.add(1, 2, Ratings(first=5, second=4))
    standing.add(2, 0, Ratings(first=5, second=5))
    assert standing.score(0) > standing.score(1)
    assert standing.score(0) == pytest.approx((1 + 0.1 * 0.5) / 1.1)
    assert standing.score(1) == pytest.approx((1 / 9) / (1 + 1 / 9))


def test_neighbours_meet_in_the_second_phase():
    standing = Standing(4)
    for a, b, ratings in ((0, 1, (9, 2)), (2, 3, (8, 3))):
        standing.compared.add((a, b))
        standing.add(a, b, Ratings(first=ratings[0], second=ratings[1]))
    assert standing.swiss() == [(0, 2), (1, 3)], "the best two, and the worst two, that have not met"


@pytest.mark.parametrize("n", [2, 3, 6])
async def test_the_best_of_n_wins(n: int):
    answers = [f"value {i}" for i in random.Random(n).sample(range(1, 10), n)]
    model = ScriptedModel([Scripted(by_value, when=judges), *(Scripted(a, times=1) for a in answers)])
    result = await Weaver(model, strategy=f"best_of_n:samples={n},judge=verify", seed=4).run("q")
    assert result.answer == max(answers)
    assert result.status == "complete"
    asked = [text_of(r.request) for r in model.requests if judges(r.request)]
    assert len(asked) == len(set(asked)) <= 2 * n
    assert [(r.source, r.value) for r in result.rewards] == [("judge", 1.0)]


async def test_the_budget_of_comparisons_holds():
    model = ScriptedModel(
        [Scripted(by_value, when=judges), *(Scripted(f"value {i}", times=1) for i in range(1, 7))]
    )
    await Weaver(model, strategy=partial(best_of_n, samples=6, judge="verify", comparisons=7)).run("q")
    assert sum(judges(r.request) for r in model.requests) == 7


async def test_a_judge_that_fails_leaves_the_first():
    model = ScriptedModel([Scripted("no JSON", when=judges), Scripted("a", times=1), Scripted("b")])
    result = await Weaver(model, strategy="best_of_n:samples=2,judge=verify").run("q")
    assert result.answer in ("a", "b")
    assert any("could not be compared" in note for note in result.notes)
