"""The documents of a task: files beside the workflow, and texts that expressions give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weaver._data.parts import TextPart
from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._documents.opening import opened
from weaver._json_reading.json_types import is_list_or_tuple
from weaver._runtime.run import Run
from weaver._strategies.long_inputs.whole import with_whole_documents
from weaver._workflows.expressions.functions import text_of
from weaver.errors import StepError

if TYPE_CHECKING:
    from weaver._documents.document import Document
    from weaver._strategies.common.registry import Strategy

SLOT = "${{"


async def documents_of(
    step: str, folder: Path | None, entries: Sequence[str], values: Sequence[Any]
) -> tuple[Document, ...]:
    """Open a step's documents. What an expression gives is a text, never the name of a file.

    Args:
        step: its id, for messages.
        folder: of the workflow's file, resolved; None for the working directory.
        entries: the documents as the file writes them.
        values: the same, with expressions worked out.

    Raises:
        StepError: a file is outside of that folder.
        InvalidTaskError: one cannot be read, is empty or no text.
    """
    folder = folder if folder is not None else Path.cwd()
    sources: list[Any] = []
    for entry, value in zip(entries, values, strict=True):
        if SLOT in entry:
            items = value if is_list_or_tuple(value) else [value]
            sources += [TextPart(text_of(item)) for item in items]
            continue
        path = (folder / entry).resolve()
        if not path.is_relative_to(folder):
            raise StepError(
                f"Step {step}: the document {entry!r} is outside of the workflow's folder.",
                hint="Put it beside the file, or give its text as an input: -i name=@file.",
            )
        sources.append(path)
    return await opened(sources)


async def with_documents(
    body: Callable[[Run, Task], Awaitable[Answer]], strategy: Strategy | None, run: Run, task: Task
) -> Answer:
    """Let a strategy work on a task with documents: whole, if it does not read them itself."""
    if strategy is not None and strategy.reads_documents:
        return await body(run, task)
    name = strategy.name if strategy is not None else "sequential"
    return await with_whole_documents(partial(body), name, run, task)
