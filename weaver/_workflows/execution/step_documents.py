"""The documents of a step: files beside the workflow, and texts that expressions give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weaver._data.parts import TextPart
from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._documents.opening import opened
from weaver._runtime.run import Run
from weaver._strategies.long_inputs.whole import with_whole_documents
from weaver._workflows.expressions.functions import text_of
from weaver.errors import StepError

if TYPE_CHECKING:
    from weaver._documents.document import Document
    from weaver._workflows.execution.preparation.prepared import PreparedStep

SLOT = "${{"


async def documents_of(
    one: PreparedStep, source: Path | None, names: Mapping[str, Any]
) -> tuple[Document, ...]:
    """Open a step's documents. What an expression gives is a text, never the name of a file.

    Args:
        source: the workflow's file; its folder is where the files are.

    Raises:
        StepError: a file is outside of that folder.
        InvalidTaskError: one cannot be read, is empty or no text.
    """
    if one.compiled.documents is None:
        return ()
    folder = source.parent.resolve() if source is not None else Path.cwd()
    values: list[Any] = []
    for written, value in zip(one.step.documents or (), one.compiled.documents.value(names), strict=True):
        if SLOT in written:
            items = value if isinstance(value, list | tuple) else [value]
            values += [TextPart(text_of(item)) for item in items]
            continue
        path = (folder / written).resolve()
        if not path.is_relative_to(folder):
            raise StepError(
                f"Step {one.id}: the document {written!r} is outside of the workflow's folder.",
                hint="Put it beside the file, or give its text as an input: -i name=@file.",
            )
        values.append(path)
    return await opened(values)


async def with_documents(
    body: Callable[[Run, Task], Awaitable[Answer]], one: PreparedStep, run: Run, task: Task
) -> Answer:
    """Let a step's strategy work on a task with documents: whole, if it does not read them itself."""
    if one.strategy is not None and one.strategy.reads_documents:
        return await body(run, task)
    name = one.strategy.name if one.strategy is not None else "sequential"
    return await with_whole_documents(partial(body), name, run, task)
