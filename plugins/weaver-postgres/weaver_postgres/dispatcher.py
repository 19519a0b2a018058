"""Runs handed to workers by the tables that their journal is in."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from psycopg import AsyncConnection

from weaver._dispatch.port import LEASE_SECONDS, QUEUE, Claim, Job, Watch
from weaver_postgres.database import Database
from weaver_postgres.schedules import Schedules
from weaver_postgres.shared import SharedLimits
from weaver_postgres.text import plain, text_of

_LOOK_SECONDS = 10.0
"""Between two looks at a job whose end was not announced."""
_SUBMIT = "SELECT weaver.submit(%s, %s, %s, %s, %s, %s, %s, %s, %s)"
_CLAIM = (
    "SELECT c.run_id, c.queue, c.submitter, c.priority, c.parent, c.max_cost, c.claim, r.about "
    "FROM weaver.claim(%s, %s, %s) c JOIN weaver.runs r USING (run_id) ORDER BY c.number"
)


class PostgresDispatcher:
    """The queue in one database.

    Args:
        database: that of the journal.
        lease_seconds: a worker that was silent for so long is dead; the same for all workers.
    """

    def __init__(self, database: Database, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.lease_seconds = lease_seconds
        self._database = database
        self._claims_in_flight = 0
        self._beats: dict[str, Any] = {}
        self.schedules = Schedules(database)
        self.shared = SharedLimits(database)

    async def submit(self, jobs: Sequence[Job]) -> None:
        rows = [
            [
                plain(job.run_id), json.dumps(dict(job.about)), plain(job.queue), plain(job.submitter),
                job.priority, job.delay, job.at, plain(job.parent), job.max_cost,
            ]
            for job in jobs
        ]  # fmt: skip

        async def work(connection: AsyncConnection[Any]) -> None:
            async with connection.cursor() as cursor:
                await cursor.executemany(_SUBMIT, rows)
                await cursor.execute("SELECT pg_notify('weaver_job', 'new')")

        await self._database.do(work)

    async def claim(self, worker: str, limit: int, *, queues: Sequence[str] = (QUEUE,)) -> Sequence[Claim]:
        values = [plain(worker), [plain(queue) for queue in queues], limit]
        self._claims_in_flight += 1
        try:
            return [_claim(row) for row in await self._database.rows(_CLAIM, values)]
        finally:
            self._claims_in_flight -= 1

    async def heartbeat(self, worker: str, claims: Sequence[Claim]) -> Sequence[Claim]:
        runs, numbers = [plain(claim.job.run_id) for claim in claims], [claim.number for claim in claims]
        # A claim whose answer is still to come is no lost claim.
        complete = None if self._claims_in_flight else self._beats.get(worker)
        rows = await self._database.rows(
            "SELECT * FROM weaver.beat(%s, %s::text[], %s::bigint[], %s, %s)",
            [plain(worker), runs, numbers, self.lease_seconds, complete],
            is_urgent=True,
        )
        self._beats[worker] = next(moment for place, moment in rows if place == 0)
        places: list[int] = [place for place, _ in rows if place > 0]
        return [claims[place - 1] for place in places]

    async def release(self, worker: str, claim: Claim, *, broken: bool = False) -> None:
        values = [plain(worker), plain(claim.job.run_id), claim.number, broken]
        await self._database.rows("SELECT weaver.release_job(%s, %s, %s, %s)", values)

    async def finish(self, worker: str, claim: Claim) -> None:
        await self._database.rows(
            "SELECT weaver.finish_job(%s, %s, %s)", [plain(worker), plain(claim.job.run_id), claim.number]
        )

    async def cancel(self, run_id: str) -> bool:
        rows = await self._database.rows("SELECT weaver.cancel_job(%s)", [plain(run_id)])
        return bool(rows[0][0])

    async def again(self, run_id: str) -> bool:
        """Put a run that has ended back into the queue; False where it has not, or was never submitted."""
        rows = await self._database.rows("SELECT weaver.again(%s)", [plain(run_id)])
        return bool(rows[0][0])

    async def wait(self, run_id: str) -> None:
        name = plain(run_id)
        while True:
            with self._database.notices().waiting("weaver_job", f"end {name}") as wait:
                rows = await self._database.rows("SELECT state FROM weaver.jobs WHERE run_id = %s", [name])
                if not rows or rows[0][0] == "done":
                    return
                await wait(_LOOK_SECONDS)

    async def leave(self, worker: str) -> None:
        await self._database.rows("SELECT weaver.leave(%s)", [plain(worker)])

    def watch(self, watch: Watch) -> Callable[[], None]:
        def hear(channel: str, payload: str) -> None:
            if channel != "weaver_job":
                return
            word, _, run_id = payload.partition(" ")
            if word == "new":
                watch.on_job()
            elif word == "cancel":
                watch.on_cancel(text_of(run_id))

        return self._database.notices().listen(hear)

    async def aclose(self) -> None:
        await self._database.aclose()


def _claim(row: Any) -> Claim:
    run_id, queue, submitter, priority, parent, max_cost, number, about = row
    job = Job(
        text_of(run_id), json.loads(about), text_of(queue), text_of(submitter), priority,
        parent=text_of(parent), max_cost=max_cost,
    )  # fmt: skip
    return Claim(job, number)
