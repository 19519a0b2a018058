"""Ladders of policies: which is tried when, and how a ladder is written."""

from __future__ import annotations

from functools import partial
from importlib.metadata import EntryPoint

import pytest

from tests.coordination.test_resolution import THREE, TWO, chooses, derived, settle
from weaver._coordination.conflicts.policies.asking import keep
from weaver._coordination.conflicts.policies.ladder import (
    DEFAULT_LADDER,
    climb,
    is_free,
    parse_ladder,
    policy_name,
)
from weaver._coordination.conflicts.policies.voting import majority
from weaver._environment import plugins
from weaver.errors import (
    BudgetExceededError,
    ConfigurationError,
    DeadlineExceededError,
    ServerError,
    UnknownNameError,
)
from weaver.testing import Scripted

pytestmark = pytest.mark.anyio


def ladder_of(*policies):
    async def ladder(run, conflict, threads):
        return await climb(run, conflict, threads, policies)

    return ladder


async def test_a_ladder_goes_on_until_a_policy_settles():
    resolution, model, _ = await settle(
        ladder_of(*DEFAULT_LADDER), TWO, Scripted(derived("310"), times=1), chooses("300 m")
    )
    assert resolution.policy == "judge"
    assert len(model.requests) == 2


async def test_nothing_is_tried_after_keep():
    assert (await settle(ladder_of(keep, majority), THREE))[0] is None


async def test_a_policy_that_fails_is_noted_and_the_next_one_tried():
    async def broken(run, conflict, threads):
        raise RuntimeError("a user's bug")

    async def no_model(run, conflict, threads):
        raise ServerError("it is down.")

    resolution, _, result = await settle(ladder_of(broken, no_model, majority), THREE)
    assert resolution.policy == "majority"
    notes = " ".join(result.notes)
    assert "broken raised RuntimeError: a user's bug" in notes
    assert "no_model failed: it is down." in notes


async def test_when_the_budget_is_gone_only_policies_without_calls_are_tried():
    tried = []

    async def costly(run, conflict, threads):
        tried.append("costly")
        raise BudgetExceededError("no calls are left.", limit="calls")

    async def costly_too(run, conflict, threads):
        tried.append("costly too")

    resolution, _, result = await settle(ladder_of(costly, costly_too, majority), THREE)
    assert resolution.policy == "majority"
    assert tried == ["costly"]
    assert any("no calls are left" in note for note in result.notes)


async def test_ladders_as_text():
    assert parse_ladder("clear_majority, verify, judge") == DEFAULT_LADDER
    assert parse_ladder("") == parse_ladder("none") == ()
    thrice = parse_ladder("majority(share=0.66), verify(samples=3), escalate(agent='boss')")
    assert [policy_name(p) for p in thrice] == ["majority", "verify", "escalate"]
    assert [p.keywords for p in thrice] == [{"share": 0.66}, {"samples": 3}, {"agent": "boss"}]
    asking = parse_ladder("ask", callback=lambda conflict: "300")
    assert (await settle(asking[0], TWO))[0].value == "300 m"


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("majorty", UnknownNameError, "Did you mean 'majority'"),
        ("verify(times=3)", UnknownNameError, "option of the conflict policy 'verify'"),
        ("verify(samples=0)", ConfigurationError, "must be 1 to 100"),
        ("verify(samples='x')", ConfigurationError, "must be 1 to 100"),
        ("majority(share=7)", ConfigurationError, "must be 0 to 1"),
        ("verify(samples=open('x'))", ConfigurationError, "not plain values"),
        ("verify(3)", ConfigurationError, "not a ladder"),
        ("majority verify", ConfigurationError, "not a ladder"),
        ("(", ConfigurationError, "not a ladder"),
        ("ask", ConfigurationError, "nobody"),
        ("a.b", ConfigurationError, "not a ladder"),
    ],
)
def test_wrong_ladders_are_told(text, error, says):
    with pytest.raises(error) as raised:
        parse_ladder(text)
    assert says in str(raised.value)


async def test_after_a_limit_every_policy_with_calls_is_left_out_and_the_note_names_the_conflict():
    async def late(run, conflict, threads):
        raise DeadlineExceededError("it is late.")

    resolution, model, result = await settle(ladder_of(late, *DEFAULT_LADDER[1:]), TWO)
    assert resolution is None
    assert model.requests == []
    assert "Conflict about the tower: height: late was not tried to its end: it is late." in result.notes


def test_a_policy_is_free_with_its_options_too_and_has_a_name_in_any_case():
    class Callable:
        async def __call__(self, run, conflict, threads):
            return None

    assert is_free(majority)
    assert is_free(partial(majority, share=0.7))
    assert not is_free(partial(DEFAULT_LADDER[1], samples=2))
    assert not is_free(Callable())
    assert policy_name(Callable()) == "Callable"
    assert policy_name(partial(majority, share=0.7)) == "majority"


def test_options_may_take_the_values_at_the_ends_of_their_ranges():
    text = "majority(share=0), majority(share=1), verify(samples=1), verify(samples=100)"
    assert [list(p.keywords.values()) for p in parse_ladder(text)] == [[0], [1], [1], [100]]
    assert [policy_name(p) for p in parse_ladder("verify + majority(share=0.6) + judge")] == [
        "verify",
        "majority",
        "judge",
    ]


HINT = "Write names separated by commas: majority, verify(samples=3), judge."


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("verify(samples=101)", "The option samples of 'verify' is 101; it must be 1 to 100.", ""),
        ("verify(samples=True)", "The option samples of 'verify' is True; it must be 1 to 100.", ""),
        ("verify(samples=2.0)", "The option samples of 'verify' is 2.0; it must be 1 to 100.", ""),
        ("majority(share=1.1)", "The option share of 'majority' is 1.1; it must be 0 to 1.", ""),
        ("majority(share=-0.1)", "The option share of 'majority' is -0.1; it must be 0 to 1.", ""),
        ("majority(share=True)", "The option share of 'majority' is True; it must be 0 to 1.", ""),
        ("majority(share='x')", "The option share of 'majority' is 'x'; it must be 0 to 1.", ""),
        ("escalate(agent=3)", "The option agent of 'escalate' is 3; it must be text.", ""),
        ("verify(samples=x)", "The options of 'verify' in 'verify(samples=x)' are not plain values.", ""),
        ("verify(3)", "'verify(3)' is not a ladder of policies.", HINT),
        ("(", "'(' is not a ladder of policies.", HINT),
        ("ask", "The policy 'ask' needs somebody to ask, and there is nobody.", ""),
    ],
)
def test_a_wrong_ladder_says_what_is_wrong(text, message, hint):
    with pytest.raises(ConfigurationError) as refused:
        parse_ladder(text)
    assert (refused.value.message, refused.value.hint) == (message, hint)


@pytest.mark.parametrize(("text", "word"), [("verify(**{'samples': 3})", ""), ("majority(of=1)", "of")])
def test_an_option_that_a_policy_does_not_have_is_named(text, word):
    with pytest.raises(UnknownNameError, match=f"no option of the conflict policy '[a-z]*' named '{word}'"):
        parse_ladder(text)


async def own_policy(run, conflict, threads, *, strength: float = 0.5, needed=None):
    return None


NO_FUNCTION = "text"


def test_policies_of_installed_distributions_are_found_and_checked(monkeypatch):
    here = __name__

    def installed(group):
        names = {"own": f"{here}:own_policy", "broken": f"{here}:NO_FUNCTION"}
        assert group == "weaver.conflict_policies"
        return {name: EntryPoint(name, value, group) for name, value in names.items()}

    monkeypatch.setattr(plugins, "installed", installed)
    monkeypatch.setattr(plugins, "owner", lambda entry: "the distribution x")
    monkeypatch.setattr(
        plugins, "load", lambda entry, kind: {"own": own_policy, "broken": NO_FUNCTION}[entry.name]
    )
    (policy,) = parse_ladder("own(strength=0.7)")
    assert policy.func is own_policy
    assert policy.keywords == {"strength": 0.7}
    with pytest.raises(ConfigurationError) as refused:
        parse_ladder("broken")
    assert refused.value.message == "The conflict policy 'broken' of the distribution x is not a function."
    with pytest.raises(UnknownNameError, match=r"no conflict policy named 'owm'\. Did you mean 'own'"):
        parse_ladder("owm")
