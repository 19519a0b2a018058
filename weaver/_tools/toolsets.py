"""Toolsets: tools that are listed by whoever serves them, when a run begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio

from weaver._tools.function import by_name
from weaver._tools.protocol import Tool, Toolset


class Toolsets:
    """The toolsets that runs have used. They stay connected until `aclose`."""

    def __init__(self) -> None:
        self._opened: dict[int, Toolset] = {}

    async def resolved(self, values: Sequence[Any]) -> tuple[Tool, ...]:
        """The tools among ``values`` as they are, and those of its toolsets in their place, in order.

        Raises:
            ConfigurationError: one of them is not a tool, or two tools have the same name.
            WeaverError: a toolset cannot list its tools.
        """
        toolsets = [value for value in values if isinstance(value, Toolset)]
        if not toolsets:
            return tuple(by_name(tuple(values)).values())
        self._opened |= {id(toolset): toolset for toolset in toolsets}
        listed: dict[int, Sequence[Tool]] = {}
        failures: list[Exception] = []

        async def list_tools(toolset: Toolset) -> None:
            try:
                listed[id(toolset)] = await toolset.tools()
            except Exception as error:  # noqa: BLE001 - raised below, outside the task group
                failures.append(error)

        async with anyio.create_task_group() as group:
            for toolset in toolsets:
                group.start_soon(list_tools, toolset)
        if failures:
            raise failures[0]
        tools = [tool for value in values for tool in listed.get(id(value), (value,))]
        return tuple(by_name(tuple(tools)).values())

    async def aclose(self) -> None:
        """Release what the toolsets opened; they may be used again."""
        opened, self._opened = self._opened, {}
        for toolset in opened.values():
            await toolset.aclose()
