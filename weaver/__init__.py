"""Weaver: adaptive parallel reasoning over any language model.

The public names below are resolved on first use, so ``import weaver`` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weaver.api import Weaver as Weaver
    from weaver.budget import Limits as Limits
    from weaver.errors import Refused as Refused
    from weaver.errors import WeaverError as WeaverError
    from weaver.hooks.protocol import Hook as Hook
    from weaver.hooks.protocol import ModelCall as ModelCall
    from weaver.hooks.protocol import ProceedCall as ProceedCall
    from weaver.hooks.protocol import ProceedTool as ProceedTool
    from weaver.hooks.protocol import ToolRequest as ToolRequest
    from weaver.messages import Message as Message
    from weaver.models.reply import Reply as Reply
    from weaver.parts import AudioPart as AudioPart
    from weaver.parts import FilePart as FilePart
    from weaver.parts import ImagePart as ImagePart
    from weaver.parts import TextPart as TextPart
    from weaver.plan import Plan as Plan
    from weaver.plan import Subtask as Subtask
    from weaver.result import Answer as Answer
    from weaver.result import Result as Result
    from weaver.runtime.run import Run as Run
    from weaver.sessions.memory import MemorySession as MemorySession
    from weaver.sessions.protocol import Session as Session
    from weaver.sessions.sqlite import SQLiteSession as SQLiteSession
    from weaver.strategies.common.registry import strategy as strategy
    from weaver.streaming.run_stream import RunStream as RunStream
    from weaver.streaming.sync_stream import SyncRunStream as SyncRunStream
    from weaver.task import Agent as Agent
    from weaver.task import Task as Task
    from weaver.tools.approvals import Approval as Approval
    from weaver.tools.approvals import ApprovalRequest as ApprovalRequest
    from weaver.tools.function import tool as tool
    from weaver.tools.mcp import mcp as mcp
    from weaver.tools.protocol import Context as Context
    from weaver.tools.protocol import Tool as Tool
    from weaver.workflows.workflow import Workflow as Workflow

__version__ = "0.1.0"

_HOME = {
    "Agent": "weaver.task",
    "Answer": "weaver.result",
    "Approval": "weaver.tools.approvals",
    "ApprovalRequest": "weaver.tools.approvals",
    "AudioPart": "weaver.parts",
    "Context": "weaver.tools.protocol",
    "FilePart": "weaver.parts",
    "Hook": "weaver.hooks.protocol",
    "ImagePart": "weaver.parts",
    "Limits": "weaver.budget",
    "MemorySession": "weaver.sessions.memory",
    "Message": "weaver.messages",
    "ModelCall": "weaver.hooks.protocol",
    "Plan": "weaver.plan",
    "ProceedCall": "weaver.hooks.protocol",
    "ProceedTool": "weaver.hooks.protocol",
    "Refused": "weaver.errors",
    "Reply": "weaver.models.reply",
    "Result": "weaver.result",
    "Run": "weaver.runtime.run",
    "RunStream": "weaver.streaming.run_stream",
    "SQLiteSession": "weaver.sessions.sqlite",
    "Session": "weaver.sessions.protocol",
    "Subtask": "weaver.plan",
    "SyncRunStream": "weaver.streaming.sync_stream",
    "Task": "weaver.task",
    "TextPart": "weaver.parts",
    "Tool": "weaver.tools.protocol",
    "ToolRequest": "weaver.hooks.protocol",
    "Weaver": "weaver.api",
    "WeaverError": "weaver.errors",
    "Workflow": "weaver.workflows.workflow",
    "mcp": "weaver.tools.mcp",
    "strategy": "weaver.strategies.common.registry",
    "tool": "weaver.tools.function",
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
    "Refused",
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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'weaver' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
