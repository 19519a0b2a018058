"""One run, killed and resumed until it comes to its end, and what was wrong with it."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.crashes import checks
from tests.benchmarks.crashes.child import Job
from tests.benchmarks.crashes.methods import PLAYS, methods
from tests.benchmarks.crashes.world import CountingModel, asked_in
from tests.benchmarks.crashes.zygote import Zygote
from weaver._data.usage import Usage
from weaver.testing import Server

SETTLE_SECONDS = 2.0


@dataclass(frozen=True)
class Kill:
    """Where a process dies: at an entry, or after some seconds."""

    entry: int = 0
    before: bool = False
    seconds: float | None = None

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"after {self.seconds:.3f} s"
        return f"{'before' if self.before else 'after'} entry {self.entry}"


@dataclass(frozen=True)
class Baseline:
    """The run that nobody killed.

    Attributes:
        answers: with the server in one mood and in the other: where the answer depends on who is faster, only
            what was decided before a crash has to stand.
        entries: written by it, its end included.
    """

    answers: tuple[str, str]
    entries: int
    seconds: float

    @property
    def is_certain(self) -> bool:
        """Whether the answer is the same whoever is faster."""
        return self.answers[0] == self.answers[1]


@dataclass
class Outcome:
    """A run that was killed.

    Attributes:
        kills: times that it really was: a process may have been done before.
        wasted: calls that were paid for and whose replies were lost.
        problems: what should not have happened; empty.
    """

    kills: int = 0
    requests: int = 0
    wasted: int = 0
    problems: list[str] = field(default_factory=list)


class Trials:
    """Runs methods, with kills and without.

    Args:
        server: of a `CountingModel`, in a thread of its own.
    """

    def __init__(self, zygote: Zygote, server: Server) -> None:
        self._zygote = zygote
        self._server = server
        assert isinstance(server.script, CountingModel)
        self._model = server.script

    def baseline(self, name: str) -> Baseline:
        """Run a method to its end.

        Raises:
            RuntimeError: it does not come to an answer by itself.
        """
        reports, seconds = [], 0.0
        for is_reversed in (True, False):
            folder = Path(tempfile.mkdtemp(prefix="crashes-"))
            started = time.perf_counter()
            self._run(name, folder, Kill(), is_reversed=is_reversed)
            seconds = time.perf_counter() - started
            reports.append(report := _report(folder))
            if report["status"] != "complete":
                raise RuntimeError(f"{name} is {report['status']} without a kill: {report}")
            shutil.rmtree(folder)
        return Baseline((reports[0]["answer"], reports[1]["answer"]), reports[1]["written"], seconds)

    def killed(self, name: str, kills: Sequence[Kill], baseline: Baseline) -> Outcome:
        """Run a method, kill it, go on with it with a server in another mood; then check everything."""
        folder, outcome = Path(tempfile.mkdtemp(prefix="crashes-")), Outcome()
        for i, kill in enumerate((*kills, Kill())):
            before = checks.entries_in(folder) if i else ()
            was_killed, requests = self._run(name, folder, kill, is_reversed=bool(i % 2))
            outcome.kills += was_killed
            outcome.requests += len(requests)
            after = checks.entries_in(folder)
            outcome.problems += checks.bought_again(before, after, requests)
            if not was_killed:
                break
        self._check(name, folder, baseline, outcome)
        answer = _report(folder)["answer"]
        _, requests = self._run(name, folder, Kill(), is_reversed=True)
        if requests or _report(folder)["answer"] != answer:
            outcome.problems.append(
                f"read again: {len(requests)} requests, {_report(folder)['answer'][:80]!r}"
            )
        if not outcome.problems:
            shutil.rmtree(folder)
        else:
            outcome.problems.append(f"kept: {folder}")
        return outcome

    def _run(
        self, name: str, folder: Path, kill: Kill, *, is_reversed: bool = False
    ) -> tuple[bool, list[str]]:
        self._model.is_reversed = is_reversed
        self._model.plays = PLAYS.get(name)
        first = len(self._server.requests)
        job = Job(name, self._server.url, str(folder), kill.entry, kill.before, kill.seconds)
        was_killed = self._zygote.run(job)
        until = time.monotonic() + SETTLE_SECONDS
        while self._server.in_flight and time.monotonic() < until:
            time.sleep(0.002)
        return was_killed, [asked_in(received.body) for received in self._server.requests[first:]]

    def _check(self, name: str, folder: Path, baseline: Baseline, outcome: Outcome) -> None:
        report, entries = _report(folder), checks.entries_in(folder)
        problems = outcome.problems
        if report["status"] != "complete":
            problems.append(f"status {report['status']}: {report['error']} {report['notes']}")
        elif baseline.is_certain and not methods()[name].is_race and report["answer"] != baseline.answers[0]:
            problems.append(f"answer {report['answer'][:80]!r} instead of {baseline.answers[0][:80]!r}")
        problems += checks.flipped(name, entries, report["answer"])
        spent, paid = Usage(**report["spent"]), checks.budget(entries)
        outcome.wasted = paid.calls - report["usage"]["calls"]
        if (spent.calls, spent.total_tokens) != (paid.calls, paid.total_tokens):
            problems.append(
                f"the budget counts {spent.calls} calls and {spent.total_tokens} tokens instead of "
                f"{paid.calls} and {paid.total_tokens}"
            )
        if outcome.requests > paid.calls:
            problems.append(f"the server saw {outcome.requests} requests, and {paid.calls} are counted")
        problems += checks.told_wrongly(folder, report["answer"])
        problems += checks.repeated(folder, methods()[name], outcome.kills)


def _report(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report
