"""Answering a call from an earlier one with exactly the same request."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any, Literal

import anyio.to_thread

from weaver._models.layers.base import Layer
from weaver._models.layers.call_log import current_call
from weaver._models.protocol import Delta, Model, Request, Stream
from weaver._models.reply import Reply
from weaver._models.reply_cache.store import ReplyStore
from weaver._models.reply_deltas import ReplyReader, stream_of

Which = Literal[True, "temperature-0"]
MAX_RUNS = 1000
"""Runs whose repeated requests are counted at the same time."""
_RUNS_OWN = ("prompt_cache_key",)
"""Extra fields that differ between runs and change no answer."""


class Cached(Layer):
    """Reads replies from a store, and keeps those that a model has ended by itself.

    Two calls are the same if model, endpoint, settings and request are. Equal requests of one run are
    counted: the second one is another call, so that samples of one run stay different, and a second run
    gets the same samples. HTTP headers do not count.

    Args:
        model: with its other layers, none of which sees a call that is answered from the store.
        store: where replies are kept.
        which: True: every request; ``"temperature-0"``: those with temperature 0.
        settings: what the layers inside add to requests; another value is another call.
    """

    def __init__(
        self,
        model: Model,
        store: ReplyStore,
        *,
        which: Which = True,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(model)
        self._store = store
        self._which = which
        self._settings = dict(settings or {})
        self._counts: OrderedDict[str, Counter[bytes]] = OrderedDict()

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[Stream]:
        """See `weaver.models.Model`; an answer from the store has no usage and costs nothing."""
        if self._which is not True and request.temperature != 0:
            async with self.model.stream(request) as stream:
                yield stream
            return
        log = current_call.get()
        key = self._key(request, log.run if log is not None else "")
        reply = Reply("", "", self.name, self.provider, self.endpoint)
        if await anyio.to_thread.run_sync(self._store.get, key, reply):
            if log is not None:
                log.is_cached = True
            yield stream_of(reply)
            return
        async with self.model.stream(request) as stream:
            yield self._storing(stream, key, reply)

    async def _storing(self, stream: Stream, key: bytes, reply: Reply) -> AsyncIterator[Delta]:
        """Pass a stream on; keep its reply once it has ended."""
        reader = ReplyReader(reply)
        async for delta in stream:
            reader.take(delta)
            yield delta
        reply = reader.whole()
        if reply.is_complete and reply.finish in ("stop", "tool_calls") and (reply.text or reply.tool_calls):
            await anyio.to_thread.run_sync(self._store.put, key, reply)

    def _key(self, request: Request, run: str) -> bytes:
        extra = {name: value for name, value in request.extra.items() if name not in _RUNS_OWN}
        plain = asdict(replace(request, headers={}, extra=extra))
        about = [self.name, self.endpoint, self._settings, plain]
        text = json.dumps(about, sort_keys=True, ensure_ascii=False, default=repr)
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        return digest + self._count(run, digest).to_bytes(4, "big")

    def _count(self, run: str, digest: bytes) -> int:
        """The number of equal requests of this run before this one."""
        if not run:
            return 0
        counts = self._counts.setdefault(run, Counter())
        self._counts.move_to_end(run)
        if len(self._counts) > MAX_RUNS:
            self._counts.popitem(last=False)
        counts[digest] += 1
        return counts[digest] - 1

    async def aclose(self) -> None:
        """Close the model inside and the store."""
        self._store.close()
        await super().aclose()
