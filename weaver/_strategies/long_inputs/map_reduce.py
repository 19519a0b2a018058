"""Map-reduce over documents: read in pieces at the same time, combined by code where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from weaver._coordination.conflicts.resolve import settle_conflicts
from weaver._data.result import Answer, Claim, Conflict, ThreadState
from weaver._data.task import Task
from weaver._documents.opening import off_the_loop
from weaver._documents.splitting import Batch, batches
from weaver._runtime.output.structured_output import Shape
from weaver._runtime.run import Run
from weaver._runtime.state.thread import Thread
from weaver._strategies.common.option_types import Count
from weaver._strategies.common.registry import strategy
from weaver._strategies.common.sampling import stop_at
from weaver._strategies.long_inputs.combining import Combine, Combined, Entry, as_json, combine_for, combined
from weaver._strategies.long_inputs.plain_reading import most_relevant
from weaver._strategies.long_inputs.reading import Reading, Sizes, facts_text, read_batch, sizes_for
from weaver._strategies.long_inputs.reducing import NOTHING, facts_of, reduced, written
from weaver._strategies.long_inputs.window import Window, window_of
from weaver._synthesis.merge import speak
from weaver.errors import BudgetExceededError, InvalidOutputError, InvalidTaskError, ModelError, NoAnswerError

MAX_SOURCES = 500
_KEPT_THREADS = 8
"""Threads that are left for merging and conflicts."""
_MOST_UNREAD = 10
Tokens = Annotated[int, Field(ge=64)]


@strategy(
    "map_reduce",
    source="Map-reduce over long inputs: LongCePO; LLM x MapReduce, Zhou et al. 2024, arXiv 2410.09342",
    reads_documents=True,
)
async def map_reduce(
    run: Run,
    task: Task,
    *,
    combine: Literal["auto", "count", "sum", "average", "max", "min", "list", "tally", "write"] = "auto",
    window: Annotated[int | None, Field(ge=256)] = None,
    piece: Tokens | None = None,
    width: Count = 32,
    conflicts: bool = True,
    cite: bool = False,
) -> Answer:
    """Read documents of any length in pieces, all at the same time, and combine what the pieces say.

    Documents are cut at their own seams to fit the model's window. Each thread names the lines of its piece
    that matter; where each finding comes from is in ``result.sources``. Counts, sums, averages, extremes,
    lists and tallies are then made by code, other answers are written from the facts, which are first merged
    in a tree where they are many. Without documents the task is answered directly.

    Args:
        combine: how results of the pieces become one answer; ``auto`` tells by the question's words, and
            ``write`` has a model write it.
        window: the model's context window in tokens, where its server does not say it.
        piece: most tokens of a piece; as many as fit by default.
        width: pieces that are read at the same time.
        conflicts: look for contradictions between documents, and name them in the answer.
        cite: mark in the answer which fact a sentence rests on, and list the sources at its end.

    Raises:
        InvalidTaskError: the question leaves no room for anything else in the window.
    """
    if not task.documents:
        return await run.reason(task)
    chosen: Combine = combine_for(task.user_words) if combine == "auto" else combine
    limits = await window_of(run, window)
    try:
        sizes = sizes_for(task, chosen, limits, piece)
    except ValueError as error:
        raise InvalidTaskError(
            f"The window of {run.context.model().name} is too small for the task: {error}.",
            hint="Shorten the question, or use a model with a larger window.",
        ) from None
    pieces = await off_the_loop(task.documents, partial(_cut, task, sizes))
    if not pieces:
        raise InvalidTaskError("The documents have no text but blanks.", hint="Give others.")
    number = f"{_counted(len(pieces), 'part')} of {_counted(len(task.documents), 'document')}"
    because = f"{number}, combined by {'a model' if chosen == 'write' else 'code'}"
    features = {"parts": float(len(pieces)), "documents": float(len(task.documents))}
    run.decide(len(pieces) > 1, "policy", because, policy="map_reduce/1", features=features)
    mapping = _Mapping(run, task, pieces, chosen, sizes)
    await mapping.work(width)
    return await _answer(run, task, mapping, limits, conflicts=conflicts, cite=cite)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _cut(task: Task, sizes: Sizes) -> list[Batch]:
    return list(batches(task.documents, sizes.text, max_lines=sizes.lines))


@dataclass
class _Mapping:
    """All pieces and what was read in them.

    Attributes:
        readings: by the number of the batch.
    """

    run: Run
    task: Task
    pieces: Sequence[Batch]
    combine: Combine
    sizes: Sizes
    readings: dict[int, Reading] = field(default_factory=dict[int, Reading])
    threads: list[Thread] = field(default_factory=list[Thread])
    why_unread: dict[int, str] = field(default_factory=dict[int, str])
    refusal: BudgetExceededError | None = None

    async def work(self, width: int) -> None:
        """Read all pieces, ``width`` at the same time; failures of single ones are kept for the answer.

        Raises:
            NoAnswerError: no piece could be read.
        """
        shares = self._shares()
        waiting = iter(enumerate(shares, start=1))
        async with self.run.fork(name="part", deadline_at=stop_at(self.run)) as threads:
            by_id: dict[str, Sequence[int]] = {}

            def start_next() -> bool:
                number, share = next(waiting, (0, ()))
                if not share:
                    return False
                first = self.pieces[share[0]].title
                title = first if len(share) == 1 else f"{first} and {len(share) - 1} more"
                own = Task(prompt=self.task.question, title=title[:80])
                try:
                    thread = threads.start(own, id=f"part{number}", body=partial(self._read, share=share))
                except BudgetExceededError as error:
                    self.refusal = error
                    self.run.note(f"Not everything was read: {error.message}")
                    return False
                by_id[thread.id] = share
                return True

            if not all(start_next() for _ in range(width)):
                threads.close()
            async for thread in threads.as_finished():
                self._finished(thread, by_id[thread.id])
                if not start_next():
                    threads.close()
            self.threads = threads.all
        if not self.readings:
            first = self.refusal or next((t.error for t in self.threads if t.error is not None), None)
            why = f": {first}" if first is not None else "."
            raise NoAnswerError(f"None of the documents' parts could be read{why}") from first

    def _shares(self) -> list[Sequence[int]]:
        """Share out the pieces among threads: one, or several in turn where there are more than threads."""
        available = self.run.remaining.threads
        thread_count = (
            len(self.pieces) if available is None else max(1, available - min(_KEPT_THREADS, available // 4))
        )
        size = -(-len(self.pieces) // thread_count)
        return [range(at, min(at + size, len(self.pieces))) for at in range(0, len(self.pieces), size)]

    async def _read(self, run: Run, task: Task, *, share: Sequence[int]) -> Answer:
        del task
        run.context.has_read_untrusted()
        entries: list[Entry] = []
        failures = 0
        for number in share:
            try:
                reading = await read_batch(run, self.task, self.pieces[number], self.combine, self.sizes)
            except ModelError as error:
                failures += 1
                self.why_unread[number] = error.message
                if failures == len(share):
                    raise
                continue
            self.readings[number] = reading
            entries += reading.entries
        sources = tuple(entry.source for entry in entries[:MAX_SOURCES])
        return Answer(facts_text(entries[:MAX_SOURCES]) or "Nothing.", sources=sources)

    def _finished(self, thread: Thread, share: Sequence[int]) -> None:
        for number in share:
            if number not in self.readings and number not in self.why_unread:
                why = getattr(thread.error, "message", None) or thread.cancel_reason or thread.state
                self.why_unread[number] = str(why)
        if self.readings:
            self.run.offer(Answer(self._so_far(), complete=False))

    def _so_far(self) -> str:
        """Return what could be said if there was no more time."""
        if self.combine != "write" and (sofar := combined(self.combine, self.entries)) is not None:
            return f"{sofar.text} (in {len(self.readings)} of {len(self.pieces)} parts of the documents)"
        return facts_text(self.entries[:MAX_SOURCES]) or NOTHING

    @property
    def entries(self) -> list[Entry]:
        """All entries, in the order of the documents."""
        return [entry for number in sorted(self.readings) for entry in self.readings[number].entries]

    def missing(self) -> tuple[str, ...]:
        """The parts that were not read, in words; notes say why."""
        unread = [
            (self.pieces[number].title, self.why_unread.get(number, "there was no time or budget left"))
            for number in range(len(self.pieces))
            if number not in self.readings
        ]
        unread += [(part.title, why) for reading in self.readings.values() for part, why in reading.unread]
        for title, why in unread[:_MOST_UNREAD]:
            self.run.note(f"{title} was not read: {why}")
        if len(unread) > _MOST_UNREAD:
            self.run.note(f"{len(unread) - _MOST_UNREAD} more parts were not read.")
        if rejected := sum(reading.rejected for reading in self.readings.values()):
            self.run.note(f"{rejected} entries were left out: what they say is not on the line they name.")
        return tuple(title for title, _ in unread)


async def _answer(
    run: Run, task: Task, mapping: _Mapping, window: Window, *, conflicts: bool, cite: bool
) -> Answer:
    """Combine what was read."""
    missing = mapping.missing()
    entries = mapping.entries
    by_code = None if mapping.combine == "write" else combined(mapping.combine, entries)
    extra = ""
    if by_code is not None and mapping.combine in {"max", "min"}:
        extra = f"Code compared all values: the {mapping.combine} is {by_code.text}, on the lines below."
        entries, by_code = list(by_code.entries), None
    elif by_code is None and mapping.combine != "write":
        run.note("The values could not be combined by code: there are none, or they have different units.")
    if by_code is not None:
        return _finished(run, task, by_code, missing, cite=cite)
    if not entries:
        return speak(run, Answer(NOTHING, complete=not missing, missing=missing))
    if mapping.sizes.plain and mapping.combine == "write":
        entries = most_relevant(task.user_words, entries)
    open_points = await _contradictions(run, task, entries) if conflicts and len(task.documents) > 1 else ()
    facts, left_out = await reduced(run, task, facts_of(entries), window)
    if left_out:
        run.note(f"{left_out} facts did not fit into the last call and were left out.")
        missing = (*missing, f"{left_out} facts")
    answer = await written(run, task, facts, window, conflicts=open_points, extra=extra, cite=cite)
    return replace(
        answer,
        sources=answer.sources[:MAX_SOURCES],
        complete=answer.complete and not missing,
        missing=(*answer.missing, *missing),
    )


def _finished(run: Run, task: Task, by_code: Combined, missing: tuple[str, ...], *, cite: bool) -> Answer:
    """Return the answer that code made."""
    sources = tuple(entry.source for entry in by_code.entries[:MAX_SOURCES])
    if cut := sum(entry.source.place.offset is not None for entry in by_code.entries):
        run.note(
            f"Of what counts, {_counted(cut, 'line')} began inside a line that was too long for one call."
        )
    text = by_code.text
    output: Any = None
    if task.output is not None:
        try:
            text = as_json(by_code.value)
            shape: Shape[Any] = Shape(task.output)
            output = shape.parse(text, cut=False)
        except InvalidOutputError:
            text, output = by_code.text, None  # one more call puts it into the form
    elif cite and sources:
        places = "\n".join(f"- {source}" for source in sources[:50])
        more = f"\n- and {len(by_code.entries) - 50} more" if len(by_code.entries) > 50 else ""
        text = f"{text}\n\nSources:\n{places}{more}"
    return speak(run, Answer(text, output=output, complete=not missing, missing=missing, sources=sources))


@dataclass(frozen=True, slots=True)
class _Document:
    """A document as somebody who claims something: see `weaver._coordination.conflicts.statements.Told`."""

    id: str
    task: Task
    answer: Answer | None
    state: ThreadState = "succeeded"


async def _contradictions(run: Run, task: Task, entries: Sequence[Entry]) -> tuple[Conflict, ...]:
    """Find values that documents give differently; they stay open, the answer names them."""
    claims: dict[str, list[Claim]] = {}
    for entry in entries[:MAX_SOURCES]:
        if entry.topic.strip() and entry.stated.strip():
            claim = Claim(entry.topic.strip(), "", entry.stated.strip(), evidence=str(entry.source))
            claims.setdefault(entry.source.place.document, []).append(claim)
    if len(claims) < 2:
        return ()
    about = Task(prompt=task.question)
    documents = [_Document(name, about, Answer("", claims=tuple(own))) for name, own in claims.items()]
    return await settle_conflicts(run, documents, ladder=())
