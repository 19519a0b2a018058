"""The usage numbers of one run. They are recorded here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from weaver._data.usage import Usage, total
from weaver._runtime.limits.budget_ledger import Ledger, Reservation

if TYPE_CHECKING:
    from weaver._runtime.state.thread import Thread


class Accounting:
    """Usage of all calls of a run: of the run, of each thread, and against every limit.

    Attributes:
        usages: one for each call of this run, in the order they ended.
    """

    def __init__(self) -> None:
        self.usages: list[Usage] = []
        self._of_threads: dict[str, list[Usage]] = {}

    def below(self, path: str) -> Sequence[Usage]:
        """Return the usages of a thread and of those that it forked, in the order they ended; all for ""."""
        return self._of_threads.get(path, ()) if path else self.usages

    def record(
        self,
        usage: Usage,
        *,
        ledger: Ledger,
        thread: Thread | None,
        reservation: Reservation | None = None,
        is_paid: bool = True,
    ) -> None:
        """Record what one call used.

        Args:
            ledger: the limits that the call is under.
            thread: whose call it is; None for the root's.
            reservation: what was reserved for it; None for a call that is replayed.
            is_paid: False for a replayed call that an earlier run has paid for: only its thread shows it.
        """
        if reservation is not None:
            ledger.release(reservation)
        if is_paid:
            ledger.spend(usage)
            self.usages.append(usage)
        if thread is not None:
            thread.usages.append(usage)
            path = thread.id
            while path:
                self._of_threads.setdefault(path, []).append(usage)
                path = path.rpartition("/")[0]

    @property
    def total(self) -> Usage:
        """The sum over all calls. Money is added exactly, so the order does not matter."""
        return total(self.usages)
