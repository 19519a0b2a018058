"""The process that is killed: one durable run, with a journal that kills it at a given entry."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio

from tests.benchmarks.crashes.methods import ASKED, leave_line, methods, tools_in
from weaver import Weaver
from weaver._data.budget import Limits
from weaver._journal.port import Entry, Status
from weaver._journal.sqlite import SQLiteJournal
from weaver._runtime.limits.budget_ledger import Ledger
from weaver._workflows.execution.approval import Question
from weaver._workflows.execution.runner import stream_workflow
from weaver.events import ApprovalAsked
from weaver.workflows import Workflow

RUN = "killed"
ANSWER_SECONDS = 0.1
"""Until a person has answered."""


@dataclass(frozen=True)
class Job:
    """One process of a run.

    Args:
        folder: of the run: its journal, its result, effects of its tool.
        entry: the entry at which the process dies, counted from its start; 0 for never.
        before: it dies before that entry is written, not as soon as it is on disk.
        seconds: after so long it is killed from outside; None for never.
    """

    method: str
    url: str
    folder: str
    entry: int = 0
    before: bool = False
    seconds: float | None = None


class DeadlyJournal(SQLiteJournal):
    """Kills its process. The end of the run counts as an entry."""

    def __init__(self, path: Path, job: Job) -> None:
        super().__init__(path)
        self.written = 0
        self._job = job

    async def append(self, run_id: str, epoch: int, entries: Sequence[Entry]) -> None:
        self._count(len(entries), before=True)
        await super().append(run_id, epoch, entries)
        self._count(0, before=False)

    async def finish(self, run_id: str, epoch: int, status: Status, result: Any = None) -> None:
        self._count(1, before=True)
        await super().finish(run_id, epoch, status, result)
        self._count(0, before=False)

    def _count(self, more: int, *, before: bool) -> None:
        self.written += more
        if self._job.entry and self.written >= self._job.entry and before == self._job.before:
            os.kill(os.getpid(), signal.SIGKILL)


def work(job: Job) -> None:
    """Do the run, or go on with it, and leave what came of it in the folder."""
    folder, method = Path(job.folder), methods()[job.method]
    journal = DeadlyJournal(folder / "journal.sqlite", job)
    options = {"model": "openai/scripted", **method.options}

    async def run() -> None:
        tools = tools_in(folder, method)
        weaver = Weaver(
            **options,
            strategy=method.strategy,
            base_url=job.url,
            api_key="none",
            journal=journal,
            tools=() if method.flow else tools,
            trace=False,
        )
        if method.flow:
            flow = Workflow.from_yaml(method.flow, tools=tools)
            stream = await stream_workflow(flow, weaver=weaver, tools=tools, approve=agree, run_id=RUN)
        else:
            stream = weaver.stream(method.question, run_id=RUN, documents=method.documents)
        ledger = Ledger(Limits())
        stream.charge_to(ledger)
        async with anyio.create_task_group() as group, weaver, stream:
            async for event in stream:
                if isinstance(event, ApprovalAsked):
                    group.start_soon(answer, event.id)
        result = stream.result
        report = {
            "status": result.status,
            "answer": result.answer,
            "notes": result.notes,
            "error": None if result.error is None else result.error.message,
            "spent": asdict(ledger.spent),
            "usage": asdict(result.usage),
            "written": journal.written,
        }
        (folder / "report.json").write_text(json.dumps(report))
        await journal.aclose()

    async def agree(_: Question) -> bool:
        """Answer what a step asks, after some time."""
        leave_line(folder / ASKED, "step")
        await anyio.sleep(ANSWER_SECONDS)
        return True

    async def answer(request: str) -> None:
        """Answer what a tool call waits for from outside, as `weaver approve` does."""
        leave_line(folder / ASKED, request)
        await anyio.sleep(ANSWER_SECONDS)
        entry = Entry(f"approval/{request}", "verdict", {"approved": True, "reason": "", "always": False})
        outside = SQLiteJournal(folder / "journal.sqlite")
        await outside.append(RUN, 0, (entry,))
        await outside.aclose()

    anyio.run(run)
