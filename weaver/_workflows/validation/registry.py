"""What a workflow may name besides its own parts: tools, functions, strategies and models that are there."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from weaver._environment import plugins
from weaver._json_reading.json_types import is_mapping
from weaver._tools.function import FunctionTool, as_tool, by_name, identity
from weaver._tools.protocol import Tool
from weaver._workflows.schema.types import in_words
from weaver._workflows.source.diagnostics import did_you_mean
from weaver.errors import ConfigurationError, UnknownNameError, WeaverError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "weaver.tools"
_registered: dict[str, Tool] = {}


def register(function: Callable[..., Any] | Tool, *, name: str = "") -> Tool:
    """Let workflows of this program use a Python function, as a tool and as a step.

    Args:
        function: with annotated parameters; see `weaver.tool`.
        name: how workflows call it; the function's own by default.

    Raises:
        ConfigurationError: it cannot be a tool, or another one has the name.
    """
    tool = (
        FunctionTool(function, name=name)
        if name and callable(function) and not isinstance(function, FunctionTool)
        else as_tool(function)
    )
    name = name or tool.spec.name
    registered = _registered.get(name)
    if registered is not None and identity(registered) != identity(tool):
        raise ConfigurationError(f"A function named {name!r} is registered already.")
    _registered[name] = tool
    return tool


def unregister(name: str) -> None:
    """Forget a registered function."""
    _registered.pop(name, None)


@dataclass(slots=True)
class Surroundings:
    """Everything that can be named.

    Args:
        tools: functions by name, besides the registered ones and those of plugins (entry-point group
            ``weaver.tools``).
        strict: whether names that are not there are problems; a file may be checked on another machine.
    """

    tools: Mapping[str, Tool] = field(default_factory=dict[str, Tool])
    strict: bool = True

    @classmethod
    def of(cls, tools: Iterable[Any] | Mapping[str, Any] = (), *, strict: bool = True) -> Surroundings:
        """Surroundings with the given functions or tools.

        Raises:
            ConfigurationError: one of them is not a tool.
        """
        if is_mapping(tools):
            return cls({name: as_tool(value) for name, value in tools.items()}, strict)
        return cls(by_name(tuple(tools)), strict)

    def tool_names(self) -> list[str]:
        """Names of all tools."""
        return sorted({*self.tools, *_registered, *_tool_points()})

    def tool(self, name: str) -> Tool:
        """The tool of that name.

        Raises:
            UnknownNameError: there is none.
            ConfigurationError: a plugin's tool cannot be loaded.
        """
        if (tool := self.tools.get(name) or _registered.get(name)) is not None:
            return tool
        if (point := _tool_points().get(name)) is None:
            hint = (
                ""
                if self.tool_names()
                else "Python functions are registered with weaver.workflows.register()."
            )
            raise UnknownNameError("tool", name, self.tool_names(), hint=hint)
        return as_tool(plugins.load(point, "tool"))

    def known(self, name: str) -> Tool | None:
        """The tool of that name, or None when there is none here."""
        try:
            return self.tool(name)
        except ConfigurationError:
            return None

    def strategy_problem(self, name: str, options: Mapping[str, Any]) -> list[tuple[str | None, str, str]]:
        """Return what is wrong with a strategy and its options: (option or None, what, hint)."""
        from weaver._strategies.common import registry

        try:
            strategy = registry.load(name)
        except WeaverError as error:
            return [(None, _lower(error.message), _lower(error.hint))]
        problems: list[tuple[str | None, str, str]] = []
        parsed: dict[str, Any] = {}
        for option, value in options.items():
            try:
                parsed |= strategy.parsed_options({option: value})
            except WeaverError as error:
                problems.append((option, _lower(in_words(error.message)), _lower(error.hint)))
        if not problems:
            try:
                strategy.check_together(parsed)
            except WeaverError as error:
                problems.append((None, _lower(error.message), _lower(error.hint)))
        missing = [o for o, (_, default) in strategy.options.items() if default is inspect.Parameter.empty]
        problems += [
            (None, f"the strategy {name!r} needs the option {o!r}", "") for o in missing if o not in options
        ]
        return problems

    def model_problem(self, name: str, *, base_url: bool) -> tuple[str, str] | None:
        """Return (problem, hint) for a model name that cannot be right. The model is not asked."""
        from weaver._models.catalog.registry import installed
        from weaver._models.providers import BY_PREFIX, LITELLM_PREFIXES, family

        prefix, slash, rest = name.partition("/")
        if base_url or os.environ.get("OPENAI_BASE_URL") or name.lower().endswith(".gguf") or "$" in name:
            return None
        if slash and prefix in {"", ".", "..", "~", "local"}:
            return None
        if not slash:
            if family(name) is not None:
                return None
            return f"there is no model {name!r}", f"write it with its provider, for example openai/{name}"
        prefixes = {*BY_PREFIX, *LITELLM_PREFIXES, *installed()}
        if prefix in prefixes:
            return None if rest.strip() else ("the model's name is missing", "for example openai/gpt-5-mini")
        hint = did_you_mean(prefix, prefixes, most=0)
        return (
            f"there is no model provider {prefix!r}",
            hint or "your own server needs base_url",
        )


def _tool_points() -> dict[str, EntryPoint]:
    return plugins.installed(GROUP)


def _lower(sentence: str) -> str:
    sentence = sentence.strip().rstrip(".")
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence
