"""``write``: the synthesizer writes the answer anew, from all findings."""

from __future__ import annotations

from weaver.result import Answer
from weaver.runtime.run import Run
from weaver.synthesis.merge import Parts
from weaver.synthesis.synthesizer import synthesize
from weaver.task import Task


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
