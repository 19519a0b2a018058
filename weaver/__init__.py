"""Weaver: adaptive parallel reasoning over any language model.

The public names are loaded on first use, so that ``import weaver`` stays light.
"""

from typing import TYPE_CHECKING

from weaver._environment.doors import door

if TYPE_CHECKING:
    from weaver._data.budget import Limits as Limits
    from weaver._data.messages import Message as Message
    from weaver._data.parts import AudioPart as AudioPart
    from weaver._data.parts import FilePart as FilePart
    from weaver._data.parts import ImagePart as ImagePart
    from weaver._data.parts import TextPart as TextPart
    from weaver._data.plan import Plan as Plan
    from weaver._data.plan import Subtask as Subtask
    from weaver._data.result import Answer as Answer
    from weaver._data.result import Result as Result
    from weaver._data.task import Agent as Agent
    from weaver._data.task import Task as Task
    from weaver._facade.weaver import Weaver as Weaver
    from weaver._hooks.protocol import Hook as Hook
    from weaver._hooks.protocol import ModelCall as ModelCall
    from weaver._hooks.protocol import ProceedCall as ProceedCall
    from weaver._hooks.protocol import ProceedTool as ProceedTool
    from weaver._hooks.protocol import ToolRequest as ToolRequest
    from weaver._models.reply import Reply as Reply
    from weaver._runtime.run import Run as Run
    from weaver._sessions.memory import MemorySession as MemorySession
    from weaver._sessions.protocol import Session as Session
    from weaver._sessions.sqlite import SQLiteSession as SQLiteSession
    from weaver._strategies.common.registry import strategy as strategy
    from weaver._streaming.run_stream import RunStream as RunStream
    from weaver._streaming.sync_stream import SyncRunStream as SyncRunStream
    from weaver._tools.approvals import Approval as Approval
    from weaver._tools.approvals import ApprovalRequest as ApprovalRequest
    from weaver._tools.function import tool as tool
    from weaver._tools.mcp import mcp as mcp
    from weaver._tools.protocol import Context as Context
    from weaver._tools.protocol import Tool as Tool
    from weaver._workflows.workflow import Workflow as Workflow
    from weaver.errors import RefusedError as RefusedError
    from weaver.errors import WeaverError as WeaverError

__version__ = "0.1.0"

_MODULES = {
    "Agent": "_data.task",
    "Answer": "_data.result",
    "Approval": "_tools.approvals",
    "ApprovalRequest": "_tools.approvals",
    "AudioPart": "_data.parts",
    "Context": "_tools.protocol",
    "FilePart": "_data.parts",
    "Hook": "_hooks.protocol",
    "ImagePart": "_data.parts",
    "Limits": "_data.budget",
    "MemorySession": "_sessions.memory",
    "Message": "_data.messages",
    "ModelCall": "_hooks.protocol",
    "Plan": "_data.plan",
    "ProceedCall": "_hooks.protocol",
    "ProceedTool": "_hooks.protocol",
    "RefusedError": "errors",
    "Reply": "_models.reply",
    "Result": "_data.result",
    "Run": "_runtime.run",
    "RunStream": "_streaming.run_stream",
    "SQLiteSession": "_sessions.sqlite",
    "Session": "_sessions.protocol",
    "Subtask": "_data.plan",
    "SyncRunStream": "_streaming.sync_stream",
    "Task": "_data.task",
    "TextPart": "_data.parts",
    "Tool": "_tools.protocol",
    "ToolRequest": "_hooks.protocol",
    "Weaver": "_facade.weaver",
    "WeaverError": "errors",
    "Workflow": "_workflows.workflow",
    "mcp": "_tools.mcp",
    "strategy": "_strategies.common.registry",
    "tool": "_tools.function",
}

__all__ = [  # noqa: RUF022 - the façade first
    "Weaver",
    "Agent",
    "Answer",
    "Approval",
    "ApprovalRequest",
    "AudioPart",
    "Context",
    "FilePart",
    "Hook",
    "ImagePart",
    "Limits",
    "MemorySession",
    "Message",
    "ModelCall",
    "Plan",
    "ProceedCall",
    "ProceedTool",
    "RefusedError",
    "Reply",
    "Result",
    "Run",
    "RunStream",
    "SQLiteSession",
    "Session",
    "Subtask",
    "SyncRunStream",
    "Task",
    "TextPart",
    "Tool",
    "ToolRequest",
    "WeaverError",
    "Workflow",
    "mcp",
    "strategy",
    "tool",
]

if not TYPE_CHECKING:
    __getattr__, _names = door(__name__, _MODULES)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
