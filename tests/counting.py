"""Count the operations of a function instead of its seconds, which say little on a shared machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def operations(work: Callable[[], object], *, within: str = "") -> int:
    """Run ``work`` and return how many lines of Python it executed.

    Args:
        within: count only files whose path has this in it. A loop inside C (``list.remove``) is one line.
    """
    count = 0

    def step(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return step

    def enter(frame: FrameType, event: str, arg: Any) -> Any:
        return step if within in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def growth(work: Callable[[int], object], small: int, *, times: int = 4, within: str = "weaver") -> float:
    """By what the operations per item grow when there are ``times`` as many items; 1 is linear."""
    few = operations(lambda: work(small), within=within)
    many = operations(lambda: work(small * times), within=within)
    return many / few / times
