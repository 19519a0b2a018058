"""The one protocol that weaver talks to models through.

A model opens a *stream of deltas* for a request, inside a context manager: leaving the block, for
whatever reason, closes the connection at once. Layers (retry, limit, fallback) wrap a model and are a
model themselves; because they act on opening and closing, they cost nothing per delta.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from weaver._data.messages import Message
from weaver._data.usage import Usage

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "interrupted", "unknown"]
"""Why generation ended. ``interrupted``: the provider gave up, for example for want of resources;
``unknown``: the server did not say."""


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of the model's hidden reasoning, where the server shows it."""

    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A piece of the text with which the model says that it does not answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """A piece of a tool call. ``id`` and ``name`` come with the first piece of an ``index``.

    ``provider_data`` has to go back with the call: see `weaver._data.messages.ToolCall`.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    provider_data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class MessageData:
    """What has to go back with the assistant's message: see `weaver._data.messages.Message.provider_data`."""

    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One generated token with its log-probability (natural log) and the best alternatives."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Log-probabilities of the tokens generated since the last such delta."""

    tokens: tuple[TokenLogprob, ...]


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Usage as the server counts it, for the whole call so far (a later report replaces it)."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Finish:
    """Why generation ended.

    ``stop`` is the matched stop string where the server says so; ``word`` is what the server called the
    reason.
    """

    reason: FinishReason
    stop: str | None = None
    word: str = ""


Delta = Text | Reasoning | Refusal | ToolCallPart | MessageData | Logprobs | UsageReport | Finish


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model is told about it. ``parameters`` is a JSON Schema object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """A JSON Schema that the output must fit. ``name`` is ``[a-zA-Z0-9_-]{1,64}``."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One model call. Give either ``messages`` (chat) or ``prompt`` (raw completion).

    Args:
        messages: the conversation.
        prompt: raw text to continue; needs the capability ``completions``.
        max_tokens: cap on generated tokens; None leaves it to the server.
        temperature, top_p, seed: sampling; None leaves them to the server.
        stop: strings that end generation.
        output: schema the text must fit; needs the capability ``json_schema``.
        json_object: ask for any JSON object; needs the capability ``json_object``.
        tools: tools the model may call.
        tool_choice: ``"auto"``, ``"none"``, ``"required"`` or the name of one tool.
        logprobs: how many alternatives per token to report (0: only the token's own); None: none.
        reasoning_effort: ``"low"``, ``"medium"``, ``"high"`` or what else the model knows.
        prefill: continue the last (assistant) message instead of answering it.
        headers: extra HTTP headers, for example the trace context.
        extra: provider-specific fields, passed through as they are.
    """

    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    output: OutputSchema | None = None
    json_object: bool = False
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str = "auto"
    logprobs: int | None = None
    reasoning_effort: str | None = None
    prefill: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model and its endpoint can do.

    Args:
        json_schema: constrained output by JSON Schema.
        json_object: some JSON object is guaranteed.
        tools: tool calls.
        logprobs: log-probabilities with alternatives.
        completions: raw text completion (``Request.prompt``).
        prefill: can continue an unfinished assistant message.
        slots: requests the server really works on at once, where it says so, else None.
        context: context window in tokens, where known.
        vision, audio, files: takes images, sound, documents; None where nobody knows, so that it is tried.
        small: a model of a few billion parameters or fewer: it follows simple instructions only, so
            weaver asks it for one thing at a time (no side outputs such as claims).
    """

    json_schema: bool = False
    json_object: bool = False
    tools: bool = False
    logprobs: bool = False
    completions: bool = False
    prefill: bool = False
    slots: int | None = None
    context: int | None = None
    small: bool = False
    vision: bool | None = None
    audio: bool | None = None
    files: bool | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens.

    ``cached`` (read from a cache) and ``written`` (into one) default to the input price.
    """

    input: float
    output: float
    cached: float | None = None
    written: float | None = None

    def cost(self, usage: Usage) -> float:
        """Dollars for ``usage``."""
        cached = self.input if self.cached is None else self.cached
        written = self.input if self.written is None else self.written
        fresh = usage.input_tokens - usage.cached_tokens - usage.cache_written_tokens
        read = fresh * self.input + usage.cached_tokens * cached + usage.cache_written_tokens * written
        return (read + usage.output_tokens * self.output) / 1e6


Stream = AsyncIterator[Delta]


@runtime_checkable
class Model(Protocol):
    """A language model behind some endpoint.

    Attributes:
        name: as the user wrote it, in LiteLLM's naming (``openai/gpt-5-mini``).
        provider: by the GenAI conventions (``openai``, ``anthropic``, ...).
        endpoint: ``scheme://host:port/path`` without credentials, or ``""`` when there is none. Models
            with the same endpoint share its limits.
    """

    @property
    def name(self) -> str: ...

    @property
    def provider(self) -> str: ...

    @property
    def endpoint(self) -> str: ...

    @property
    def prices(self) -> Prices | None: ...

    async def capabilities(self) -> Capabilities:
        """Return what the endpoint can do. Probed at most once; never raises for an unreachable server."""
        ...

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """Open a stream for ``request``.

        Entering waits until the server has begun to answer (the first delta is there), so every failure
        before that is raised on entering, where a layer may still retry. Leaving closes the connection.

        Raises:
            ModelError: on entering, or `StreamInterruptedError` while iterating.
        """
        ...

    async def aclose(self) -> None:
        """Release pooled connections. The model may be used again afterwards."""
        ...


@runtime_checkable
class CanPing(Protocol):
    """A model whose endpoint can be asked whether it has read what was sent."""

    async def ping(self) -> None:
        """Send a small request that uses no tokens, and wait for any answer.

        Raises:
            Exception: there is none.
        """
        ...
