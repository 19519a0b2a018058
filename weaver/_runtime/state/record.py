"""A run's journal as the run itself sees it: what is recorded already, and how more is recorded.

A resumed run first replays: it goes the same way again, and every recorded step returns at once. Nothing that
costs anything is begun before that has come to rest, so a race or a join that was decided is decided in the
same way again before its losers could be paid for a second time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import anyio
import anyio.lowlevel

from weaver._data.result import CancelReason
from weaver._data.usage import Usage, total
from weaver._environment.processes import owner
from weaver._journal.port import Entry, Journal, Kind, Opened, Status
from weaver._json_reading.json_types import is_object
from weaver._runtime.state.replay_order import ReplayOrder
from weaver.errors import JournalError, RunTakenOverError, WeaverError

QUIET_TICKS = 20
"""Rounds of the event loop without a replayed step after which a replay may be over."""
QUIET_SECONDS = 0.5
"""Seconds without one after which it is over although recorded steps are left (of threads that were cut), or
after which a step that waits for others goes on without them."""
WRITE_SECONDS = 0.001
"""Between two looks whether entries that a replay wrote are on disk."""
END = "end"
"""Name of the entry that says how a thread ended."""
STOPPED = ("parent", "user", "deadline", "refused")
"""Why things are cancelled that begin again when the run is resumed."""
APPROVAL = "approval"
"""First part of the key of a question to a person, and of its answer."""


class Record:
    """The journal of one run.

    Args:
        opened: what the journal had of it.
        halt: ends the run with an error.
        on_paid: called with the usage of calls that were paid for and that the replay did not come to, and
            whether they were lost in a crash: else they had been cancelled because they were not needed.
        accept_changes: steps that are asked something else than recorded are done again.
    """

    def __init__(
        self,
        journal: Journal,
        run_id: str,
        opened: Opened,
        *,
        halt: Callable[[WeaverError], None],
        on_paid: Callable[[Usage, bool], None],
        accept_changes: bool = False,
    ) -> None:
        self.accept_changes = accept_changes
        self.over = anyio.Event()
        self._journal, self.run_id, self.epoch = journal, run_id, opened.epoch
        self.halt, self._on_paid = halt, on_paid
        self.is_resumed = opened.before is not None
        # Who goes on with a run that failed wants its failures tried again; after a crash they stand.
        self.keeps_failures = opened.before not in ("failed", "partial")
        self._ends: dict[str, Entry] = {}
        self._asked: dict[str, Entry] = {}
        self._paid: dict[tuple[str, int], Usage] = {}
        self._unneeded: set[tuple[str, int]] = set()
        self._replayable: set[str] = set()
        self._losers: dict[str, Entry] = {}
        self._progress = self._last = self._unwritten = 0
        self._writing: set[asyncio.Task[None]] = set()
        for entry in opened.entries:
            self._take(entry)
        standing = [entry.seq for entry in self._ends.values() if self._stands(entry)]
        ended = (key.rpartition("/") for key, entry in self._ends.items() if entry.kind == "ok")
        # Where none of the threads of a fork was needed, what decided was said inside of them: they go on.
        self._decided_forks = {_parent(path) for path, _, name in ended if name == END}
        lost = [entry.seq for path, entry in self._losers.items() if _parent(path) in self._decided_forks]
        self._order = ReplayOrder([*standing, *lost])
        if not self._replayable:
            self._close_replay()

    @staticmethod
    async def opened(
        journal: Journal,
        run_id: str,
        about: Mapping[str, Any],
        **options: Any,
    ) -> Record:
        """Become the owner of a run. Arguments as `Record`.

        Raises:
            JournalError: the journal cannot be used.
        """
        return Record(journal, run_id, await journal.open(run_id, owner=owner(), about=about), **options)

    def find(self, key: str) -> Entry | None:
        """Return the recorded end of a step, or None when it is to be done (again)."""
        entry = self._ends.get(key)
        if entry is None or not self._stands(entry):
            return None
        self._progress += 1
        self._replayable.discard(key)
        return entry

    def request(self, key: str) -> Entry | None:
        """Return the request that the step was begun with last."""
        return self._asked.get(key)

    def is_paid(self, entry: Entry) -> bool:
        """Take note that a replayed call is counted; False if it was counted before."""
        return self._paid.pop((entry.key, entry.epoch), None) is not None

    def timed_out(self, path: str) -> Mapping[str, Any] | None:
        """Return the recorded end of a thread that ran out of its own time, else None."""
        entry = self._ends.get(f"{path}/{END}")
        if entry is None or entry.kind != "timeout" or not self.keeps_failures:
            return None
        value: Mapping[str, Any] = entry.value
        return value

    def has_ended(self, path: str, state: str) -> bool:
        """Say whether the end of a thread is recorded: as ``cancelled``, or as another end that stands."""
        if state == "cancelled":
            return path in self._losers
        return self.find(f"{path}/{END}") is not None

    async def lost(self, path: str) -> CancelReason | None:
        """Return why a thread had been cancelled as not needed, when its turn comes; None if it was not.

        It is cancelled for the same reason again, and does not depend on its being decided again.
        """
        entry = self._losers.get(path)
        if entry is None or self.over.is_set() or _parent(path) not in self._decided_forks:
            return None
        await self.arrive(entry)
        return _reason(entry) or "not_needed"

    def is_hedged(self, path: str) -> bool:
        """Say whether a thread had got a second attempt."""
        start = f"{path}~hedge/"
        return not self.over.is_set() and any(key.startswith(start) for key in self._replayable)

    async def arrive(self, entry: Entry) -> None:
        """Wait until everything that was recorded before this end has been replayed, as far as it will be."""
        self._progress += 1
        await self._order.arrive(entry.seq)
        self._progress += 1

    async def turn(self, path: str) -> None:
        """Wait until a thread may end: after all that had ended before it."""
        if (entry := self.find(f"{path}/{END}")) is not None:
            await self.arrive(entry)
        else:
            self._progress += 1
            await self._order.arrive_last()
            self._progress += 1

    def skip_turn(self, path: str) -> None:
        """Expect the end of a thread no longer: it has been cancelled."""
        self._progress += 1
        if (entry := self._ends.get(f"{path}/{END}")) is not None:
            self._order.skip(entry.seq)

    async def add(
        self,
        key: str,
        kind: Kind,
        value: Any = None,
        *,
        fingerprint: str = "",
        usage: Usage | None = None,
    ) -> None:
        """Record an entry; durable on return. When that fails the run ends.

        Raises:
            JournalError: it cannot be recorded.
        """
        entry = Entry(key, kind, value, fingerprint, None if usage is None else asdict(usage))
        self._unwritten += 1
        try:
            await self._journal.append(self.run_id, self.epoch, (entry,))
        except JournalError as error:
            self.halt(error)
            raise
        finally:
            self._unwritten -= 1
            self._progress += 1

    def put(self, key: str, kind: Kind, value: Any = None, **options: Any) -> None:
        """`add`, without waiting: for what has to be recorded while it is being cancelled."""
        task = asyncio.ensure_future(self.add(key, kind, value, **options))
        self._writing.add(task)
        task.add_done_callback(self._written)

    async def finish(self, status: Status, result: Any) -> bool:
        """Record how the run ended; False where the journal does not take it: the run can be resumed then."""
        if self._writing:
            await asyncio.wait(tuple(self._writing))
        try:
            await self._journal.finish(self.run_id, self.epoch, status, result)
        except JournalError:
            return False
        return True

    async def until_replayed(self) -> None:
        """Wait until the replay is over, and say so. Called by the runtime."""
        while not self.over.is_set():
            if self._unwritten:  # what follows from recorded steps may have to be recorded itself
                await anyio.sleep(WRITE_SECONDS)
                continue
            before = self._progress
            for _ in range(QUIET_TICKS):
                await anyio.lowlevel.checkpoint()
            if not self._is_quiet_since(before):
                continue
            if self._replayable or self._order.is_waited_for:
                await anyio.sleep(QUIET_SECONDS)
            if self._is_quiet_since(before) and not self._order.release():
                self._close_replay()

    async def watch(self, answered: Callable[[str, Mapping[str, Any]], None]) -> None:
        """End the run when another process takes it over, and pass on answers from outside.

        Args:
            answered: called with the id of a question and its answer.
        """
        with suppress(JournalError):
            while True:
                await self._journal.changed(self.run_id)
                head = await self._journal.head(self.run_id)
                if head is None or head.epoch != self.epoch:
                    self.halt(RunTakenOverError.of(self.run_id))
                    return
                for entry in await self._journal.entries(self.run_id, after=self._last):
                    self._last = entry.seq
                    if entry.kind == "verdict" and entry.key.startswith(f"{APPROVAL}/") and not entry.epoch:
                        self._ends.setdefault(entry.key, entry)
                        answered(entry.key.partition("/")[2], entry.value)

    def close_replay(self) -> None:
        """The run is over: whatever of the journal was not replayed has been paid for and lost."""
        if not self.over.is_set():
            self._close_replay()

    def _take(self, entry: Entry) -> None:
        self._last = max(self._last, entry.seq)
        mark = (entry.key, entry.epoch)
        if entry.usage is not None:
            self._paid[mark] = Usage(**entry.usage)
            if entry.kind == "cancelled" and _reason(entry) not in STOPPED:
                self._unneeded.add(mark)
        if entry.kind == "started":
            self._asked[entry.key] = entry
            return
        earlier = self._ends.get(entry.key)
        if earlier is not None and earlier.kind in ("ok", "verdict") and entry.kind == "cancelled":
            return
        self._ends[entry.key] = entry
        path, _, name = entry.key.rpartition("/")
        if name != END:
            if entry.kind in ("ok", "verdict"):
                self._replayable.add(entry.key)
        elif entry.kind == "cancelled":
            if self.keeps_failures or _reason(entry) != "budget":
                self._losers[path] = entry
        else:
            self._losers.pop(path, None)

    def _stands(self, entry: Entry) -> bool:
        """Say whether a recorded end is the step's end in this process too."""
        if entry.kind in ("error", "timeout"):
            return self.keeps_failures
        return entry.kind != "cancelled" or bool(_fields(entry).get("left"))

    def _is_quiet_since(self, progress: int) -> bool:
        return progress == self._progress and not self._unwritten

    def _close_replay(self) -> None:
        for is_lost in (False, True):
            usages = [usage for mark, usage in self._paid.items() if (mark not in self._unneeded) == is_lost]
            if usages:
                self._on_paid(total(usages), is_lost)
        self._paid.clear()
        self.over.set()
        self._order.end()

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()  # `add` has ended the run


def _fields(entry: Entry) -> dict[str, Any]:
    return entry.value if is_object(entry.value) else {}


def _reason(entry: Entry) -> CancelReason | None:
    """The reason why a step was cancelled, where the entry has one."""
    reason: CancelReason | None = _fields(entry).get("reason") or None
    return reason


def _parent(path: str) -> str:
    """The thread that made the fork that a thread belongs to; "" for the root."""
    return path.rpartition("/")[0]


def changes_of(recorded: str, now: str, limit: int = 12) -> str:
    """The lines in which two requests differ, for people."""
    import difflib
    import json

    def lines(text: str) -> Sequence[str]:
        try:
            return (
                json.dumps(json.loads(text), indent=1, ensure_ascii=False).replace("\\n", "\n").splitlines()
            )
        except ValueError:
            return text.splitlines()

    before, after = lines(recorded)[:5_000], lines(now)[:5_000]
    changed = [
        line[:200]
        for line in difflib.unified_diff(before, after, lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
    more = len(changed) - limit
    return "\n".join([*changed[:limit], *([f"... and {more} more lines"] if more > 0 else [])])
