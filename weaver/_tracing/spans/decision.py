"""Events of decisions and of rewards, and the span of a later evaluation."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import Span, SpanContext, TraceFlags
from opentelemetry.util.types import AttributeValue

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.kind import Kind
from weaver._tracing.record.recorder import Spans
from weaver._tracing.spans.usage import Attributes

if TYPE_CHECKING:
    from weaver._data.decisions import LoggedDecision, Reward
    from weaver._data.result import Forecast

MAX_ARMS = 32
MAX_FEATURES = 64


EVALUATION = Kind("evaluation", (sc.EVALUATE,))


class DecisionSpans(Spans):
    """Records decisions and rewards on the spans of those who decided."""

    __slots__ = ()

    def record(
        self,
        span: Span,
        decision: LoggedDecision,
        *,
        parallel: bool | None = None,
        by: str = "policy",
        forecast: Forecast | None = None,
    ) -> None:
        """Record a decision. A planner's reason is content, a policy's is not."""
        if not span.is_recording():
            return
        attributes: dict[str, AttributeValue] = of_decision(decision)
        if parallel is not None:
            attributes |= {sc.DECISION_PARALLEL: parallel, sc.DECISION_BY: by}
        if decision.reason and (by != "planner" or self._recorder.content.capture):
            attributes[sc.DECISION_REASON] = self._recorder.content.label(
                self._recorder.content.error(decision.reason)
            )
        if forecast is not None:
            attributes |= of_forecast(forecast)
        span.add_event(sc.EVENT_DECISION, attributes)

    def reward(self, span: Span, reward: Reward) -> None:
        """Record what somebody thinks of the run's answer."""
        if span.is_recording():
            span.add_event(sc.EVENT_EVALUATION, of_reward(reward))

    def evaluate(self, trace_id: str, span_id: str, reward: Reward) -> None:
        """Record a judgement of a run that is over: its own span below the run's root.

        Args:
            trace_id, span_id: of the root, as hex digits.
        """
        context = SpanContext(
            int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
        )
        parent = trace.NonRecordingSpan(context)
        span = self._recorder.start(parent, f"{sc.EVALUATE} {reward.name}", {sc.OPERATION: sc.EVALUATE})
        self.reward(span, reward)
        span.end()


def of_forecast(forecast: Forecast) -> Attributes:
    """Return what was predicted before a decision, and, once it is known, what the run took."""
    values: dict[str, AttributeValue | None] = {
        sc.DECISION_DIRECT_SECONDS: round(forecast.direct_seconds, 3),
        sc.DECISION_FORK_SECONDS: round(forecast.fork_seconds, 3),
        sc.DECISION_DIRECT_USD: forecast.direct_usd,
        sc.DECISION_FORK_USD: forecast.fork_usd,
        sc.DECISION_WIDTH: forecast.width,
        sc.DECISION_BASIS: forecast.basis,
        sc.DECISION_ACTUAL_SECONDS: forecast.actual_seconds,
    }
    return {key: value for key, value in values.items() if value is not None}


def of_decision(decision: LoggedDecision) -> Attributes:
    """Return what was decided and among what, with chances; features and predictions as one JSON text."""
    predicted = {
        arm.name: {
            name: value for name in ("seconds", "usd", "quality") if (value := getattr(arm, name)) is not None
        }
        for arm in decision.arms[:MAX_ARMS]
    }
    read = dict(islice(decision.features.items(), MAX_FEATURES))
    log = {"features": read, "predicted": {name: values for name, values in predicted.items() if values}}
    return {
        sc.DECISION_KIND: decision.kind,
        sc.DECISION_CHOSEN: decision.chosen,
        sc.DECISION_POLICY: decision.policy,
        sc.DECISION_ARMS: tuple(arm.name for arm in decision.arms[:MAX_ARMS]),
        sc.DECISION_PROPENSITIES: tuple(arm.propensity for arm in decision.arms[:MAX_ARMS]),
        sc.DECISION_THREAD: decision.thread,
        sc.DECISION_LOG: json.dumps(log, separators=(",", ":")),
    }


def of_outcome(decision: LoggedDecision) -> Attributes:
    """Return what a decision led to."""
    built: Attributes = {
        sc.DECISION_KIND: decision.kind,
        sc.DECISION_CHOSEN: decision.chosen,
        sc.DECISION_THREAD: decision.thread,
    }
    if (outcome := decision.outcome) is not None:
        built[sc.DECISION_TOKENS] = outcome.tokens
        built[sc.DECISION_SECONDS] = round(outcome.seconds, 4)
        built[sc.DECISION_STATUS] = outcome.status
        if outcome.usd is not None:
            built[sc.DECISION_USD] = outcome.usd
    return built


def of_reward(reward: Reward) -> Attributes:
    """Return an evaluation, as the GenAI conventions name it, and who made it."""
    return {
        sc.EVALUATION_NAME: reward.name,
        sc.EVALUATION_VALUE: reward.value,
        sc.EVALUATION_SOURCE: reward.source,
    }
