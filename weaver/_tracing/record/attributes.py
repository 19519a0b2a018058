"""Attributes of spans, built from weaver's plain data. Nothing here holds content."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry.util.types import AttributeValue

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.critical_path import critical_threads

if TYPE_CHECKING:
    from weaver._data.decisions import LoggedDecision, Reward
    from weaver._data.plan import Plan
    from weaver._data.result import Conflict, Forecast, Result, ThreadReport
    from weaver._data.usage import Usage
    from weaver._models.protocol import Request
    from weaver._models.reply import Reply

Attributes = dict[str, AttributeValue]

MAX_ARMS = 32
MAX_FEATURES = 64
_PORTS = {"http": 80, "https": 443}


@lru_cache(maxsize=256)
def server_of(endpoint: str) -> tuple[str, int | None]:
    """Host and port of an endpoint; ("", None) when it has none."""
    try:
        parts = urlsplit(endpoint)
        return parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return "", None


def operation_of(request: Request) -> str:
    """``chat``, or ``text_completion`` for a raw prompt."""
    return sc.CHAT if request.prompt is None else sc.TEXT_COMPLETION


def of_request(request: Request, *, model: str, provider: str, endpoint: str, role: str) -> Attributes:
    """Return what is known of a call when it starts (samplers see these)."""
    attributes: Attributes = {
        sc.OPERATION: operation_of(request),
        sc.PROVIDER: provider,
        sc.REQUEST_MODEL: model,
        sc.CALL_ROLE: role,
        sc.REQUEST_STREAM: True,
    }
    host, port = server_of(endpoint)
    if host:
        attributes[sc.SERVER_ADDRESS] = host
        if port is not None:
            attributes[sc.SERVER_PORT] = port
    if request.max_tokens is not None:
        attributes[sc.REQUEST_MAX_TOKENS] = request.max_tokens
    if request.temperature is not None:
        attributes[sc.REQUEST_TEMPERATURE] = float(request.temperature)
    if request.top_p is not None:
        attributes[sc.REQUEST_TOP_P] = float(request.top_p)
    if request.seed is not None:
        attributes[sc.REQUEST_SEED] = request.seed
    if request.stop:
        attributes[sc.REQUEST_STOP] = request.stop
    if request.reasoning_effort is not None:
        attributes[sc.REQUEST_REASONING] = request.reasoning_effort
    if request.output is not None or request.json_object:
        attributes[sc.OUTPUT_TYPE] = "json"
    return attributes


def of_reply(reply: Reply) -> Attributes:
    """Return what a finished call adds. Tokens and cost are those of this call, and of no other span."""
    usage = reply.usage
    attributes: Attributes = {
        sc.RESPONSE_MODEL: reply.model,
        sc.CALL_NAME: reply.name,
        sc.TASK_STATE: reply.state,
        sc.USAGE_INPUT: usage.input_tokens,
        sc.USAGE_OUTPUT: usage.output_tokens,
    }
    if usage.estimated:
        attributes[sc.USAGE_ESTIMATED] = True
    if usage.cached_tokens:
        attributes[sc.USAGE_CACHE_READ] = usage.cached_tokens
    if usage.cache_written_tokens:
        is_latest = sc.wanted_metrics(os.environ) == "main"
        name = sc.USAGE_CACHE_WRITE if is_latest else sc.USAGE_CACHE_CREATION
        attributes[name] = usage.cache_written_tokens
    if usage.reasoning_tokens:
        attributes[sc.USAGE_REASONING] = usage.reasoning_tokens
    if usage.cost_usd is not None:
        attributes[sc.COST_AMOUNT] = usage.cost_usd
        attributes[sc.COST_CURRENCY] = "USD"
        attributes[sc.COST_SOURCE] = "local"
    if reply.finish is not None:
        attributes[sc.RESPONSE_FINISH] = (reply.finish,)
    if reply.first_delta is not None:
        attributes[sc.RESPONSE_FIRST_CHUNK] = reply.first_delta
    if reply.queue_seconds:
        attributes[sc.QUEUE_WAIT_MS] = round(reply.queue_seconds * 1000, 3)
    if reply.retries:
        attributes[sc.CALL_RETRIES] = len(reply.retries)
    if reply.fallbacks:
        attributes[sc.CALL_FALLBACKS] = len(reply.fallbacks)
    if reply.is_cached:
        attributes[sc.CALL_CACHED] = True
    if reply.replayed:
        attributes[sc.CALL_REPLAYED] = True
    if reply.cancel_reason is not None:
        attributes[sc.CANCEL_REASON] = reply.cancel_reason
    return attributes


def langfuse_usage(usage: Usage) -> Attributes:
    """Return tokens and cost of a call in Langfuse's form: parts that do not overlap, and their sum."""
    parts = {
        "input": usage.input_tokens - usage.cached_tokens - usage.cache_written_tokens,
        "input_cached_tokens": usage.cached_tokens,
        "input_cache_creation": usage.cache_written_tokens,
        "output": usage.output_tokens - usage.reasoning_tokens,
        "output_reasoning_tokens": usage.reasoning_tokens,
    }
    tokens = {name: max(0, count) for name, count in parts.items() if count or name in ("input", "output")}
    attributes: Attributes = {sc.LANGFUSE_USAGE: json.dumps({**tokens, "total": usage.total_tokens})}
    if usage.cost_usd is not None:
        attributes[sc.LANGFUSE_COST] = json.dumps({"total": usage.cost_usd})
    return attributes


def labels_of(reply: Reply, request: Request) -> dict[str, str]:
    """A call's labels in metrics."""
    labels = {
        sc.OPERATION: operation_of(request),
        sc.PROVIDER: reply.provider,
        sc.REQUEST_MODEL: reply.model,
        sc.CALL_ROLE: reply.role,
    }
    host, _ = server_of(reply.endpoint)
    if host:
        labels[sc.SERVER_ADDRESS] = host
    if reply.state == "failed":
        labels[sc.ERROR_TYPE] = type(reply.error).__name__ if reply.error is not None else "unknown"
    return labels


def of_usage(usage: Usage) -> Attributes:
    """Sums, under names that cannot be mistaken for a call's own usage."""
    attributes: Attributes = {
        sc.SUM_CALLS: usage.calls,
        sc.SUM_INPUT: usage.input_tokens,
        sc.SUM_OUTPUT: usage.output_tokens,
    }
    if usage.reasoning_tokens:
        attributes[sc.SUM_REASONING] = usage.reasoning_tokens
    if usage.cost_usd is not None:
        attributes[sc.SUM_COST] = usage.cost_usd
    if usage.estimated:
        attributes[sc.USAGE_ESTIMATED] = True
    return attributes


def of_report(report: ThreadReport) -> Attributes:
    """Return how a thread ended."""
    attributes: Attributes = {sc.TASK_STATE: report.state, sc.TASK_ATTEMPT: report.attempts}
    attributes.update(of_usage(report.usage))
    if report.cancel_reason is not None:
        attributes[sc.CANCEL_REASON] = report.cancel_reason
    return attributes


def of_plan(plan: Plan) -> Attributes:
    """A plan's shape: ids and edges (``a->b``: b depends on a), no text of the model's."""
    attributes: Attributes = {sc.PLAN_PARALLEL: plan.parallel, sc.PLAN_SUBTASKS: len(plan.subtasks)}
    if plan.subtasks:
        attributes[sc.PLAN_IDS] = tuple(s.id for s in plan.subtasks)
        attributes[sc.PLAN_EDGES] = tuple(f"{d}->{s.id}" for s in plan.subtasks for d in s.depends_on)
    if plan.merge is not None:
        attributes[sc.PLAN_MERGE] = plan.merge
    return attributes


def of_conflict(conflict: Conflict) -> Attributes:
    """Return how a conflict went: who disagreed, which policy settled it, and for whom; no values."""
    threads = dict.fromkeys(t for v in conflict.values for t in v.threads)
    attributes: Attributes = {
        sc.CONFLICT_THREADS: tuple(threads),
        sc.CONFLICT_COUNT: len(conflict.values),
        sc.CONFLICT_RESOLVED: conflict.resolution is not None,
    }
    if conflict.resolution is not None:
        chosen = conflict.resolution.value
        attributes[sc.CONFLICT_STRATEGY] = conflict.resolution.policy
        attributes[sc.CONFLICT_WINNERS] = tuple(
            t for v in conflict.values if v.value == chosen for t in v.threads
        )
    return attributes


def of_result(result: Result[object]) -> Attributes:
    """A run's sums and measures."""
    metrics = result.metrics
    attributes = of_usage(result.usage)
    attributes[sc.RUN_STATUS] = result.status
    attributes[sc.THREADS] = metrics.threads
    attributes[sc.THREADS_CANCELLED] = metrics.cancelled_threads
    attributes[sc.MAX_IN_FLIGHT] = metrics.max_in_flight
    attributes[sc.CONFLICT_COUNT] = len(result.conflicts)
    attributes[sc.CRITICAL_TOKENS] = metrics.critical_path_tokens
    attributes[sc.CRITICAL_SECONDS] = metrics.critical_path_seconds
    if result.verified is not None:
        attributes[sc.RUN_VERIFIED] = result.verified
    if metrics.queue_seconds:
        attributes[sc.QUEUE_WAIT_MS] = round(metrics.queue_seconds * 1000, 3)
    if path := critical_threads(result.threads):
        attributes[sc.CRITICAL_PATH] = tuple(path)
    if result.decision is not None:
        attributes[sc.DECISION_PARALLEL] = result.decision.parallel
        attributes[sc.DECISION_BY] = result.decision.by
        if result.decision.forecast is not None:
            attributes |= of_forecast(result.decision.forecast)
    return attributes


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
    """An evaluation, as the GenAI conventions name it, and who made it."""
    return {
        sc.EVALUATION_NAME: reward.name,
        sc.EVALUATION_VALUE: reward.value,
        sc.EVALUATION_SOURCE: reward.source,
    }
