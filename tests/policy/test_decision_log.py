"""The decision log: each decision with arms, chances and outcome, in result, trace and comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.native.playing import Completions
from tests.native.trained import PATH
from tests.strategies.sensible import FAST, HARD, OURS, SHIPPED, model
from tests.tracing.stories import Spans
from weaver import Answer, Weaver
from weaver._data.decisions import LoggedDecision
from weaver._evals.comparing import Comparison, compare
from weaver._evals.records import RecordFile, read_records
from weaver._evals.tasks import load
from weaver._strategies.best_of_n import best_of_n
from weaver._tracing.record import semconv as sc
from weaver._tracing.store.decisions import decisions_of, rewards_of
from weaver._tracing.store.span_record import EventRecord, SpanRecord, record_of
from weaver._tracing.tracer import Tracing
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


LISTED = "Answer each question:\n1. What is the capital of France?\n2. What is the capital of Peru?"
DOCUMENTS = [("orders.txt", "Order 1: Ana from Oslo.\nOrder 2: Ben from Lima.\n" * 40)]
KINDS_OF: dict[str, set[str]] = {
    "adaptive": {"fork", "width", "merge"},
    "best_of_n": {"width", "stop", "vote"},
    "debate": {"width", "stop", "vote"},
    "deep_prune": {"width", "stop", "vote"},
    "deepconf": {"width", "stop", "vote"},
    "difficulty_voting": {"width", "stop", "vote"},
    "explore": {"fork", "stop"},
    "explore_then_write": {"width"},
    "fixed": {"fork", "merge"},
    "graph_of_thoughts": {"width"},
    "group_think": {"width"},
    "hogwild": {"width", "stop"},
    "llm_compiler": {"fork"},
    "map_reduce": {"fork"},
    "mixture_of_agents": {"width"},
    "organizer": {"fork", "stop"},
    "parallel_probe": {"width", "stop", "vote"},
    "parathinker": {"width", "stop"},
    "rounds": {"width", "stop"},
    "self_consistency": {"width", "stop", "vote"},
    "sequential": set(),
    "skeleton_of_thought": {"fork"},
    "tool_mix": {"width", "stop", "vote"},
    "tree_of_thoughts": {"stop"},
}
"""What each strategy decides; a new one is added here, and `set()` says that it decides nothing."""


@pytest.mark.parametrize("name", OURS)
async def test_what_strategies_decide_is_in_the_log(name):
    options = {"documents": DOCUMENTS} if name in {"explore", "map_reduce"} else {}
    weaver = Weaver(model(each=0.1), strategy=FAST.get(name, name), seed=1)
    result = await weaver.run(HARD, **options)
    assert {decision.kind for decision in result.decision_log if not decision.thread} == KINDS_OF[name]
    for decision in result.decision_log:
        names = [arm.name for arm in decision.arms]
        assert decision.chosen in names
        assert len(names) == len(set(names))
        assert sum(arm.propensity for arm in decision.arms) == pytest.approx(1)
        assert decision.propensity == 1
        assert decision.policy
        assert decision.features
        assert decision.outcome is not None
        assert 0 <= decision.outcome.seconds <= result.metrics.wall_seconds + 1e-9
        assert 0 <= decision.outcome.tokens <= result.usage.total_tokens
        assert LoggedDecision.from_dict(json.loads(json.dumps(decision.as_dict()))) == decision


@pytest.mark.parametrize("name", sorted({*SHIPPED} - {*OURS}))
async def test_forks_that_the_model_writes_itself_are_in_the_log(name):
    countdown = "27:[22, 26, 31, 53]"
    tried = f"27,27 equal: Goal Reached\n{PATH}" if name == "apr" else "It is 3."
    result = await Weaver(Completions(plays=lambda _: tried), strategy=name).run(countdown)
    (decision,) = result.decision_log
    assert (decision.kind, decision.chosen, decision.policy) == ("fork", "direct", "planner")
    assert decision.features == {"forks": 0, "threads": 0}
    assert decision.outcome is not None


async def test_a_fork_says_what_it_read_and_what_came_of_it():
    scripted = ScriptedModel([Scripted("Paris.", each=0.1)])
    result = await Weaver(scripted, strategy="adaptive:gate=off").run(LISTED)
    kinds = [decision.kind for decision in result.decision_log if not decision.thread]
    assert kinds == ["fork", "width", "merge"]
    fork, width, merge = (decision for decision in result.decision_log if not decision.thread)
    assert (fork.chosen, fork.policy) == ("fork", "rules/4")
    assert fork.features["items"] > 0
    assert fork.features["rules plan"] == 1
    assert fork.outcome is not None
    assert fork.outcome.tokens == result.usage.total_tokens
    assert fork.outcome.status == "complete"
    assert width.chosen == "2 threads"
    assert merge.chosen == "concat"
    nested = [decision for decision in result.decision_log if decision.thread]
    assert {decision.chosen for decision in nested} == {"direct"}
    assert {decision.outcome.status for decision in nested if decision.outcome} == {"succeeded"}
    assert "decision_log" in result.as_dict()


async def test_a_verifier_is_the_source_of_a_reward():
    def passes(answer: Answer) -> bool:
        return "42" in answer.text

    async def best(run, task):
        return await best_of_n(run, task, samples=2, verifier=passes)

    result = await Weaver(ScriptedModel("Answer: 42"), strategy=best).run("6 * 7?")
    assert [(r.value, r.source) for r in result.rewards] == [(1.0, "verifier")]
    assert all(d.reward == result.rewards[0] for d in result.decision_log)


async def test_the_trace_has_all_of_it(spans: Spans):
    weaver = Weaver(model(each=0.1), strategy="self_consistency:samples=3", tracing=Tracing(spans.provider))
    result = await weaver.run("What is 6 * 7?")
    read = decisions_of([record_of(span) for span in spans.all])
    assert [(d.kind, d.chosen, d.policy, d.arms) for d in read] == [
        (d.kind, d.chosen, d.policy, d.arms) for d in result.decision_log
    ]
    assert [d.features for d in read] == [dict(d.features) for d in result.decision_log]
    for there, here in zip(read, result.decision_log, strict=True):
        assert there.outcome is not None
        assert here.outcome is not None
        assert (there.outcome.tokens, there.outcome.status) == (here.outcome.tokens, here.outcome.status)


def evaluation(value: object = None, label: str = "", at: int = 1, **more: object) -> EventRecord:
    attributes = {sc.EVALUATION_NAME: "relevance", **more}
    attributes |= {sc.EVALUATION_VALUE: value} if value is not None else {}
    return EventRecord(sc.EVENT_EVALUATION, at, attributes | ({sc.EVALUATION_LABEL: label} if label else {}))


def test_evaluations_of_other_programs_are_rewards():
    events = [
        evaluation(0.25, at=3),
        evaluation(label="pass", at=1),
        evaluation(4.0, at=2),
        evaluation(label="meh", at=4),
        evaluation(True, at=5),
    ]
    span = SpanRecord("t", "s", None, "evaluate", 0, events=events)
    assert [(r.value, r.source) for r in rewards_of([span])] == [(1.0, "grader"), (0.25, "grader")]


def test_a_damaged_event_is_left_out():
    damaged = [
        EventRecord(sc.EVENT_DECISION, 1, {}),
        EventRecord(sc.EVENT_DECISION, 1, {sc.DECISION_KIND: "fork", sc.DECISION_ARMS: ("a",)}),
        EventRecord(sc.EVENT_DECISION, 1, {sc.DECISION_LOG: "{", sc.DECISION_KIND: "fork"}),
    ]
    assert decisions_of([SpanRecord("t", "s", None, "run", 0, events=damaged)]) == []


async def test_comparisons_keep_the_log_and_the_grade(tmp_path: Path):
    world = ScriptedModel([Scripted("Answer: 0", each=0.1)])
    comparison = Comparison(
        tasks=[load("tree_sum:terms=3", n=2, seed=3)],
        strategies=["sequential", "self_consistency:samples=3"],
        models=[world],
    )
    with RecordFile(tmp_path / "runs.jsonl", comparison.header) as file:
        await compare(comparison, file)
    _, records = read_records(tmp_path / "runs.jsonl")
    assert len(records) == 4
    for record in records:
        assert record.features["words"] > 0
        assert record.features == records[0].features or record.item != records[0].item
        for decision in record.decisions:
            assert decision["reward"] == {"value": record.score, "source": "grader", "name": record.task}
    assert [d["kind"] for d in records[1].decisions] == ["width", "stop", "vote"]
