"""A new run that goes on from the middle of another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from weaver._journal.port import Entry, Journal
from weaver._json_reading.json_types import is_object
from weaver.errors import UnknownNameError

ANY = "*"
"""Fingerprint of an entry that answers whatever its step is asked: the new run may differ in what it asks."""
_ENDS = ("ok", "error", "timeout", "cancelled")


async def fork_run(
    journal: Journal,
    run_id: str,
    step: str,
    new_id: str,
    *,
    about: Mapping[str, Any],
    reply: str | None = None,
) -> int:
    """Make a run that has taken all steps of another one but ``step`` and those that were begun after it.

    Args:
        step: key of a step that has ended, or of a thread: all its steps are left out.
        about: of the new run, as for `Journal.open`.
        reply: what ``step``, a model call, is to have answered; by default it is asked again.

    Returns:
        How many entries the new run begins with.

    Raises:
        UnknownNameError: there is no such step, it has not ended, or it has a ``reply`` and is no call.
    """
    entries = await journal.entries(run_id)
    chosen = independent_entries(entries, step)
    if reply is not None:
        chosen = [*chosen, _answering(entries, step, reply)]
    opened = await journal.open(new_id, about=about)
    # What they cost was paid by the other run.
    copies = [replace(e, usage=None, fingerprint=ANY if e.fingerprint else "", epoch=0) for e in chosen]
    if copies:
        await journal.append(new_id, opened.epoch, copies)
    await journal.finish(new_id, opened.epoch, "interrupted")
    return len(copies)


def independent_entries(entries: Sequence[Entry], step: str) -> list[Entry]:
    """Return the entries of steps that cannot depend on ``step``: they were begun before it ended.

    Raises:
        UnknownNameError: no such step has ended.
    """
    inside = f"{step}/"
    ends = [e.seq for e in entries if e.key in (step, f"{step}/end") and e.kind in _ENDS]
    if not ends:
        steps = dict.fromkeys(e.key for e in entries if e.kind in _ENDS)
        raise UnknownNameError("finished step", step, list(steps))
    begun: dict[str, int] = {}
    for entry in entries:
        begun.setdefault(entry.key, entry.seq)
    return [
        e
        for e in entries
        if e.key != step
        and not e.key.startswith(inside)
        and begun[e.key] < ends[0]
        and (e.kind in ("ok", "error", "timeout", "verdict") or _was_left(e))
        and not e.key.startswith("session/")
    ]


def _was_left(entry: Entry) -> bool:
    """Say whether it is a call that was left early because enough had been read."""
    return entry.kind == "cancelled" and is_object(entry.value) and bool(entry.value.get("left"))


def _answering(entries: Sequence[Entry], step: str, reply: str) -> Entry:
    calls = {
        e.key: (e, e.value) for e in entries if e.kind == "ok" and is_object(e.value) and "text" in e.value
    }
    if step not in calls:
        raise UnknownNameError("model call", step, calls)
    entry, value = calls[step]
    return replace(entry, value={**value, "text": reply, "reasoning": "", "tool_calls": []})
