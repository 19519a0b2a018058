"""Long runs as tasks of MCP: the client gets a handle, asks how the run is doing, and may cancel it.

The extension ``io.modelcontextprotocol/tasks`` of MCP 2026-07-28 (SEP-2663), on the SDK's interface for
extensions. Clients that do not know it get the result as before, when it is there.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolRequestParams, RequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, Field

EXTENSION = "io.modelcontextprotocol/tasks"
LONG = ("run", "compare")
"""Tools whose calls may become tasks."""
PATIENCE = 5.0
"""Seconds that a call takes before it becomes a task: short ones are answered at once."""
KEPT_SECONDS = 3600.0
"""How long a task is kept after it was made; one that still runs then is cancelled."""
MAX_TASKS = 100
"""Tasks kept at the same time; with more, calls are answered when they are done."""
POLL_SECONDS = 2.0

Status = Literal["working", "completed", "failed", "cancelled"]
_current: ContextVar[RunTask | None] = ContextVar("weaver_mcp_task", default=None)


@dataclass(slots=True)
class RunTask:
    """One call that goes on after its request was answered.

    Attributes:
        message: what happened last.
    """

    work: asyncio.Task[HandlerResult]
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    changed: datetime = field(default_factory=lambda: datetime.now(UTC))
    message: str = ""
    is_cancelled: bool = False

    @property
    def status(self) -> Status:
        """The status, as the protocol calls it."""
        if self.is_cancelled or (self.work.done() and self.work.cancelled()):
            return "cancelled"
        if not self.work.done():
            return "working"
        return "failed" if self.work.exception() is not None else "completed"

    def about(self) -> dict[str, Any]:
        """The fields of a task on the wire."""
        return {
            "taskId": self.id,
            "status": self.status,
            **({"statusMessage": self.message} if self.message else {}),
            "createdAt": self.created.isoformat(),
            "lastUpdatedAt": self.changed.isoformat(),
            "ttlMs": int(KEPT_SECONDS * 1000),
            "pollIntervalMs": int(POLL_SECONDS * 1000),
        }

    def cancel(self) -> None:
        """Stop the run; its connections close."""
        if not self.work.done():
            self.is_cancelled = True
            self.work.cancel()
            self.changed = datetime.now(UTC)


def tell_task(message: str) -> None:
    """Record what happened last in the run of this task, for whoever asks."""
    if (task := _current.get()) is not None:
        task.message, task.changed = message, datetime.now(UTC)


class TaskParams(RequestParams):
    """Parameters of ``tasks/get``, ``tasks/update`` and ``tasks/cancel``."""

    task_id: str = Field(alias="taskId", max_length=100)


class Tasks(Extension):
    """Makes tasks of calls that take long, for clients that know the extension."""

    identifier = EXTENSION

    def __init__(self) -> None:
        self._tasks: dict[str, RunTask] = {}

    def methods(self) -> Sequence[MethodBinding]:
        """The methods of the extension; no run asks for input, so an update changes nothing."""
        handlers = {"tasks/get": self._get, "tasks/update": self._acknowledge, "tasks/cancel": self._cancel}
        versions = frozenset(MODERN_PROTOCOL_VERSIONS)
        return [MethodBinding(name, TaskParams, handler, versions) for name, handler in handlers.items()]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Answer a short call at once, and a long one with a task."""
        self._forget_old()
        if params.name not in LONG or not _knows_tasks(ctx) or len(self._tasks) >= MAX_TASKS:
            return await call_next(ctx)
        begun = asyncio.Event()

        async def work() -> HandlerResult:
            await begun.wait()
            _current.set(task)
            return await call_next(ctx)

        task = RunTask(asyncio.create_task(work(), name="weaver-mcp-task"))
        begun.set()
        try:
            await asyncio.wait({task.work}, timeout=PATIENCE)
        except asyncio.CancelledError:
            task.work.cancel()
            raise
        if task.work.done():
            return await task.work
        self._tasks[task.id] = task
        return {"resultType": "task", **task.about()}

    async def _get(self, _: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
        task = self._find(params)
        result: dict[str, Any] = {"resultType": "complete", **task.about()}
        if task.status == "completed":
            result["result"] = _plain(task.work.result())
        elif task.status == "failed":
            result["error"] = _error(task.work.exception())
        return result

    async def _cancel(self, _: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
        self._find(params).cancel()
        return {"resultType": "complete"}

    async def _acknowledge(self, _: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
        self._find(params)
        return {"resultType": "complete"}

    def _find(self, params: TaskParams) -> RunTask:
        self._forget_old()
        if (task := self._tasks.get(params.task_id)) is None:
            raise MCPError(code=INVALID_PARAMS, message="There is no such task, or not any more.")
        return task

    def _forget_old(self) -> None:
        now = datetime.now(UTC)
        for task in [t for t in self._tasks.values() if (now - t.created).total_seconds() > KEPT_SECONDS]:
            task.cancel()
            del self._tasks[task.id]


def _knows_tasks(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Check whether the client of this request declared the extension."""
    capabilities = ctx.session.client_capabilities
    declared = capabilities.extensions if capabilities is not None else None
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS and EXTENSION in (declared or {})


def _plain(result: HandlerResult) -> Any:
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)
    return result or {}


def _error(error: BaseException | None) -> dict[str, Any]:
    if isinstance(error, MCPError):
        return error.error.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {"code": -32603, "message": f"The run failed: {type(error).__name__}."}
