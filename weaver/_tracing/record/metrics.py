"""Metrics of runs, threads and calls. Instruments are made when a meter provider is really there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry.metrics import (
    Counter,
    Histogram,
    Meter,
    MeterProvider,
    NoOpMeterProvider,
    get_meter_provider,
)

from weaver._tracing.record import semconv as sc

if TYPE_CHECKING:
    from weaver._models.protocol import Request
    from weaver._models.reply import Reply


def live_meter(provider: MeterProvider | None) -> Meter | None:
    """A meter of ``provider`` or of the global one; None when nobody collects metrics."""
    provider = get_meter_provider() if provider is None else provider
    if isinstance(provider, NoOpMeterProvider) or type(provider).__module__.startswith(
        "opentelemetry.metrics"
    ):
        return None  # the API's own placeholders: no SDK is installed or configured
    from weaver import __version__

    return provider.get_meter(sc.SCOPE, __version__, sc.SCHEMA_URL)


class Instruments:
    """weaver's instruments on one meter. ``names`` picks the conventions' version, else the environment."""

    def __init__(self, meter: Meter, names: sc.MetricNames | None = None) -> None:
        names = names or sc.metric_names(sc.wanted_metrics(os.environ))

        def seconds(name: str, what: str) -> Histogram:
            return meter.create_histogram(
                name, "s", what, explicit_bucket_boundaries_advisory=sc.SECONDS_BUCKETS
            )

        self.call_seconds = seconds(names.call_duration, "Duration of model calls.")
        self.first_chunk = seconds(names.first_chunk, "Time to the first chunk of model calls.")
        self.run_seconds = seconds(names.run_duration, "Duration of runs.")
        self.thread_seconds = seconds(names.thread_duration, "Duration of threads.")
        self.tool_seconds = seconds(names.tool_duration, "Duration of tool executions.")
        self.queue_seconds = seconds(sc.METRIC_QUEUE_WAIT, "Time calls waited for their endpoint's limits.")
        self.tokens: Histogram | None = None
        self.tokens_in: Counter | None = None
        self.tokens_out: Counter | None = None
        if names.tokens:
            self.tokens = meter.create_histogram(
                names.tokens,
                "{token}",
                "Tokens used by model calls.",
                explicit_bucket_boundaries_advisory=sc.TOKEN_BUCKETS,
            )
        else:
            self.tokens_in = meter.create_counter(names.tokens_in, "{token}", "Input tokens of model calls.")
            self.tokens_out = meter.create_counter(
                names.tokens_out, "{token}", "Output tokens of model calls."
            )
        self.threads = meter.create_counter(
            sc.METRIC_THREADS, "{thread}", "Threads by the state they ended in."
        )
        self.in_flight = meter.create_up_down_counter(
            sc.METRIC_IN_FLIGHT, "{call}", "Model calls that are running, waiting for limits included."
        )
        self.saved = meter.create_counter(
            sc.METRIC_TOKENS_SAVED,
            "{token}",
            "Output tokens that cancelled calls probably did not generate (see docs/tracing.md).",
        )
        self.retries = meter.create_counter(
            sc.METRIC_RETRIES, "{attempt}", "Repeated attempts of model calls."
        )
        self.conflicts = meter.create_counter(
            sc.METRIC_CONFLICTS, "{conflict}", "Conflicts by how they went."
        )
        self._usual = _Usual()

    def call_started(self, labels: dict[str, str]) -> None:
        """A model call is under way."""
        self.in_flight.add(1, labels)

    def call_ended(
        self, reply: Reply, request: Request, labels: dict[str, str], started: dict[str, str]
    ) -> None:
        """Record one finished call. ``started`` are the labels that `call_started` was given."""
        self.in_flight.add(-1, started)
        if reply.replayed or reply.is_cached:
            return
        self.call_seconds.record(reply.seconds, labels)
        if reply.first_delta is not None:
            self.first_chunk.record(reply.first_delta, labels)
        if reply.queue_seconds:
            self.queue_seconds.record(reply.queue_seconds, started)
        if reply.retries:
            self.retries.add(len(reply.retries), started)
        usage = reply.usage
        if self.tokens is not None:
            if usage.input_tokens:
                self.tokens.record(usage.input_tokens, {**labels, sc.TOKEN_TYPE: "input"})
            if usage.output_tokens:
                self.tokens.record(usage.output_tokens, {**labels, sc.TOKEN_TYPE: "output"})
        elif self.tokens_in is not None and self.tokens_out is not None:
            self.tokens_in.add(usage.input_tokens, labels)
            self.tokens_out.add(usage.output_tokens, labels)
        if reply.state == "succeeded":
            self._usual.saw(reply)
        elif reply.state == "cancelled" and (saved := self._usual.saved(reply, request)):
            self.saved.add(saved, {**started, sc.CANCEL_REASON: reply.cancel_reason or "unknown"})


class _Usual:
    """How long replies of a model in a role usually are, to estimate what a cancellation saved."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}

    def saw(self, reply: Reply) -> None:
        count, total = self._seen.get((reply.model, reply.role), (0, 0))
        self._seen[reply.model, reply.role] = (count + 1, total + reply.usage.output_tokens)

    def saved(self, reply: Reply, request: Request) -> int:
        """Usual length, at most the request's cap, less what had come; 0 when nothing is known."""
        count, total = self._seen.get((reply.model, reply.role), (0, 0))
        if not count:
            return 0
        expected = total // count
        if request.max_tokens is not None:
            expected = min(expected, request.max_tokens)
        return max(expected - reply.usage.output_tokens, 0)
