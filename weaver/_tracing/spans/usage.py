"""Attributes of sums of usage, which several kinds of spans have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.util.types import AttributeValue

from weaver._tracing.record import semconv as sc

if TYPE_CHECKING:
    from weaver._data.usage import Usage

Attributes = dict[str, AttributeValue]


def of_usage(usage: Usage) -> Attributes:
    """Return sums, under names that cannot be mistaken for a call's own usage."""
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
