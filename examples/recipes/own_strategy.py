"""A strategy of your own: two drafts at once, the longer one is checked by a third call.

    weaver run --strategy own_strategy.py:checked "What is the capital of Australia?"
    python own_strategy.py "What is the capital of Australia?"

Deadlines, budgets, cancellation, traces and resuming come with the verbs of `Run`.
"""

from __future__ import annotations

import asyncio
import sys

from weaver import Answer, Run, Task, Weaver, strategy


@strategy("checked")
async def checked(run: Run, task: Task, *, drafts: int = 2) -> Answer:
    """Draft several times, and let a fresh call check the longest draft."""
    async with run.fork(task.sample(i) for i in range(drafts)) as threads:
        winners = await threads.join()  # all that succeeded; `weaver.joins` has other rules
    if not winners:
        return Answer("", complete=False)
    best = max((thread.result.text for thread in winners), key=len)
    prompt = f"Question: {task.question}\n\nDraft: {best}\n\nWrite it again without its mistakes."
    return await run.reason(Task(prompt))


async def main(question: str) -> None:
    result = await Weaver(strategy=checked).run(question)
    print(result.answer)
    print([(thread.title, thread.state) for thread in result.threads])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
