"""Join rules, alone and in real forks."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.coordination.telling import failed, said
from weaver import Answer, Task, Weaver
from weaver._coordination.joins.parser import parse_rule
from weaver._coordination.joins.rules import All, BestOf, Both, Either, First, Quorum, Settled, Until
from weaver._runtime.threads.join_protocol import MORE
from weaver.errors import ConfigurationError, NoAnswerError, ServerError, UnknownNameError
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio


async def joined(rule, threads, *, more=False):
    """Tell a join about ``threads`` in order until it is settled: reason, winners, how many were told."""
    state = rule.begin()
    reason, told = None, 0
    for told, thread in enumerate(threads, 1):
        reason = await state.finished(thread, outstanding=MORE if more else len(threads) - told)
        if reason is not None:
            break
    return reason, [t.id for t in state.winners()], told, state


async def test_all_waits_for_every_thread_and_hands_up_the_successes():
    reason, winners, told, state = await joined(All(), [said("a", "x"), failed("b"), said("c", "y")])
    assert (reason, winners, told, state.unmet) == (None, ["a", "c"], 3, None)


async def test_first_success_beats_earlier_failures():
    reason, winners, told, state = await joined(First(), [failed("a"), said("b", "x"), said("c", "y")])
    assert (reason, winners, told, state.needed, state.unmet) == ("lost_race", ["b"], 2, 1, None)


async def test_first_with_failures_only_names_them():
    _, winners, _, state = await joined(
        First(), [failed("a", ServerError("it broke")), failed("b", state="skipped")]
    )
    assert winners == []
    assert (
        state.unmet
        == "0 of the 1 threads that were needed succeeded: a failed (ServerError: it broke); b skipped."
    )


async def test_quorum_stops_at_k():
    reason, winners, told, _ = await joined(
        Quorum(2), [said("a", "x"), failed("b"), said("c", "y"), said("d", "z")]
    )
    assert (reason, winners, told) == ("quorum_met", ["a", "c"], 3)


async def test_quorum_that_cannot_be_met_any_more_settles_at_once_and_keeps_what_there_is():
    reason, winners, told, state = await joined(
        Quorum(3), [said("a", "x"), failed("b"), failed("c"), said("d", "y")]
    )
    assert (reason, winners, told) == ("not_needed", ["a"], 3)
    assert "1 of the 3 threads that were needed succeeded: b, c failed" in state.unmet


async def test_quorum_may_wait_for_what_is_left():
    reason, winners, _, state = await joined(
        Quorum(3, "wait"), [said("a", "x"), failed("b"), failed("c"), said("d", "y")]
    )
    assert (reason, winners) == (None, ["a", "d"])
    assert state.unmet


async def test_a_quorum_is_never_given_up_while_more_threads_may_start():
    reason, *_ = await joined(Quorum(3), [failed("a"), failed("b")], more=True)
    assert reason is None


async def test_settled_stops_when_the_vote_is_decided_and_hands_up_the_majority():
    threads = [
        said("a", "7"),
        said("b", "8"),
        said("c", "The answer is 7."),
        said("d", "7.0"),
        said("e", "9"),
    ]
    reason, winners, told, _ = await joined(Settled(), threads)
    assert (reason, winners, told) == ("settled", ["a", "c", "d"], 4)


async def test_settled_counts_failures_as_lost_votes():
    threads = [said("a", "7"), failed("b"), failed("c"), said("d", "8")]
    reason, winners, told, _ = await joined(Settled("number"), threads)
    assert (reason, winners, told) == ("settled", ["a"], 3)


async def test_best_takes_the_highest_score_and_an_unscored_answer_only_if_there_is_no_other():
    async def judge(finding):
        if finding.text == "odd":
            raise ServerError("the judge broke.")
        return float(finding.text)

    threads = [said("a", "odd"), said("b", "3"), said("c", "9"), said("d", "5")]
    _, winners, told, state = await joined(BestOf(judge), threads)
    assert (winners, told, state.unmet) == (["c"], 4, None)
    _, winners, _, state = await joined(BestOf(judge), threads[:1])
    assert winners == ["a"]
    assert "the judge broke" in state.unmet


async def test_best_stops_at_a_score_that_is_enough():
    reason, winners, told, _ = await joined(
        BestOf(lambda f: float(f.text), enough=5), [said("a", "3"), said("b", "6"), said("c", "9")]
    )
    assert (reason, winners, told) == ("settled", ["b"], 2)


async def test_until():
    async def two(threads):
        return len(threads) == 2

    rule = Until(two)
    reason, winners, told, state = await joined(
        rule, [said("a", "x"), failed("b"), said("c", "y"), said("d", "z")]
    )
    assert (reason, winners, told, state.unmet) == ("settled", ["a", "c"], 3, None)
    _, winners, _, state = await joined(rule, [said("a", "x")])
    assert winners == ["a"]
    assert "until(two)" in state.unmet


async def test_either_and_both():
    threads = [said("a", "1"), said("b", "2"), said("c", "3"), said("d", "4")]
    good = Until(lambda done: any(t.answer.text == "3" for t in done), "good")
    reason, winners, told, _ = await joined(Quorum(2) | good, threads)
    assert (reason, winners, told) == ("quorum_met", ["a", "b"], 2)
    reason, winners, told, _ = await joined(Quorum(2) & good, threads)
    assert (reason, winners, told) == ("settled", ["a", "b", "c"], 3)


async def test_either_goes_on_while_one_of_its_rules_can_be_met():
    threads = [failed("a"), failed("b"), said("c", "x"), said("d", "y")]
    reason, winners, told, _ = await joined(Quorum(3) | First(), threads)
    assert (reason, winners, told) == ("lost_race", ["c"], 3)


async def test_both_ends_as_soon_as_one_of_its_rules_cannot_be_met():
    threads = [said("z", "x"), failed("a"), failed("b"), said("c", "x")]
    reason, winners, told, state = await joined(Quorum(3) & First(), threads)
    assert (reason, winners, told) == ("not_needed", ["z"], 3)
    assert state.unmet


states = st.lists(st.sampled_from(["succeeded", "failed", "cancelled", "timed_out", "skipped"]), max_size=9)


@given(states, st.integers(1, 5))
async def test_quorum_hands_up_exactly_k_or_everything_it_got(ends, k):
    threads = [said(str(i), "x", state=s) for i, s in enumerate(ends)]
    reason, winners, told, state = await joined(Quorum(k), threads)
    successes = [t.id for t in threads if t.state == "succeeded"]
    if len(successes) >= k:
        assert winners == successes[:k]
        assert reason == "quorum_met"
        assert state.unmet is None
    else:
        assert winners == [t.id for t in threads[:told] if t.state == "succeeded"]
        assert state.unmet is not None
        # Given up at the first moment at which it could not be met any more, and not before.
        possible = [sum(s == "succeeded" for s in ends[:n]) + len(ends) - n >= k for n in range(1, len(ends))]
        assert told == (possible.index(False) + 1 if False in possible else len(ends))


@given(st.lists(st.sampled_from(["1", "2", "3", "no number", None]), max_size=8))
async def test_settled_hands_up_what_the_full_vote_would(answers):
    threads = [failed(str(i)) if a is None else said(str(i), a) for i, a in enumerate(answers)]
    *_, early, _, state = await joined(Settled("number"), threads)
    full = Settled("number").begin()
    for thread in threads:
        full_reason = await full.finished(thread, outstanding=MORE)
        assert full_reason is None
    texts = {t.answer.text for t in full.winners()}
    assert {threads[int(i)].answer.text for i in early} == texts
    assert state.unmet is None or not texts


@given(states)
async def test_a_settled_join_stays_as_it_was(ends):
    threads = [said(str(i), "x", state=s) for i, s in enumerate(ends)]
    for rule in (First(), Quorum(2), Settled(), First() | Quorum(2), First() & Quorum(2)):
        state, first, then = rule.begin(), None, None
        for n, thread in enumerate(threads, 1):
            reason = await state.finished(thread, outstanding=len(threads) - n)
            if first is not None:
                assert (reason, state.winners(), state.unmet) == (first, *then)
            elif reason is not None:
                first, then = reason, (state.winners(), state.unmet)


@pytest.mark.parametrize(
    "text",
    ["all", "first", "quorum(2)", "quorum(2, wait)", "settled", "settled(number(0.01))", "best", "best(0.9)",
     "until(len(done) > 2)", "quorum(2) | until(x or (y))", "first & settled", "first & (all | quorum(3))"],
)  # fmt: skip
def test_text_forms_go_both_ways(text):
    rule = parse_rule(text, judge=lambda finding: 1.0, predicate=lambda source: lambda done: True)
    assert rule.name == text


def test_precedence_of_text_forms():
    rule = parse_rule("first | quorum(2) & settled")
    assert isinstance(rule, Either)
    assert isinstance(rule.rules[1], Both)
    assert parse_rule("best_of", judge=lambda finding: 1.0).name == "best"


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("frist", UnknownNameError, "no join rule named 'frist'. Did you mean 'first'"),
        ("quorum", ConfigurationError, "how many threads"),
        ("quorum(0)", ConfigurationError, "at least 1"),
        ("quorum(-1)", ConfigurationError, "how many threads"),
        ("all(3)", ConfigurationError, "takes no argument"),
        ("best", ConfigurationError, "needs a judge"),
        ("until(x)", ConfigurationError, "needs a condition"),
        ("settled(nmber)", UnknownNameError, "equivalence"),
        ("quorum(2", ConfigurationError, "parentheses"),
        ("first)", ConfigurationError, "parentheses"),
        ("first |", ConfigurationError, "not a join rule"),
        ("", ConfigurationError, "not a join rule"),
        ("2 of 3", ConfigurationError, "not a join rule"),
    ],
)
def test_wrong_text_is_told(text, error, says):
    with pytest.raises(error) as raised:
        parse_rule(text)
    assert says in str(raised.value)


async def in_a_fork(rule, *seconds):
    """A real fork of threads that answer their number after so many seconds; negative: they fail then."""
    model = ScriptedModel(
        [
            Scripted(
                f"{i}",
                when=f"n{i}.",
                first=abs(s),
                error=ServerError("no.") if s < 0 else None,
            )
            for i, s in enumerate(seconds)
        ]
    )

    async def strategy(run, task):
        async with run.fork([Task(f"n{i}.") for i in range(len(seconds))]) as threads:
            winners = await threads.join(rule)
        return Answer(" ".join(t.answer.text for t in winners))

    started = anyio.current_time()
    result = await Weaver(model, strategy=strategy).run("go")
    return result, anyio.current_time() - started, model


async def test_first_in_a_fork_closes_the_losers_connections():
    result, seconds, model = await in_a_fork(First(), 5, 1, -0.5, 9)
    assert (result.answer, seconds) == ("1", 1)
    assert [t.cancel_reason for t in result.threads] == ["lost_race", None, None, "lost_race"]
    assert sorted(r.closed for r in model.requests) == ["cancelled", "cancelled", "failed", "finished"]


async def test_two_threads_that_end_at_the_same_moment_both_count():
    result, seconds, _ = await in_a_fork(Quorum(2), 1, 1, 9)
    assert (result.answer, seconds) == ("0 1", 1)


async def test_an_impossible_quorum_in_a_fork_is_partial_and_says_why():
    result, seconds, _ = await in_a_fork(Quorum(3), 1, -2, -2, 9)
    assert (result.answer, seconds) == ("0", 2)
    assert any("1 of the 3 threads that were needed succeeded" in note for note in result.notes)
    assert result.threads[3].cancel_reason == "not_needed"


async def test_no_winner_at_all_is_an_error_that_names_every_thread():
    with pytest.raises(NoAnswerError, match=r"0 of the 1 .* t1, t2 failed \(ServerError"):
        await in_a_fork(First(), -1, -1)
