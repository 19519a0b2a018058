"""Settling a conflict by counting: costs nothing."""

from __future__ import annotations

from collections.abc import Sequence

from weaver.coordination.resolution.positions import positions, who
from weaver.coordination.statements import Told
from weaver.result import Conflict, Resolution
from weaver.runtime.run import Run


async def majority(
    run: Run,  # noqa: ARG001 - every policy has this signature
    conflict: Conflict,
    threads: Sequence[Told],  # noqa: ARG001
    *,
    share: float = 0.5,
) -> Resolution | None:
    """The value that more than ``share`` of the threads in the conflict hold.

    Args:
        share: 0.5 is a plain majority; 0.66 asks for more than two thirds.
    """
    counts = [len(v.threads) for v in conflict.values]
    total, most = sum(counts), max(counts, default=0)
    if counts.count(most) != 1 or most <= share * total:
        return None
    value = conflict.values[counts.index(most)]
    return Resolution("majority", value.value, f"{most} of {total} threads ({who(value)})")


async def confidence_weighted(
    run: Run,  # noqa: ARG001
    conflict: Conflict,
    threads: Sequence[Told],
    *,
    share: float = 0.6,
    default: float = 0.5,
) -> Resolution | None:
    """The value with more than ``share`` of the confidence that its threads stated.

    Stated confidence is badly calibrated in many models, so this asks for a clear lead, and settles nothing
    when no thread said how sure it is.

    Args:
        share: part of the summed confidence that the value needs.
        default: weight of a thread that did not say.
    """
    held = positions(conflict, threads)
    if not any(p.confidence is not None for p in held):
        return None
    weights = [
        sum(default if p.confidence is None else p.confidence for p in held if p.value is value)
        for value in conflict.values
    ]
    total, most = sum(weights), max(weights)
    if not total or weights.count(most) != 1 or most <= share * total:
        return None
    value = conflict.values[weights.index(most)]
    return Resolution(
        "confidence_weighted",
        value.value,
        f"{most / total:.0%} of the stated confidence ({who(value)})",
    )
