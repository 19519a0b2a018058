"""What a tool is: something that models may call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from weaver._models.protocol import ToolSpec

Deps = TypeVar("Deps")


@dataclass(frozen=True, slots=True)
class Context(Generic[Deps]):
    """What a tool may know about the call it serves.

    A function asks for it by a parameter of this type: ``def buy(shop: Context[Shop], item: str)``. The
    parameter is not shown to the model.

    Attributes:
        deps: what the caller passed as ``deps=`` to `Weaver` or `run`; None when nothing was passed.
        run_id: the run's id.
        thread: the reasoning thread's id, or None in the root of the run.
        call_id: names this call in events, approvals and traces; unique within the run.
        attempt: 1 for the first try of this call.
        seconds_left: until the thread's deadline, or None when it has none.
    """

    deps: Deps
    run_id: str = ""
    thread: str | None = None
    call_id: str = ""
    attempt: int = 1
    seconds_left: float | None = None


Arguments = Mapping[str, Any]
ApprovalRule = Callable[[Context[Any], Arguments], "bool | Awaitable[bool]"]
Prepare = Callable[[Context[Any], ToolSpec], "ToolSpec | Awaitable[ToolSpec | None] | None"]


@dataclass(frozen=True, slots=True)
class ToolOptions:
    """How calls of a tool are made.

    Args:
        timeout: most seconds of one try; None leaves it to the thread's deadline.
        tries: how often a call is made before its failure is told to the model. Arguments that do not fit
            are never tried again.
        concurrency: most calls at the same time, over all runs of this process; None for no limit.
        approve: whether a person must agree before each call: always, never, or as the rule says, which gets
            the context and the arguments.
        has_effects: the tool changes something outside. In a thread that has read untrusted text its calls
            need approval, unless the run has ``allow_effects``.
        trusted: whether its results are text that nobody else could have written. None: only those of tools
            with effects are (a receipt, not something read).
        prepare: called before each request of a thread; returns the spec to show, or None to hide the tool.
    """

    timeout: float | None = None
    tries: int = 1
    concurrency: int | None = None
    approve: bool | ApprovalRule = False
    has_effects: bool = False
    trusted: bool | None = None
    prepare: Prepare | None = None


@runtime_checkable
class Tool(Protocol):
    """Something that models may call. Besides these two members it may have ``options: ToolOptions``."""

    @property
    def spec(self) -> ToolSpec:
        """Name, description and parameters, as a model is told about them."""
        ...

    async def call(self, arguments: str, context: Context[Any]) -> str:
        """Make one call.

        Args:
            arguments: JSON text of an object, as the model wrote it.
            context: who calls.

        Returns:
            The result as the model reads it.

        Raises:
            ToolError: the arguments do not fit, or the tool did not work; the model reads the message.
        """
        ...


@runtime_checkable
class Toolset(Protocol):
    """Tools that are known only once they are asked for, such as those of an MCP server."""

    async def tools(self) -> Sequence[Tool]:
        """Connect if need be, and list the tools, always in the same order.

        Raises:
            WeaverError: they cannot be had.
        """
        ...

    async def aclose(self) -> None:
        """Release what listing and calling them opened."""
        ...


def options_of(tool: Tool) -> ToolOptions:
    """The options of a tool; the defaults for one that has none."""
    options = getattr(tool, "options", None)
    return options if isinstance(options, ToolOptions) else ToolOptions()
