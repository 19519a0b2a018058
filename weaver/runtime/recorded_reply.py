"""Replies as JSON and back, for the journal; and requests that are not the recorded ones any more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Any

from weaver.errors import JournalError, WeaverError
from weaver.messages import ToolCall
from weaver.models.protocol import Delta, Finish
from weaver.models.reply import Reply
from weaver.models.reply_deltas import stream_of
from weaver.runtime.context import Scope
from weaver.runtime.record import changes_of
from weaver.usage import Usage

_FIELDS = (
    "model", "text", "reasoning", "refusal", "finish", "finish_word", "stop", "seconds", "first_delta",
    "provider_data",
)  # fmt: skip


def dump_reply(reply: Reply) -> dict[str, Any]:
    """Return the JSON that is recorded of a reply."""
    return {
        **{name: getattr(reply, name) for name in _FIELDS},
        "tool_calls": [asdict(call) for call in reply.tool_calls],
        "usage": asdict(reply.usage),
    }


def load_reply(reply: Reply, value: Mapping[str, Any]) -> None:
    """Fill ``reply`` with what `dump_reply` kept."""
    for name in _FIELDS:
        setattr(reply, name, value[name])
    reply.tool_calls = tuple(ToolCall(**call) for call in value["tool_calls"])
    reply.usage = Usage(**value["usage"])


async def failing_stream_of(reply: Reply, error: WeaverError) -> AsyncIterator[Delta]:
    """The deltas of a reply whose stream broke, then its error."""
    async for delta in stream_of(reply):
        if not isinstance(delta, Finish):
            yield delta
    raise error


def differs(run: Scope, key: str, recorded: str, now: str) -> bool:
    """The step is recorded, but asked something else: end the run, unless changes are accepted.

    Returns:
        False: the step is to be done again.

    Raises:
        JournalError: with the lines that differ.
    """
    state = run.state
    if state.accept_changes:
        state.note(f"The step {key} asks something else than recorded; it was done again.")
        return False
    changes = changes_of(recorded, now)
    error = JournalError(
        f"The journal of run {state.id} has another request for the step {key}: the task, the models, the "
        f"prompts or the code changed since.\n{changes}",
        hint="Go on with what it was begun with, or do the steps that differ again: --accept-changes.",
    )
    state.halt(error, "parent")
    raise error
