"""Running the tools that a model asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import anyio

from weaver.errors import ToolFailed, WeaverError
from weaver.events import ToolCalled
from weaver.messages import Message, ToolCall
from weaver.tools.function import FunctionTool

if TYPE_CHECKING:
    from weaver.runtime.run import Run


async def call_tools(
    run: Run, tools: Mapping[str, FunctionTool], calls: tuple[ToolCall, ...]
) -> list[Message]:
    """All calls of one turn at the same time; the results in the order of the calls.

    A tool that fails is told to the model as text; it may try otherwise.
    """
    results = [Message("tool", "", tool_call_id=call.id) for call in calls]
    errors: list[WeaverError] = []
    began = anyio.current_time()

    async def one(i: int, call: ToolCall) -> None:
        try:
            results[i] = Message("tool", await _call_tool(run, tools, call), tool_call_id=call.id)
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


async def _call_tool(run: Run, tools: Mapping[str, FunctionTool], call: ToolCall) -> str:
    span = run.state.tracing.start_tool(run.span, name=call.name, call_id=call.id, arguments=call.arguments)
    began = anyio.current_time()
    failed: Exception | None = None
    left: BaseException | None = None
    result = ""
    try:
        with run.state.tracing.attached(span):
            if call.name not in tools:
                raise ToolFailed(f"There is no tool {call.name!r}; there are: {', '.join(tools)}.")
            result = await run.step(f"tool/{call.name}", lambda: tools[call.name](call.arguments))
            return result
    except ToolFailed as error:
        failed = error
        return f"Error: {error.message}"
    except BaseException as error:
        left = error
        raise
    finally:
        run.state.tracing.end_tool(span, failed or left, result=result)
        seconds = anyio.current_time() - began
        run.emit(ToolCalled(run.thread_id, call.name, seconds, str(failed) if failed else None))
