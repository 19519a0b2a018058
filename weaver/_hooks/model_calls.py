"""A model's stream with hooks around it.

The hooks run in their own task, so that a hook may wait for the whole reply while its text streams on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from weaver._data.usage import NOTHING, Usage, total
from weaver._hooks.calling import Step
from weaver._hooks.protocol import ModelCall, ProceedCall
from weaver._models.layers.call_log import current_call
from weaver._models.protocol import Delta, Request, Stream, UsageReport
from weaver._models.reply import Reply
from weaver._models.reply_deltas import ReplyReader, as_model_error, deltas_of

AHEAD = 64
"""Deltas that a model may be ahead of whoever reads them."""
GRACE = 1.0
"""Seconds that a cancelled hook gets to end; then it is left behind."""
HOLD = "Call proceed(call, hold=True) to see a reply before its text is passed on."

OpenStream = Callable[[Request], AbstractAsyncContextManager[Stream]]


@asynccontextmanager
async def hooked_stream(
    steps: Sequence[Step], call: ModelCall, open_stream: OpenStream, sent: Callable[[Request], None]
) -> AsyncGenerator[Stream]:
    """`Model.stream`, with ``around_call`` of each step around it, the first one outermost.

    Args:
        open_stream: the model's own `stream`.
        sent: called with each request that is sent to the model.

    Raises:
        ModelError: as the model's stream, on entering or while iterating.
        RefusedError, HookError: likewise.
    """
    send, receive = anyio.create_memory_object_stream[Delta](AHEAD)
    passage = _Passage(steps, open_stream, sent, send)
    task = asyncio.create_task(passage.run(call), name="weaver-hooks")
    try:
        deltas = _received(receive, task)
        first = await anext(deltas, None)
        yield deltas if first is None else _with_first(first, deltas)
    finally:
        task.cancel()
        task.add_done_callback(_ignore)
        receive.close()
        if not task.done():
            with anyio.CancelScope(shield=True):
                await asyncio.wait({task}, timeout=GRACE)


class _Passage:
    """One call on its way through the hooks to the model, and its reply on the way back."""

    def __init__(
        self,
        steps: Sequence[Step],
        open_stream: OpenStream,
        sent: Callable[[Request], None],
        send: MemoryObjectSendStream[Delta],
    ) -> None:
        self._steps = steps
        self._open_stream = open_stream
        self._sent = sent
        self._send = send
        self._is_held = False
        self._streamed: Reply | None = None
        self._is_asked = False
        self._usages: list[Usage] = []
        self._errors: list[BaseException] = []

    async def run(self, call: ModelCall) -> None:
        """Call the hooks, and pass the reply on as far as it has not been streamed."""
        with self._send:
            reply = await self._proceed(0)(call)
            if self._streamed is None:
                for delta in deltas_of(reply):
                    await self._send.send(delta)
                await self._report_usage()
            elif not _same(reply, self._streamed):
                raise self._steps[0].failure("changed a reply after its text had been passed on", HOLD)

    def _proceed(self, index: int) -> ProceedCall:
        """The function that a hook continues with: the next hook, or the model."""

        async def proceed(call: object, /, *, hold: bool = False) -> Reply:
            if not isinstance(call, ModelCall):
                raise TypeError(f"proceed takes the ModelCall, not {type(call).__name__}")
            self._is_held = self._is_held or hold
            if index == len(self._steps):
                return await self._ask(call)
            step = self._steps[index]
            value = await step.call(call, self._proceed(index + 1), passed_on=self._errors)
            return _as_reply(step, value, call)

        proceed.__qualname__ = "proceed"  # its name in errors of hooks that call it wrongly
        return proceed

    async def _ask(self, call: ModelCall) -> Reply:
        """Make the call itself."""
        if self._streamed is not None:
            raise self._steps[-1].failure("called proceed again after text had been passed on", HOLD)
        self._is_asked = True
        self._sent(call.request)
        reader = ReplyReader(Reply(call.context.call_id, call.role, call.model, "", ""))
        try:
            async with self._open_stream(call.request) as deltas:
                async for delta in deltas:
                    reader.take(delta)
                    if not self._is_held:
                        self._streamed = reader.reply
                        await self._send.send(delta)
        except Exception as raised:  # noqa: BLE001 - a foreign error of an adapter becomes ours
            error = as_model_error(raised, call.model)
            self._errors.append(error)
            raise error from raised.__cause__ if error is raised else raised
        finally:
            if reader.usage is not None:
                self._usages.append(reader.usage)
        return reader.whole()

    async def _report_usage(self) -> None:
        """Report what was used, whatever usage stands in the reply that a hook returned."""
        if self._usages:
            await self._send.send(UsageReport(total(self._usages)))
        elif not self._is_asked:
            if (log := current_call.get()) is not None:
                log.is_cached = True
            await self._send.send(UsageReport(NOTHING))


def _as_reply(step: Step, value: Any, call: ModelCall) -> Reply:
    """Make a reply of the value that a hook returned."""
    if isinstance(value, Reply):
        return value
    if isinstance(value, str):
        name = call.context.call_id
        return Reply(name, call.role, call.model, "", "", text=value, finish="stop", state="succeeded")
    raise step.failure(f"returned {type(value).__name__}", "Return the reply of proceed(call), or a text.")


def _same(one: Reply, other: Reply) -> bool:
    return one is other or (one.text, one.tool_calls) == (other.text, other.tool_calls)


async def _received(
    receive: MemoryObjectReceiveStream[Delta], task: asyncio.Task[None]
) -> AsyncIterator[Delta]:
    async for delta in receive:
        yield delta
    await task


async def _with_first(first: Delta, rest: AsyncIterator[Delta]) -> AsyncIterator[Delta]:
    yield first
    async for delta in rest:
        yield delta


def _ignore(task: asyncio.Task[None]) -> None:
    """Take note of a task's error, so that asyncio does not complain about it."""
    if not task.cancelled():
        task.exception()
