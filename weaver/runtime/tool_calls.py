"""Running the tools that a model asks for."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from weaver.errors import ToolFailed, WeaverError
from weaver.events import ToolCalled
from weaver.messages import Message, ToolCall
from weaver.runtime.context import Scope
from weaver.tools.function import FunctionTool


async def call_tools(
    run: Scope, tools: Mapping[str, FunctionTool], calls: tuple[ToolCall, ...]
) -> list[Message]:
    """All calls of one turn at the same time; the results in the order of the calls.

    A tool that fails is told to the model as text; it may try otherwise.
    """
    results = [Message("tool", "", tool_call_id=call.id) for call in calls]
    errors: list[WeaverError] = []
    began = anyio.current_time()

    async def one(i: int, call: ToolCall) -> None:
        try:
            results[i] = Message("tool", await _told(run, tools, call), tool_call_id=call.id)
        except WeaverError as error:
            errors.append(error)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for i, call in enumerate(calls):
            group.start_soon(one, i, call)
    if errors:
        raise errors[0]
    run.worked(anyio.current_time() - began)
    return results


async def use_tool(run: Scope, tools: Mapping[str, FunctionTool], call: ToolCall) -> str:
    """One call of a tool, traced and journaled; what it returned, as text.

    Raises:
        ToolFailed: there is no such tool, the arguments do not fit, or it raised.
    """
    span = run.state.tracing.start_tool(run.span, name=call.name, call_id=call.id, arguments=call.arguments)
    began = anyio.current_time()
    failed: BaseException | None = None
    result = ""
    try:
        with run.state.tracing.attached(span):
            if call.name not in tools:
                raise ToolFailed(f"There is no tool {call.name!r}; there are: {', '.join(tools)}.")
            result = await run.step(f"tool/{call.name}", lambda: tools[call.name](call.arguments))
            return result
    except BaseException as error:
        failed = error
        raise
    finally:
        run.state.tracing.end_tool(span, failed, result=result)
        seconds = anyio.current_time() - began
        told = str(failed) if isinstance(failed, ToolFailed) else None
        run.emit(ToolCalled(run.thread_id, call.name, seconds, told))


async def _told(run: Scope, tools: Mapping[str, FunctionTool], call: ToolCall) -> str:
    try:
        return await use_tool(run, tools, call)
    except ToolFailed as error:
        return f"Error: {error.message}"
