"""From the chunks of OpenAI's protocol, in the dialects of its servers, to our deltas."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from weaver._json_reading.json_types import Json, is_array, is_object
from weaver._models.openai.chunks.finish_reasons import FAILED, finish_reason, normal
from weaver._models.openai.chunks.message_data import MessageDataReader
from weaver._models.openai.chunks.thoughts import ThoughtSplitter
from weaver._models.openai.chunks.tool_calls import ToolCallReader
from weaver._models.openai.chunks.usage import UsageReader
from weaver._models.openai.errors.error_bodies import error_in, is_error, looks_like_error
from weaver._models.protocol import (
    Delta,
    Finish,
    Logprobs,
    Reasoning,
    Refusal,
    Text,
    TokenLogprob,
    UsageReport,
)

_PLAIN_CHOICE = 4  # fields: index, delta, logprobs and finish_reason
_CARRIES = frozenset(
    ("content", "tool_calls", "function_call", "refusal", "reasoning_content", "reasoning",
     "reasoning_details", "thinking", "thinking_blocks", "extra_content")
)  # fmt: skip


class ServerSaidError(Exception):
    """The server reported an error inside its answer."""

    def __init__(self, body: Any) -> None:
        super().__init__("the server reported an error in its answer")
        self.body = body


class InvalidChunkError(Exception):
    """A chunk is not JSON, or not of the protocol's shape."""


class ChunkReader:
    """Reads the chunks of one answer, or one complete answer, into ``deltas``.

    Attributes:
        deltas: what is ready to be handed out.
        finish: set once the server has said why it ended; handed out last, by `close`.
        is_final: nothing but usage can follow: the reason came once, after chunks without one. Servers that
            repeat it in each chunk do not end with it.
        finishes: how many chunks had a finish reason.
        foreign: the start of the first event that is not of the protocol, or ``""``.
        tokens: input and output, as the server counts them, once it has said so.
    """

    __slots__ = (
        "_choice", "_data", "_passed_over", "_source", "_thoughts", "_tool_choice", "_tools", "_unfinished",
        "_usage", "deltas", "finish", "finishes", "foreign", "is_final", "tokens",
    )  # fmt: skip

    def __init__(self) -> None:
        self.deltas: deque[Delta] = deque()
        self.finish: Finish | None = None
        self.finishes = 0
        self.is_final = False
        self.foreign = ""
        self.tokens: int | None = None
        self._choice: int | None = None  # the choice whose text is taken: the first that has any
        self._tool_choice: int | None = None  # and whose tool calls are
        self._source = ""  # where its text stands: delta, message or text
        self._unfinished = False  # a chunk without a finish reason has come
        self._passed_over = 0
        self._tools = ToolCallReader()
        self._data = MessageDataReader()
        self._usage = UsageReader()
        self._thoughts = ThoughtSplitter()

    def read(self, payload: bytes, *, whole: bool = False) -> None:
        """Read one chunk, or with ``whole`` one complete answer.

        Raises:
            ServerSaidError: the chunk reports an error.
            InvalidChunkError: it is not a chunk.
        """
        try:
            chunk: Json = from_json(payload)
        except ValueError:
            chunk = self._parse_tolerantly(payload, whole=whole)
            if chunk is _TAKEN:
                return
        if type(chunk) is dict:
            if self._source == "delta" and self._is_plain_text(chunk):
                return
        elif chunk is None or isinstance(chunk, str):
            self._pass_over(payload)
            return
        chunks = chunk if type(chunk) is list and chunk else [chunk]
        objects = [each for each in chunks if type(each) is dict]
        if len(objects) < len(chunks):
            raise InvalidChunkError(f"{_start_of(payload)} is not an object")
        try:
            for each in objects:
                self.take(each, whole=whole)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            reason = str(error) if type(error) is _ShapeError else "a field has an unexpected type"
            raise InvalidChunkError(f"{_start_of(payload)} ({reason})") from None

    def take(self, chunk: Mapping[str, Any], *, whole: bool = False) -> None:
        """Read one parsed chunk. Raises whatever a wrong shape leads to, besides `ServerSaidError`."""
        choices: Any = chunk.get("choices")
        count_before = len(self.deltas)
        finish: str | None = None
        if choices:
            if not is_array(choices):
                raise _ShapeError("choices is not a list")
            for position, choice in enumerate(choices):
                if not is_object(choice):
                    raise _ShapeError("a choice is not an object")
                index = choice.get("index")
                word = self._take_choice(choice, position if index is None else index, chunk)
                finish = word or finish
        if (failed := error_in(chunk)) is not None:
            raise ServerSaidError(failed)
        if not choices and isinstance(chunk.get("message"), dict) and chunk["message"].get("content"):
            finish = self._take_choice(chunk, 0, chunk)  # Ollama's own shape
        elif choices is None and "usage" not in chunk and "x_groq" not in chunk:
            if looks_like_error(chunk):
                raise ServerSaidError(chunk)
            if whole:
                raise _ShapeError("neither choices nor usage")
            if "id" not in chunk:
                self._pass_over(json.dumps(chunk, default=str)[:200].encode())
        self._note_finish(finish, bool(choices), len(self.deltas) > count_before)
        usage = self._usage.read(chunk, choices[0] if choices else None)
        if usage is not None:
            self.tokens = usage.total_tokens
            self.deltas.append(UsageReport(usage))

    def close(self) -> None:
        """The answer is complete: hand out its `Finish`."""
        self.deltas.extend(self._thoughts.end())
        self.deltas.extend(self._tools.close())
        if self._tools and (data := self._data.message_data()) is not None:
            self.deltas.append(data)
        self.deltas.append(self.finish or Finish("unknown"))

    def _is_plain_text(self, chunk: Mapping[str, Any]) -> bool:
        """Take the usual chunk in the middle of an answer by the short way: a delta of text, nothing else."""
        if "error" in chunk or "base_resp" in chunk or chunk.get("usage"):
            return False
        if self.finish is not None or not self._thoughts.done or "choices" not in chunk:
            return False
        choices: Json = chunk["choices"]
        if type(choices) is not list or len(choices) != 1:
            return False
        choice = choices[0]
        if type(choice) is not dict or len(choice) > _PLAIN_CHOICE or "delta" not in choice:
            return False
        delta = choice["delta"]
        if type(delta) is not dict or "content" not in delta:
            return False
        if len(delta) != 1 and (len(delta) != 2 or "role" not in delta):
            return False
        content = delta["content"]
        if type(content) is not str or not content or choice.get("index") != self._choice:
            return False
        if choice.get("finish_reason") or choice.get("logprobs"):
            return False
        self.deltas.append(Text(content))
        self._unfinished = True
        return True

    def _pass_over(self, payload: bytes) -> None:
        """Skip an event of another protocol, such as a ping."""
        self.foreign = self.foreign or _start_of(payload)
        self._passed_over += 1
        if self._passed_over > _MOST_FOREIGN:
            raise InvalidChunkError(f"{self.foreign} and {_MOST_FOREIGN} more like it")

    def _note_finish(self, word: str | None, has_choices: bool, has_more: bool) -> None:
        if word:
            self.finishes += 1
            self.is_final = self._unfinished and self.finishes == 1
        elif has_more and self.finish is not None:
            self.finish, self.is_final = None, False  # it goes on: that was not the end
        elif has_choices:
            self._unfinished = True

    def _take_choice(self, choice: Mapping[str, Any], index: int, chunk: Mapping[str, Any]) -> str | None:
        """Read what one choice adds; its finish reason, if it has one."""
        source, message = _message_of(choice)
        if message:
            self._take_message(message, index, source)
        elif source == "text" and self._source in ("", "text") and self._choice in (None, index):
            self._take_text(choice.get("text"), index)
        if (logprobs := choice.get("logprobs")) and self._choice in (None, index):
            self._logprobs(logprobs)
        for place in (choice, message):
            if is_error(place.get("error")):
                raise ServerSaidError({"error": place["error"]})
        word = choice.get("finish_reason") or choice.get("done_reason")
        if not isinstance(word, str) or not normal(word):
            return None
        if self.finish is None or self._choice in (None, index):
            self._finish(word, choice, chunk)
        return word

    def _take_text(self, text: Any, index: int) -> None:
        if text and isinstance(text, str):
            self._source, self._choice = "text", index
            self.deltas.append(Text(text))

    def _take_message(self, message: Mapping[str, Any], index: int, source: str) -> None:
        before = len(self.deltas)
        # What a server has streamed as deltas it may repeat as a whole message.
        if self._choice in (None, index) and self._source in ("", source):
            content = message.get("content")
            if len(message) > 1 or not content:
                self._reasoning(message)
                if (refusal := message.get("refusal")) and isinstance(refusal, str):
                    self.deltas.append(Refusal(refusal))
            if content:
                self._content(content)
            if content or len(self.deltas) > before:
                self._choice, self._source = index, source
        calls = message.get("tool_calls") or message.get("function_call")
        if calls and self._tool_choice in (None, index) and (self._source in ("", source) or not self._tools):
            parts = list(self._tools.read(calls))
            self.deltas.extend(parts)
            if parts:
                self._tool_choice, self._source = index, source

    def _parse_tolerantly(self, payload: bytes, *, whole: bool) -> Any:
        """Bytes that are not UTF-8, lone surrogates, and chunks that no blank line separated."""
        text = payload.decode("utf-8", "replace")
        try:
            return _without_surrogates(json.loads(text, strict=False))
        except (ValueError, RecursionError):
            lines = [line for line in payload.split(b"\n") if line.strip()]
        if len(lines) < 2:
            if not whole and not payload.lstrip().startswith((b"{", b"[")):
                if _is_about_error(text):
                    raise ServerSaidError({"error": text[:2000]}) from None
                self._pass_over(payload)
                return _TAKEN
            raise InvalidChunkError(_start_of(payload)) from None
        for line in lines:
            if line.strip() != b"[DONE]":
                self.read(line.strip().removeprefix(b"data:").strip() if whole else line)
        return _TAKEN

    def _content(self, content: Json) -> None:
        if isinstance(content, str):
            if self._thoughts.done:
                self.deltas.append(Text(content))
            else:
                self.deltas.extend(self._thoughts.split(content))
            return
        if isinstance(content, dict):
            content = content.get("parts") or [content]
        if not isinstance(content, list):
            raise _ShapeError("content is not text")
        for part in content:  # some servers send typed parts
            if isinstance(part, str):
                self.deltas.append(Text(part))
                continue
            if not isinstance(part, dict):
                raise _ShapeError("a part of the content is not an object")
            thinking = part.get("thinking") or part.get("reasoning")
            if part.get("type") == "refusal" and isinstance(refusal := part.get("refusal"), str):
                self.deltas.append(Refusal(refusal))
            elif thinking:
                self.deltas.append(Reasoning(_plain(thinking)))
            elif text := _plain(part.get("text") or part.get("content") or part.get("value")):
                self.deltas.append(Reasoning(text) if part.get("thought") is True else Text(text))

    def _reasoning(self, message: Mapping[str, Any]) -> None:
        self._data.read(message)
        reasoning = message.get("reasoning_content") or message.get("reasoning") or message.get("thinking")
        text = _plain(reasoning) or _plain(message.get("reasoning_details"))
        if text:
            self.deltas.append(Reasoning(text))

    def _logprobs(self, logprobs: Mapping[str, Any]) -> None:
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
                TokenLogprob(name, own, _pairs(top))
                for name, own, top in zip(names, logprobs.get("token_logprobs") or (), tops, strict=True)
                if own is not None
            )
        if tokens:
            self.deltas.append(Logprobs(tokens))

    def _finish(self, word: str, choice: Mapping[str, Any], chunk: Mapping[str, Any]) -> None:
        if normal(word) in FAILED:
            raise ServerSaidError(error_in(chunk) or {"error": f"generation ended with {word!r}"})
        # A stop string in vLLM's, SGLang's and llama.cpp's way; numbers there are ids of stop tokens.
        places = (
            choice.get("stop_reason"),
            choice.get("matched_stop"),
            (chunk.get("__verbose") or chunk).get("stopping_word"),
        )
        stop = next((matched for matched in places if matched and isinstance(matched, str)), None)
        reason = finish_reason(word)
        self.finish = Finish(reason, stop, "" if word == reason else word[:100])


class _ShapeError(ValueError):
    """What is wrong with a chunk, in words for people."""


_TAKEN = object()
_MOST_FOREIGN = 1000


def _pairs(top: Mapping[str, float] | None) -> tuple[tuple[str, float], ...]:
    return tuple(top.items()) if top else ()


def _message_of(choice: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return where a choice has what it says, and that: ``delta``, else ``message``, else ``text``."""
    first: tuple[str, Mapping[str, Any]] = ("text", {})
    for name in ("delta", "message"):
        message: Json = choice.get(name)
        if message is None:
            continue
        if isinstance(message, str):
            message = {"content": message}
        if not isinstance(message, dict):
            raise _ShapeError(f"{name} is not an object")
        if any(map(message.get, _CARRIES.intersection(message))):
            return name, message
        if not choice.get("text") and first[0] == "text":
            first = (name, message)
    return first


def _plain(value: Json) -> str:
    """The text in a value that servers send as text, object or list of either."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_plain(part) for part in value)
    if isinstance(value, dict):
        return next(
            (t for n in ("text", "content", "summary", "value", "thinking") if (t := _plain(value.get(n)))),
            "",
        )
    return ""


def _is_about_error(text: str) -> bool:
    return any(word in text[:500].lower() for word in ("error", "exception", "exceeded", "denied", "failed"))


def _start_of(payload: bytes) -> str:
    return repr(payload[:80].decode("utf-8", "replace"))


def _without_surrogates(value: Json) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(v) for v in value]
    if isinstance(value, dict):
        return {k: _without_surrogates(v) for k, v in value.items()}
    return value
