"""Graph of Thoughts: the default graph, graphs of one's own, the operations."""

from __future__ import annotations

import json
import re
from functools import partial
from itertools import chain, pairwise

import pytest

from weaver import Weaver
from weaver._strategies.common.thought_graph import (
    Aggregate,
    Generate,
    Graph,
    GroundTruth,
    Improve,
    KeepBestN,
    KeepValid,
    Score,
    Selector,
    Thought,
    ValidateAndImprove,
)
from weaver._strategies.graph_of_thoughts import graph_of_thoughts
from weaver._testing.scripted import text_of
from weaver.errors import ConfigurationError, ServerError
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio

RATE, MERGE, BETTER = "Rate from 0", "Combine what is best", "Find what is wrong"


def thoughts_in(request) -> list[str]:
    return re.findall(r"```thought \d+\n(.*?)\n```", text_of(request), re.DOTALL)


async def test_the_default_graph_drafts_scores_merges_and_improves():
    scores = {"d1": 1, "d2": 9, "d3": 5, "d4": 7, "d5": 2, "m1": 4, "m2": 10, "m3": 3}

    def rate(request) -> str:
        return json.dumps({"score": scores[re.search(r"```answer\n(\w+)\n", text_of(request))[1]]})

    model = ScriptedModel(
        [
            Scripted(rate, when=RATE),
            *(Scripted(f"m{i}", when=MERGE, times=1) for i in (1, 2, 3)),
            Scripted("final", when=BETTER),
            *(Scripted(f"d{i}", times=1) for i in range(1, 6)),
        ]
    )
    result = await Weaver(model, strategy="graph_of_thoughts").run("q")
    assert result.answer == "final"
    merges = [r.request for r in model.requests if MERGE in text_of(r.request)]
    assert [thoughts_in(m) for m in merges] == [["d2", "d4", "d3"]] * 3
    improved = next(r.request for r in model.requests if BETTER in text_of(r.request))
    assert thoughts_in(improved) == ["m2"]


async def test_sorting_by_halves():
    """The paper's sorting recipe: split, sort the halves several times, keep the best, merge."""

    def errors(text: str) -> float:
        numbers = json.loads(text)
        return sum(a > b for a, b in pairwise(numbers))

    def sort(request) -> str:
        numbers = json.loads(thoughts_in(request)[0])
        attempts[str(numbers)] = attempts.get(str(numbers), 0) + 1
        return json.dumps(numbers if attempts[str(numbers)] == 1 else sorted(numbers))

    attempts: dict[str, int] = {}
    graph = Graph().then("split", Generate("Split it.", split=str.splitlines))
    for half in (0, 1):
        graph = (
            graph.then(f"half{half}", Selector(lambda ts, i=half: [ts[i]]), after="split")
            .then(f"sort{half}", Generate("Sort this.", num_branches_response=2, alone=True))
            .then(f"score{half}", Score(errors))
            .then(f"keep{half}", KeepBestN(1, higher_is_better=False))
        )
    graph = graph.then("merge", Aggregate("Merge these.", num_responses=1), after=["keep0", "keep1"])
    model = ScriptedModel(
        [
            Scripted("[3, 1]\n[4, 2]", when="Split it."),
            Scripted(sort, when="Sort this.", first=1),
            Scripted(lambda r: json.dumps(sorted(chain(*map(json.loads, thoughts_in(r))))), when="Merge"),
        ]
    )
    result = await Weaver(model, strategy=partial(graph_of_thoughts, graph=graph)).run("Sort [3, 1, 4, 2].")
    assert result.answer == "[1, 2, 3, 4]"
    sorts = [r for r in model.requests if "Sort this." in text_of(r.request)]
    assert [r.at for r in sorts] == [0] * 4  # both halves at the same time
    assert "Sort [3, 1, 4, 2]" not in text_of(sorts[0].request)
    assert thoughts_in(model.requests[-1].request) == ["[1, 3]", "[2, 4]"]


async def test_an_operation_starts_as_soon_as_those_before_it_are_done():
    graph = (
        Graph()
        .then("slow", Generate("slow one"))
        .then("fast", Generate("fast one"), after=())
        .then("next", Generate("next one"), after="fast")
        .then("all", Aggregate(), after=["slow", "next"])
    )
    model = ScriptedModel(
        [
            Scripted("s", when="slow one", first=10),
            Scripted("f", when="fast one", first=1),
            Scripted("x", first=1),
        ]
    )
    await Weaver(model, strategy=partial(graph_of_thoughts, graph=graph)).run("q")
    assert {text_of(r.request).split("\n")[2][:4]: r.at for r in model.requests if r.at} == {
        "next": 1,
        "Belo": 10,
    }


async def test_validate_and_improve_tries_again_until_it_is_valid():
    graph = (
        Graph()
        .then("draft", Generate())
        .then("valid", ValidateAndImprove(lambda text: text.startswith("good"), num_tries=3))
        .then("keep", KeepValid())
    )
    model = ScriptedModel(["bad", "bad still", "good"])
    result = await Weaver(model, strategy=partial(graph_of_thoughts, graph=graph)).run("q")
    assert result.answer == "good"
    assert len(model.requests) == 3


async def test_what_is_never_valid_ends_the_graph_with_a_partial_answer():
    graph = (
        Graph()
        .then("draft", Generate())
        .then("valid", ValidateAndImprove(lambda text: False, num_tries=2))
        .then("keep", KeepValid())
    )
    model = ScriptedModel("bad")
    result = await Weaver(model, strategy=partial(graph_of_thoughts, graph=graph)).run("q")
    assert len(model.requests) == 3
    assert (result.status, result.answer) == ("partial", "bad")
    assert "'keep' has left no thought" in result.error.message


async def test_ground_truth_marks_and_async_checks_work():
    async def check(text: str) -> bool:
        return text == "b"

    graph = (
        Graph()
        .then("d", Generate(num_branches_response=2))
        .then("t", GroundTruth(check))
        .then("k", KeepValid())
    )
    model = ScriptedModel(["a", "b"])
    assert (await Weaver(model, strategy=partial(graph_of_thoughts, graph=graph)).run("q")).answer == "b"


async def test_a_thought_that_cannot_be_improved_stays():
    model = ScriptedModel([Scripted(error=ServerError("x"), when=BETTER), Scripted("draft")])
    graph = Graph().then("draft", Generate()).then("better", Improve())
    result = await Weaver(model, strategy=partial(graph_of_thoughts, graph=graph)).run("q")
    assert (result.status, result.answer) == ("complete", "draft")


def test_graphs_are_checked_when_they_are_built():
    graph = Graph().then("a", Generate())
    with pytest.raises(ConfigurationError, match="'a' already"):
        graph.then("a", Improve())
    with pytest.raises(ConfigurationError, match="comes after x, y"):
        graph.then("b", Improve(), after=["x", "a", "y"])


def test_the_volume_of_a_thought_is_the_number_of_its_ancestors():
    a, b = Thought("a"), Thought("b")
    both = Thought("ab", made_from=(a, b))
    again = Thought("c", made_from=(both, a))
    assert (a.volume, both.volume, again.volume) == (0, 2, 3)


@pytest.mark.parametrize(("threads", "used"), [(1, 0), (11, 0), (12, 12), (15, 14), (24, 24), (40, 24)])
async def test_the_default_graph_shrinks_to_the_threads_there_are(threads, used):
    model = ScriptedModel(
        [Scripted('{"score": 5}', when="Rate from 0"), Scripted(lambda r: f"draft {r.seed}")]
    )
    result = await Weaver(model, strategy="graph_of_thoughts", max_threads=threads, seed=1).run("q")
    assert result.answer.startswith("draft")
    assert len(result.threads) == used
    assert result.status == ("complete" if threads >= 24 else "partial")
    noted = f"Only {threads} of 24 threads may be started; raise max_threads for more." in result.notes
    assert noted == (threads < 24)
