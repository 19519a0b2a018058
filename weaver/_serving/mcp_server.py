"""Weaver as an MCP server: tools that run, plan and compare (extra ``mcp``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mcp.server.mcpserver import Context as Request
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from weaver import __version__, events
from weaver._data.result import Result
from weaver._facade.weaver import Weaver
from weaver._serving.mcp_tasks import Tasks, tell_task
from weaver.errors import ConfigurationError, WeaverError

INSTRUCTIONS = (
    "Answers questions with parallel reasoning threads. `run` answers one, `plan` shows how it would be "
    "taken apart, `compare` answers it with several strategies side by side."
)
MAX_QUESTION_CHARS = 1_000_000
MAX_COMPARED = 8
# A request may name an installed strategy and nothing else: no options, no file, no function.
_STRATEGY = re.compile(r"[a-z][a-z0-9_]{0,63}")


def mcp_server(weaver: Weaver) -> MCPServer[Any]:
    """An MCP server over ``weaver``, whose settings are limits that callers can only tighten.

    Tools:
        run(question, strategy=None, deadline=None, max_cost=None): answer, status, usage, notes and more.
        plan(question): whether and how the question would be taken apart.
        compare(question, strategies, deadline=None): a row for each strategy.

    Progress is reported while a run goes on, to clients that ask for it. A client that cancels its request
    cancels the run, whose connections close. A client that knows the tasks extension gets a handle for a run
    that takes long.
    """
    server: MCPServer[Any] = MCPServer(
        "weaver", instructions=INSTRUCTIONS, version=__version__, log_level="ERROR", extensions=[Tasks()]
    )

    @server.tool()
    async def run(
        question: str,
        context: Request,
        strategy: str | None = None,
        deadline: float | None = None,
        max_cost: float | None = None,
    ) -> dict[str, Any]:
        """Answer a question with as many parallel reasoning threads as it deserves.

        Args:
            question: the task, complete in itself.
            strategy: name of an installed strategy; the server's own by default.
            deadline: seconds within which there is an answer, partly if need be.
            max_cost: budget in US dollars.
        """
        try:
            return summary(
                await _watched(weaver, question, context, **_changes(weaver, strategy, deadline, max_cost))
            )
        except WeaverError as error:
            raise ToolError(str(error)) from error

    @server.tool()
    async def plan(question: str) -> dict[str, Any]:
        """Show whether a question would be taken apart, and into what, without answering it."""
        try:
            return (await weaver.plan(_checked(question))).model_dump(mode="json")
        except WeaverError as error:
            raise ToolError(str(error)) from error

    @server.tool()
    async def compare(
        question: str,
        strategies: list[str],
        context: Request,
        deadline: float | None = None,
    ) -> list[dict[str, Any]]:
        """Answer a question with several strategies, one after the other, and compare what came.

        Args:
            question: the task, complete in itself.
            strategies: names of installed strategies, at most 8.
            deadline: seconds for each of them.
        """
        if not 1 <= len(strategies) <= MAX_COMPARED:
            raise ToolError(f"Give 1 to {MAX_COMPARED} strategies.")
        rows: list[dict[str, Any]] = []
        for number, name in enumerate(strategies, 1):
            tell_task(f"{name}, {number} of {len(strategies)}")
            await context.report_progress(number - 1, len(strategies), name)
            try:
                changes = _changes(weaver, name, deadline, None)
                rows.append({"strategy": name, **summary(await weaver.run(_checked(question), **changes))})
            except WeaverError as error:
                rows.append({"strategy": name, "status": "failed", "error": str(error)})
        return rows

    return server


def summary(result: Result[Any]) -> dict[str, Any]:
    """Return what a caller needs of a result; the whole of it is in the trace."""
    whole = result.as_dict()
    names = ("run_id", "status", "answer", "strategy", "model", "decision", "usage", "notes", "error")
    return {
        **{name: whole[name] for name in names},
        "seconds": result.metrics.wall_seconds,
        "threads": [
            {name: thread[name] for name in ("id", "title", "state", "answer")} for thread in whole["threads"]
        ],
        "conflicts": whole["conflicts"],
    }


async def _watched(weaver: Weaver, question: str, context: Any, **changes: Any) -> Result[Any]:
    """Run and report progress: the steps so far, and what the latest one was."""
    steps = 0
    async with weaver.stream(_checked(question), **changes) as stream:
        async for event in stream:
            if line := _line(event):
                steps += 1
                tell_task(line)
                await context.report_progress(steps, None, line)
    if stream.result.status == "failed" and stream.error is not None:
        raise stream.error
    return stream.result


def _line(event: Any) -> str:
    match event:
        case events.Planned():
            return f"planned {len(event.plan.subtasks)} parts"
        case events.ThreadStarted():
            return f"started {event.title[:80]}"
        case events.ThreadFinished():
            return f"{event.thread} {event.state} after {event.seconds:.1f} s"
        case events.AnswerStarted():
            return "writing the answer"
        case events.Noted():
            return event.note[:200]
        case _:
            return ""


def _changes(
    weaver: Weaver, strategy: str | None, deadline: float | None, max_cost: float | None
) -> dict[str, Any]:
    """The settings that a request changes: it can tighten limits, and choose an installed strategy."""
    settings = weaver.settings
    changes: dict[str, Any] = {}
    if strategy is not None:
        if not _STRATEGY.fullmatch(strategy):
            raise ConfigurationError(
                f"{strategy[:80]!r} is not the name of a strategy.", hint=f"Installed: {', '.join(_names())}."
            )
        changes["strategy"] = strategy
    if deadline is not None:
        changes["deadline"] = deadline if settings.deadline is None else min(deadline, settings.deadline)
    if max_cost is not None:
        changes["max_cost"] = max_cost if settings.max_cost is None else min(max_cost, settings.max_cost)
    return changes


def _names() -> Sequence[str]:
    from weaver._strategies.common.registry import names

    return names()


def _checked(question: str) -> str:
    if not question.strip():
        raise ConfigurationError("The question is empty.")
    if len(question) > MAX_QUESTION_CHARS:
        raise ConfigurationError(f"The question has more than {MAX_QUESTION_CHARS:,} characters.")
    return question
