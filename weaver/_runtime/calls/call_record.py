"""The journal's part in one model call: its request and its reply as JSON, and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from weaver._data.messages import ToolCall
from weaver._data.usage import NOTHING, Usage
from weaver._journal.forking import ANY
from weaver._journal.port import Kind
from weaver._models.protocol import Delta, Finish, Prices, Request, TokenLogprob
from weaver._models.reply import Reply
from weaver._models.reply_deltas import stream_of
from weaver._runtime.state.context import ThreadContext
from weaver._runtime.state.record import Record, changes_of
from weaver._runtime.state.recorded_errors import dump_error, error_from
from weaver.errors import JournalError, ModelError, WeaverError

_FIELDS = (
    "model", "text", "reasoning", "refusal", "finish", "finish_word", "stop", "seconds", "first_delta",
    "provider_data",
)  # fmt: skip


class CallRecord:
    """What the journal holds of one call.

    Args:
        request: as it was asked for, before anything of the endpoint's is put into it.
        model: name of the model of its role.
    """

    def __init__(
        self, run: ThreadContext, record: Record, reply: Reply, request: Request, model: str
    ) -> None:
        self._run, self._record, self._reply = run, record, reply
        asked_for = asdict(replace(request, headers={}))
        self._text = json.dumps([reply.role, model, asked_for], sort_keys=True, default=_plain)
        self._fingerprint = hashlib.sha256(self._text.encode()).hexdigest()[:16]

    async def replay(self) -> WeaverError | bool:
        """Fill the reply with the recorded one.

        Returns:
            False where nothing is recorded; True, or the error that the call ended with.

        Raises:
            JournalError: another request is recorded under this name.
        """
        record, reply, state = self._record, self._reply, self._run.state
        entry = record.find(reply.name)
        if entry is None:
            return False
        if entry.fingerprint not in (self._fingerprint, ANY):
            self._refuse_change()
            return False
        await record.arrive(entry)
        _load_reply(reply, entry.value)
        reply.replayed = True
        paid = record.is_paid(entry)
        run = self._run
        state.accounting.record(reply.usage, ledger=run.ledger, thread=run.thread, is_paid=paid)
        if entry.kind == "error":
            reply.state, reply.error = "failed", error_from(entry.value["error"])
            return reply.error
        reply.state = "succeeded" if entry.kind == "ok" else "cancelled"
        reply.cancel_reason = entry.value.get("reason")
        return True

    async def begin(self, input_tokens: int, probable_tokens: int, prices: Prices | None) -> None:
        """Record, before anything is sent, what is asked and what it will probably cost."""
        usage = Usage(calls=1, input_tokens=input_tokens, output_tokens=probable_tokens, estimated=True)
        usage = replace(usage, cost_usd=None if prices is None else prices.cost(usage))
        await self._add("started", self._text, usage)

    def withdraw(self) -> None:
        """Record that what was announced was not sent."""
        options = {"fingerprint": self._fingerprint, "usage": NOTHING}
        self._record.put(self._reply.name, "cancelled", {"reason": self._run.why_cancelled}, **options)

    async def end(self, error: BaseException | None) -> None:
        """Record how the call ended, what came, and what it cost."""
        reply = self._reply
        value = _dump_reply(reply)
        if reply.state == "succeeded":
            await self._add("ok", value, reply.usage)
        elif reply.state == "failed" and isinstance(error, ModelError):
            await self._add("error", {**value, "error": dump_error(error)}, reply.usage)
        elif error is None:
            # Who left the block without an error had read enough, and will have so again.
            await self._add("cancelled", {**value, "left": True, "reason": reply.cancel_reason}, reply.usage)
        else:
            value["reason"] = reply.cancel_reason
            options = {"fingerprint": self._fingerprint, "usage": reply.usage}
            self._record.put(reply.name, "cancelled", value, **options)

    async def _add(self, kind: Kind, value: Any, usage: Usage) -> None:
        await self._record.add(self._reply.name, kind, value, fingerprint=self._fingerprint, usage=usage)

    def _refuse_change(self) -> None:
        """The step asks something else than recorded: end the run, unless changes are accepted.

        Raises:
            JournalError: with the lines that differ.
        """
        state, key = self._run.state, self._reply.name
        if state.accept_changes:
            state.note(f"The step {key} asks something else than recorded; it was done again.")
            return
        announced = self._record.request(key)
        changes = changes_of(announced.value if announced is not None else "", self._text)
        error = JournalError(
            f"The journal of run {state.id} has another request for the step {key}: the task, the models, "
            f"the prompts or the code changed since.\n{changes}",
            hint="Go on with what it was begun with, or do the steps that differ again: --accept-changes.",
        )
        state.halt(error, "parent")
        raise error


async def failing_stream_of(reply: Reply, error: WeaverError) -> AsyncIterator[Delta]:
    """The deltas of a reply whose stream broke, then its error."""
    async for delta in stream_of(reply):
        if not isinstance(delta, Finish):
            yield delta
    raise error


def _dump_reply(reply: Reply) -> dict[str, Any]:
    value = {
        **{name: getattr(reply, name) for name in _FIELDS},
        "tool_calls": [asdict(call) for call in reply.tool_calls],
        "usage": asdict(reply.usage),
    }
    if reply.logprobs:
        value["logprobs"] = [[t.token, t.logprob, t.top] for t in reply.logprobs]
    return value


def _load_reply(reply: Reply, value: Mapping[str, Any]) -> None:
    for name in _FIELDS:
        setattr(reply, name, value[name])
    reply.tool_calls = tuple(ToolCall(**call) for call in value["tool_calls"])
    reply.usage = Usage(**value["usage"])
    reply.logprobs = [
        TokenLogprob(token, logprob, tuple((word, chance) for word, chance in top))
        for token, logprob, top in value.get("logprobs", ())
    ]


def _plain(value: Any) -> str:
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)
