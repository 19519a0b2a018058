"""All hooks of a run, or of one of its threads, in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

from weaver._data.messages import user
from weaver._data.result import Answer
from weaver._data.task import Task
from weaver._hooks.calling import Step, steps
from weaver._hooks.model_calls import OpenStream, hooked_stream
from weaver._hooks.protocol import ModelCall, ProceedTool, ToolRequest
from weaver._models.protocol import Request, Stream
from weaver._tools.protocol import Context


class Hooks:
    """Hooks in their order: the first one is outermost.

    Args:
        hooks: objects, see `weaver.Hook`.
    """

    def __init__(self, hooks: Sequence[Any] = ()) -> None:
        self.all = tuple(hooks)
        self.around_call = steps(self.all, "around_call")
        self._around_tool = steps(self.all, "around_tool")
        self.input_checks = steps(self.all, "check_input")
        self.output_checks = steps(self.all, "check_output")

    def __bool__(self) -> bool:
        return bool(self.all)

    def extended(self, more: Sequence[Any]) -> Hooks:
        """These hooks with others inside them."""
        return Hooks((*self.all, *more)) if more else self

    @property
    def parallel_checks(self) -> tuple[Step, ...]:
        """The input checks that run beside the first model calls."""
        return tuple(step for step in self.input_checks if step.parallel)

    def stream(
        self, call: ModelCall, open_stream: OpenStream, sent: Callable[[Request], None]
    ) -> AbstractAsyncContextManager[Stream]:
        """`weaver._hooks.model_calls.hooked_stream`."""
        return hooked_stream(self.around_call, call, open_stream, sent)

    async def call_tool(
        self, request: ToolRequest, innermost: Callable[[ToolRequest], Awaitable[str]]
    ) -> str:
        """The tool's result, through ``around_tool`` of each hook.

        Raises:
            RefusedError, HookError, ToolError: of a hook or of the tool.
        """
        errors: list[BaseException] = []

        async def call(request: ToolRequest, /) -> str:
            try:
                return await innermost(request)
            except Exception as error:
                errors.append(error)
                raise

        def proceed(index: int) -> ProceedTool:
            async def through(request: object, /) -> str:
                if not isinstance(request, ToolRequest):
                    raise TypeError(f"proceed takes the ToolRequest, not {type(request).__name__}")
                step = self._around_tool[index]
                result = await step.call(request, proceed(index + 1), passed_on=errors)
                if not isinstance(result, str):
                    hint = "Return the result of proceed(request), or another text."
                    raise step.failure(f"returned {type(result).__name__}", hint)
                return result

            return through if index < len(self._around_tool) else call

        return await proceed(0)(request)

    async def checked_input(self, task: Task, context: Context[Any]) -> Task:
        """``task`` as the checks before the first call leave it.

        Raises:
            RefusedError, HookError: of a hook.
        """
        for step in self.input_checks:
            if step.parallel:
                continue
            value = await step.call(task, context)
            if isinstance(value, str):
                task = asking(task, value)
            elif isinstance(value, Task):
                task = value
            elif value is not None:
                raise step.failure(f"returned {type(value).__name__}", "Return None, a task or a question.")
        return task

    async def check_beside(self, task: Task, context: Context[Any]) -> None:
        """Run the parallel input checks, all at the same time.

        Raises:
            RefusedError, HookError: of the first one that does not pass.
        """

        async def check(step: Step) -> None:
            if await step.call(task, context) is not None:
                hint = "A parallel check cannot change the task: return None, or drop `parallel`."
                raise step.failure("returned a value", hint)

        await together([check(step) for step in self.parallel_checks])

    async def checked_output(self, answer: Answer, context: Context[Any]) -> Answer:
        """``answer`` as the output checks leave it.

        Raises:
            RefusedError, HookError: of a hook.
        """
        for step in self.output_checks:
            value = await step.call(answer, context)
            if isinstance(value, str):
                answer = replace(answer, text=value)
            elif isinstance(value, Answer):
                answer = value
            elif value is not None:
                raise step.failure(f"returned {type(value).__name__}", "Return None, an answer or a text.")
        return answer


NO_HOOKS = Hooks()


def asking(task: Task, question: str) -> Task:
    """``task`` with another question."""
    if task.prompt or not task.messages:
        return replace(task, prompt=question)
    last = max((i for i, m in enumerate(task.messages) if m.role == "user"), default=-1)
    messages = list(task.messages)
    if last < 0:
        messages.append(user(question))
    else:
        messages[last] = user((question, *messages[last].media) if messages[last].media else question)
    return replace(task, messages=tuple(messages))


async def together(work: Sequence[Awaitable[Any]]) -> None:
    """Wait for all of ``work``; on the first error cancel the rest, wait for it, and raise the error."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in work]
    try:
        for finished in asyncio.as_completed(tasks):
            await finished
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
