"""A journal that lasts as long as the process: for tests, and for repeating a run within one program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class MemoryJournal:
    """Keeps every run's entries in a dictionary."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}

    async def open(self, run_id: str) -> Mapping[str, Any]:
        """A copy of what is recorded of ``run_id``."""
        return dict(self.runs.get(run_id, {}))

    async def append(self, run_id: str, key: str, value: Any) -> None:
        """Record ``value``, unless ``key`` has one already."""
        self.runs.setdefault(run_id, {}).setdefault(key, value)
