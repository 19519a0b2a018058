"""What calls to one model at one endpoint cost in time: measured at every call, kept between processes.

A call adds a sample and does nothing per chunk. Fits are made when somebody asks (`EndpointCosts.measured`):
medians and Theil-Sen slopes (Sen 1968), in which a call counts 2 % less with each later one. So a hung
connection or a jump of the clock changes little, and an endpoint that became faster is soon believed.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import exp, isfinite, log
from typing import Any

from weaver._json_reading.json_types import Json, is_object
from weaver._models.endpoint_memory import EndpointMemory, memory
from weaver._models.protocol import Model
from weaver._models.reply import Reply

_STALE = 8  # answers after which the usual length is looked at again
DECAY = 0.98
"""Weight of a call against the next one."""
SAMPLES = 64
"""Calls of each kind that are kept: 0.98 ** 64 is 0.27."""
ENOUGH = 5
"""Calls after which an endpoint counts as measured."""
NAMESPACE = "costs"
HOSTED = frozenset(
    {
        "anthropic", "openai", "gcp.gemini", "gcp.vertex_ai", "azure.ai.openai", "azure.ai.inference",
        "aws.bedrock", "mistral_ai", "x_ai", "groq", "deepseek", "cohere", "cohere_chat", "together_ai",
        "fireworks_ai", "openrouter", "perplexity", "cerebras", "ibm.watsonx.ai",
    }
)  # fmt: skip
"""Providers whose models have no address of their own: they are reached through litellm."""
_LEAST_TOKENS = 8  # shorter answers say little about the speed of decoding
_SPREAD = 1.5  # how far apart prompts (and streams in flight) must be for a slope
_SLOWEST = 3600.0  # seconds; a longer call was a suspended machine or a jump of the clock


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known about an endpoint; None where too few calls say it.

    Attributes:
        first_token: seconds to the first token without reading the prompt.
        prefill: prompt tokens read per second.
        decode: tokens per second of a stream that is alone.
        slowdown: how much longer a token takes for each other stream in flight (beta; 0: not at all).
        wait: seconds in a queue before a call is sent.
        cached: share of the prompt that is read from a cache.
    """

    first_token: float | None = None
    prefill: float | None = None
    decode: float | None = None
    slowdown: float | None = None
    wait: float | None = None
    cached: float | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """When a call began, and how many streams were open until then (their seconds, summed)."""

    at: float
    area: float


def _kept() -> deque[Any]:
    return deque(maxlen=SAMPLES)


@dataclass(slots=True)
class EndpointCosts:
    """Samples of the calls to one model at one endpoint. Bounded; survives figures that make no sense.

    Attributes:
        first: (prompt tokens not cached, seconds to the first token, streams in flight).
        decoding: (streams in flight, seconds a token).
        waits: seconds; ``cached``: shares of the prompt.
        lengths: tokens of answers by role; ``direct`` is the role ``thread`` outside of a fork.
        errors: logarithms of actual over predicted, by what was predicted.
    """

    first: deque[tuple[float, float, float]] = field(default_factory=_kept)
    decoding: deque[tuple[float, float]] = field(default_factory=_kept)
    waits: deque[float] = field(default_factory=_kept)
    cached: deque[float] = field(default_factory=_kept)
    lengths: dict[str, deque[float]] = field(default_factory=dict[str, deque[float]])
    errors: dict[str, deque[float]] = field(default_factory=dict[str, deque[float]])
    in_flight: int = 0
    _area: float = 0.0
    _changed: float = 0.0
    _place: tuple[EndpointMemory, str, str] | None = None
    _fit: Measured | None = None
    _quantiles: dict[tuple[str, float], tuple[float, int]] = field(
        default_factory=dict[tuple[str, float], tuple[float, int]]
    )
    _lengths_learned: int = 0

    def began(self, now: float) -> Mark:
        """A call is sent at ``now`` (event-loop time)."""
        self._advance(now)
        self.in_flight += 1
        return Mark(now, self._area)

    def ended(self, mark: Mark, now: float, reply: Reply, role: str) -> None:
        """The call is over: learn from it if it ran to its end."""
        self._advance(now)
        self.in_flight = max(0, self.in_flight - 1)
        if (
            reply.state != "succeeded"
            or reply.is_cached
            or reply.replayed
            or reply.retries
            or reply.fallbacks
        ):
            return
        usage, first = reply.usage, reply.first_delta
        figures = (reply.seconds, first, reply.queue_seconds)
        if first is None or not all(f is not None and isfinite(f) and 0 <= f < _SLOWEST for f in figures):
            return
        elapsed = now - mark.at
        streams = max(1.0, (self._area - mark.area) / elapsed) if elapsed > 0 else 1.0
        read = max(0, usage.input_tokens - usage.cached_tokens)
        if first > 0:
            self.first.append((read, first, streams))
        decoded = reply.seconds - first
        if usage.output_tokens >= _LEAST_TOKENS and decoded > 0:
            self.decoding.append((streams, decoded / usage.output_tokens))
        self._fit = None
        self.waits.append(reply.queue_seconds)
        if usage.input_tokens > 0:
            self.cached.append(min(1.0, usage.cached_tokens / usage.input_tokens))
        if usage.output_tokens > 0:
            self.lengths.setdefault(role, _kept()).append(usage.output_tokens)
            self._lengths_learned += 1
        self.save()

    def was(self, what: str, *, predicted: float, actual: float) -> None:
        """Compare a prediction with what came. At most 64 kinds of prediction are kept."""
        if predicted > 0 and actual > 0 and isfinite(predicted) and isfinite(actual):
            if what not in self.errors and len(self.errors) >= SAMPLES:
                return
            self.errors.setdefault(what, _kept()).append(log(actual / predicted))
            self.save()

    def bias(self, what: str) -> float:
        """Return what a prediction must be multiplied with; 1 until 3 of its kind have come true."""
        return self.known_bias(what) or 1.0

    def known_bias(self, what: str) -> float | None:
        """`bias`, or None until 3 predictions of the kind have come true."""
        errors = self.errors.get(what, ())
        return exp(median(errors)) if len(errors) >= 3 else None

    def length(self, role: str, share: float = 0.5) -> float | None:
        """The quantile ``share`` of a role's answers, in tokens; None before 3 of them."""
        lengths = self.lengths.get(role, ())
        if len(lengths) < 3:
            return None
        quantile, at = self._quantiles.get((role, share), (0.0, -1))
        if at < 0 or self._lengths_learned - at >= _STALE or len(lengths) < _STALE:
            quantile, at = median(lengths, share), self._lengths_learned
            self._quantiles[role, share] = quantile, at
        return quantile

    def last_length(self, role: str) -> float | None:
        """Tokens of a role's latest answer; None before the first."""
        lengths = self.lengths.get(role)
        return lengths[-1] if lengths else None

    @property
    def measured(self) -> Measured:
        """The figures that the samples give."""
        if self._fit is None:
            self._fit = self._fitted()
        return self._fit

    def _fitted(self) -> Measured:
        if len(self.decoding) < ENOUGH:
            return Measured()
        alone = [(read, first) for read, first, streams in self.first if streams < _SPREAD]
        pairs = alone if len(alone) >= ENOUGH else [(read, first) for read, first, _ in self.first]
        second = _slope(pairs)
        prefill = 1 / second if second is not None and second > 1e-7 else None
        first_token = max(0.0, median([f - (r / prefill if prefill else 0.0) for r, f in pairs]))
        slope = _slope([(b - 1, s) for b, s in self.decoding])
        at_one = median([s - (slope or 0.0) * (b - 1) for b, s in self.decoding])
        if at_one <= 0:
            slope, at_one = None, median([s for _, s in self.decoding])
        return Measured(
            first_token=first_token,
            prefill=prefill,
            decode=1 / at_one,
            slowdown=None if slope is None else max(0.0, slope / at_one),
            wait=median(self.waits),
            cached=median(self.cached) if self.cached else None,
        )

    def save(self) -> None:
        """Keep the samples for the next process, where the endpoint has an address."""
        if self._place is not None:
            place, endpoint, model = self._place
            place.put_later(NAMESPACE, endpoint, model, self._facts)

    def load(self, place: EndpointMemory, endpoint: str, model: str) -> None:
        """Begin with what an earlier process has learned. Values of another shape are ignored."""
        self._place = (place, endpoint, model)
        facts = place.get(NAMESPACE, endpoint, model) or {}
        self.first.extend(_rows(facts.get("first"), 3))
        self.decoding.extend(_rows(facts.get("decoding"), 2))
        self.waits.extend(_numbers(facts.get("waits")))
        self.cached.extend(_numbers(facts.get("cached")))
        for name, into in (("lengths", self.lengths), ("errors", self.errors)):
            if is_object(groups := facts.get(name)):
                for key, values in groups.items():
                    into[key] = _kept()
                    into[key].extend(_numbers(values))

    def _facts(self) -> dict[str, Any]:
        last = 24  # of each kind: a fact may have 16 KiB
        return {
            "first": [_short(row) for row in list(self.first)[-last:]],
            "decoding": [_short(row) for row in list(self.decoding)[-last:]],
            "waits": _short(list(self.waits)[-last:]),
            "cached": _short(list(self.cached)[-last:]),
            "lengths": {role: _short(list(values)[-last:]) for role, values in self.lengths.items()},
            "errors": {kind: _short(list(values)[-last:]) for kind, values in self.errors.items()},
        }

    def _advance(self, now: float) -> None:
        if now > self._changed:
            self._area += self.in_flight * (now - self._changed)
        self._changed = now


def median(values: Iterable[float], share: float = 0.5) -> float:
    """The quantile ``share`` of ``values``, oldest first: each counts 2 % less than the one after it."""
    ordered = list(values)
    weighted = sorted((value, DECAY ** (len(ordered) - 1 - i)) for i, value in enumerate(ordered))
    weight_left = share * sum(weight for _, weight in weighted)
    for value, weight in weighted:
        weight_left -= weight
        if weight_left <= 0:
            return value
    return weighted[-1][0] if weighted else 0.0


def _slope(pairs: Sequence[tuple[float, float]]) -> float | None:
    """The median slope through all pairs of points (Theil-Sen); None where x hardly varies."""
    xs = sorted(x for x, _ in pairs)
    if len(xs) < ENOUGH or xs[-1] - xs[0] < 0.5 or (xs[-1] + 1) / (xs[0] + 1) < _SPREAD:
        return None
    least = (xs[-1] - xs[0]) / 10
    slopes = sorted(
        (y2 - y1) / (x2 - x1)
        for i, (x1, y1) in enumerate(pairs)
        for x2, y2 in list(pairs)[i + 1 :]
        if abs(x2 - x1) > least
    )
    return slopes[len(slopes) // 2] if slopes else None


def _short(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def _numbers(values: Json) -> list[float]:
    if not isinstance(values, list):
        return []
    return [
        float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool) and isfinite(v)
    ][-SAMPLES:]


def _rows(rows: Json, width: int) -> list[Any]:
    numbers = [_numbers(row) for row in rows] if isinstance(rows, list) else []
    return [tuple(row) for row in numbers if len(row) == width and min(row) >= 0][-SAMPLES:]


_by_address: dict[tuple[EndpointMemory, str, str], EndpointCosts] = {}
_by_object: dict[int, tuple[weakref.ref[Any], EndpointCosts]] = {}
_MAX_ENDPOINTS = 256


def costs_of(model: Model) -> EndpointCosts:
    """The costs of ``model``: by its address and name, or, for a model in this process, its own."""
    address = model.endpoint
    if not address and model.provider in HOSTED:
        address = f"hosted:{model.provider}"
    if address.startswith(("http://", "https://", "hosted:")):
        place = memory()
        key = (place, address, model.name)
        if (costs := _by_address.get(key)) is None:
            if len(_by_address) >= _MAX_ENDPOINTS:
                _by_address.pop(next(iter(_by_address)))
            costs = _by_address[key] = EndpointCosts()
            costs.load(*key)
        return costs
    number = id(model)
    measured = _by_object.get(number)
    if measured is None or measured[0]() is not model:
        alive = weakref.ref(model, lambda _: _by_object.pop(number, None))
        measured = _by_object[number] = (alive, EndpointCosts())
    return measured[1]
