"""What has to hold for a run that was killed and resumed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio

from tests.benchmarks.crashes.child import RUN
from tests.benchmarks.crashes.methods import ASKED, EFFECTS, Method
from tests.benchmarks.crashes.world import words
from weaver._data.usage import Usage, total
from weaver._journal.port import Entry
from weaver._journal.sqlite import SQLiteJournal


def entries_in(folder: Path) -> Sequence[Entry]:
    """What the journal of a run holds."""

    async def read() -> Sequence[Entry]:
        journal = SQLiteJournal(folder / "journal.sqlite")
        entries = await journal.entries(RUN)
        await journal.aclose()
        return entries

    return anyio.run(read)


def events_in(folder: Path) -> Sequence[tuple[int, Mapping[str, Any]]]:
    """What viewers of a run were told."""

    async def read() -> Sequence[tuple[int, Mapping[str, Any]]]:
        journal = SQLiteJournal(folder / "journal.sqlite")
        events = await journal.events(RUN)
        await journal.aclose()
        return events

    return anyio.run(read)


def asked_by(entry: Entry) -> str:
    """`weaver.tests...world.asked`, of the request that a call was begun with."""
    request = json.loads(entry.value)[2]
    if request["prompt"] is not None:
        return f"{request['seed']} {request['prompt']}"
    return f"{request['seed']} " + "\n".join(words(m["content"]) for m in request["messages"])


def is_call(entry: Entry) -> bool:
    """Whether it announces a model call."""
    return entry.kind == "started" and entry.usage is not None


def texts_of(entries: Sequence[Entry]) -> dict[str, str]:
    """What each call asked, by its key."""
    return {entry.key: asked_by(entry) for entry in entries if is_call(entry)}


def settled(entries: Sequence[Entry]) -> set[str]:
    """Keys of calls that nothing may be paid for again: they ended, or their thread did."""
    gone: list[str] = []
    keys = {entry.key for entry in entries if is_call(entry)}
    is_planned = any(entry.key == "plan" and entry.kind == "ok" for entry in entries)
    for entry in entries:
        # A direct answer beside a planner is begun again with the plan that had made it needless.
        if entry.key.endswith("/end") and (is_planned or entry.key != "direct/end"):
            gone.append(entry.key.removesuffix("end"))
        if entry.kind == "verdict" and isinstance(entry.value, dict):
            gone += [f"{thread}/" for thread in entry.value.get("cancelled", {})]
    ended = {
        entry.key
        for entry in entries
        if entry.kind in ("ok", "error", "timeout")
        or (entry.kind == "cancelled" and (entry.value or {}).get("left"))
    }
    return {key for key in keys if key in ended or key.startswith(tuple(gone))}


def bought_again(before: Sequence[Entry], after: Sequence[Entry], requests: Sequence[str]) -> list[str]:
    """What the server was asked although its answer was known, or although nobody had announced it.

    Args:
        before, after: the journal when the process began and now.
        requests: `asked` of all that the server received from it.
    """
    texts = texts_of(after)
    known = settled(before)
    open_calls = Counter(text for key, text in texts.items() if key not in known)
    problems = []
    for text, times in Counter(requests).items():
        if times > open_calls[text]:
            problems.append(f"asked {times} times instead of {open_calls[text]}: {text[-80:]!r}")
    return problems


def budget(entries: Sequence[Entry]) -> Usage:
    """What was paid over all processes: each announced call as it ended, else as it was estimated."""
    paid: dict[tuple[str, int], Usage] = {}
    for entry in entries:
        if entry.usage is not None:
            paid[entry.key, entry.epoch] = Usage(**entry.usage)
    return total(paid.values())


def told_wrongly(folder: Path, answer: str) -> list[str]:
    """What is wrong with the events: gaps, repetitions, another answer than the run's."""
    events = events_in(folder)
    problems = []
    if [number for number, _ in events] != list(range(1, len(events) + 1)):
        problems.append("events have gaps")
    if not events or events[-1][1]["event"] != "RunFinished":
        problems.append("events do not end with RunFinished")
    text = ""
    for _, event in events:
        if event["event"] == "AnswerStarted":
            text = ""
        elif event["event"] == "AnswerDelta":
            text += event["text"]
    if text.strip() != answer.strip():
        problems.append(f"viewers saw another answer: {text[:80]!r}")
    for name in ("RunStarted", "ThreadStarted"):
        counts = Counter(str(e.get("thread")) for _, e in events if e["event"] == name)
        problems += [f"{name} of {thread} came {n} times" for thread, n in counts.items() if n > 1]
    return problems


def repeated(folder: Path, method: Method, kills: int) -> list[str]:
    """Whether tools worked, or people were asked, not at all or more often than kills explain."""
    problems = []
    for name, times in ((EFFECTS, method.effects), (ASKED, method.asks)):
        path = folder / name
        count = len(path.read_text().splitlines()) if path.exists() else 0
        if not times <= count <= times * (1 + kills):
            problems.append(f"{count} times {name} instead of {times}, with {kills} kills")
    return problems


def flipped(name: str, entries: Sequence[Entry], answer: str) -> list[str]:
    """Whether the answer is another one than was decided first."""
    ends = [
        entry.key.removesuffix("/end")
        for entry in entries
        if entry.key.endswith("/end") and entry.kind == "ok"
    ]
    if name == "race" and not answer.startswith(f"{ends[0]}: "):
        return [f"{ends[0]} had won, and the answer is {answer[:40]!r}"]
    if name == "toy" and set(answer.split()[:5]) != set(ends[:5]):
        return [f"{ends[:5]} were first, and the answer is {answer[:60]!r}"]
    return []
