"""OpenAI's protocol as a server speaks it: from bodies to requests, from deltas to chunks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

from weaver._data.messages import Message, ToolCall
from weaver._data.usage import Usage
from weaver._json_reading.json_types import is_array, is_object
from weaver._models.protocol import (
    Delta,
    Finish,
    Logprobs,
    OutputSchema,
    Reasoning,
    Request,
    Text,
    ToolCallPart,
    ToolSpec,
    UsageReport,
)

Dialect = Literal["openai", "llama.cpp", "vllm", "sglang"]
DONE = b"data: [DONE]\n\n"


def request_of(body: Mapping[str, Any]) -> Request:
    """The request that a JSON body stands for.

    Raises:
        ValueError: the body is not of the protocol's shape; the message names the field.
    """
    messages, prompt = body.get("messages"), body.get("prompt")
    if (messages is None) == (prompt is None):
        raise ValueError("give either 'messages' or 'prompt'")
    if prompt is not None and not isinstance(prompt, str):
        raise ValueError("'prompt' must be a string")
    if messages is not None and not (is_array(messages) and messages):
        raise ValueError("'messages' must be a list that is not empty")
    form: dict[str, Any] = body.get("response_format") or {}
    schema = form.get("json_schema")
    stop = body.get("stop") or ()
    choice = body.get("tool_choice", "auto")
    logprobs = body.get("logprobs")
    if logprobs is True or logprobs is False:
        logprobs = body.get("top_logprobs", 0) if logprobs else None
    return Request(
        messages=tuple(_message(m) for m in messages or ()),
        prompt=prompt,
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        seed=body.get("seed"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        output=OutputSchema(schema["name"], schema["schema"]) if schema else None,
        json_object=form.get("type") == "json_object",
        tools=tuple(
            ToolSpec(t["function"]["name"], t["function"].get("description", ""), t["function"]["parameters"])
            for t in body.get("tools") or ()
        ),
        tool_choice=choice if isinstance(choice, str) else choice["function"]["name"],
        logprobs=logprobs,
        reasoning_effort=body.get("reasoning_effort"),
        prefill=bool(body.get("continue_final_message")),
    )


def _message(said: Any) -> Message:
    if not is_object(said) or "role" not in said:
        raise ValueError("each of 'messages' must be an object with a role")
    content = said.get("content") or ""
    if is_array(content):
        content = "".join(part.get("text", "") for part in content)
    return Message(
        said["role"],
        content,
        tuple(
            ToolCall(c["id"], c["function"]["name"], c["function"]["arguments"])
            for c in said.get("tool_calls") or ()
        ),
        said.get("tool_call_id"),
    )


def event(data: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


class Chunks:
    """Writes the chunks of one answer.

    Args:
        id: of the answer, the same in all its chunks.
        model: the model's name in them.
        raw: raw completion instead of chat.
        dialect: how the server tells the matched stop string.
        usage: whether a last chunk with the usage was asked for.
        logprobs: whether log-probabilities were: they come in the chunk of their text.
    """

    def __init__(
        self,
        id: str,  # noqa: A002
        model: str,
        *,
        raw: bool,
        dialect: Dialect,
        usage: bool,
        logprobs: bool = False,
    ) -> None:
        self.frame = {
            "id": id,
            "object": "text_completion" if raw else "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": model,
        }
        head = json.dumps(self.frame, separators=(",", ":")).encode()[:-1]
        self._before = b"data: " + head + b',"choices":[{"index":0,"delta":{"content":'
        self._raw = raw
        self._dialect = dialect
        self._usage = usage
        self._with_logprobs = logprobs

    async def events(self, deltas: AsyncIterator[Delta]) -> AsyncIterator[bytes]:
        """One event per delta, then the usage and the end mark."""
        usage: Usage | None = None
        held: Text | None = None
        async for delta in deltas:
            if held is not None:
                more = {"logprobs": self._logprobs(delta)} if isinstance(delta, Logprobs) else {}
                yield self._choice({**self._text(held.text), **more})
                held = None
                if more:
                    continue
            match delta:
                case Text() if self._with_logprobs:
                    held = delta
                case Text(text) if not self._raw:
                    yield self._before + json.dumps(text).encode() + b'},"finish_reason":null}]}\n\n'
                case Text(text):
                    yield self._choice(self._text(text))
                case Reasoning(text):
                    yield self._choice({"delta": {"reasoning_content": text}})
                case ToolCallPart(index, id_, name, arguments):
                    call: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
                    if name is not None:
                        call |= {"id": id_, "type": "function"}
                        call["function"]["name"] = name
                    yield self._choice({"delta": {"tool_calls": [call]}})
                case Logprobs():
                    yield self._choice({**self._nothing, "logprobs": self._logprobs(delta)})
                case UsageReport(reported):
                    usage = reported
                case Finish():
                    yield self._finish(delta)
                case _:
                    pass
        if usage is not None and self._usage:
            yield event({**self.frame, "choices": [], "usage": usage_body(usage)})
        yield DONE

    def _text(self, text: str) -> dict[str, Any]:
        return {"text": text} if self._raw else {"delta": {"content": text}}

    @property
    def _nothing(self) -> dict[str, Any]:
        return {"text": ""} if self._raw else {"delta": {}}

    def _choice(self, choice: dict[str, Any]) -> bytes:
        return event({**self.frame, "choices": [{"index": 0, "finish_reason": None, **choice}]})

    def _finish(self, finish: Finish) -> bytes:
        choice = {"index": 0, **self._nothing, "finish_reason": finish.reason}
        payload: dict[str, Any] = {**self.frame, "choices": [choice]}
        match self._dialect:
            case "vllm":
                choice["stop_reason"] = finish.stop
            case "sglang":
                choice["matched_stop"] = finish.stop
            case "llama.cpp":
                payload["__verbose"] = {"stopping_word": finish.stop or ""}
            case _:
                pass
        return event(payload)

    def _logprobs(self, delta: Logprobs) -> dict[str, Any]:
        if self._raw and self._dialect != "llama.cpp":
            return {
                "tokens": [t.token for t in delta.tokens],
                "token_logprobs": [t.logprob for t in delta.tokens],
                "top_logprobs": [dict(t.top) for t in delta.tokens],
            }
        return {
            "content": [
                {
                    "token": t.token,
                    "logprob": t.logprob,
                    "top_logprobs": [{"token": token, "logprob": logprob} for token, logprob in t.top],
                }
                for t in delta.tokens
            ]
        }


async def whole(deltas: AsyncIterator[Delta], frame: Mapping[str, Any], *, raw: bool) -> dict[str, Any]:
    """The answer as one JSON object, for a request that does not stream."""
    text: list[str] = []
    reasoning: list[str] = []
    calls: list[dict[str, Any]] = []
    finish, usage = Finish("stop"), Usage()
    async for delta in deltas:
        match delta:
            case Text(said):
                text.append(said)
            case Reasoning(said):
                reasoning.append(said)
            case ToolCallPart(_, id_, name, arguments):
                function = {"name": name, "arguments": arguments}
                calls.append({"id": id_, "type": "function", "function": function})
            case UsageReport(reported):
                usage = reported
            case Finish():
                finish = delta
            case _:
                pass
    message: dict[str, Any] = {"role": "assistant", "content": "".join(text)}
    if reasoning:
        message["reasoning_content"] = "".join(reasoning)
    if calls:
        message["tool_calls"] = calls
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish.reason, "stop_reason": finish.stop}
    choice |= {"text": "".join(text)} if raw else {"message": message}
    kind = "text_completion" if raw else "chat.completion"
    return {**frame, "object": kind, "choices": [choice], "usage": usage_body(usage)}


def usage_body(usage: Usage) -> dict[str, Any]:
    """Usage in the protocol's shape."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
