"""A hook as its author writes it, and the values that it gets."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from weaver._data.messages import Message
from weaver._data.parts import TextPart
from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._json_reading.json_types import is_object
from weaver._models.protocol import Request
from weaver._models.reply import Reply
from weaver._tools.protocol import Context


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One model call that a hook is around. Change it with `dataclasses.replace`.

    Attributes:
        request: what is sent; the only field whose change has an effect.
        model: name of the model that is called.
        role: ``planner``, ``thread``, ``judge`` or ``synthesizer``.
        context: the run, the thread and the caller's ``deps``.
    """

    request: Request
    model: str
    role: str
    context: Context[Any]

    def with_texts(self, change: Callable[[str], str]) -> ModelCall:
        """The call with ``change`` applied to every text that is sent.

        That is the raw prompt, and of all messages the texts (beside images and files too) and the arguments
        of tool calls.
        """
        request = self.request
        messages = tuple(_changed(message, change) for message in request.messages)
        prompt = None if request.prompt is None else change(request.prompt)
        return replace(self, request=replace(request, messages=messages, prompt=prompt))


def _changed(message: Message, change: Callable[[str], str]) -> Message:
    content: Any = message.content
    if isinstance(content, str):
        content = change(content)
    else:
        parts = message.parts
        content = tuple(replace(p, text=change(p.text)) if isinstance(p, TextPart) else p for p in parts)
    calls = tuple(replace(call, arguments=change(call.arguments)) for call in message.tool_calls)
    return replace(message, content=content, tool_calls=calls)


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """One tool call that a hook is around. Change it with `dataclasses.replace`.

    Attributes:
        name: the tool; a change of it has no effect.
        arguments: JSON text of an object, as the model wrote it.
        context: the run, the thread and the caller's ``deps``.
    """

    name: str
    arguments: str
    context: Context[Any]

    @property
    def values(self) -> Mapping[str, Any]:
        """The arguments by name; empty where the model's text is not a JSON object."""
        try:
            values = json.loads(self.arguments or "{}")
        except (ValueError, RecursionError):
            return {}
        return values if is_object(values) else {}


class ProceedCall(Protocol):
    """Make the model call, through the hooks after this one."""

    def __call__(self, call: ModelCall, /, *, hold: bool = False) -> Awaitable[Reply]:
        """Make the call and return its whole reply.

        Meanwhile its text streams on to the run. With ``hold`` it does not: the run sees what the hook
        returns, once it has returned.
        """
        ...


class ProceedTool(Protocol):
    """Call the tool, through the hooks after this one; returns its result as the model reads it."""

    def __call__(self, request: ToolRequest, /) -> Awaitable[str]: ...


class Hook:
    """Base class for hooks. Define the methods that you need, as ``def`` or ``async def``.

    Not needed as a base: any object or module with one of these methods is a hook.

    Attributes:
        parallel: `check_input` runs beside the run's first model calls instead of before them.
    """

    parallel: ClassVar[bool] = False

    def around_call(self, call: ModelCall, proceed: ProceedCall) -> Any:
        """Called instead of each model call. Return what ``proceed(call)`` returns, a `Reply` or a text.

        Raises:
            RefusedError: the run ends.
        """
        return proceed(call)

    def around_tool(self, request: ToolRequest, proceed: ProceedTool) -> Any:
        """Called instead of each tool call. Return the text that the model reads as the result.

        Raises:
            RefusedError: the run ends.
            ToolError: the model reads the message instead of a result.
        """
        return proceed(request)

    def check_input(self, task: Task, context: Context[Any]) -> Any:
        """Called with the task before it is worked on. Return None, or another task or question.

        Raises:
            RefusedError: the run ends.
        """

    def check_output(self, answer: Answer, context: Context[Any]) -> Any:
        """Called with the answer before anybody sees it. Return None, or another answer or text.

        Raises:
            RefusedError: the run ends without an answer.
        """


METHODS = ("around_call", "around_tool", "check_input", "check_output")
