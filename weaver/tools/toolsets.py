"""Toolsets: tools that are listed by whoever serves them, when a run begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weaver.tools.function import by_name
from weaver.tools.protocol import Tool, Toolset


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
        tools: list[Any] = []
        for value in values:
            if isinstance(value, Toolset):
                self._opened[id(value)] = value
                tools.extend(await value.tools())
            else:
                tools.append(value)
        return tuple(by_name(tuple(tools)).values())

    async def aclose(self) -> None:
        """Release what the toolsets opened; they may be used again."""
        opened, self._opened = self._opened, {}
        for toolset in opened.values():
            await toolset.aclose()
