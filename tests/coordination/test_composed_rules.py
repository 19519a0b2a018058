"""Join rules at their edges, and composed ones: what each decides, hands up and says is missing."""

from __future__ import annotations

import pytest

from tests.coordination.telling import failed, said
from weaver._coordination.joins.rules import BestOf, First, Quorum, Settled, Until
from weaver.errors import ConfigurationError, ServerError

pytestmark = pytest.mark.anyio


async def told(state, *threads, left=0):
    """Tell a join about threads while others are outstanding; the last reason."""
    reason = None
    for n, thread in enumerate(threads, 1):
        reason = await state.finished(thread, outstanding=left + len(threads) - n)
    return reason


def ids(state):
    return [thread.id for thread in state.winners()]


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (lambda: Quorum(0), "quorum(0) makes no sense.", "Give at least 1."),
        (lambda: Quorum(1, "later"), "quorum: 'later' is neither 'stop' nor 'wait'.", ""),
    ],
)
def test_a_quorum_that_cannot_be_is_refused(make, message, hint):
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert (refused.value.message, refused.value.hint) == (message, hint)


async def test_first_is_given_up_when_the_last_thread_has_failed():
    state = First().begin()
    assert await told(state, failed("a"), left=1) is None
    assert await told(state, failed("b")) is None
    assert (ids(state), state.unmet) == ([], "0 of the 1 threads that were needed succeeded: a, b failed.")


async def test_a_vote_is_counted_as_the_rule_says_answers_are_the_same():
    threads = [said("a", "Paris"), said("b", "London"), said("c", "Berlin"), said("d", "Vienna")]
    state = Settled(len).begin()
    assert await told(state, *threads[:3], left=2) is None
    assert await told(state, threads[3], left=1) == "settled"
    assert ids(state) == ["b", "c", "d"]


async def test_a_thread_that_ended_without_success_casts_no_vote_and_is_not_scored():
    late = said("a", "7", state="timed_out")
    state = Settled("number").begin()
    await told(state, late)
    assert ids(state) == []
    scored = []
    state = BestOf(lambda finding: scored.append(finding.thread) or 1.0).begin()
    await told(state, late, said("b", "8"))
    assert (scored, ids(state)) == (["b"], ["b"])


async def test_a_score_that_is_exactly_enough_ends_the_contest():
    state = BestOf(lambda finding: 0.9, enough=0.9).begin()
    assert await told(state, said("a", "x"), left=1) == "settled"
    state = BestOf(lambda finding: 0.9, enough=0.9).begin()
    assert await told(state, said("a", "x")) is None, "nobody is left to be cancelled"


async def test_of_equal_scores_the_first_one_wins_and_threads_are_never_compared():
    state = BestOf(lambda finding: 1.0).begin()
    await told(state, said("a", "x"), said("b", "y"))
    assert ids(state) == ["a"]


async def test_of_answers_that_could_not_be_scored_only_the_first_is_taken():
    def broken(finding):
        raise ServerError("the judge broke.")

    state = BestOf(broken).begin()
    await told(state, said("a", "x"), said("b", "y"))
    assert ids(state) == ["a"]
    assert state.unmet == "No answer could be scored, so the first one was taken: the judge broke."


async def test_until_that_was_never_asked_has_not_come_true():
    state = Until(lambda done: True, "good").begin()
    assert await told(state, failed("a")) is None
    assert state.unmet == "The threads ended before until(good) came true: a failed."


async def test_either_says_what_each_rule_lacks_and_hands_up_all_successes_where_none_is_met():
    state = (Quorum(4) | Quorum(3)).begin()
    assert await told(state, said("a", "x"), failed("b"), left=2) is None
    assert ids(state) == ["a"]
    assert await told(state, failed("c"), left=1) == "not_needed"
    assert ids(state) == ["a"]
    assert state.unmet == (
        "1 of the 4 threads that were needed succeeded: b failed. "  # it could not be met from then on
        "1 of the 3 threads that were needed succeeded: b, c failed."
    )


async def test_either_is_not_given_up_because_one_rule_cannot_be_met():
    state = (Quorum(4) | Quorum(3) | First()).begin()
    assert await told(state, failed("a"), failed("b"), left=1) is None
    assert await told(state, said("c", "x"), left=1) == "lost_race"
    assert (ids(state), state.unmet) == (["c"], None)


async def test_either_hands_up_what_the_rule_that_was_met_chose():
    best = BestOf(lambda finding: float(finding.text), enough=9)
    state = (best | Quorum(5)).begin()
    assert await told(state, said("a", "3"), said("b", "9"), left=3) == "settled"
    assert ids(state) == ["b"]
    # Met by running out of threads: no rule gave a reason, one of them has a winner.
    state = (Quorum(5, "wait") | best).begin()
    assert await told(state, said("a", "3"), said("b", "4")) is None
    assert ids(state) == ["b"]


async def test_both_gives_the_reason_of_the_last_rule_once_each_has_one():
    good = Until(lambda done: True, "good")
    assert await told((good & Quorum(1)).begin(), said("a", "x"), left=1) == "quorum_met"
    assert await told((Quorum(1) & good).begin(), said("a", "x"), left=1) == "settled"
    three = (Quorum(1) & First() & good).begin()
    assert await told(three, said("a", "x"), left=1) == "settled"
    assert await told((Quorum(1) & Quorum(2)).begin(), said("a", "x"), left=1) is None


async def test_both_ends_with_the_reason_of_a_rule_that_cannot_be_met():
    state = (Until(lambda done: True, "good") & Quorum(3)).begin()
    assert await told(state, said("a", "x"), failed("b"), left=1) == "not_needed"
    assert ids(state) == ["a"]


def test_what_composed_rules_need_is_the_least_or_the_most_where_it_is_a_number():
    assert (Quorum(3) | Quorum(2)).begin().needed == 2
    assert (Quorum(3) & Quorum(2)).begin().needed == 3
    assert (Quorum(3) | Settled()).begin().needed is None
    assert (Quorum(3) & Settled()).begin().needed == 3
    assert (Settled() & Settled()).begin().needed is None
