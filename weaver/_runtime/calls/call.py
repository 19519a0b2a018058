"""One model call: reserved, traced, limited, counted, journaled, and closed when it is left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any

import anyio
import anyio.lowlevel

from weaver._data.result import CancelReason
from weaver._data.usage import Usage, estimate_tokens
from weaver._display import one_line
from weaver._hooks.protocol import ModelCall
from weaver._models.clock import current_time
from weaver._models.layers.call_log import CallLog, current_call
from weaver._models.protocol import (
    Delta,
    Logprobs,
    Reasoning,
    Refusal,
    Request,
    Stream,
    Text,
    ToolCallPart,
)
from weaver._models.reply import Reply
from weaver._models.reply_deltas import ReplyReader, as_model_error, stream_of
from weaver._runtime.calls.call_record import CallRecord, failing_stream_of
from weaver._runtime.calls.repetition import FIRST_LOOK, NEVER, REPETITION, next_look, repeated_unit
from weaver._runtime.calls.requests import estimated_input, with_defaults, with_room_to_reason
from weaver._runtime.limits.budget_ledger import PROBABLE_TOKENS
from weaver._runtime.state.context import ThreadContext
from weaver._runtime.state.guards import context_of, hooks_of
from weaver._runtime.state.media import as_missing, check_media, media_of
from weaver._runtime.state.shared_prefix import Prefix, is_shared, with_cache_key
from weaver.errors import HookError, ModelError, ModelRefusedError, RefusedError

SLICE = 128
"""Deltas that are read of one call before other tasks get their turn."""
USUAL_SHARE = 0.75
"""A call is expected to be as long as this share of the earlier calls of its role."""
BYTES_PER_TOKEN = 4
"""For counting while an answer streams. A delta counts as one token at least: servers send one a chunk."""
MAX_REFUSAL = 2000
"""Most characters of a refusal that its error repeats."""


_NO_LOG = CallLog()
"""Of a call that has not been sent."""


class Call:
    """An open model call. Iterate for its deltas; ``reply`` fills up meanwhile.

    Use ``async with``: leaving the block early closes the connection at once and the reply's state
    becomes ``cancelled``, with `cancel_reason` (settable; ``not_needed`` by default) as the reason.

    Raises:
        ModelError: the call failed, on entering or while iterating.
        ModelRefusedError: at the end of iterating: the model or a filter refused, and there is nothing else.
        BudgetExceededError: on entering; nothing was sent.
    """

    __slots__ = (
        "_asked", "_bytes", "_costs", "_counted", "_deltas", "_deltas_read", "_ended", "_failed",
        "_input_estimate", "_is_aborted", "_is_counted", "_log", "_look_at", "_manager", "_mark", "_model",
        "_prefix", "_reader", "_record", "_request", "_reservation", "_run", "_sent", "_span", "_texts",
        "_used_up", "cancel_reason", "chunks", "path_seconds", "path_tokens", "reply",
    )  # fmt: skip

    def __init__(self, run: ThreadContext, request: Request, *, role: str, name: str) -> None:
        self._run = run
        self._model = run.model(role)
        self._request = request
        self._record: CallRecord | None = None
        self._ended = False
        self._is_counted = False
        self._counted = self._bytes = self._deltas_read = 0
        self._look_at = FIRST_LOOK if run.state.stop_repetition else NEVER
        self._used_up = ""
        self._failed = self._is_aborted = False
        self._sent = 0.0
        self._log = _NO_LOG
        self._prefix: Prefix | None = None
        self._manager: AbstractAsyncContextManager[Stream] | None = None
        self._deltas: AsyncIterator[Delta]
        self.cancel_reason: CancelReason | None = None
        self.chunks = 0
        self.path_tokens, self.path_seconds = run.path_tokens, run.path_seconds
        self.reply = Reply(name, role, self._model.name, self._model.provider, self._model.endpoint)
        self._reader = ReplyReader(self.reply)
        self._texts = self._reader.texts

    def __repr__(self) -> str:
        return one_line.of_call(self)

    @property
    def tokens_so_far(self) -> int:
        """Generated tokens as far as can be told while the stream is open: servers send one a chunk."""
        return self.chunks

    @property
    def text_so_far(self) -> str:
        """The text that has arrived."""
        return "".join(self._texts)

    @property
    def seconds_so_far(self) -> float:
        """Seconds since the request was sent."""
        return current_time() - self._sent if self._sent else 0.0

    def __aenter__(self) -> Coroutine[Any, Any, Call]:
        run = self._run
        self._request = request = with_defaults(self._request, run, self.reply.role)
        self._input_estimate = estimated_input(request)
        self._asked = request
        if run.state.record is not None or is_shared(request) or media_of(request.messages):
            return self._enter()
        # The usual call has nothing to wait for before it is sent.
        self._costs = run.state.costs_of(self._model)
        self._request = with_cache_key(request, self._model, f"{run.id}-{self.reply.role}")
        return self._open()

    async def _enter(self) -> Call:
        """Check, replay, and wait for what must come first; then open the call."""
        run = self._run
        await check_media(run, self._request.messages, self.reply.role)
        if run.state.record is not None:
            self._record = CallRecord(run, run.state.record, self.reply, self._asked, self._model.name)
            if await self._replays(self._record):
                return self
            await run.replayed()
        self._costs = run.state.costs_of(self._model)
        self._request = with_cache_key(self._request, self._model, f"{run.id}-{self.reply.role}")
        self._prefix = await run.state.prefixes.enter(self._request, self._model, self._costs, run)
        try:
            return await self._open()
        finally:
            run.state.prefixes.read(self._prefix)

    async def _open(self) -> Call:
        """Reserve what the call may cost, send it, and wait for its first delta."""
        run, state, reply = self._run, self._run.state, self.reply
        if self._model.name in state.reasoners:
            self._request = with_room_to_reason(self._request)
        probable = self._probable_tokens()
        await self._reserve(probable)
        self._is_counted = run.ledger.limits_answers
        self._span = span = state.tracing.calls.start(
            run.call_span,
            model=reply.model,
            provider=reply.provider,
            endpoint=reply.endpoint,
            role=reply.role,
            request=self._request,
            budget=run.ledger.about(self._reservation),
        )
        if headers := state.tracing.headers(span):
            self._request = replace(self._request, headers={**headers, **self._request.headers})
        self._log = log = CallLog(
            run=run.id, deadline_at=run.deadline_at, probable_tokens=self._input_estimate + probable
        )
        log.on_change = partial(state.call_changed, run.thread_id)
        reply.retries, reply.fallbacks = log.retries, log.fallbacks
        state.call_began()
        run.call_began(self)
        self._sent = current_time()
        self._mark = self._costs.began(self._sent)
        token = current_call.set(log)
        try:
            self._manager = self._stream()
            self._deltas = await self._manager.__aenter__()
        except Exception as raised:  # noqa: BLE001 - an adapter's foreign error becomes ours
            reply.queue_seconds = log.queue_seconds
            self._failed = True
            error = as_model_error(raised, reply.model)
            if isinstance(error, (RefusedError, HookError)):
                state.halt(error)
            self._settle(error)
            if self._record is not None:
                await self._record.end(error)
            if isinstance(error, ModelError) and (
                missing := as_missing(run, error, self._model.name, self._request.messages)
            ):
                raise missing from error
            raise error from raised.__cause__ if error is raised else raised
        except BaseException as cancelled:
            reply.queue_seconds = log.queue_seconds
            self._settle(cancelled)
            if self._record is not None:
                await self._record.end(cancelled)
            raise
        finally:
            current_call.reset(token)
        reply.queue_seconds = log.queue_seconds
        reply.model = log.answered_by or reply.model
        reply.first_delta = current_time() - self._sent - reply.queue_seconds
        return self

    async def _reserve(self, probable: int) -> None:
        """Reserve what the call may cost, and record that it begins."""
        ledger, prices = self._run.ledger, self._model.prices
        self._reservation = ledger.reserve(
            self._input_estimate, probable, prices=prices, model=self._model.name
        )
        if self._record is not None:
            try:
                await self._record.begin(self._input_estimate, probable, prices)
            except BaseException:
                ledger.release(self._reservation)
                self._record.withdraw()
                raise

    def _stream(self) -> AbstractAsyncContextManager[Stream]:
        """The model's stream, with the hooks around it."""
        hooks = hooks_of(self._run)
        if not hooks.around_call:
            return self._model.stream(self._request)
        context = context_of(self._run, self.reply.name)
        call = ModelCall(self._request, self.reply.model, self.reply.role, context)
        return hooks.stream(call, self._model.stream, self._set_request)

    def _set_request(self, request: Request) -> None:
        """Record the request that is really sent, where a hook has changed it."""
        self._request = request

    def abort(self) -> None:
        """Close the connection at once, where there is one; whoever reads is cancelled after that."""
        if self.reply.state == "open" and self._log.abort is not None:
            self._is_aborted = True
            self._log.abort()

    def __aiter__(self) -> Call:
        return self

    async def __anext__(self) -> Delta:
        if self._used_up:
            self._stop()
            raise StopAsyncIteration
        self._deltas_read += 1
        if not self._deltas_read % SLICE:
            # A server that sends faster than this is read would otherwise never leave the loop to others.
            await anyio.lowlevel.checkpoint()
        try:
            delta = await self._deltas.__anext__()
        except StopAsyncIteration:
            self._ended = True
            if (refused := self._refused()) is not None:
                self._failed = True
                raise refused from None
            raise
        except Exception as raised:  # noqa: BLE001 - as above
            if self._is_aborted:
                await anyio.lowlevel.checkpoint()  # its reader is cancelled: that is how this call ends
            self._failed = True
            error = as_model_error(raised, self.reply.model)
            if isinstance(error, (RefusedError, HookError)):
                self._run.state.halt(error)
            raise error from raised.__cause__ if error is raised else raised
        if type(delta) is Text:
            self.chunks += 1
            self._texts.append(delta.text)
            self._count(delta.text)
        else:
            self._take(delta)
        return delta

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._manager is None:
            if self.reply.state == "open":  # a replayed call whose recorded error ended it
                self.reply.state = "failed"
            return
        try:
            await self._manager.__aexit__(kind, error, trace)
        finally:
            self._settle(error)
        if self._record is not None:
            await self._record.end(error)

    def _take(self, delta: Delta) -> None:
        if self.reply.replayed and isinstance(delta, Logprobs):
            return
        self._reader.take(delta)
        match delta:
            case Reasoning(text) | Text(text) | Refusal(text) | ToolCallPart(arguments=text):
                self.chunks += 1
                self._count(text)
            case _:
                pass

    def _probable_tokens(self) -> int:
        """Tokens that the call will probably generate: as its role usually does, within its own cap."""
        role = "direct" if self.reply.role == "thread" and self._run.thread is None else self.reply.role
        usual = self._costs.length(role, USUAL_SHARE)
        probable = PROBABLE_TOKENS if usual is None else max(1, int(usual))
        cap = self._request.max_tokens
        return probable if cap is None else min(cap, probable)

    def _count(self, text: str) -> None:
        """Count what has been generated, as `_usage` will estimate it: against size and budget."""
        self._bytes += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
        if self._bytes > self._run.state.max_answer:
            self._used_up = "size"
        if self._bytes >= self._look_at:
            self._look_at = next_look(self._bytes)
            if repeated_unit(self._texts or self._reader.reasoning, self._request) is not None:
                self._used_up = REPETITION
        if not self._is_counted:
            return
        generated = max(self.chunks, -(-self._bytes // BYTES_PER_TOKEN))
        if generated > self._counted:
            more, self._counted = generated - self._counted, generated
            self._used_up = self._run.ledger.advance(self._reservation, more) or self._used_up

    def _stop(self) -> None:
        """The budget is used up, or the answer is too long: what has come is the reply, cut as by a cap."""
        reply, run = self.reply, self._run
        self._ended = True
        reply.finish = "length"
        if self._used_up == "size":
            reply.finish_word = "max_answer"
            reason = f"its answer has more than {run.state.max_answer:,} bytes (max_answer)"
        elif self._used_up == REPETITION:
            reply.finish_word = REPETITION
            reason = "it repeated the same words without end (stop_repetition)"
        else:
            reply.finish_word = f"budget of {'tokens' if self._used_up == 'tokens' else 'cost'}"
            reason = f"the {reply.finish_word} is used up"
        run.note(f"{_place(reply.role, run.path)} was stopped: {reason}.")

    def _refused(self) -> ModelRefusedError | None:
        """The error for a call that ended with a refusal, or by a filter, and with nothing else."""
        reply, words = self.reply, "".join(self._reader.refusal).strip()
        if self._reader.tools or any(text.strip() for text in self._texts):
            return None
        if words:
            return ModelRefusedError(
                f"{reply.model} refused to answer: {words[:MAX_REFUSAL]}",
                model=reply.model,
                hint="Ask in another way, or ask another model.",
            )
        if reply.finish in ("content_filter", "refusal"):
            return ModelRefusedError(
                f"{reply.model} {reply.why_incomplete} before it said anything.",
                model=reply.model,
                hint="Change the prompt so that the filter lets it pass, or ask another model."
                if reply.finish == "content_filter"
                else "Ask in another way, or ask another model.",
            )
        return None

    def _settle(self, error: BaseException | None) -> None:
        """Close the books of this call, once."""
        run, state, reply = self._run, self._run.state, self.reply
        if reply.state != "open":
            return
        self._reader.fill()
        if self._failed:
            reply.state = "failed"
            reply.error = error if isinstance(error, Exception) else None
        elif self._ended or reply.finish is not None:
            reply.state = "succeeded"
        else:
            reply.state = "cancelled"
            reply.cancel_reason = self.cancel_reason or (
                "not_needed" if error is None or isinstance(error, Exception) else run.why_cancelled
            )
        now = current_time()
        reply.seconds = max(0.0, now - self._sent - reply.queue_seconds)
        reply.is_cached = self._log.is_cached
        reply.usage = self._usage()
        self._notice_reasoning()
        role = "direct" if reply.role == "thread" and run.thread is None else reply.role
        self._costs.ended(self._mark, now, reply, role)
        state.prefixes.ended(self._prefix, reply.usage)
        state.accounting.record(
            reply.usage, ledger=run.ledger, thread=run.thread, reservation=self._reservation
        )
        if reply.state == "succeeded" and reply.ended_abnormally:
            run.note(f"{_place(reply.role, run.path)}: {reply.model} {reply.why_incomplete}.")
        state.call_ended(reply)
        run.call_ended(self)
        state.tracing.calls.end(self._span, reply, self._request)
        self._log.on_change = None  # kept connections and timers keep the log, and must not keep the run

    def _usage(self) -> Usage:
        reply, reported = self.reply, self._reader.usage
        if reply.is_cached:
            return Usage(calls=1)
        if reported is not None and (reply.state == "succeeded" or self._ended):
            usage = reported if reported.calls == 1 else replace(reported, calls=1)
        else:
            nothing_sent = reply.state != "succeeded" and reply.first_delta is None
            estimate = sum(map(estimate_tokens, (reply.text, reply.reasoning, reply.refusal)))
            estimate += sum(estimate_tokens(c.arguments) for c in reply.tool_calls)
            usage = Usage(
                calls=1,
                input_tokens=0 if nothing_sent and reply.state == "failed" else self._input_estimate,
                output_tokens=max(estimate, self.chunks, reported.output_tokens if reported else 0),
                reasoning_tokens=estimate_tokens(reply.reasoning),
                cost_usd=None,
                estimated=not (nothing_sent and reply.state == "failed"),
            )
        prices = self._log.prices or self._model.prices
        cost = prices.cost(usage) if prices else usage.cost_usd or None
        return usage if cost == usage.cost_usd else replace(usage, cost_usd=cost)

    def _notice_reasoning(self) -> None:
        if self.reply.reasoning or self.reply.usage.reasoning_tokens:
            self._run.state.reasoners.add(self._model.name)

    async def _replays(self, record: CallRecord) -> bool:
        """Take the reply from the journal, if it is there.

        Raises:
            JournalError: another request is recorded under this name.
            ModelError: the recorded one.
        """
        run, reply = self._run, self.reply
        outcome = await record.replay()
        if outcome is False:
            return False
        self._notice_reasoning()
        span = run.state.tracing.calls.start(
            run.call_span,
            model=reply.model,
            provider=reply.provider,
            endpoint=reply.endpoint,
            role=reply.role,
            request=self._request,
        )
        run.state.tracing.calls.end(span, reply, self._request)
        run.call_ended(self)
        if outcome is True:
            self._deltas = stream_of(reply)
        elif reply.first_delta is None:
            raise outcome
        else:
            self._deltas = failing_stream_of(reply, outcome)
        return True


def _place(role: str, path: str) -> str:
    labels = {"planner": "The plan", "judge": "A judge", "synthesizer": "The merged answer"}
    return labels.get(role) or (f"Thread {path}" if path else "The answer")
