"""Chat Completions: from the body of a request to an `Inquiry`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from weaver._data.conversation.reading import part_from
from weaver._data.messages import Message, ToolCall
from weaver._data.parts import Part, TextPart, text_of_parts
from weaver._json_reading.json_types import is_mapping
from weaver._models.protocol import OutputSchema, ToolSpec
from weaver._serving.http.errors import invalid
from weaver._serving.http.fields import Fields
from weaver._serving.work.history import without_reasoning
from weaver._serving.work.inquiry import EFFORTS, Inquiry, Sampling, extras_from
from weaver._serving.work.schemas import safe_schema
from weaver.errors import InvalidTaskError

MOST_MESSAGES = 10_000
MOST_TOOLS = 512
_ROLES = ("system", "developer", "user", "assistant", "tool")
_NAME = re.compile(r"[a-zA-Z0-9_.:-]{1,128}")
_NOT_FOLLOWED = ("top_p", "stop", "logit_bias", "presence_penalty", "frequency_penalty", "logprobs")
_USUAL: tuple[Any, ...] = (None, False, 0, 1, [], {})
_PASSED_ON = ("logit_bias", "presence_penalty", "frequency_penalty", "parallel_tool_calls")


def inquiry_of(body: Fields, headers: Mapping[str, str]) -> Inquiry:
    """Read what a request asks. Unknown fields are ignored.

    Raises:
        ApiError: a field is wrong, or asks for what cannot be done.
    """
    refuse_background(body)
    if body.has("n") and body.count("n", 1, 128) != 1:
        raise body.error("n", "must be 1; weaver/self_consistency takes several samples and votes")
    if body.has("functions") or body.has("function_call"):
        raise body.error("functions", "is not supported any more: send tools")
    if any(item in ("audio", "image") for item in body.items("modalities", 10)):
        raise body.error("modalities", "may name text only")
    tools = tuple(_tool(tool) for tool in body.objects("tools", MOST_TOOLS))
    extras = extras_from(body, headers)
    output, json_object = response_format(body)
    return Inquiry(
        model=body.required_text("model"),
        messages=tuple(_messages(body)),
        stream=body.flag("stream"),
        sampling=sampling_of(
            body,
            body.count("max_completion_tokens", 1, 10**9) or body.count("max_tokens", 1, 10**9),
            effort=_effort(body),
        ),
        tools=tools,
        tool_choice=tool_choice(body, tools),
        output=output,
        json_object=json_object,
        extra=_passed_on(body, has_tools=bool(tools)),
        extras=extras,
        not_followed=tuple(name for name in _NOT_FOLLOWED if body.any(name) not in _USUAL),
    )


def _passed_on(body: Fields, *, has_tools: bool) -> dict[str, Any]:
    """Fields that the model's server gets as they are; servers refuse those of tools where there are none."""
    names = [name for name in _PASSED_ON if has_tools or name != "parallel_tool_calls"]
    return {name: body.any(name) for name in names if body.has(name)}


def refuse_background(body: Fields) -> None:
    """Refuse runs that go on without their client.

    Raises:
        ApiError: the request asks for one.
    """
    if body.flag("background"):
        raise body.error("background", "is not a field of Chat Completions: use /v1/responses")


def sampling_of(body: Fields, max_tokens: int | None, *, effort: str | None) -> Sampling:
    """Read how models are to generate.

    Raises:
        ApiError: a field is wrong.
    """
    return Sampling(
        max_tokens=max_tokens,
        temperature=body.number("temperature", 0, 2),
        top_p=body.number("top_p", 0, 1),
        seed=body.count("seed", 0, 2**63 - 1),
        stop=body.texts("stop", 16),
        effort=effort,
    )


def _effort(body: Fields) -> str | None:
    """``reasoning_effort``, or ``reasoning: {effort}`` as some clients send it."""
    if (effort := body.choice("reasoning_effort", tuple(EFFORTS))) is not None:
        return effort
    reasoning = body.object("reasoning") if isinstance(body.any("reasoning"), Mapping) else None
    return reasoning.choice("effort", tuple(EFFORTS)) if reasoning is not None else None


def response_format(body: Fields) -> tuple[OutputSchema | None, bool]:
    """The schema that the answer must fit, and whether it may be any JSON object.

    Raises:
        ApiError: the format is unknown, or its schema is missing.
    """
    format_ = body.object("response_format")
    if format_ is None:
        return None, False
    kind = format_.choice("type", ("text", "json_object", "json_schema"))
    if kind != "json_schema":
        return None, kind == "json_object"
    definition = format_.object("json_schema")
    if definition is None:
        raise format_.error("json_schema", "is required")
    return output_schema(definition), False


def output_schema(definition: Fields) -> OutputSchema:
    """The schema in an object with ``name`` and ``schema``.

    Raises:
        ApiError: it has none.
    """
    schema = definition.any("schema")
    if not is_mapping(schema):
        raise definition.error("schema", "must be a JSON Schema")
    name = re.sub(r"[^a-zA-Z0-9_-]", "_", definition.text("name", "output"))[:64] or "output"
    return OutputSchema(name, safe_schema(schema, f"{definition.place}schema"))


def _messages(body: Fields) -> list[Message]:
    messages = [_message(message) for message in body.objects("messages", MOST_MESSAGES)]
    if not messages:
        raise body.error("messages", "is required")
    if not any(m.role == "user" and m.text.strip() for m in messages):
        raise body.error("messages", "must have a user message that says something")
    return messages


def _message(message: Fields) -> Message:
    role: Any = message.choice("role", _ROLES)
    if role is None:
        raise message.error("role", "is required")
    content = content_of(message, "content")
    if role == "assistant":
        calls = tuple(_tool_call(call) for call in message.objects("tool_calls", MOST_TOOLS))
        if isinstance(content, str):
            content = without_reasoning(content or message.text("refusal"))
        return Message("assistant", content, calls)
    if role == "tool":
        return Message("tool", content, tool_call_id=message.required_text("tool_call_id"))
    return Message("system" if role == "developer" else role, content)


def content_of(message: Fields, name: str) -> str | tuple[Part, ...]:
    """The content of a message: a string, or parts (text, images, sound, files).

    Raises:
        ApiError: a part is unknown, or has the wrong shape.
    """
    if not isinstance(message.any(name), list):
        return message.text(name)
    parts: list[Part] = []
    for part in message.objects(name, MOST_MESSAGES):
        try:
            parts.append(part_from(part.values, part.place.rstrip(".")))
        except InvalidTaskError as error:
            raise part.error("type", f"cannot be taken: {error}") from None
    if all(isinstance(part, TextPart) for part in parts):
        return text_of_parts(tuple(parts))
    return tuple(parts)


def _tool_call(call: Fields) -> ToolCall:
    function = call.object("function")
    if function is None:
        raise call.error("function", "is required: only function calls are supported")
    return ToolCall(
        call.required_text("id"), function.required_text("name"), function.text("arguments", "{}")
    )


def _tool(tool: Fields) -> ToolSpec:
    kind = tool.text("type", "function")
    function = tool.object("function")
    if kind != "function" or function is None:
        raise tool.error("type", f"{kind[:40]!r} is not supported: only functions are")
    return tool_spec(function)


def tool_spec(function: Fields) -> ToolSpec:
    """A function that the client offers.

    Raises:
        ApiError: it has no name, or its parameters are no JSON Schema.
    """
    name = function.required_text("name")
    if not _NAME.fullmatch(name):
        raise function.error("name", "may have letters, digits, _ and - only")
    parameters: object = function.any("parameters") or {"type": "object", "properties": {}}
    if not is_mapping(parameters):
        raise function.error("parameters", "must be a JSON Schema")
    return ToolSpec(name, function.text("description"), parameters)


def tool_choice(body: Fields, tools: tuple[ToolSpec, ...]) -> str:
    """``auto``, ``none``, ``required`` or the name of a tool.

    Raises:
        ApiError: it is none of them, or the tool does not exist.
    """
    choice = body.any("tool_choice")
    if choice is None:
        return "auto"
    if choice in ("auto", "none", "required"):
        if choice == "required" and not tools:
            raise body.error("tool_choice", "needs tools")
        return str(choice)
    definition = body.object("tool_choice") if isinstance(choice, Mapping) else None
    if definition is None or definition.text("type") != "function":
        raise invalid("tool_choice must be auto, none, required or one function.", "tool_choice")
    inner = definition.object("function")
    name = (inner or definition).required_text("name")
    if name not in {tool.name for tool in tools}:
        raise invalid(f"tool_choice names {name[:64]!r}, which is not among the tools.", "tool_choice")
    return name
