"""Usage in the places and shapes in which servers report it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from weaver._data.usage import Usage
from weaver._json_reading.json_types import Json, is_object

_INPUT = ("prompt_tokens", "input_tokens", "prompt_token_count", "promptTokenCount", "prompt_eval_count")
_OUTPUT = (
    "completion_tokens", "output_tokens", "candidates_token_count", "candidatesTokenCount",
    "generated_tokens", "eval_count",
)  # fmt: skip
_TOTAL = ("total_tokens", "total_token_count", "totalTokenCount")
_REASONING = ("reasoning_tokens", "thoughts_token_count", "thoughtsTokenCount")
_CACHED = (
    "cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens", "cache_read_tokens",
    "cachedContentTokenCount", "cached_content_token_count",
)  # fmt: skip
_WRITTEN = ("cache_creation_input_tokens", "cache_write_tokens", "cache_creation_tokens")
_DETAILS = (
    "completion_tokens_details", "prompt_tokens_details", "output_tokens_details", "input_tokens_details",
)  # fmt: skip
_RARE_PLACES = frozenset(("usageMetadata", "usage_metadata", "x_groq", "message"))


class UsageReader:
    """Adds up what the chunks of one answer say of its usage.

    Reports are of the whole call so far: of each number the greatest counts, so that zeros at the end and
    reports that are split over chunks lose nothing.
    """

    __slots__ = ("_greatest", "_last")

    def __init__(self) -> None:
        self._greatest: dict[str, float] = {}
        self._last: Any = None

    def read(self, chunk: Mapping[str, Any], choice: Json = None) -> Usage | None:
        """The usage of the call so far, when this chunk says something new about it."""
        if chunk.get("usage") is None and _RARE_PLACES.isdisjoint(chunk):
            if not isinstance(choice, dict):
                return None
            delta = choice.get("delta")
            if "usage" not in choice and not (isinstance(delta, dict) and "usage" in delta):
                return None
        changed = False
        for report in _reports(chunk, choice):
            if report == self._last:
                continue
            self._last = report
            for name, value in _numbers(report):
                if value > self._greatest.get(name, -1.0):
                    self._greatest[name] = value
                    changed = True
        counted = self._greatest.get("input") or self._greatest.get("output")
        return self.usage() if changed and counted else None

    def usage(self) -> Usage:
        """The usage so far. The cost is known only where the server says it."""
        of = self._greatest
        prompt_tokens, produced = int(of.get("input", 0)), int(of.get("output", 0))
        reasoning = int(of.get("reasoning", 0))
        total = int(of.get("total", 0))
        # xAI and Gemini count reasoning beside the output, which the total shows; we count it with it.
        if reasoning and (total >= prompt_tokens + produced + reasoning or reasoning > produced):
            produced += reasoning
        cached, written = int(of.get("cached", 0)), int(of.get("written", 0))
        if "input_apart" in of and cached + written > 0:
            prompt_tokens += cached + written  # Anthropic's own names: what the cache had is counted apart
        cost = of.get("cost")
        return Usage(
            calls=1,
            input_tokens=prompt_tokens,
            output_tokens=produced,
            reasoning_tokens=reasoning,
            cached_tokens=min(cached, prompt_tokens),
            cache_written_tokens=min(written, prompt_tokens),
            cost_usd=cost,
        )


def _reports(chunk: Mapping[str, Any], choice: Json) -> Iterator[Mapping[str, Any]]:
    for place in (choice, choice.get("delta") if isinstance(choice, dict) else None, chunk):
        if isinstance(place, dict) and isinstance(report := place.get("usage"), dict):
            yield report
    if _RARE_PLACES.isdisjoint(chunk):
        return
    for name in ("usageMetadata", "usage_metadata"):
        if isinstance(report := chunk.get(name), dict):
            yield report
    for name in ("x_groq", "message"):  # Groq; Anthropic's first event
        if is_object(outer := chunk.get(name)) and is_object(report := outer.get("usage")):
            yield report


_KINDS = {
    name: kind
    for kind, names in (
        ("input", _INPUT), ("output", _OUTPUT), ("total", _TOTAL), ("reasoning", _REASONING),
        ("cached", _CACHED), ("written", _WRITTEN), ("cost", ("cost",)),
    )
    for name in names
}  # fmt: skip
_IN_DETAILS = frozenset((*_REASONING, *_CACHED, *_WRITTEN))


def _numbers(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers in a report by their kind; of several of a kind the greatest. Looks at each field once."""
    greatest: dict[str, float] = {}
    for name, value in report.items():
        if (kind := _KINDS.get(name)) is not None:
            _take(kind, value, greatest)
        elif name in _DETAILS and is_object(value):
            for inner, number in value.items():
                if inner in _IN_DETAILS:
                    _take(_KINDS[inner], number, greatest)
    yield from greatest.items()
    if "prompt_tokens" not in report and (
        "cache_read_input_tokens" in report or "cache_creation_input_tokens" in report
    ):
        yield "input_apart", 1.0


def _take(kind: str, value: Any, greatest: dict[str, float]) -> None:
    if type(value) is int and 0 <= value < 10**15:
        number: float | None = float(value)
    else:
        number = _number(value)
    if number is not None and number >= greatest.get(kind, 0.0):
        greatest[kind] = number


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and 0 <= number < 1e15 else None
