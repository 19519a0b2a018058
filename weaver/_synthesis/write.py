"""``write``: the synthesizer writes the answer anew, from all findings."""

from __future__ import annotations

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._runtime.run import Run
from weaver._synthesis.merge import Parts
from weaver._synthesis.synthesizer import synthesize


class Write:
    """For answers that must argue across the parts. Costs one call that writes everything again."""

    name = "write"

    async def __call__(self, run: Run, task: Task, parts: Parts) -> Answer:
        """See `Merge`."""
        return await synthesize(
            run,
            task,
            parts.threads,
            missing=parts.missing,
            settled=parts.settled,
            whole=parts.whole,
        )


write = Write()
