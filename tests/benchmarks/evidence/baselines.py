"""What long inputs are compared with: the beginning alone, and reading part after part with notes."""

from __future__ import annotations

from dataclasses import replace

import anyio

from weaver import Answer, Run, Task, strategy
from weaver._documents.splitting import batches
from weaver._models.protocol import Request
from weaver._strategies.long_inputs.window import window_of
from weaver.models import fenced, system, user

NOTES = "You read a long text part by part. Keep short notes of what answers the question; counts so far too."


@strategy("truncation", reads_documents=True)
async def truncation(run: Run, task: Task) -> Answer:
    """Answer from as much of the beginning as fits."""
    window = await window_of(run)
    first = next(batches(task.documents, int(window.tokens * 0.7)))
    text = "\n\n".join(piece.text for piece in first.pieces)
    return await run.reason(replace(task, documents=(), context=fenced(text, "text")))


@strategy("part_by_part", reads_documents=True)
async def part_by_part(run: Run, task: Task, *, seconds: float = 60.0) -> Answer:
    """Read part after part with notes, as far as the time allows, and answer from the notes."""
    window = await window_of(run)
    until = anyio.current_time() + seconds * 0.9
    notes = "(none)"
    for batch in batches(task.documents, int(window.tokens * 0.55)):
        if anyio.current_time() >= until:
            run.note("There was no time for the rest.")
            break
        text = "\n\n".join(piece.text for piece in batch.pieces)
        asked = (
            f"Question: {task.question}\n\n{fenced(notes, 'notes')}\n\n{fenced(text, 'text')}\n\nNew notes:"
        )
        request = Request((system(NOTES), user(asked)), max_tokens=window.tokens // 8, temperature=0.0)
        notes = (await run.think(request, name="notes")).text.strip() or notes
    return await run.reason(replace(task, documents=(), context=fenced(notes, "notes")))
