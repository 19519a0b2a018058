"""Parts of a run placed as jobs beside it: the run waits for them, and survives their workers' death."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import anyio

from weaver._dispatch.placing import Part
from weaver._dispatch.port import Dispatcher, Job
from weaver._workers.submission import Submission

if TYPE_CHECKING:
    from weaver._journal.port import Journal

_SHARES = ("max_total_tokens", "max_cost", "max_calls", "deadline")


class Placing:
    """Places parts of one run.

    Args:
        job: of the run.
        goes_on: says whether the run goes on elsewhere when it is stopped here.
        waiting: called with 1 when a part is waited for, and with -1 afterwards.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        journal: Journal,
        job: Job,
        *,
        goes_on: Callable[[], bool],
        waiting: Callable[[int], None],
    ) -> None:
        self._dispatcher, self._journal, self._job = dispatcher, journal, job
        self._goes_on, self._waiting = goes_on, waiting
        self._submission = Submission.from_json(job.run_id, job.about)

    async def place(self, part: Part) -> Mapping[str, Any]:
        """See `weaver._dispatch.placing.Placer`."""
        job = self._job_of(part)
        await self._dispatcher.submit([job])
        self._waiting(1)
        try:
            await self._dispatcher.wait(job.run_id)
        except BaseException:
            if not self._goes_on():
                with anyio.CancelScope(shield=True):
                    await self._dispatcher.cancel(job.run_id)
            raise
        finally:
            self._waiting(-1)
        head = await self._journal.head(job.run_id)
        if head is None:
            return {"run_id": job.run_id, "status": "removed"}
        result: dict[str, Any] = dict(head.result or {})
        return {"run_id": job.run_id, **result, "status": head.status}

    def _job_of(self, part: Part) -> Job:
        submission = self._submission
        settings = {name: value for name, value in submission.settings.items() if name not in _SHARES}
        settings |= part.settings
        flags = {*submission.flags, *part.settings} & settings.keys()
        name = hashlib.blake2b(part.path.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
        own = replace(submission, settings=settings, flags=sorted(flags))
        if part.steps:
            own = replace(own, steps=tuple(part.steps), names=part.names, prompt=part.prompt)
        else:
            own = Submission(part.prompt, settings=settings, flags=sorted(flags), task=part.task)
        about = own.about()
        return Job(
            f"{self._job.run_id}.{name}",
            {**about, "question": part.prompt[:200] or "/".join(part.steps), "parent": self._job.run_id},
            self._job.queue,
            self._job.submitter,
            # Before new runs: else all workers could be full of runs that wait for their parts.
            self._job.priority + 1,
            parent=self._job.run_id,
            max_cost=part.settings.get("max_cost"),
        )
