"""Your own rule for threads that contradict each other: of two prices, plan with the higher one.

python own_conflict_policy.py "Compare what a train ticket and a flight from Oslo to Bergen cost."
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from weaver import Run, Weaver
from weaver.conflicts import Conflict, Policy, Resolution
from weaver.strategies import adaptive


def number(text: str) -> float:
    """The first number of a text; raises ValueError without one."""
    return float(text.replace(",", "").split()[0])


async def careful(run: Run, conflict: Conflict, threads: Sequence[Any]) -> Resolution | None:  # noqa: ARG001
    """Settle on the highest number; None leaves the conflict to the next policy."""
    try:
        value = max((v.value for v in conflict.values), key=number)
    except ValueError:
        return None
    return Resolution("careful", value, "the highest of the stated values")


async def main(question: str) -> None:
    ladder: list[str | Policy] = [careful, "verify", "judge"]  # tried in this order
    result = await Weaver(strategy=partial(adaptive, conflicts=ladder)).run(question)
    print(result.answer)
    for conflict in result.conflicts:
        print(conflict.subject, conflict.attribute, conflict.resolution)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
