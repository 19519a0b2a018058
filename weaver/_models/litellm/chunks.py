"""The chunks of an answer through litellm, as close to the provider's own as they can be had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from weaver._json_reading.json_types import is_object


class Chunks:
    """An iterator of chunks in OpenAI's shape, as plain data.

    litellm drops what it does not know (refusals, reasons for an end, usage inside choices) and counts
    tokens itself where the provider says none. Chunks that come in OpenAI's shape are therefore read before
    litellm changes them. Of others it is noticed whether the provider has reported its usage.

    Args:
        answer: what litellm returned: a stream, or a whole answer.

    Attributes:
        has_any: a chunk has come.
        reports_usage: the usage in the chunks is the provider's, not a guess of litellm's.
    """

    def __init__(self, answer: Any) -> None:
        self.reports_usage = False
        self.has_any = False
        self._answer = answer
        self._source: Any
        inner = getattr(answer, "completion_stream", None)
        if not hasattr(answer, "__anext__"):
            self.reports_usage = True
            self._source = _Once(answer)
        elif inner is not None and type(inner).__module__.partition(".")[0] == "openai":
            self.reports_usage = True
            self._source = aiter(inner)
        else:
            self._source = answer
            if inner is None or not hasattr(inner, "__anext__"):
                self.reports_usage = True  # it cannot be told
            else:
                answer.completion_stream = _Watched(inner, self)

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self

    async def __anext__(self) -> dict[str, Any]:
        chunk = await self._source.__anext__()
        self.has_any = True
        data: dict[str, Any] = chunk.model_dump(exclude_none=True)
        return data

    async def aclose(self) -> None:
        """Close the connection."""
        if hasattr(self._answer, "aclose"):
            await self._answer.aclose()


class _Once:
    """A whole answer as a stream of one chunk."""

    def __init__(self, answer: Any) -> None:
        self._left = [answer]

    async def __anext__(self) -> Any:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class _Watched:
    """A provider's own stream, which tells ``chunks`` when usage has come."""

    def __init__(self, stream: Any, chunks: Chunks) -> None:
        self._stream = stream
        self._chunks = chunks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __aiter__(self) -> _Watched:
        return self

    async def __anext__(self) -> Any:
        chunk = await self._stream.__anext__()
        usage = chunk.get("usage") if is_object(chunk) else getattr(chunk, "usage", None)
        if usage:
            self._chunks.reports_usage = True
        return chunk
