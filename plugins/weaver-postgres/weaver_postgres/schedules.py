"""Jobs that are submitted again and again, at the times of a cron expression."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from psycopg import AsyncConnection

from weaver._dispatch.port import Job
from weaver.errors import ConfigurationError
from weaver_postgres.database import Database
from weaver_postgres.text import plain, text_of

_DUE = (
    "SELECT name, cron, zone, next, about, queue, submitter, priority, max_cost, clock_timestamp() "
    "FROM weaver.schedules WHERE next <= clock_timestamp() FOR UPDATE SKIP LOCKED"
)
_SUBMIT = "SELECT weaver.submit(%s, %s, %s, %s, %s, 0, NULL, '', %s), pg_notify('weaver_job', 'new')"


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is listed of a schedule."""

    name: str
    cron: str
    zone: str
    next: datetime
    submitter: str


class Schedules:
    """The schedules of one database. Workers submit what is due; of missed times the last one counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, name: str, cron: str, zone: str, job: Job) -> datetime:
        """Add or replace a schedule; returns its next time.

        Raises:
            ConfigurationError: the expression or the zone is wrong.
        """
        ((now,),) = await self._database.rows("SELECT clock_timestamp()")
        following = next_time(cron, zone, now)
        await self._database.rows(
            "INSERT INTO weaver.schedules VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (name) DO UPDATE SET cron = excluded.cron, zone = excluded.zone, "
            "next = excluded.next, about = excluded.about, queue = excluded.queue, "
            "submitter = excluded.submitter, priority = excluded.priority, max_cost = excluded.max_cost",
            [
                plain(name), cron, zone, following, json.dumps(dict(job.about)), plain(job.queue),
                plain(job.submitter), job.priority, job.max_cost,
            ],
        )  # fmt: skip
        return following

    async def all(self) -> Sequence[Schedule]:
        """Every schedule, by name."""
        query = "SELECT name, cron, zone, next, submitter FROM weaver.schedules ORDER BY name"
        rows = await self._database.rows(query)
        return [Schedule(text_of(n), cron, zone, moment, text_of(who)) for n, cron, zone, moment, who in rows]

    async def remove(self, name: str) -> bool:
        """Remove a schedule; False if there is none."""
        query = "DELETE FROM weaver.schedules WHERE name = %s RETURNING name"
        return bool(await self._database.rows(query, [plain(name)]))

    async def submit_due(self) -> None:
        """Submit what is due. The run's id has its time: however many workers do this, it is one run."""

        async def work(connection: AsyncConnection[Any]) -> None:
            for row in await (await connection.execute(_DUE)).fetchall():
                name, cron, zone, moment, about, queue, submitter, priority, max_cost, now = row
                run_id = f"{name}-{moment.astimezone(UTC):%Y%m%dT%H%M%S}"
                values = [run_id, about, queue, submitter, priority, max_cost]
                await connection.execute(_SUBMIT, values)
                await connection.execute(
                    "UPDATE weaver.schedules SET next = %s WHERE name = %s",
                    [next_time(cron, zone, now), name],
                )

        await self._database.do(work)


def next_time(cron: str, zone: str, after: datetime) -> datetime:
    """The next time of a cron expression in a time zone.

    Raises:
        ConfigurationError: the expression or the zone is wrong, or it has no next time.
    """
    try:
        return next(CronSim(cron, after.astimezone(ZoneInfo(zone)))).astimezone(UTC)
    except (CronSimError, StopIteration) as error:
        raise ConfigurationError(
            f"The schedule {cron!r} is wrong: {str(error) or 'it has no next time'}.",
            hint='Write minute, hour, day, month and weekday: "0 6 * * mon-fri".',
        ) from None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(
            f"There is no time zone {zone!r}.", hint="Write it as Europe/Berlin or UTC."
        ) from None
