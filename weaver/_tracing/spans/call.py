"""The span of a model call."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry.trace import NonRecordingSpan, Span, SpanKind
from opentelemetry.util.types import AttributeValue

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.kind import Kind
from weaver._tracing.record.recorder import Spans, declined
from weaver._tracing.spans.usage import Attributes

if TYPE_CHECKING:
    from weaver._data.usage import Usage
    from weaver._models.protocol import Request
    from weaver._models.reply import Reply

_PORTS = {"http": 80, "https": 443}


def _label(_name: str, attributes: Mapping[str, Any]) -> str:
    role = attributes.get(sc.CALL_ROLE, "")
    model = attributes.get(sc.RESPONSE_MODEL) or attributes.get(sc.REQUEST_MODEL, "")
    facts = [role if role != "thread" else "", "cached" if attributes.get(sc.CALL_CACHED) else ""]
    return f"{model} ({', '.join(filter(None, facts))})" if any(facts) else str(model)


CALL = Kind("call", (sc.CHAT, sc.TEXT_COMPLETION), _label)


class CallSpans(Spans):
    """Begins and ends the span of a model call, whatever its retries."""

    __slots__ = ()

    def start(
        self,
        parent: Span,
        *,
        model: str,
        provider: str,
        endpoint: str,
        role: str,
        request: Request,
        budget: Mapping[str, AttributeValue] | None = None,
    ) -> Span:
        """Begin one model call, whatever its retries. Content is recorded at its end.

        Args:
            budget: limits, what is spent and what this call reserved, where there are limits.
        """
        if self._recorder.metrics is not None:
            self._recorder.metrics.call_started({sc.OPERATION: operation_of(request), sc.CALL_ROLE: role})
        if declined(parent):
            return parent
        if not self._recorder.model_spans:
            return NonRecordingSpan(parent.get_span_context())
        attributes = of_request(request, model=model, provider=provider, endpoint=endpoint, role=role)
        if budget:
            attributes.update(budget)
        return self._recorder.start(
            parent, f"{operation_of(request)} {model}", attributes, kind=SpanKind.CLIENT
        )

    def end(self, span: Span, reply: Reply, request: Request) -> None:
        """End a model call: it succeeded, failed, or left early (which is no error)."""
        if self._recorder.metrics is not None:
            labels = {sc.OPERATION: operation_of(request), sc.CALL_ROLE: reply.role}
            self._recorder.metrics.call_ended(reply, request, labels_of(reply, request), labels)
        if not span.is_recording():
            return
        for retry in reply.retries:
            span.add_event(
                sc.EVENT_RETRY,
                {
                    sc.ATTEMPT: retry.attempt,
                    sc.DELAY_S: retry.delay,
                    sc.EXCEPTION_MESSAGE: self._recorder.content.error(retry.error),
                },
                retry.at_ns,
            )
        for fallback in reply.fallbacks:
            span.add_event(
                sc.EVENT_FALLBACK,
                {
                    sc.FAILED_MODEL: fallback.failed,
                    sc.INSTEAD_MODEL: fallback.instead,
                    sc.EXCEPTION_MESSAGE: self._recorder.content.error(fallback.error),
                },
                fallback.at_ns,
            )
        span.set_attributes(of_reply(reply))
        if self._recorder.content.langfuse:
            span.set_attributes(langfuse_usage(reply.usage))
        self._recorder.content.call(span, reply, request)
        if reply.state == "failed":
            self._recorder.failed(span, reply.error)
        span.end()


@lru_cache(maxsize=256)
def server_of(endpoint: str) -> tuple[str, int | None]:
    """Return host and port of an endpoint; ("", None) when it has none."""
    try:
        parts = urlsplit(endpoint)
        return parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return "", None


def operation_of(request: Request) -> str:
    """Return ``chat``, or ``text_completion`` for a raw prompt."""
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
    """Return a call's labels in metrics."""
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
