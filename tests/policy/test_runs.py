"""A learned policy at work: it chooses, says so, and leaves to the rules what it does not know."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.policy.test_files import learned_file
from tests.policy.world import VOTE, WORLD
from weaver import Weaver
from weaver._data.decisions import LoggedDecision
from weaver._journal.memory import MemoryJournal
from weaver._planning.learned.drift import Drift
from weaver._planning.learned.file import PolicyFile, write_policy
from weaver._planning.learned.objective import OBJECTIVES
from weaver._planning.learned.policy import LearnedPolicy
from weaver._planning.learned.regression import Posterior
from weaver._settings.settings import Settings
from weaver._strategies.planned.adaptive import adaptive
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


@pytest.fixture
def anyio_backend():
    return virtual_time()


def question(kind: str, number: int = 0) -> str:
    import random

    write, nature = WORLD[kind]
    return write(random.Random(f"0/{kind}/{number}"), nature.parts)


def sure_of(arm: str, file: PolicyFile | None = None) -> PolicyFile:
    """A policy that is sure that one arm is always right, and the others never."""
    file = file or learned_file()
    size = len(file.fitted.inputs.columns) + 1
    precision = tuple(tuple(30.0 if i == j else 0.0 for j in range(i + 1)) for i in range(size))
    arms = {
        name: replace(
            model,
            quality=Posterior((4.0 if name == arm else -4.0, *(0.0,) * (size - 1)), precision, 1.0, 100),
        )
        for name, model in file.fitted.arms.items()
    }
    return replace(file, fitted=replace(file.fitted, arms=arms))


def model() -> ScriptedModel:
    return ScriptedModel([Scripted("Because.\nAnswer: B", each=0.01)])


async def run(file: PolicyFile, kind: str = "exports", **options: Any) -> Any:
    return await Weaver(model(), policy=LearnedPolicy(file), **options).run(question(kind))


def first(result: Any) -> LoggedDecision:
    return result.decision_log[0]


async def test_it_runs_the_strategy_that_it_chooses():
    result = await run(sure_of(VOTE))
    assert result.status == "complete"
    assert len(result.threads) == 3
    decision = first(result)
    assert (decision.kind, decision.chosen) == ("fork", VOTE)
    assert decision.policy == f"{sure_of(VOTE).name}/1"
    assert decision.propensity == 1
    assert {arm.name for arm in decision.arms} == {"rules", "direct", "adaptive:gate=off", VOTE}
    for arm in decision.arms:
        assert arm.seconds is not None
        assert arm.quality is not None
    assert decision.features["choices"] == 1
    assert result.decision.policy == decision.policy
    assert "98 % right" in result.decision.reason
    assert {d.kind for d in result.decision_log} >= {"fork", "width", "stop", "vote"}
    assert not result.notes


async def test_directly_is_one_call():
    result = await run(sure_of("direct"), "sums")
    assert (result.usage.calls, len(result.threads)) == (1, 0)
    assert result.decision.parallel is False


async def test_the_rules_are_an_arm():
    result = await run(sure_of("rules"), "sums")
    forks = [d for d in result.decision_log if d.kind == "fork" and not d.thread]
    assert forks[0].chosen == "rules"
    assert forks[1].chosen in ("fork", "direct")


async def test_an_unknown_kind_of_task_is_left_to_the_rules():
    policy = LearnedPolicy(sure_of(VOTE))
    result = await Weaver(model(), policy=policy).run("Write a poem about ```code```.")
    assert len(result.threads) == 0
    [note] = [n for n in result.notes if "leaves the decision to the rules" in n]
    assert "this kind of task is unknown to it: no example has 'code'" in note
    assert first(result).chosen == "rules"


@pytest.mark.parametrize("name", ["features", "prompts", "rules"])
async def test_another_version_is_left_to_the_rules(name: str):
    result = await run(replace(sure_of(VOTE), **{name: "old"}))
    assert len(result.threads) == 0
    assert any(f"it was fitted for other versions ({name} old there, " in note for note in result.notes)


async def test_drift_is_left_to_the_rules():
    policy = LearnedPolicy(sure_of(VOTE))
    weaver = Weaver(model(), policy=policy)
    for _ in range(40):
        policy.drift.rewarded(0.9, 0.3)
    result = await weaver.run(question("exports"))
    assert any("it has drifted: rewards are 0.30 on average where 0.90" in note for note in result.notes)


def test_drift_of_tasks_and_of_rewards():
    tasks = Drift()
    for number in range(100):
        tasks.saw(is_stranger=number % 5 == 0)
    assert tasks.reason == ""
    for _ in range(20):
        tasks.saw(is_stranger=True)
    assert "tasks are unlike its examples" in tasks.reason
    fair = Drift()
    for number in range(100):
        fair.rewarded(0.7, float(number % 10 < 7))
    assert fair.reason == ""


async def test_what_does_not_fit_into_the_deadline_is_no_choice():
    file = sure_of(VOTE)
    slow = replace(file.fitted.arms[VOTE].works[""], path=1000.0)
    arm = replace(file.fitted.arms[VOTE], works={"": slow})
    file = replace(file, fitted=replace(file.fitted, arms={**file.fitted.arms, VOTE: arm}))
    assert first(await run(file)).chosen != VOTE or first(await run(file)).arms
    result = await run(replace(file, objective=replace(file.objective, per_second=0.0)), deadline=60)
    assert first(result).chosen != VOTE


async def test_an_arm_that_the_endpoint_cannot_run_is_left_out():
    file = sure_of("direct")
    arm = replace(file.fitted.arms[VOTE], strategy="deepconf")
    file = replace(file, fitted=replace(file.fitted, arms={**file.fitted.arms, VOTE: arm}))
    from weaver._models.protocol import Capabilities

    plain = ScriptedModel([Scripted("Answer: B")], can=Capabilities())
    result = await Weaver(plain, policy=LearnedPolicy(file)).run(question("exports"))
    assert VOTE not in [a.name for a in first(result).arms]


async def test_exploring_gives_every_arm_a_chance_and_logs_it():
    policy = LearnedPolicy(sure_of(VOTE), explore=True)
    chosen: Counter[str] = Counter()
    for seed in range(60):
        result = await Weaver(model(), policy=policy, seed=seed).run(question("exports"))
        decision = first(result)
        assert sum(arm.propensity for arm in decision.arms) == pytest.approx(1)
        assert all(arm.propensity >= 0.03 for arm in decision.arms)
        assert decision.propensity == next(a.propensity for a in decision.arms if a.name == decision.chosen)
        chosen[decision.chosen] += 1
    assert chosen[VOTE] > 40
    assert len(chosen) > 1


async def test_nothing_is_explored_where_time_is_tight():
    policy = LearnedPolicy(sure_of(VOTE), explore=True)
    for seed in range(20):
        result = await Weaver(model(), policy=policy, seed=seed, deadline=3).run(question("exports"))
        assert {arm.propensity for arm in first(result).arms} == {0.0, 1.0}


async def test_a_resumed_run_goes_the_way_that_it_went():
    journal = MemoryJournal()
    scripted = model()
    first_run = Weaver(scripted, policy=LearnedPolicy(sure_of(VOTE)), seed=7, journal=journal)
    answer = (await first_run.run(question("exports"), run_id="r")).answer
    again = model()
    other = Weaver(again, policy=LearnedPolicy(sure_of("direct")), seed=7, journal=journal)
    result = await other.run(question("exports"), run_id="r")
    assert (result.answer, len(again.requests)) == (answer, 0)


async def test_another_objective_is_noted():
    policy = LearnedPolicy(sure_of(VOTE), objective=OBJECTIVES["quality"])
    result = await Weaver(model(), policy=policy).run(question("exports"))
    assert any("accepted for the objective balanced, not for quality" in note for note in result.notes)


async def test_ways_to_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "policy.json"
    write_policy(sure_of(VOTE), path)
    for weaver in (
        Weaver(model(), policy=path),
        Weaver(model(), policy=str(path)),
        Weaver(model(), strategy=f"adaptive:policy={path}"),
    ):
        assert len((await weaver.run(question("exports"))).threads) == 3
    result = await Weaver(model(), strategy="sequential", policy=path).run("q")
    assert any("The policy has no part in this run" in note for note in result.notes)

    async def mine(run: Any, task: Any) -> Any:
        return await adaptive(run, task, policy=path)

    assert len((await Weaver(model(), strategy=mine).run(question("exports"))).threads) == 3
    (tmp_path / "weaver.toml").write_text('policy = "policy.json"\n')
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert Settings.load({}).policy == str(path), "relative to the settings file"
    assert len((await Weaver(model()).run(question("exports"))).threads) == 3
    assert Settings.load({"WEAVER_POLICY": "other.json"}).policy == str(tmp_path / "below" / "other.json")


async def test_parts_of_the_user_are_parts_whatever_the_policy_says():
    weaver = Weaver(model(), policy=LearnedPolicy(sure_of("direct")), strategy="adaptive:gate=off")
    result = await weaver.run("Describe each.", parts=["Peru", "Chad"])
    assert result.decision.by == "user"
