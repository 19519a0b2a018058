"""Running the tools that a model asks for."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Awaitable, Mapping, MutableMapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import anyio
from pydantic_core import from_json

from weaver._data.conversation.reading import part_from
from weaver._data.messages import Message, ToolCall, part_as_dict
from weaver._data.parts import Part, TextPart, TextWithParts
from weaver._hooks.protocol import ToolRequest
from weaver._json_reading.json_types import is_object
from weaver._models.clock import current_time
from weaver._models.protocol import ToolSpec
from weaver._runtime.calls.approval_record import recorded_approval
from weaver._runtime.state.context import ThreadContext
from weaver._runtime.state.guards import context_of, ending_the_run, hooks_of
from weaver._runtime.state.media import refused_kinds, without_media_of_tools
from weaver._tools.approvals import ApprovalRequest
from weaver._tools.protocol import Tool, options_of
from weaver._tools.results import READ_RESULT
from weaver.errors import InvalidToolArgumentsError, ToolError, WeaverError
from weaver.events import ToolFinished, ToolStarted

SAME_CALLS = 3
"""From the so-many-th call with the same arguments and the same result, the model is told so."""

_slots: MutableMapping[Any, dict[int, tuple[anyio.Semaphore, Tool]]] = WeakKeyDictionary()


@dataclass(slots=True)
class ToolUse:
    """The tools of one thread at work.

    Attributes:
        tools: by name; `read_result` joins them once a result was too large.
        exhausted: the thread has used all its rounds of tool calls.
    """

    run: ThreadContext
    tools: dict[str, Tool]
    exhausted: bool = False
    _repeats: dict[str, int] = field(default_factory=dict[str, int])

    async def specs(self) -> tuple[ToolSpec, ...]:
        """Return what the model is told this time: each tool's ``prepare`` may change or hide it."""
        specs: list[ToolSpec] = []
        for tool in self.tools.values():
            prepare = options_of(tool).prepare
            if prepare is None:
                specs.append(tool.spec)
                continue
            spec = prepare(context_of(self.run), tool.spec)
            if inspect.isawaitable(spec):
                spec = await spec
            if spec is not None:
                specs.append(spec)
        return tuple(specs)

    async def results(self, calls: tuple[ToolCall, ...]) -> list[Message]:
        """Make all calls of one turn at the same time; the results in the order of the calls.

        A tool that fails is told to the model as text; it may try otherwise.
        """
        messages = [Message("tool", "", tool_call_id=call.id) for call in calls]
        errors: list[WeaverError] = []
        began = current_time()

        async def one(i: int, call: ToolCall) -> None:
            try:
                trusted = is_trusted(self.tools[call.name]) if call.name in self.tools else False
                content = await self._content(call)
                messages[i] = Message("tool", content, tool_call_id=call.id, untrusted=not trusted)
            except WeaverError as error:
                errors.append(error)
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for i, call in enumerate(calls):
                group.start_soon(one, i, call)
        if errors:
            raise errors[0]
        self.run.worked(current_time() - began)
        return messages

    async def _content(self, call: ToolCall) -> str | tuple[Part, ...]:
        """The result as the model gets it; parts that it is known not to take are described."""
        result = await self._text(call)
        if not isinstance(result, TextWithParts):
            return result
        message = Message("tool", result.parts)
        model = self.run.model()
        refused = refused_kinds(await model.capabilities(), message.media)
        refused += [p.kind for p in message.media if (model.name, p.kind) in self.run.state.refused_media]
        if not refused:
            return result.parts
        self.run.note(f"{model.name} cannot take what {call.name} returned beside its text.")
        return without_media_of_tools([message])[0].text

    async def _text(self, call: ToolCall) -> str:
        store = self.run.state.tools.results
        try:
            result = await use_tool(self.run, self.tools, call)
        except ToolError as error:
            result = f"Error: {error.message}"
        if len(result) > store.max_chars and call.name != READ_RESULT:
            result = store.kept(result)
            self.tools.setdefault(READ_RESULT, store)
        repetition = self._repetition(call, result)
        if isinstance(result, TextWithParts):
            return TextWithParts((*result.parts, TextPart(repetition))) if repetition else result
        return result + repetition

    def _repetition(self, call: ToolCall, result: str) -> str:
        """A line for a model that makes the same call again and again."""
        media = hash(result.parts) if isinstance(result, TextWithParts) else 0
        same = f"{call.name}\0{call.arguments}\0{result}\0{media}"
        key = hashlib.sha256(same.encode(errors="replace")).hexdigest()
        count = self._repeats[key] = self._repeats.get(key, 0) + 1
        if count < SAME_CALLS:
            return ""
        where = self.run.path or "The answer"
        self.run.note(f"{where} called {call.name} {SAME_CALLS} times with the same arguments and result.")
        return (
            f"\n\n[This is call {count} with the same arguments and the same result. "
            "Use what you have, or try something else.]"
        )


def is_trusted(tool: Tool) -> bool:
    """True if nobody else can have written what the tool returns."""
    options = options_of(tool)
    return options.has_effects if options.trusted is None else options.trusted


async def use_tool(run: ThreadContext, tools: Mapping[str, Tool], call: ToolCall) -> str:
    """Make one call of a tool: approved where needed, limited, traced, journaled.

    Returns:
        What the tool returned, as text.

    Raises:
        ToolError: there is no such tool, the arguments do not fit, it raised, took too long, or a person
            did not agree.
    """
    state = run.state
    key = run.key(f"tool/{call.name}")
    span = state.tracing.tools.start(run.span, name=call.name, call_id=call.id, arguments=call.arguments)
    run.emit(ToolStarted(key, run.thread_id, call.name, call.arguments))
    began = current_time()
    failed: BaseException | None = None
    result = ""
    try:
        with state.tracing.attached(span):
            tool = tools.get(call.name)
            if tool is None:
                raise ToolError(f"There is no tool {call.name!r}; there are: {', '.join(tools)}.")
            recorded = await run.recorded_step(
                key, lambda: _recordable(_through_hooks(run, tool, call.arguments, key))
            )
            result = recorded if isinstance(recorded, str) else _with_parts(recorded)
        if not is_trusted(tool):
            run.has_read_untrusted()
        return result
    except BaseException as error:
        failed = error
        raise
    finally:
        seconds = current_time() - began
        # A name that no tool has is the model's own, and would make a new series of measurements.
        name = call.name if call.name in tools else "unknown"
        state.tracing.tools.end(span, failed, name=name, seconds=seconds, result=str(result))
        run.emit(
            ToolFinished(
                key,
                run.thread_id,
                call.name,
                str(result) if failed is None else None,
                _error_text(failed),
                seconds,
            )
        )


async def _recordable(work: Awaitable[str]) -> str | list[dict[str, Any]]:
    """The result as JSON for the journal."""
    result = await work
    return [part_as_dict(part) for part in result.parts] if isinstance(result, TextWithParts) else result


def _with_parts(recorded: Sequence[Any]) -> TextWithParts:
    return TextWithParts(tuple(part_from(part) for part in recorded))


def _error_text(failed: BaseException | None) -> str | None:
    """The error that listeners are told about a tool call; None when it worked."""
    if failed is None:
        return None
    return failed.message if isinstance(failed, WeaverError) else "cancelled"


async def _through_hooks(run: ThreadContext, tool: Tool, arguments: str, call_id: str) -> str:
    """Make the call with the hooks around it, once the checks of the input have passed."""
    hooks = hooks_of(run)
    if run.state.withheld is not None:
        await run.state.withheld.input_passed.wait()
    if not hooks:
        return await _tried(run, tool, arguments, call_id)

    async def innermost(request: ToolRequest) -> str:
        return await _tried(run, tool, request.arguments, call_id)

    with ending_the_run(run):
        request = ToolRequest(tool.spec.name, arguments, context_of(run, call_id))
        return await hooks.call_tool(request, innermost)


async def _tried(run: ThreadContext, tool: Tool, arguments: str, call_id: str) -> str:
    options, name = options_of(tool), tool.spec.name
    await _check_approval(run, tool, arguments, call_id)
    failure = ToolError(f"Tool {name!r} was not tried.")
    for attempt in range(1, options.tries + 1):
        try:
            async with AsyncExitStack() as stack:
                if options.concurrency is not None:
                    await stack.enter_async_context(_slot(tool, options.concurrency))
                with anyio.fail_after(options.timeout):
                    return await tool.call(arguments, context_of(run, call_id, attempt))
        except TimeoutError as error:
            failure = ToolError(f"Tool {name!r} took longer than {options.timeout:g} s.")
            failure.__cause__ = error
        except InvalidToolArgumentsError:
            raise
        except ToolError as error:
            failure = error
    raise failure


async def _check_approval(run: ThreadContext, tool: Tool, arguments: str, call_id: str) -> None:
    """Have a person agree to a call that needs it.

    Raises:
        ToolError: the person, or nobody, agreed.
    """
    options, name = options_of(tool), tool.spec.name
    values = _values(arguments)
    needed: bool | Any = options.approve
    if callable(needed):
        needed = needed(context_of(run, call_id), values)
        if inspect.isawaitable(needed):
            needed = await needed
    reason = "the tool asks for approval before each call"
    if not needed:
        if not (options.has_effects and run.read_untrusted and not run.state.tools.allow_effects):
            return
        reason = "the tool has effects, and the thread has read text that others may have written"
    answer = await recorded_approval(run, ApprovalRequest(call_id, run.thread_id, name, values, reason))
    if not answer.approved:
        because = f": {answer.reason}" if answer.reason else ""
        run.note(f"A call of {name!r} was not approved{because}.")
        raise ToolError(f"The call of tool {name!r} was not approved{because}.")


def _values(arguments: str) -> dict[str, Any]:
    try:
        values = from_json(arguments or "{}")
    except ValueError:
        return {"arguments": arguments}
    return values if is_object(values) else {"arguments": values}


def _slot(tool: Tool, most: int) -> anyio.Semaphore:
    """The limit on calls of ``tool`` in this event loop."""
    slots = _slots.setdefault(asyncio.get_running_loop(), {})
    semaphore, _ = slots.setdefault(id(tool), (anyio.Semaphore(most), tool))  # the tool: ids are used again
    return semaphore
