"""The first line of a comparison's file: what is compared, and what it may be extended by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weaver.errors import ConfigurationError

VERSION = 2
Header = dict[str, Any]
_GROWING = ("comparison", "tasks", "models")


def extended(before: Header, now: Header, place: str) -> Header:
    """Return what a file holds after ``now`` has been added to ``before``.

    Items may be added behind those that are there, and models. All else must be the same.

    Args:
        place: the file, for the message.

    Raises:
        ConfigurationError: they are different comparisons; the message says in what.
    """
    if before.get("comparison") != now["comparison"]:
        raise ConfigurationError(
            f"{place} was written by another version of weaver.",
            hint="It can still be reported (--report-only). Give another --out to compare.",
        )
    others = sorted((before.keys() | now.keys()) - set(_GROWING))
    different = [
        *_tasks(before.get("tasks", {}), now["tasks"]),
        *_models(before.get("models", {}), now["models"]),
        *(
            f"{key}: {before.get(key)!r} there, {now.get(key)!r} now"
            for key in others
            if before.get(key) != now.get(key)
        ),
    ]
    if different:
        raise ConfigurationError(
            f"{place} has the results of another comparison ({'; '.join(different)}).",
            hint="Give another --out, or the same settings to go on.",
        )
    return {**now, "models": {**before["models"], **now["models"]}}


def _tasks(before: Mapping[str, list[str]], now: Mapping[str, list[str]]) -> list[str]:
    if before.keys() != now.keys():
        return [f"tasks: {', '.join(before)} there, {', '.join(now)} now"]
    tasks: list[str] = []
    for task, there in before.items():
        here = now[task]
        changed = [i for i, (a, b) in enumerate(zip(there, here, strict=False), start=1) if a != b]
        if changed:
            which = f"item {changed[0]}" + (f" and {len(changed) - 1} more" if len(changed) > 1 else "")
            tasks.append(f"{task}: {which} has another question, answer or grader now")
        elif len(here) < len(there):
            tasks.append(f"{task}: {len(there)} items there, {len(here)} now")
    return tasks


def _models(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [
        f"model {name}: at {before[name]!r} there, at {now[name]!r} now"
        for name in before
        if name in now and now[name] != before[name]
    ]
