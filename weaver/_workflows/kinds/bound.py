"""Upper bounds of what a step can take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weaver._models.protocol import Prices


@dataclass(frozen=True, slots=True)
class Most:
    """Upper bounds; None where there is none.

    Attributes:
        items: how often the step's work is done.
        calls: model calls.
        tokens: input and output tokens of these calls.
        cost_usd: their price.
        bound: for people: which limit of the file or which unknown decided.
    """

    items: int | None = 1
    calls: int | None = 0
    tokens: int | None = 0
    cost_usd: float | None = 0.0
    bound: str = ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The facts that the bound of one step is worked out from.

    Attributes:
        outputs: tokens that each step before it can write at most, by id; None where that is unknown.
        prices: those of the model, where they are known.
        of_workflow: the bound of a prepared workflow that the step uses.
    """

    outputs: Mapping[str, int | None]
    prices: Prices | None
    of_workflow: Callable[[Any], Most]
