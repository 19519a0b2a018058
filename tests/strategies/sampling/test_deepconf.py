"""DeepConf: the threshold, early stops by closing streams, weighted votes."""

from __future__ import annotations

import pytest

from weaver import Weaver
from weaver._models.protocol import Capabilities, TokenLogprob
from weaver._strategies.deepconf import Meter
from weaver.errors import MissingCapabilityError
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio


def trace(answer: str, confidence: float, words: int = 8, **how) -> Scripted:
    """A trace of so many words whose tokens all have this confidence."""
    text = " ".join(["so"] * (words - 2) + ["Answer:", answer])
    return Scripted(text, logprobs=(-confidence,) * words, **{"times": 1, "each": 1, **how})


async def test_a_trace_that_falls_below_the_threshold_is_stopped_by_closing_its_stream():
    warm = [trace("1", 5), trace("2", 4), trace("1", 3), trace("3", 2)]
    model = ScriptedModel([*warm, trace("3", 1, words=30), trace("2", 6)])
    result = await Weaver(model, strategy="deepconf:warmup=4,samples=6,eta=50,window=4,tau=1").run("q")
    # The upper half of the warm-up reaches 3.5: traces of 5 and 4 vote, those of 3 and 2 do not.
    stopped = model.requests[4]
    assert (stopped.closed, stopped.words) == ("cancelled", 4)
    assert [r.closed for r in model.requests[:4]] == ["finished"] * 4
    # 2 has 4 + 6, 1 has 5.
    assert result.answer.endswith("Answer: 2")
    assert model.requests[0].request.logprobs == 20
    assert (model.requests[0].request.temperature, model.requests[0].request.top_p) == (0.6, 0.95)


async def test_no_further_traces_once_the_consensus_is_large_enough():
    warm = [trace("1", 5), trace("1", 5), trace("2", 1)]
    model = ScriptedModel([*warm, trace("1", 5, times=None)])
    result = await Weaver(model, strategy="deepconf:warmup=3,samples=50,eta=50,window=4").run("q")
    assert len(model.requests) == 3
    assert result.answer.endswith("Answer: 1")


async def test_running_traces_are_cancelled_when_the_consensus_is_reached():
    warm = [trace("1", 5), trace("2", 4)]
    later = [trace("1", 300), trace("2", 5, words=50)]
    model = ScriptedModel([*warm, *later])
    result = await Weaver(model, strategy="deepconf:warmup=2,samples=4,eta=100,window=4").run("q")
    assert result.answer.endswith("Answer: 1")
    assert model.requests[3].closed == "cancelled"
    assert result.threads[3].cancel_reason == "settled"


async def test_at_most_so_many_traces_run_at_once():
    warm = [trace("1", 5), trace("2", 5)]
    model = ScriptedModel([*warm, *(trace(str(i), 5) for i in range(10, 18))])
    await Weaver(model, strategy="deepconf:warmup=2,samples=10,eta=90,window=4,parallel=3").run("q")
    assert len(model.requests) == 10
    assert model.max_in_flight == 3


async def test_a_budget_that_is_the_warm_up_is_the_offline_method():
    model = ScriptedModel([trace("1", 5), trace("2", 4), trace("2", 2), trace("2", 2)])
    result = await Weaver(model, strategy="deepconf:warmup=4,samples=4,eta=10,window=4").run("q")
    assert result.answer.endswith("Answer: 1")  # the majority is 2, the confident one is 1
    assert all(r.closed == "finished" for r in model.requests)


async def test_it_needs_log_probabilities():
    model = ScriptedModel(can=Capabilities())
    with pytest.raises(MissingCapabilityError, match="'deepconf' needs logprobs"):
        await Weaver(model, strategy="deepconf").run("q")


async def test_the_confidence_of_a_trace_is_its_lowest_window():
    meter = Meter(2)
    for logprobs in ((-4, -2), (-1, -1), (-1, -3), (-9, -9)):
        meter.add(TokenLogprob("t", logprobs[0], tuple(("t", p) for p in logprobs)))
    # Tokens 3, 1, 2, 9; windows of two: 2, 1.5, 5.5.
    assert meter.lowest == 1.5
    assert meter.mean == 5.5


async def test_a_trace_shorter_than_the_window_is_one_group():
    meter = Meter(100)
    meter.add(TokenLogprob("t", -2))
    meter.add(TokenLogprob("t", -4))
    assert not meter.full
    assert meter.lowest == 3
    assert Meter(5).lowest == 0


async def test_a_server_that_claims_log_probabilities_and_sends_none_is_refused_after_the_warm_up():
    model = ScriptedModel("Answer: 4")
    with pytest.raises(MissingCapabilityError, match=r"sent none.*Choose another strategy"):
        await Weaver(model, strategy="deepconf:warmup=3,samples=9").run("q")
    assert len(model.requests) == 3


async def test_a_trace_without_log_probabilities_has_no_vote():
    model = ScriptedModel([*(trace("1", 5) for _ in range(2)), Scripted("Answer: 2")])
    result = await Weaver(model, strategy="deepconf:warmup=3,samples=3,eta=90,window=4").run("q")
    assert result.answer.endswith("Answer: 1")
    assert any("without log-probabilities has no vote" in note for note in result.notes)


async def test_a_warm_up_that_a_limit_took_makes_the_answer_partial():
    model = ScriptedModel([trace("1", 5), trace("1", 5)])
    result = await Weaver(model, strategy="deepconf:warmup=2,samples=8,window=4", max_calls=1).run("q")
    assert result.status == "partial"
    assert any(note.startswith("Only 1 of 2 traces answered") for note in result.notes)
