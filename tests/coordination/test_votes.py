"""Votes: who wins, and that "settled" is a proof."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaver._coordination.answers.protocol import Equivalence
from weaver._coordination.answers.stopping import beta_certainty, dirichlet_certainty
from weaver._coordination.answers.votes import Votes
from weaver._data.result import Answer, Finding
from weaver.errors import ConfigurationError, NoAnswerError

ballots = st.lists(st.sampled_from("abcd"), max_size=7)


def count(texts, weights=None, **options) -> Votes:
    votes = Votes("exact", **options)
    for text, weight in zip(texts, weights or [1.0] * len(texts), strict=True):
        votes.add(text, weight)
    return votes


def test_the_most_frequent_answer_wins_and_ties_go_to_the_first_seen():
    assert count("abbca").winner().text == "a"
    assert count("cabb").winner().text == "b"


def test_groups_keep_their_ballots_and_the_winner_its_first_answer():
    first, second = Answer("The answer is 7.", confidence=0.3), Answer("7.0")
    votes = Votes("number")
    votes.add(Finding("s1", "", first))
    votes.add(second)
    votes.add("8")
    assert votes.winner() is first
    assert votes.counts == [2, 1]
    assert votes.share == pytest.approx(2 / 3)
    assert len(votes) == 3


def test_weights():
    votes = count("abb", [1.0, 0.3, 0.3])
    assert votes.winner().text == "a"


@pytest.mark.parametrize("weight", [-0.1, 1.5, math.nan])
def test_wrong_weights_are_refused(weight):
    with pytest.raises(ConfigurationError, match="weighs"):
        Votes().add("a", weight)


def test_answers_that_cannot_be_read_abstain_but_are_better_than_nothing():
    votes = Votes("number")
    assert votes.add("no idea") is None
    assert votes.winner().text == "no idea"
    votes.add("12")
    assert votes.winner().text == "12"
    assert votes.abstained == ["no idea"]


def test_no_ballot_is_no_answer():
    with pytest.raises(NoAnswerError, match="nothing to vote on"):
        Votes().winner()


@settings(max_examples=60)
@given(ballots, st.integers(1, 3))
def test_settled_is_true_exactly_when_no_continuation_changes_the_winner(cast, outstanding):
    """Against all continuations, answers not seen so far and abstentions included."""
    votes = count(cast)
    winners = {
        count([*cast, *(t for t in more if t)]).winner().text if cast or any(more) else None
        for more in itertools.product([*"abcd", "new", ""], repeat=outstanding)
    }
    unchanged = bool(cast) and winners == {votes.winner().text}
    assert votes.settled(outstanding) is unchanged


weights = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.7, 1.0])


@given(st.lists(st.tuples(st.sampled_from("abc"), weights), min_size=1, max_size=6),
       st.lists(st.tuples(st.sampled_from("abcx"), weights), max_size=4))  # fmt: skip
def test_settled_weighted_votes_never_change(cast, more):
    votes = count([t for t, _ in cast], [w for _, w in cast])
    settled, winner = votes.settled(len(more)), votes.winner().text
    for text, weight in more:
        votes.add(text, weight)
    if settled:
        assert votes.winner().text == winner


def test_settled_without_anything_outstanding_or_any_answer():
    assert Votes().settled(0)
    assert not Votes().settled(1)
    assert Votes("number").add("?") is None


@pytest.mark.anyio
async def test_cast_asks_the_arbiter_only_about_what_cannot_be_compared():
    asked = []

    async def arbiter(pairs):
        asked.append(list(pairs))
        return [{a.lower(), b.lower()} == {"paris", "the french capital"} for a, b in pairs]

    votes = Votes(Equivalence("free", lambda t: t, lambda a, b: True if a == b else None, arbiter))
    for text in ("Paris", "Lyon", "Paris", "the French capital"):
        await votes.cast(text)
    assert votes.counts == [3, 1]
    assert asked == [[("Paris", "Lyon")], [("Paris", "the French capital"), ("Lyon", "the French capital")]]


@pytest.mark.parametrize(
    ("first", "second", "certainty"), [(0, 0, 0.5), (1, 0, 0.75), (3, 0, 0.9375), (4, 0, 0.96875)]
)
def test_beta_certainty_in_closed_form(first, second, certainty):
    assert beta_certainty(first, second) == pytest.approx(certainty)


@given(st.integers(0, 30), st.integers(0, 30))
def test_beta_certainty_equals_the_integral(a, b):
    steps = 2000
    density = [(i / steps) ** a * (1 - i / steps) ** b for i in range(steps + 1)]
    above = sum(density[steps // 2 :]) - (density[steps // 2] + density[-1]) / 2
    total = sum(density) - (density[0] + density[-1]) / 2
    assert beta_certainty(a, b) == pytest.approx(above / total, abs=2e-3)
    assert beta_certainty(a, b) + beta_certainty(b, a) == pytest.approx(1)


def test_dirichlet_certainty():
    assert dirichlet_certainty([]) == 0
    assert dirichlet_certainty([5, 2]) == beta_certainty(5, 2)
    assert dirichlet_certainty([0, 0, 0]) == pytest.approx(1 / 3, abs=1e-4)
    assert dirichlet_certainty([2, 2, 2, 2]) == pytest.approx(1 / 4, abs=1e-4)
    # More rivals can only make a lead less certain.
    assert dirichlet_certainty([5, 2, 2]) < dirichlet_certainty([5, 2])
    assert dirichlet_certainty([2, 9, 1, 1]) > 0.95
    assert dirichlet_certainty([500, 300, 100]) == pytest.approx(1, abs=1e-6)
