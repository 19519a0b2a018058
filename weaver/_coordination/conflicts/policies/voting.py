"""Settling a conflict by counting: costs nothing."""

from __future__ import annotations

from collections.abc import Sequence

from weaver._coordination.conflicts.policies.positions import positions, who
from weaver._coordination.conflicts.statements import Told
from weaver._data.result import Conflict, ConflictValue, Resolution
from weaver._runtime.run import Run


async def majority(
    run: Run,  # noqa: ARG001 - every policy has this signature
    conflict: Conflict,
    threads: Sequence[Told],  # noqa: ARG001
    *,
    share: float = 0.5,
) -> Resolution | None:
    """The value that more than ``share`` of the threads in the conflict hold.

    Args:
        share: 0.5 is a plain majority.
    """
    value, votes, total = _most(conflict)
    if value is None or votes <= share * total:
        return None
    return Resolution("majority", value.value, f"{votes} of {total} threads ({who(value)})")


async def clear_majority(
    run: Run,  # noqa: ARG001
    conflict: Conflict,
    threads: Sequence[Told],  # noqa: ARG001
) -> Resolution | None:
    """The value that more than two thirds of the threads hold: three of four, but not two of three.

    Threads of one model tend to share errors, so two against one says less than it seems to.
    """
    value, votes, total = _most(conflict)
    if value is None or 3 * votes <= 2 * total:
        return None
    return Resolution("clear_majority", value.value, f"{votes} of {total} threads ({who(value)})")


def _most(conflict: Conflict) -> tuple[ConflictValue | None, int, int]:
    """The value that most threads hold (None for a tie), how many they are, and of how many."""
    counts = [len(v.threads) for v in conflict.values]
    votes = max(counts, default=0)
    value = conflict.values[counts.index(votes)] if counts.count(votes) == 1 else None
    return value, votes, sum(counts)


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
    total, heaviest = sum(weights), max(weights)
    if not total or weights.count(heaviest) != 1 or heaviest <= share * total:
        return None
    value = conflict.values[weights.index(heaviest)]
    return Resolution(
        "confidence_weighted",
        value.value,
        f"{heaviest / total:.0%} of the stated confidence ({who(value)})",
    )
