"""Metrics, read back from the SDK's own reader."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tests.tracing.stories import planning_model, racing
from weaver import Weaver
from weaver._data.usage import Usage
from weaver._models.protocol import Request
from weaver._models.reply import Reply
from weaver._tracing.record import semconv as sc
from weaver._tracing.record.metrics import Instruments, live_meter
from weaver._tracing.tracer import Tracing
from weaver.errors import ServerError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_time()


class Meters:
    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        return [p for m in metrics if m.name == name for p in m.data.data_points]

    def values(self, name: str, label: str) -> dict[Any, float]:
        found: dict[Any, float] = {}
        for point in self.points(name):
            key = point.attributes.get(label)
            found[key] = found.get(key, 0) + (point.value if hasattr(point, "value") else point.sum)
        return found


async def test_a_run_is_measured_without_any_span() -> None:
    meters = Meters()
    tracing = Tracing(None, meters.provider)
    result = await Weaver(planning_model(), tracing=tracing).run("Compare.")

    assert meters.values("gen_ai.client.token.usage", "gen_ai.token.type") == {
        "input": result.usage.input_tokens,
        "output": result.usage.output_tokens,
    }
    durations = meters.points("gen_ai.client.operation.duration")
    assert sum(p.count for p in durations) == result.usage.calls
    assert {p.attributes[sc.CALL_ROLE] for p in durations} == {"planner", "thread", "synthesizer"}
    assert {p.attributes[sc.SERVER_ADDRESS] for p in durations} == {"localhost"}
    assert (
        sum(p.count for p in meters.points("gen_ai.client.operation.time_to_first_chunk"))
        == result.usage.calls
    )
    assert meters.values("gen_ai.workflow.duration", sc.RUN_STATUS) == {
        "complete": pytest.approx(result.metrics.wall_seconds)
    }
    assert meters.values("weaver.threads", sc.TASK_STATE) == {"succeeded": 3}
    assert set(meters.values("weaver.calls.in_flight", sc.CALL_ROLE).values()) == {0}


async def test_threads_are_counted_by_state_and_calls_leave_nothing_in_flight() -> None:
    meters = Meters()
    model = ScriptedModel(
        [
            Scripted("fast", when="quick", first=1.0),
            Scripted("late", when="slow", first=9.0),
            Scripted(when="broken", error=ServerError("HTTP 500"), first=0.5),
        ]
    )
    await Weaver(model, strategy=racing, tracing=Tracing(None, meters.provider)).run("Race.")

    assert meters.values("weaver.threads", sc.TASK_STATE) == {"succeeded": 1, "cancelled": 1, "failed": 1}
    assert meters.values("weaver.calls.in_flight", sc.CALL_ROLE) == {"thread": 0}
    failed = [p for p in meters.points("gen_ai.client.operation.duration") if sc.ERROR_TYPE in p.attributes]
    assert [p.attributes[sc.ERROR_TYPE] for p in failed] == ["ServerError"]


def _reply(**fields: Any) -> Reply:
    return Reply("call/0", "thread", "m", "openai", "http://h:1/v1", **fields)


def test_what_a_cancellation_saved_is_estimated_from_usual_replies() -> None:
    meters = Meters()
    meter = live_meter(meters.provider)
    assert meter is not None
    instruments = Instruments(meter)
    request = Request(prompt="x", max_tokens=80)

    def ended(state: Any, output: int, request: Request = request, **more: Any) -> None:
        reply = _reply(state=state, usage=Usage(1, 1, output), **more)
        instruments.call_ended(reply, request, {}, {})

    ended("cancelled", 5, cancel_reason="lost_race")  # nothing is known yet: nothing is claimed
    ended("succeeded", 90)
    ended("succeeded", 110)
    ended("cancelled", 30, cancel_reason="lost_race")  # usually 100, at most 80, 30 were made
    ended("cancelled", 30, Request(prompt="x"), cancel_reason="quorum_met")
    ended("cancelled", 200, cancel_reason="deadline")  # more than usual: saved nothing

    assert meters.values("weaver.cancelled.tokens_saved", sc.CANCEL_REASON) == {
        "lost_race": 50,
        "quorum_met": 70,
    }


def test_queue_and_retries() -> None:
    from weaver._models.layers.call_log import Retry

    meters = Meters()
    meter = live_meter(meters.provider)
    assert meter is not None
    instruments = Instruments(meter)
    reply = _reply(state="succeeded", queue_seconds=1.5, retries=[Retry(1, "429", 1.0), Retry(2, "429", 2.0)])
    instruments.call_ended(reply, Request(prompt="x"), {}, {})

    assert [p.sum for p in meters.points("weaver.queue.wait")] == [1.5]
    assert [p.value for p in meters.points("weaver.call.retries")] == [2]


def test_the_newer_names_count_tokens_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http, gen_ai_latest_experimental")
    meters = Meters()
    meter = live_meter(meters.provider)
    assert meter is not None
    instruments = Instruments(meter)
    instruments.call_ended(_reply(state="succeeded", usage=Usage(1, 7, 3)), Request(prompt="x"), {}, {})

    assert [p.value for p in meters.points("gen_ai.client.inference.usage.input_tokens")] == [7]
    assert [p.value for p in meters.points("gen_ai.client.inference.usage.output_tokens")] == [3]
    assert meters.points("gen_ai.client.token.usage") == []


def test_nobody_collects_nothing_is_made() -> None:
    from opentelemetry.metrics import NoOpMeterProvider

    assert live_meter(None) is None
    assert live_meter(NoOpMeterProvider()) is None


async def test_tools_are_measured_by_name_and_error() -> None:
    async def nap(seconds: float) -> str:
        """Sleep."""
        await anyio.sleep(seconds)
        return "rested"

    meters = Meters()
    calls = (("nap", '{"seconds": 2}'), ("nap", '{"seconds": "x"}'), ("nip", "{}"))
    model = ScriptedModel([*(Scripted(tool_calls=(call,), times=1) for call in calls), Scripted("done")])
    await Weaver(model, tracing=Tracing(None, meters.provider), tools=[nap], strategy="sequential").run("?")

    points = meters.points("gen_ai.execute_tool.duration")
    assert {(p.attributes["gen_ai.tool.name"], p.attributes.get("error.type")): p.sum for p in points} == {
        ("nap", None): 2.0,
        ("nap", "InvalidToolArgumentsError"): 0.0,
        ("unknown", "ToolError"): 0.0,
    }
