"""Limits that all workers keep together: of endpoints, and of the money that submitters may spend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from weaver._models.layers.limit import limit_process_to
from weaver._models.layers.limiter import Share
from weaver_postgres.database import Database
from weaver_postgres.text import plain, text_of

Period = Literal["hour", "day", "week", "month", "ever"]


@dataclass(frozen=True, slots=True)
class Budget:
    """Money that the runs of a submitter may cost.

    Attributes:
        submitter: "" is everybody without their own budget, each for themselves.
        max_cost: US dollars within a period.
        run_cost: US dollars that one run may cost at most. So much is set aside while it runs.
        remaining: US dollars that may still be spent in this period; None for "".
    """

    submitter: str
    max_cost: float
    period: Period
    run_cost: float
    remaining: float | None = None


class SharedLimits:
    """The shared limits of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def apply(self, worker: str) -> None:
        """Keep this process within the worker's shares, as they are now."""
        rows = await self._database.rows("SELECT * FROM weaver.shares(%s)", [plain(worker)])
        limit_process_to({text_of(name): Share(calls, rpm, tpm) for name, calls, rpm, tpm in rows})

    async def set_endpoint(self, endpoint: str, share: Share) -> None:
        """Set the limits of an endpoint for all workers together; without any they are removed."""
        await self._database.rows("DELETE FROM weaver.endpoints WHERE endpoint = %s", [plain(endpoint)])
        if share != Share():
            values = [plain(endpoint), share.calls, share.requests_per_minute, share.tokens_per_minute]
            await self._database.rows("INSERT INTO weaver.endpoints VALUES (%s, %s, %s, %s)", values)

    async def endpoints(self) -> Sequence[tuple[str, Share]]:
        """Endpoints and their limits."""
        rows = await self._database.rows("SELECT * FROM weaver.endpoints ORDER BY endpoint")
        return [(text_of(name), Share(calls, rpm, tpm)) for name, calls, rpm, tpm in rows]

    async def set_budget(self, budget: Budget) -> None:
        """Set a budget."""
        await self._database.rows(
            "INSERT INTO weaver.budgets VALUES (%s, %s, %s, %s) ON CONFLICT (submitter) DO UPDATE SET "
            "max_cost = excluded.max_cost, period = excluded.period, run_cost = excluded.run_cost",
            [plain(budget.submitter), budget.max_cost, budget.period, budget.run_cost],
        )

    async def remove_budget(self, submitter: str) -> bool:
        """Remove a budget; False if there is none."""
        query = "DELETE FROM weaver.budgets WHERE submitter = %s RETURNING submitter"
        return bool(await self._database.rows(query, [plain(submitter)]))

    async def budgets(self) -> Sequence[Budget]:
        """Every budget, with what is left of it."""
        rows = await self._database.rows(
            "SELECT submitter, max_cost, period, run_cost, weaver.money_left(submitter) FROM weaver.budgets "
            "ORDER BY submitter"
        )
        return [
            Budget(text_of(name), cost, period, run_cost, money if name else None)
            for name, cost, period, run_cost, money in rows
        ]
