"""The decisions of every strategy where they are kept: result, trace, local store, comparison."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.policy.test_decision_log import DOCUMENTS, KINDS_OF
from tests.strategies.sensible import FAST, HARD, OURS, SHIPPED, sense
from tests.tracing.stories import Spans
from weaver import Answer, Result, Weaver
from weaver._data.decisions import LoggedDecision, Reward
from weaver._evals.comparing import Comparison, compare
from weaver._evals.records import RecordFile, read_records
from weaver._evals.tasks import load
from weaver._models.protocol import Prices
from weaver._tracing.store.decisions import decisions_of
from weaver._tracing.store.span_record import record_of
from weaver._tracing.store.sqlite import Store
from weaver._tracing.tracer import Tracing
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio
READ_DOCUMENTS = {"explore", "map_reduce"}


@pytest.fixture
def anyio_backend():
    return virtual_time()


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEAVER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WEAVER_TRACE_DAYS", "0")  # virtual time starts in 1970


def priced() -> ScriptedModel:
    return ScriptedModel([Scripted(sense, logprobs=(-1.0,) * 20, each=0.1)], prices=Prices(1.0, 4.0))


def has_42(answer: Answer) -> bool:
    return "42" in answer.text


async def run_of(name: str, spans: Spans) -> Result[str]:
    options: dict[str, Any] = {"documents": DOCUMENTS} if name in READ_DOCUMENTS else {}
    weaver = Weaver(priced(), strategy=FAST.get(name, name), tracing=Tracing(spans.provider), seed=1)
    return await weaver.run(HARD, verify=has_42, **options)


def kept_in_store(spans: Spans, run_id: str) -> list[LoggedDecision]:
    store = Store()
    try:
        store.add([record_of(span) for span in spans.all])
        return decisions_of(store.spans(store.find(run_id)))
    finally:
        store.close()


def assert_equal(kept: Sequence[LoggedDecision], logged: Sequence[LoggedDecision]) -> None:
    """Reasons (content), rounding, and instants (spans have the machine's clock) apart."""
    for there, here in zip(kept, logged, strict=True):
        assert (there.kind, there.chosen, there.policy, there.thread) == (
            here.kind,
            here.chosen,
            here.policy,
            here.thread,
        )
        assert there.arms == here.arms
        assert there.features == dict(here.features)
        assert there.outcome is not None
        assert here.outcome is not None
        assert there.outcome.usd == pytest.approx(here.outcome.usd)
        assert there.outcome.seconds == pytest.approx(here.outcome.seconds, abs=1e-3)
        assert (there.outcome.tokens, there.outcome.status) == (here.outcome.tokens, here.outcome.status)
        assert there.reward == here.reward


@pytest.mark.parametrize("name", OURS)
async def test_the_local_store_keeps_what_every_strategy_decided(name: str, spans: Spans):
    result = await run_of(name, spans)
    assert_equal(kept_in_store(spans, result.run_id), result.decision_log)


@pytest.mark.parametrize("name", OURS)
async def test_every_decision_has_its_price_and_the_reward_of_the_check(name: str, spans: Spans):
    result = await run_of(name, spans)
    assert result.usage.cost_usd
    assert result.verified is not None
    for decision in result.decision_log:
        assert decision.outcome is not None
        assert decision.outcome.usd is not None
        assert 0 <= decision.outcome.usd <= result.usage.cost_usd + 1e-12
        assert decision.reward is not None
        assert decision.reward.source == "verifier"
        assert decision.reward.value == float(result.verified)
        assert all(math.isfinite(value) for value in decision.features.values())


@pytest.mark.parametrize("name", OURS)
async def test_a_later_word_on_a_run_is_the_reward_of_each_decision(name: str, spans: Spans):
    result = await run_of(name, spans)
    root = next(span for span in spans.all if span.parent is None)
    ids = root.get_span_context()
    assert ids is not None
    said = Reward(0.25, "user", "style")
    Tracing(spans.provider).decisions.evaluate(f"{ids.trace_id:032x}", f"{ids.span_id:016x}", said)
    assert all(decision.reward == said for decision in kept_in_store(spans, result.run_id))


async def test_comparisons_keep_what_every_strategy_decided(tmp_path: Path):
    names = [FAST.get(name, name) for name in OURS]
    comparison = Comparison(
        tasks=[load("tree_sum:terms=3", n=1, seed=3)], strategies=names, models=[priced()]
    )
    with RecordFile(tmp_path / "runs.jsonl", comparison.header) as file:
        await compare(comparison, file)
    _, records = read_records(tmp_path / "runs.jsonl")
    assert {record.strategy for record in records} >= {*names} - {*READ_DOCUMENTS}
    for record in records:
        if record.strategy in READ_DOCUMENTS:  # a question without documents is refused
            continue
        assert record.graded, (record.strategy, record.why)
        assert bool(record.decisions) == (record.strategy != "sequential"), record.strategy
        for data in record.decisions:
            decision = LoggedDecision.from_dict(data)
            assert decision.outcome is not None
            assert decision.outcome.usd is not None
            assert decision.reward == Reward(record.score, "grader", record.task)


def test_the_table_in_the_documentation_has_every_strategy():
    text = (Path(__file__).parents[2] / "docs/policy.md").read_text(encoding="utf-8")
    rows = re.search(r"\| decides \| strategies \|\n\|---\|---\|\n((?:\|.*\n)+)", text)
    assert rows is not None
    documented = {
        name: {*re.findall("`(.+?)`", kinds)}
        for kinds, names in re.findall(r"\| (.+?) \| (.+?) \|\n", rows[1])
        for name in re.findall("`(.+?)`", names)
    }
    assert documented == {name: KINDS_OF.get(name, {"fork"}) for name in SHIPPED}
