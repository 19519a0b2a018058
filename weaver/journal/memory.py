"""A journal that lasts as long as the process: for tests, and for repeating a run within one program."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from weaver.errors import RunTakenOver
from weaver.journal.port import ONCE, Entry, Opened, RunHead, Status


@dataclass(slots=True)
class _Kept:
    head: RunHead
    entries: list[Entry] = field(default_factory=list)
    once: set[tuple[str, str, str]] = field(default_factory=set)


class MemoryJournal:
    """Keeps every run's entries in a dictionary.

    Attributes:
        runs: by run id; for tests to look at.
    """

    def __init__(self) -> None:
        self.runs: dict[str, _Kept] = {}

    async def open(self, run_id: str, *, owner: str = "", about: Mapping[str, Any] | None = None) -> Opened:
        kept, now = self.runs.get(run_id), time.time()
        if kept is None:
            head = RunHead(run_id, "running", 1, owner, now, now, dict(about or {}))
            self.runs[run_id] = _Kept(head)
            return Opened(1)
        before, epoch = kept.head.status, kept.head.epoch + 1
        kept.head = replace(kept.head, status="running", epoch=epoch, owner=owner, updated=now)
        return Opened(epoch, tuple(kept.entries), before)

    async def append(self, run_id: str, epoch: int, entries: Sequence[Entry]) -> None:
        kept, now = self._owned(run_id, epoch), time.time()
        for entry in entries:
            mark = (entry.key, entry.kind, entry.fingerprint)
            if entry.kind in ONCE:
                if mark in kept.once:
                    continue
                kept.once.add(mark)
            value = json.loads(json.dumps(entry.value))
            kept.entries.append(replace(entry, value=value, seq=len(kept.entries) + 1, epoch=epoch, at=now))
        kept.head = replace(kept.head, updated=now)

    async def finish(self, run_id: str, epoch: int, status: Status, result: Any = None) -> None:
        kept = self._owned(run_id, epoch)
        kept.head = replace(kept.head, status=status, result=result, updated=time.time())

    async def entries(self, run_id: str, *, after: int = 0) -> Sequence[Entry]:
        kept = self.runs.get(run_id)
        return () if kept is None else tuple(kept.entries[after:])

    async def head(self, run_id: str) -> RunHead | None:
        kept = self.runs.get(run_id)
        return None if kept is None else kept.head

    async def heads(self, *, status: Status | None = None, limit: int | None = None) -> Sequence[RunHead]:
        heads = [k.head for k in self.runs.values() if status is None or k.head.status == status]
        return sorted(heads, key=lambda head: -head.updated)[:limit]

    async def cancel(self, run_id: str) -> None:
        if (kept := self.runs.get(run_id)) is not None:
            head = kept.head
            kept.head = replace(head, status="cancelled", epoch=head.epoch + 1, updated=time.time())

    async def remove(self, run_id: str) -> None:
        self.runs.pop(run_id, None)

    async def aclose(self) -> None:
        """Nothing to release."""

    def _owned(self, run_id: str, epoch: int) -> _Kept:
        kept = self.runs.get(run_id)
        if kept is None or epoch not in (0, kept.head.epoch):
            raise RunTakenOver.of(run_id)
        return kept
