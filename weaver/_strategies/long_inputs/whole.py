"""Documents for strategies that do not read them piece by piece: whole, beside the question."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._documents.document import Document
from weaver._documents.sizes import BYTES_A_TOKEN, tokens_in
from weaver._runtime.run import Run
from weaver._strategies.long_inputs.window import Window, window_of
from weaver._text.untrusted import fenced
from weaver.errors import InvalidTaskError

ANSWER_SHARE = 4
"""One over the share of the window that is left for the answer."""


async def with_whole_documents(
    work: Callable[[Run, Task], Awaitable[Answer]], name: str, run: Run, task: Task
) -> Answer:
    """Let a strategy work on the task with its documents as context.

    Args:
        name: the strategy's.

    Raises:
        InvalidTaskError: they do not fit the model's window.
    """
    window = await window_of(run)
    if not await fit(task, window) and window.is_known:
        size = sum(document.size for document in task.documents)
        raise InvalidTaskError(
            f"The documents have about {size // BYTES_A_TOKEN:,} tokens; {run.context.model().name} reads "
            f"{window.tokens:,} at once, and strategy {name!r} reads them whole.",
            hint="Use --strategy map_reduce or explore, which read piece by piece.",
        )
    return await work(run, with_context(run, task))


async def fit(task: Task, window: Window) -> bool:
    """Tell whether the documents and the question leave room for an answer."""
    room = window.tokens - window.tokens // ANSWER_SHARE - tokens_in(task.question.encode())
    if sum(document.size for document in task.documents) > BYTES_A_TOKEN * room:
        return False
    return sum(map(_tokens, task.documents)) <= room


def with_context(run: Run, task: Task) -> Task:
    """Return the task with the documents' texts as context. They may have been written by anybody."""
    run.context.has_read_untrusted()
    texts = [fenced(document.text(0, document.size), document.name) for document in task.documents]
    return replace(task, context="\n\n".join(filter(None, (task.context, *texts))), documents=())


def _tokens(document: Document) -> int:
    return tokens_in(document.content.read(0, document.size)) + tokens_in(document.name.encode()) + 8
