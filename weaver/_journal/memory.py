"""A journal that lasts as long as the process: for tests, and for repeating a run within one program."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from weaver._environment.processes import may_work
from weaver._journal.port import ONCE, POLL_SECONDS, Entry, Opened, RunHead, Status
from weaver._journal.retention import DAY, Retention
from weaver.errors import RunTakenOverError


@dataclass(slots=True)
class _Run:
    head: RunHead
    entries: list[Entry] = field(default_factory=list[Entry])
    once: set[tuple[str, str, str]] = field(default_factory=set[tuple[str, str, str]])
    events: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])


class MemoryJournal:
    """Keeps every run's entries in a dictionary.

    Attributes:
        runs: by run id; for tests to look at.
    """

    def __init__(self) -> None:
        self.runs: dict[str, _Run] = {}

    async def open(self, run_id: str, *, owner: str = "", about: Mapping[str, Any] | None = None) -> Opened:
        run, now = self.runs.get(run_id), time.time()
        if run is None:
            head = RunHead(run_id, "running", 1, owner, now, now, dict(about or {}))
            self.runs[run_id] = _Run(head)
            return Opened(1)
        before, epoch = run.head.status, run.head.epoch + 1
        run.head = replace(run.head, status="running", epoch=epoch, owner=owner, updated=now)
        return Opened(epoch, tuple(run.entries), before)

    async def append(self, run_id: str, epoch: int, entries: Sequence[Entry]) -> None:
        run, now = self._owned(run_id, epoch), time.time()
        for entry in entries:
            mark = (entry.key, entry.kind, entry.fingerprint)
            if entry.kind in ONCE:
                if mark in run.once:
                    continue
                run.once.add(mark)
            value = json.loads(json.dumps(entry.value))
            run.entries.append(replace(entry, value=value, seq=len(run.entries) + 1, epoch=epoch, at=now))
        run.head = replace(run.head, updated=now)

    async def finish(self, run_id: str, epoch: int, status: Status, result: Any = None) -> None:
        run = self._owned(run_id, epoch)
        run.head = replace(run.head, status=status, result=result, updated=time.time())

    async def entries(self, run_id: str, *, after: int = 0) -> Sequence[Entry]:
        run = self.runs.get(run_id)
        return () if run is None else tuple(run.entries[after:])

    async def publish(self, run_id: str, epoch: int, events: Sequence[Mapping[str, Any]]) -> None:
        self._owned(run_id, epoch).events += json.loads(json.dumps(list(events)))

    async def events(
        self, run_id: str, *, after: int = 0, limit: int | None = None
    ) -> Sequence[tuple[int, Mapping[str, Any]]]:
        run = self.runs.get(run_id)
        events = [] if run is None else run.events[after : None if limit is None else after + limit]
        return list(enumerate(events, after + 1))

    async def head(self, run_id: str) -> RunHead | None:
        run = self.runs.get(run_id)
        return None if run is None else run.head

    async def heads(self, *, status: Status | None = None, limit: int | None = None) -> Sequence[RunHead]:
        heads = [k.head for k in self.runs.values() if status is None or k.head.status == status]
        return sorted(heads, key=lambda head: -head.updated)[:limit]

    async def changed(self, run_id: str, *, follow: bool = False) -> None:  # noqa: ARG002 - polled
        await anyio.sleep(POLL_SECONDS)

    async def cancel(self, run_id: str) -> None:
        if (run := self.runs.get(run_id)) is not None:
            head = run.head
            run.head = replace(head, status="cancelled", epoch=head.epoch + 1, updated=time.time())

    async def remove(self, run_id: str) -> None:
        self.runs.pop(run_id, None)

    async def prune(self, keep: Retention) -> int:
        now = time.time()
        number = 0
        doomed: list[str] = []
        for head in await self.heads():
            is_complete = head.status == "complete"
            number += is_complete
            days = keep.days if is_complete else keep.unfinished_days
            is_old = days is not None and head.updated < now - days * DAY
            is_beyond = is_complete and keep.runs is not None and number > keep.runs
            is_needed = head.status == "queued" or (head.status == "running" and may_work(head.owner))
            if (is_old or is_beyond) and not is_needed:
                doomed.append(head.run_id)
        for run_id in doomed:
            del self.runs[run_id]
        return len(doomed)

    async def aclose(self) -> None:
        """Nothing to release."""

    def _owned(self, run_id: str, epoch: int) -> _Run:
        run = self.runs.get(run_id)
        if run is None or epoch not in (0, run.head.epoch):
            raise RunTakenOverError.of(run_id)
        return run
