"""From the chunks of OpenAI's protocol, in the dialects of its servers, to our deltas."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json, to_json

from weaver.models.openai.thoughts import ThoughtSplitter
from weaver.models.protocol import (
    Delta,
    Finish,
    FinishReason,
    Logprobs,
    Reasoning,
    Text,
    TokenLogprob,
    ToolCallPart,
    UsageReport,
)
from weaver.usage import Usage

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class ServerSaidError(Exception):
    """The server reported an error inside its answer."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__("the server reported an error in its answer")
        self.body = body


class Malformed(Exception):
    """A chunk is not JSON, or not of the protocol's shape."""


class ChunkReader:
    """Reads the chunks of one answer, or one complete answer, into ``deltas``.

    Attributes:
        deltas: what is ready to be handed out.
        finish: set once the server has said why it ended; handed out last, by `close`.
        tokens: input and output, as the server counts them, once it has said so.
    """

    __slots__ = ("_thoughts", "_usage", "deltas", "finish", "tokens")

    def __init__(self) -> None:
        self.deltas: deque[Delta] = deque()
        self.finish: Finish | None = None
        self.tokens: int | None = None
        self._usage: Any = None
        self._thoughts = ThoughtSplitter()

    def read(self, payload: bytes) -> None:
        """Read one chunk.

        Raises:
            ServerSaidError: the chunk reports an error.
            Malformed: it is not a chunk.
        """
        try:
            chunk = from_json(payload)
        except ValueError:
            chunk = self._parse_tolerantly(payload)
            if chunk is None:
                return
        try:
            self.take(chunk)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise Malformed(f"{_start_of(payload)} ({error})") from None

    def take(self, chunk: dict[str, Any]) -> None:
        """Read one parsed chunk. Raises whatever a wrong shape leads to, besides `ServerSaidError`."""
        choices = chunk.get("choices")
        if choices:
            choice = choices[0]
            if choice.get("index"):
                return
            said = choice.get("delta")
            if said is None:
                said = choice.get("message")
            if said is None:
                if isinstance(text := choice.get("text"), str) and text:
                    self.deltas.append(Text(text))
            else:
                content = said.get("content")
                only_content = content and len(said) == 1
                if not only_content:
                    self._reasoning(said)
                if content:
                    self._content(content)
                if not only_content and (calls := said.get("tool_calls")):
                    self._tool_calls(calls)
            if logprobs := choice.get("logprobs"):
                self._logprobs(logprobs)
            if reason := choice.get("finish_reason"):
                self._finish(reason, choice, chunk)
        elif "error" in chunk or chunk.get("object") == "error":
            raise ServerSaidError(chunk)
        elif choices is None and "usage" not in chunk and "id" not in chunk:
            raise ValueError("neither choices nor usage")
        usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage")
        if usage and usage != self._usage:
            self._usage = usage
            counted = usage_of(usage)
            self.tokens = counted.total_tokens
            self.deltas.append(UsageReport(counted))

    def close(self) -> None:
        """The answer is complete: hand out its `Finish`."""
        self.deltas.extend(self._thoughts.end())
        self.deltas.append(self.finish or Finish("unknown"))

    def _parse_tolerantly(self, payload: bytes) -> Any:
        """Bytes that are not UTF-8, lone surrogates, and chunks that no blank line separated."""
        text = payload.decode("utf-8", "replace")
        try:
            return _without_surrogates(json.loads(text, strict=False))
        except ValueError:
            lines = payload.split(b"\n")
            if len(lines) == 1:
                raise Malformed(_start_of(payload)) from None
        for line in lines:
            if line != b"[DONE]":
                self.read(line)
        return None

    def _content(self, content: Any) -> None:
        if isinstance(content, str):
            if self._thoughts.done:
                self.deltas.append(Text(content))
            else:
                self.deltas.extend(self._thoughts.split(content))
            return
        for part in content:  # some servers send typed parts
            if isinstance(text := part.get("text"), str):
                self.deltas.append(Text(text))
            elif thinking := part.get("thinking"):
                text = thinking if isinstance(thinking, str) else "".join(t.get("text", "") for t in thinking)
                self.deltas.append(Reasoning(text))

    def _reasoning(self, said: dict[str, Any]) -> None:
        reasoning = said.get("reasoning_content") or said.get("reasoning")
        if reasoning and isinstance(reasoning, str):
            self.deltas.append(Reasoning(reasoning))

    def _tool_calls(self, calls: list[dict[str, Any]]) -> None:
        for position, call in enumerate(calls):
            function = call.get("function") or {}
            arguments = function.get("arguments") or ""
            if not isinstance(arguments, str):
                arguments = to_json(arguments).decode()
            index = call.get("index")
            self.deltas.append(
                ToolCallPart(
                    position if index is None else index,
                    call.get("id") or None,
                    function.get("name") or None,
                    arguments,
                )
            )

    def _logprobs(self, logprobs: dict[str, Any]) -> None:
        if (content := logprobs.get("content")) is not None:
            tokens = tuple(
                TokenLogprob(
                    entry["token"],
                    entry["logprob"],
                    tuple((top["token"], top["logprob"]) for top in entry.get("top_logprobs") or ()),
                )
                for entry in content
            )
        else:
            names = logprobs.get("tokens") or ()
            tops = logprobs.get("top_logprobs") or [None] * len(names)
            tokens = tuple(
                TokenLogprob(name, own, tuple((top or {}).items()))
                for name, own, top in zip(names, logprobs["token_logprobs"], tops, strict=True)
                if own is not None
            )
        if tokens:
            self.deltas.append(Logprobs(tokens))

    def _finish(self, reason: str, choice: dict[str, Any], chunk: dict[str, Any]) -> None:
        if reason in {"error", "abort"}:
            raise ServerSaidError({"error": choice.get("error") or f"generation ended with {reason!r}"})
        # A stop string in vLLM's, SGLang's and llama.cpp's way; numbers there are ids of stop tokens.
        for matched in (
            choice.get("stop_reason"),
            choice.get("matched_stop"),
            (chunk.get("__verbose") or chunk).get("stopping_word"),
        ):
            if matched and isinstance(matched, str):
                self.finish = Finish(_FINISH.get(reason, "unknown"), matched)
                return
        self.finish = Finish(_FINISH.get(reason, "unknown"))


def usage_of(usage: dict[str, Any]) -> Usage:
    """Usage as a server counts it. The cost is known only where the server names it (OpenRouter)."""
    details = usage.get("completion_tokens_details") or {}
    prompt_details = usage.get("prompt_tokens_details") or {}
    cached = prompt_details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0
    cost = usage.get("cost")
    return Usage(
        calls=1,
        input_tokens=int(usage.get("prompt_tokens") or 0),
        output_tokens=int(usage.get("completion_tokens") or 0),
        reasoning_tokens=int(details.get("reasoning_tokens") or usage.get("reasoning_tokens") or 0),
        cached_tokens=int(cached),
        cost_usd=float(cost) if isinstance(cost, int | float) else None,
    )


def _start_of(payload: bytes) -> str:
    return repr(payload[:80].decode("utf-8", "replace"))


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(v) for v in value]
    if isinstance(value, dict):
        return {k: _without_surrogates(v) for k, v in value.items()}
    return value
