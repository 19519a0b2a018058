"""Self-consistency and the rules that draw fewer samples."""

from __future__ import annotations

import pytest

from weaver import Weaver
from weaver.errors import ConfigurationError, NoAnswerError, ServerError
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio


def saying(*answers: str, **how: float) -> ScriptedModel:
    """Sample i says answer i."""
    return ScriptedModel([Scripted(f"I think. Answer: {a}", times=1, **how) for a in answers])


async def test_the_majority_wins():
    result = await Weaver(saying("4", "5", "4"), strategy="self_consistency:samples=3").run("2 + 2?")
    assert result.answer.endswith("Answer: 4")
    assert [t.state for t in result.threads] == ["succeeded"] * 3
    assert result.decision.by == "user"


async def test_of_equally_frequent_answers_the_first_wins():
    result = await Weaver(saying("7", "8"), strategy="self_consistency:samples=2").run("q")
    assert result.answer.endswith("7")


async def test_samples_have_seeds_of_their_own_and_the_papers_temperature():
    model = saying("1", "2", "3")
    await Weaver(model, strategy="self_consistency:samples=3", seed=10).run("q")
    assert [r.request.seed for r in model.requests] == [10, 11, 12]
    assert {r.request.temperature for r in model.requests} == {0.7}


async def test_the_users_temperature_wins():
    model = saying("1")
    await Weaver(model, strategy="self_consistency:samples=1", temperature=0.2).run("q")
    assert model.requests[0].request.temperature == 0.2


async def test_samples_that_cannot_change_the_majority_are_cancelled():
    model = ScriptedModel(
        [Scripted("Answer: 4", times=3), Scripted("so slow that nobody waits for it", each=1)]
    )
    result = await Weaver(model, strategy="self_consistency:samples=5").run("2 + 2?")
    assert result.answer == "Answer: 4"
    assert [r.closed for r in model.requests] == ["finished"] * 3 + ["cancelled"] * 2
    assert [t.cancel_reason for t in result.threads[3:]] == ["settled"] * 2
    assert all(r.words <= 1 for r in model.requests[3:])


async def test_short_m_at_k_votes_among_the_first_m_and_cancels_the_others():
    model = ScriptedModel(
        [
            Scripted("a long way to say it. Answer: 1", times=1, each=1),
            Scripted("Answer: 2", times=1, each=1),
            Scripted("it goes on and on and on and on and on. Answer: 1", each=1),
        ]
    )
    result = await Weaver(model, strategy="self_consistency:samples=4,first_m=2").run("q")
    # A tie of one vote each: the shortest sample wins, which here is also the first to finish.
    assert result.answer == "Answer: 2"
    assert [r.closed for r in model.requests] == ["finished", "finished", "cancelled", "cancelled"]
    assert [t.cancel_reason for t in result.threads[2:]] == ["quorum_met"] * 2
    assert all(r.words < 12 for r in model.requests[2:])


async def test_short_m_at_k_breaks_ties_by_length_not_by_order():
    model = ScriptedModel(
        [
            Scripted("many more words than the other. Answer: 1", times=1),
            Scripted("Answer: 2", times=1, first=1),
        ]
    )
    result = await Weaver(model, strategy="self_consistency:samples=2,first_m=2").run("q")
    assert result.answer == "Answer: 2"


async def test_esc_stops_after_the_first_unanimous_window():
    model = saying("1", "2", "1", "3", "3", "3", "4", "4", "4")
    result = await Weaver(model, strategy="self_consistency:samples=9,stop=entropy,window=3").run("q")
    assert len(model.requests) == 6  # the first window disagrees, the second is unanimous
    assert result.answer.endswith("3")


async def test_an_answer_that_is_missing_is_no_agreement_for_esc():
    model = ScriptedModel(
        [
            Scripted("Answer: 1", times=1),
            Scripted(error=ServerError("broken"), times=1),
            Scripted("Answer: 1"),
        ]
    )
    await Weaver(model, strategy="self_consistency:samples=6,stop=entropy,window=2").run("q")
    assert len(model.requests) == 4


async def test_windows_run_one_after_another_and_their_samples_together():
    model = saying("1", "2", "3", "3", first=1)
    await Weaver(model, strategy="self_consistency:samples=4,stop=entropy,window=2").run("q")
    assert [r.at for r in model.requests] == [0, 0, 1, 1]


@pytest.mark.parametrize("rule", ["beta", "dirichlet"])
async def test_adaptive_consistency_draws_one_at_a_time_until_it_is_certain(rule):
    model = ScriptedModel([Scripted("Answer: 5", first=1)])
    await Weaver(model, strategy=f"self_consistency:stop={rule}").run("q")
    # 4 to 0 is certain to 0.969, 3 to 0 to 0.9375.
    assert len(model.requests) == 4
    assert model.max_in_flight == 1


async def test_dirichlet_asks_for_more_than_beta_when_there_are_many_answers():
    drawn = {}
    for rule in ("beta", "dirichlet"):
        model = ScriptedModel([*(Scripted(f"Answer: {i}", times=1) for i in range(5)), Scripted("Answer: 0")])
        await Weaver(model, strategy=f"self_consistency:stop={rule}").run("q")
        drawn[rule] = len(model.requests)
    assert drawn["beta"] < drawn["dirichlet"] < 20


async def test_answers_are_compared_as_the_user_says():
    model = ScriptedModel(["about 4.01", "it is 4.0 or so", "nine: 9"])
    strategy = "self_consistency:samples=3,same=number(0.01),mark=false"
    result = await Weaver(model, strategy=strategy).run("q")
    assert result.answer == "about 4.01"
    assert model.requests[0].request.messages[-1].content == "q"


async def test_a_failed_sample_is_data():
    model = ScriptedModel([Scripted(error=ServerError("broken"), times=1), Scripted("Answer: 6")])
    result = await Weaver(model, strategy="self_consistency:samples=3").run("q")
    assert result.answer == "Answer: 6"
    assert result.threads[0].state == "failed"


async def test_when_all_samples_fail_the_error_says_how():
    model = ScriptedModel([Scripted(error=ServerError("broken"))])
    with pytest.raises(
        NoAnswerError, match=r"No sample came to an answer: sample1, sample2 failed \(ServerError: broken\)"
    ):
        await Weaver(model, strategy="self_consistency:samples=2").run("q")


async def test_the_deadline_gives_the_majority_so_far():
    model = ScriptedModel([Scripted("Answer: 4", times=2), Scripted("Answer: 5", times=3, first=60)])
    result = await Weaver(model, strategy="self_consistency:samples=5", deadline=3).run("q")
    assert (result.status, result.answer) == ("partial", "Answer: 4")


async def test_fewer_threads_than_samples_are_noted():
    model = saying("1", "1", "2")
    result = await Weaver(model, strategy="self_consistency:samples=9", max_threads=3).run("q")
    assert result.answer.endswith("1")
    assert result.status == "partial"
    assert any("Only 3 of 9 threads" in note for note in result.notes)


async def test_samples_that_a_limit_took_are_noted_and_the_answer_is_partial():
    model = ScriptedModel("Answer: 4")
    result = await Weaver(model, strategy="self_consistency:samples=4", max_calls=1).run("q")
    assert (result.status, result.answer) == ("partial", "Answer: 4")
    assert any(note.startswith("Only 1 of 4 samples answered. 3 ended with: ") for note in result.notes)


async def test_samples_that_failures_took_are_noted_and_the_answer_is_partial():
    model = ScriptedModel([Scripted(error=ServerError("broken."), times=2), Scripted("Answer: 4")])
    result = await Weaver(model, strategy="self_consistency:samples=3").run("q")
    assert result.status == "partial"
    assert "Only 1 of 3 samples answered. 2 ended with: broken." in result.notes


@pytest.mark.parametrize("options", ["samples=5", "samples=9,first_m=3", "stop=beta"])
async def test_a_lost_sample_that_could_not_have_changed_the_answer_is_no_loss(options):
    model = ScriptedModel([Scripted(error=ServerError("broken"), times=1), Scripted("Answer: 4")])
    result = await Weaver(model, strategy=f"self_consistency:{options}").run("q")
    assert result.status == "complete"


@pytest.mark.parametrize(
    "option",
    ["samples=0", "stop=never", "temperature=-1", "threshold=2", "sample=3", "same=bogus", "first_m=41"],
)
async def test_wrong_options_are_refused_before_any_call(option):
    model = ScriptedModel()
    with pytest.raises(ConfigurationError, match=option.partition("=")[0]):
        await Weaver(model, strategy=f"self_consistency:{option}").run("q")
    assert model.requests == []
