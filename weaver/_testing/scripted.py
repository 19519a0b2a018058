"""A model that says what a test tells it to say, on the event loop's clock."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from weaver._data.usage import Usage, estimate_tokens
from weaver._models.protocol import (
    Capabilities,
    Delta,
    Finish,
    FinishReason,
    Logprobs,
    Prices,
    Reasoning,
    Request,
    Stream,
    Text,
    TokenLogprob,
    ToolCallPart,
    UsageReport,
)
from weaver.errors import ModelError

Match = str | re.Pattern[str] | Callable[[Request], bool] | None


@dataclass(slots=True)
class Scripted:
    """One scripted reply.

    Args:
        text: what the model says, word by word.
        when: which requests it answers: a substring of the request's text, a pattern to search in it, a
            predicate, or None for any.
        times: how often it may be used; None for ever. Replies are tried in order.
        first: seconds until the first delta.
        each: seconds between deltas.
        reasoning: hidden reasoning before the text.
        tool_calls: (name, JSON arguments) pairs.
        error: raised instead of answering; with ``error_after`` set, after that many words.
        error_after: number of words streamed before ``error`` is raised.
        finish: finish reason; ``length`` when the request's ``max_tokens`` cut it; reasoning and text
            count.
        stop: the stop string that was matched, if any.
        usage: what the server reports; None estimates one token per word; False reports none at all.
        logprobs: log-probability of each word; reported when the request asks for them.
    """

    text: str | Callable[[Request], str] = ""
    when: Match = None
    times: int | None = None
    first: float = 0.0
    each: float = 0.0
    reasoning: str = ""
    tool_calls: tuple[tuple[str, str], ...] = ()
    error: Exception | None = None
    error_after: int | None = None
    finish: FinishReason = "stop"
    stop: str | None = None
    usage: Usage | bool | None = None
    logprobs: tuple[float, ...] = ()

    def matches(self, request: Request) -> bool:
        """Return True if this reply answers ``request``."""
        if self.times == 0:
            return False
        if self.when is None:
            return True
        if callable(self.when):
            return self.when(request)
        prompt = text_of(request)
        return self.when in prompt if isinstance(self.when, str) else bool(self.when.search(prompt))


@dataclass(slots=True)
class Recorded:
    """A request that a `ScriptedModel` received, and what became of it.

    Attributes:
        at: time on the event loop's clock.
        words: words streamed so far.
        closed: ``finished``, ``cancelled`` (left early), ``failed`` or ``open``.
    """

    request: Request
    at: float
    words: int = 0
    closed: str = "open"
    closed_at: float | None = None


@dataclass
class ScriptedModel:
    """A `Model` for tests.

    Args:
        replies: tried in order; a plain string answers any request, again and again. A list of only
            strings is answered in order, each once.
        can: capabilities; all but ``small`` by default.

    Attributes:
        requests: every request received, with its fate.
        in_flight, max_in_flight: open streams now, and the most there ever were.

    Raises:
        ModelError: a request that no reply matches, naming the request's text.
    """

    replies: Iterable[Scripted | str] | Scripted | str = "ok"
    name: str = "scripted"
    provider: str = "scripted"
    endpoint: str = "scripted://"
    prices: Prices | None = None
    can: Capabilities = field(
        default_factory=lambda: Capabilities(
            json_schema=True, json_object=True, tools=True, logprobs=True, completions=True, prefill=True
        )
    )
    requests: list[Recorded] = field(default_factory=list[Recorded], init=False)
    in_flight: int = field(default=0, init=False)
    max_in_flight: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        replies = [self.replies] if isinstance(self.replies, str | Scripted) else list(self.replies)
        once = 1 if len(replies) > 1 and all(isinstance(r, str) for r in replies) else None
        self._script = [Scripted(r, times=once) if isinstance(r, str) else r for r in replies]

    async def capabilities(self) -> Capabilities:
        """Return what the test said it can."""
        return self.can

    async def aclose(self) -> None:
        """Nothing to release."""

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[Stream]:
        """Answer with the first reply that matches."""
        recorded = Recorded(request, anyio.current_time())
        self.requests.append(recorded)
        reply = self._reply_to(request)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        deltas = self._deltas(reply, request, recorded)
        try:
            await anyio.sleep(reply.first)
            if reply.error is not None and not reply.error_after:
                recorded.closed = "failed"
                raise reply.error
            yield deltas
        finally:
            self.in_flight -= 1
            await deltas.aclose()
            recorded.closed_at = anyio.current_time()
            if recorded.closed == "open":
                recorded.closed = "cancelled"

    def _reply_to(self, request: Request) -> Scripted:
        for reply in self._script:
            if reply.matches(request):
                if reply.times is not None:
                    reply.times -= 1
                return reply
        raise ModelError(
            f"No scripted reply of {self.name!r} matches the request: {text_of(request)[-300:]!r}.",
            model=self.name,
        )

    async def _deltas(
        self, reply: Scripted, request: Request, recorded: Recorded
    ) -> AsyncGenerator[Delta, None]:
        thoughts = re.findall(r"\S+\s*|\s+", reply.reasoning)
        room = request.max_tokens if request.max_tokens is not None else sys.maxsize
        if thoughts := thoughts[:room]:
            yield Reasoning("".join(thoughts))
        room -= len(thoughts)
        text = reply.text(request) if callable(reply.text) else reply.text
        words = re.findall(r"\S+\s*|\s+", text)
        finish: FinishReason = "tool_calls" if reply.tool_calls else reply.finish
        if len(words) > room:
            words, finish = words[:room], "length"
        for i, word in enumerate(words):
            if reply.error is not None and i == reply.error_after:
                recorded.closed = "failed"
                raise reply.error
            if reply.each and i:
                await anyio.sleep(reply.each)
            recorded.words += 1
            yield Text(word)
            if request.logprobs is not None and i < len(reply.logprobs):
                yield Logprobs((TokenLogprob(word, reply.logprobs[i], ((word, reply.logprobs[i]),)),))
        for i, (name, arguments) in enumerate(reply.tool_calls):
            yield ToolCallPart(i, f"call_{i}", name, arguments)
        if reply.usage is not False:
            yield UsageReport(
                reply.usage
                if isinstance(reply.usage, Usage)
                else Usage(
                    input_tokens=estimate_tokens(text_of(request)),
                    output_tokens=len(words) + len(thoughts),
                    reasoning_tokens=len(thoughts),
                )
            )
        recorded.closed = "finished"
        yield Finish(finish, reply.stop)


def text_of(request: Request) -> str:
    """All text of a request: the messages' contents, or the raw prompt."""
    if request.prompt is not None:
        return request.prompt
    return "\n".join(m.text for m in request.messages)
