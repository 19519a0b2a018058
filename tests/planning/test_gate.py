"""The gate: its arithmetic, what it learns, and what it decides on endpoints of simulated speed."""

from __future__ import annotations

import json
import re
from statistics import median

import pytest

from tests.benchmarks.when_a_fork_pays import break_even
from weaver import Weaver
from weaver._data.plan import Plan, Subtask
from weaver._data.task import Task
from weaver._data.usage import Usage
from weaver._models.costs import EndpointCosts, costs_of
from weaver._models.endpoint_memory import EndpointMemory
from weaver._models.reply import Reply
from weaver._planning.gate.formulas import direct_seconds, fork_seconds, shape, widest
from weaver._planning.gate.lengths import direct_length
from weaver._planning.gate.speeds import PRIORS
from weaver._planning.grouping import narrowed
from weaver._strategies.sequential import sequential
from weaver._testing.scripted import text_of
from weaver.testing import SimulatedModel, Work, virtual_time


@pytest.fixture
def anyio_backend():
    return virtual_time()


# ---- the arithmetic


@pytest.mark.parametrize(
    ("kind", "written_again", "put_together"),
    [("hosted", 884, 305), ("local gpu", 824, 216), ("local metal", 1027, 269), ("local cpu", 7361, 1809)],
)
def test_break_even_is_the_measured_table(kind, written_again, put_together):
    speeds = PRIORS[kind]
    assert break_even(speeds, 4, plan=180, merge=320) == pytest.approx(written_again, rel=0.01)
    # The table counts a call for the merge, which takes a first token and writes nothing.
    first_token = speeds.first_token * speeds.decode
    assert break_even(speeds, 4, plan=round(120 + first_token), merge=0) == pytest.approx(
        put_together, rel=0.02
    )
    assert break_even(speeds, 4, plan=35, merge=0) < put_together


def test_a_fork_is_faster_exactly_from_the_break_even_on():
    for speeds in PRIORS.values():
        length = break_even(speeds, 4, plan=40, merge=0)
        for answer, faster in ((length * 0.97, False), (length * 1.03, True)):
            fork = shape(4, 0, 1.1 * answer, plan=40, planner_prompt=0)
            assert (fork_seconds(speeds, fork, width=4) < direct_seconds(speeds, 0, answer)) is faster


def test_streams_that_share_one_speed_never_pay():
    from dataclasses import replace

    assert break_even(replace(PRIORS["local cpu"], slowdown=1.0), 4, plan=0, merge=0) == float("inf")


def test_a_fork_is_as_wide_as_it_gets_faster():
    from dataclasses import replace

    hosted, fork = PRIORS["hosted"], shape(8, 100, 2000, plan=0)
    assert widest(hosted, fork) == 8
    assert widest(hosted, fork, limit=3) == 3
    assert widest(replace(hosted, slots=4), fork) == 4
    assert widest(replace(hosted, slowdown=1.0), fork) == 1


# ---- lengths


@pytest.mark.parametrize(
    ("question", "parts", "low", "high"),
    [
        ("Write 4 paragraphs of about 80 words each.", 4, 400, 500),
        ("Schreibe vier Abschnitte mit je 100 Wörtern: jeweils 100 Wörter", 4, 500, 1200),
        ("Write an essay of 300-500 words on tea.", 1, 500, 620),
        ("What is the capital of France?", 1, 60, 200),
        ("Write a detailed report on tea.", 4, 400, 900),
    ],
)
def test_lengths_are_read_off_the_task(question, parts, low, high):
    assert low <= direct_length(Task(question), parts, EndpointCosts()).tokens <= high


def test_lengths_are_corrected_by_what_came():
    costs = EndpointCosts()
    before = direct_length(Task("Why?"), 1, costs).tokens
    for _ in range(5):
        costs.was("direct length: question", predicted=before, actual=3 * before)
    assert direct_length(Task("Why not?"), 1, costs).tokens == pytest.approx(3 * before, rel=0.05)


# ---- measuring


def reply(seconds, first, tokens, prompt=100, **changes):
    usage = Usage(1, prompt, tokens)
    return Reply("call", "thread", "m", "p", "e", state="succeeded", seconds=seconds, first_delta=first,
                 usage=usage, **changes)  # fmt: skip


def feed(costs, n, *, at=0.0, t0=0.5, speed=80.0, prefill=1000.0, tokens=100, queue=0.0):
    for i in range(n):
        prompt = 100 + 400 * (i % 4)
        first = t0 + prompt / prefill
        took = first + tokens / speed
        mark = costs.began(at)
        at += took
        costs.ended(mark, at, reply(took, first, tokens, prompt, queue_seconds=queue), "direct")
    return at


def test_an_endpoint_is_measured():
    costs = EndpointCosts()
    feed(costs, 4)
    assert costs.measured.decode is None
    feed(costs, 16, at=100.0)
    known = costs.measured
    assert known.first_token == pytest.approx(0.5, rel=0.05)
    assert known.decode == pytest.approx(80, rel=0.05)
    assert known.prefill == pytest.approx(1000, rel=0.05)
    assert costs.length("direct") == 100


def test_broken_figures_are_not_believed():
    costs = EndpointCosts()
    at = feed(costs, 20)
    for broken in (
        reply(1e9, 0.1, 100),
        reply(float("nan"), 0.1, 100),
        reply(-5.0, 0.1, 100),
        reply(1.0, None, 100),
        reply(1.0, 0.1, 0, 0),
        reply(0.0, 0.0, 100),
        reply(1.0, 0.1, 100, replayed=True),
    ):
        costs.ended(costs.began(at), at - 1000, broken, "direct")
    assert costs.in_flight == 0
    assert costs.measured.decode == pytest.approx(80, rel=0.05)
    costs.was("x", predicted=0.0, actual=1.0)
    assert costs.bias("x") == 1.0


def test_an_endpoint_that_becomes_faster_is_soon_believed():
    costs = EndpointCosts()
    at = feed(costs, 64, speed=20)
    feed(costs, 40, at=at, speed=100)
    assert costs.measured.decode == pytest.approx(100, rel=0.1)


def test_figures_are_kept_between_processes(tmp_path):
    costs = EndpointCosts()
    costs.load(EndpointMemory(tmp_path / "e.json"), "http://x/v1", "m")
    feed(costs, 30)
    costs.was("length: items", predicted=100, actual=200)
    costs.save()
    costs._place[0].flush()
    later = EndpointCosts()
    later.load(EndpointMemory(tmp_path / "e.json"), "http://x/v1", "m")
    assert later.measured.decode == pytest.approx(costs.measured.decode, rel=0.01)
    assert "length: items" in later.errors


@pytest.mark.parametrize("facts", [{"first": 3, "decoding": [[1]], "waits": "x"}, {"errors": {"a": [None]}}])
def test_facts_of_another_shape_are_ignored(tmp_path, facts):
    place = EndpointMemory(tmp_path / "e.json")
    place.put("costs", "http://x/v1", "m", facts)
    costs = EndpointCosts()
    costs.load(place, "http://x/v1", "m")
    assert costs.measured.decode is None


# ---- fewer threads


def test_neighbours_are_put_together():
    plan = Plan(parallel=True, subtasks=tuple(Subtask(id=f"s{i}", prompt=f"part {i}") for i in range(5)))
    two = narrowed(plan, 2)
    assert [s.id for s in two.subtasks] == ["s0", "s3"]
    assert "1. part 0" in two.subtasks[0].prompt
    assert "3. part 2" in two.subtasks[0].prompt
    assert narrowed(plan, 5) is plan
    chain = Plan(
        parallel=True,
        subtasks=(Subtask(id="a", prompt="a"), Subtask(id="b", prompt="b", depends_on=("a",))),
    )
    assert narrowed(chain, 1) is chain


# ---- decisions on simulated endpoints


def words(n: int) -> str:
    return "word " * n


def world(request, rng):
    """Plans eight looks up at once; writes as many words as the task says; a chain is one short answer."""
    text = text_of(request)
    if "You decide how" in text or (request.output is not None and request.output.name == "plan"):
        question = text.rpartition("Task: ")[2]
        size = re.search(r"(\d+) sections of about (\d+) words", question)
        count, each = (int(size[1]), int(size[2])) if size else (0, 0)
        parts = [
            {"id": f"s{i}", "title": f"Part {i}", "prompt": f"Write section {i} in {each} words."}
            for i in range(count)
        ]
        return Work(json.dumps({"parallel": bool(parts), "reason": "x", "subtasks": parts}), "", thinking=0)
    if "Several workers" in text:
        return Work(words(40), "", thinking=0)
    if one := re.search(r"Write section \d+ in (\d+) words", text):
        return Work(words(round(int(one[1]) * rng.uniform(0.7, 1.3))), "", thinking=0)
    if size := re.search(r"(\d+) sections of about (\d+) words", text):
        return Work(words(round(int(size[1]) * int(size[2]) * rng.uniform(0.7, 1.3))), "", thinking=0)
    return Work(words(25), "", thinking=0)


def hosted(beta=0.0, **changes):
    return SimulatedModel(world, first_token=0.5, prompt_speed=5000, speed=80, slots=32, slowdown=beta,
                          skill=1, chunk=1, **changes)  # fmt: skip


def two_cores():
    return SimulatedModel(world, first_token=0.1, prompt_speed=150, speed=20, slots=4, slowdown=0.57, skill=1,
                          chunk=1)  # fmt: skip


def sections(k, each):
    return f"Write a report in {k} sections of about {each} words."


SIMPLE = "What does the word serendipity mean and where does it come from in the English language, in short"
CHAIN = "Start with 9, add 4, then double it, then take away 3, and then say what is left over at the end"


@pytest.mark.anyio
@pytest.mark.parametrize("beta", [0.0, 0.03])
async def test_a_hosted_endpoint_forks_where_that_is_faster_and_predicts_how_long_it_takes(beta):
    model = hosted(beta)
    errors, forked, direct = [], 0, 0
    async with Weaver(model, seed=1) as weaver:
        for run in range(36):
            k, each = 2 + run % 5, (20, 250, 500)[run % 3]
            result = await weaver.run(sections(k, each), seed=run)
            forecast = result.decision.forecast
            if forecast is None:
                continue
            chosen = forecast.fork_seconds if result.decision.parallel else forecast.direct_seconds
            forked += result.decision.parallel
            direct += not result.decision.parallel
            if run >= 20:
                errors.append(abs(chosen - forecast.actual_seconds) / forecast.actual_seconds)
            if run >= 20 and each >= 500 and k >= 4:
                assert result.decision.parallel, result.decision
            if run >= 20 and each == 20:
                assert not result.decision.parallel, result.decision
    assert forked > 5
    assert direct > 5
    assert median(errors) <= 0.25, errors


@pytest.mark.anyio
async def test_two_cores_rarely_fork_for_speed():
    model = two_cores()
    forks = []
    async with Weaver(model, seed=1) as weaver:
        for run in range(24):
            result = await weaver.run(sections(2 + run % 4, (20, 80, 200)[run % 3]))
            forks.append(result.decision.parallel)
    assert sum(forks[8:]) <= 2, forks


@pytest.mark.anyio
@pytest.mark.parametrize("question", [SIMPLE, CHAIN, "What is 6 times 7?"])
async def test_what_has_no_parts_costs_what_a_direct_call_costs(question):
    model = hosted()
    async with Weaver(model, seed=1) as weaver:
        for _ in range(6):  # the endpoint becomes known
            await weaver.run("What is the capital of France?")
        base = await weaver.run(question, strategy=sequential)
        result = await weaver.run(question)
    assert result.usage.calls == base.usage.calls == 1
    assert result.usage.total_tokens == base.usage.total_tokens
    assert result.metrics.wall_seconds <= 1.05 * base.metrics.wall_seconds


@pytest.mark.anyio
async def test_with_the_gate_off_the_planner_is_followed_and_predictions_are_made_all_the_same():
    model = two_cores()
    async with Weaver(model, strategy="adaptive:gate=off", seed=1) as weaver:
        for _ in range(6):
            result = await weaver.run(sections(3, 40))
            assert result.decision.parallel
    assert result.decision.forecast.fork_seconds > result.decision.forecast.direct_seconds
    assert "the gate is off" in result.decision.reason
    assert costs_of(model).in_flight == 0


@pytest.mark.anyio
async def test_the_reason_says_both_predictions():
    model = hosted(endpoint="https://models.example/v1")
    result = await Weaver(model).run("Compare tea and coffee.")
    assert re.search(r"predicted [\d.]+ s forked against [\d.]+ s directly", result.decision.reason)
    assert "not measured yet" in result.decision.reason
    assert result.as_dict()["decision"]["forecast"]["basis"] == "prior"


# ---- the seams


@pytest.mark.anyio
async def test_parts_of_adaptive_are_objects_or_names():
    from functools import partial

    from weaver._planning.gate.gate import CostGate
    from weaver._planning.policy import Judgement
    from weaver._strategies.common.registry import find
    from weaver._strategies.planned.adaptive import adaptive
    from weaver.errors import ConfigurationError

    class Never:
        name = "never/1"

        def judge(self, task):
            return Judgement("direct", "never")

    async def two(run, task, **_):
        parts = (Subtask(id="a", prompt="Write section 1 in 5 words"), Subtask(id="b", prompt="x"))
        return Plan(parallel=True, subtasks=parts)

    never = partial(adaptive, policy=Never(), conflicts=["majority", "judge"])
    result = await Weaver(hosted(), strategy=never).run("Compare tea and coffee.")
    assert (result.decision.policy, result.decision.reason) == ("never/1", "never")
    own = partial(adaptive, planner=two, gate=CostGate(follow=True), conflicts=None)
    result = await Weaver(hosted(), strategy=own).run("Compare tea and coffee.")
    assert not result.decision.parallel or len(result.threads) >= 2
    for name, wrong in (("policy", "ruls"), ("gate", "of"), ("planner", "modl")):
        with pytest.raises(ConfigurationError, match=f"'{wrong}'"):
            find(f"adaptive:{name}={wrong}")
    with pytest.raises(ConfigurationError, match="is not a policy"):
        find(partial(adaptive, policy=3))
    with pytest.raises(ConfigurationError, match="is not a conflict policy"):
        find(partial(adaptive, conflicts=[3]))
    with pytest.raises(ConfigurationError, match="mojority"):
        find(partial(adaptive, conflicts=["mojority"]))
    assert find("adaptive:gate=off,policy=rules,planner=model")[1]["gate"] == "off"


def test_the_picture_is_the_one_that_the_script_draws():
    from pathlib import Path

    from tests.benchmarks.when_a_fork_pays import picture

    drawn = Path(__file__).parents[2] / "docs/images/when-a-fork-pays.svg"
    assert drawn.read_text(encoding="utf-8") == picture()
