"""Early pruning: a judge compares beginnings, one path of each cluster goes on, and stands for all of it."""

from __future__ import annotations

import json
import re
from functools import partial

import pytest

from weaver import Weaver
from weaver._testing.scripted import text_of
from weaver.models import Request
from weaver.strategies import deep_prune
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def judges(request: Request) -> bool:
    return request.output is not None


def ideal(request: Request) -> str:
    """A judge that knows from the first word what a path comes to."""
    text = text_of(request)
    earlier = re.findall(r"```earlier \d+\n(\w+)", text)
    new = re.findall(r"```new\n(\w+)", text)[0]
    return json.dumps({"earlier": earlier.index(new) + 1 if new in earlier else 0})


def paths(*words: str) -> list[Scripted]:
    return [
        Scripted(f"{word} " + "thinks on " * 20 + f"\nAnswer: {word}", times=1, first=0.1 * i, each=0.1)
        for i, word in enumerate(words, start=1)
    ]


async def run(*words: str, judge=ideal, **options):
    model = ScriptedModel([Scripted(judge, when=judges), *paths(*words)])
    strategy = partial(deep_prune, samples=len(words), prefix_tokens=5, **options)
    return model, await Weaver(model, strategy=strategy).run("q")


async def test_paths_that_will_agree_are_stopped_and_counted():
    model, result = await run("seven", "seven", "nine", "seven", "nine")
    assert (result.status, result.answer.splitlines()[-1]) == ("complete", "Answer: seven")
    sampled = [r for r in model.requests if not judges(r.request)]
    assert [r.closed for r in sampled] == ["finished", "cancelled", "finished", "cancelled", "cancelled"]
    assert [t.cancel_reason for t in result.threads] == [None, "pruned", None, "pruned", "pruned"]
    assert result.metrics.total_output_tokens < 5 * 30
    vote = next(d for d in result.decision_log if d.kind == "vote")
    assert vote.features["share"] == pytest.approx(3 / 5), "seven stands for three paths"


async def test_the_judge_sees_one_path_of_each_cluster():
    model, _ = await run("seven", "seven", "nine", "seven")
    asked = [text_of(r.request) for r in model.requests if judges(r.request)]
    assert [len(re.findall(r"```earlier", text)) for text in asked] == [1, 1, 2]


async def test_a_judge_that_cannot_tell_stops_nothing():
    _, result = await run("seven", "nine", "seven", judge=lambda request: json.dumps({"earlier": 0}))
    assert not any(t.cancel_reason for t in result.threads)
    assert result.answer.splitlines()[-1] == "Answer: seven"


async def test_a_number_that_there_is_not_is_none():
    _, result = await run("seven", "nine", judge=lambda request: json.dumps({"earlier": 9}))
    assert not any(t.cancel_reason for t in result.threads)


async def test_there_are_no_more_clusters_than_allowed():
    model, result = await run("a", "b", "c", "d", clusters=2)
    asked = [text_of(r.request) for r in model.requests if judges(r.request)]
    assert max(len(re.findall(r"```earlier", text)) for text in asked) == 2
    assert len([t for t in result.threads if t.state == "succeeded"]) == 4
