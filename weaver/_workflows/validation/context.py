"""What the checks of a workflow and of its steps share: what is known, what is lost, where to report."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from weaver._text.names import closest
from weaver._workflows.expressions.types import ANY, Kind, record
from weaver._workflows.format.definition import Definition
from weaver._workflows.format.step import Step
from weaver._workflows.source.diagnostics import Problems, did_you_mean
from weaver._workflows.source.tree import Keys, Source
from weaver._workflows.validation.compiled import Compiled
from weaver._workflows.validation.explain import keys_of
from weaver._workflows.validation.references import Texts
from weaver._workflows.validation.registry import Surroundings
from weaver._workflows.validation.scopes import inputs_kind, unsure
from weaver.errors import WeaverError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class Checks:
    """What is known of a workflow while it is checked.

    Args:
        workflow: what could be read of it.
        source: where it was read.
        lost: paths of what could not be read, and is reported already: nothing is said about it again.
        used: the workflows of ``uses``, by step; None for one that is broken itself.
    """

    def __init__(
        self,
        workflow: Definition,
        source: Source,
        problems: Problems,
        surroundings: Surroundings,
        *,
        lost: frozenset[Keys] = frozenset(),
        used: Mapping[str, Definition | None] | None = None,
    ) -> None:
        self.workflow = workflow
        self.surroundings = surroundings
        self.broken = {str(k[1]) for k in lost if k[:1] == ("steps",) and len(k) == 2}
        self._unread: dict[str, set[str]] = {}
        for keys in lost:
            if keys[:1] == ("steps",) and len(keys) > 2:
                self._unread.setdefault(str(keys[1]), set()).add(str(keys[2]))
        self.lost_inputs = {str(k[1]) for k in lost if k[:1] == ("inputs",) and len(k) > 1}
        self.lost_agents = {str(k[1]) for k in lost if k[:1] == ("agents",) and len(k) > 1}
        self.used = used or {}
        self.texts = Texts(source, problems)
        self.compiled = Compiled()
        self.kinds: dict[str, Kind] = {}

    def names(self, unfinished: Collection[str] = ()) -> dict[str, Kind]:
        """Return what every expression may read.

        Args:
            unfinished: steps that may have no output where the expression stands.
        """
        inputs = inputs_kind(self.workflow.inputs)
        names = dict.fromkeys(self.lost_inputs, ANY)
        return {
            "inputs": record({**(inputs.fields or {}), **names}, noun="input"),
            "steps": record(
                {id_: unsure(kind) if id_ in unfinished else kind for id_, kind in self.kinds.items()},
                noun="step",
            ),
        }

    def odd(self, id_: str) -> set[str]:
        """Keys of a step that no step has."""
        unread = self._unread.get(id_)
        return unread - set(keys_of(Step)) if unread else set()

    def unsaid(self, id_: str, *keys: str) -> bool:
        """True if a step without these keys was meant to be without: none was unreadable or misspelt."""
        unread = self._unread.get(id_)
        if not unread:
            return True
        odd = self.odd(id_)
        return not any(key in unread or closest(key, odd) for key in keys)

    def check_tools(self, names: tuple[str, ...], keys: Keys) -> None:
        """Report unknown tools."""
        for index, name in enumerate(names):
            if name in self.workflow.mcp:
                continue
            try:
                self.surroundings.tool(name)
            except WeaverError as error:
                if self.surroundings.strict:
                    tools = {*self.surroundings.tool_names(), *self.workflow.mcp}
                    hint = did_you_mean(name, tools) or error.hint.rstrip(".")
                    self.texts.wrong((*keys, index), f"there is no tool {name!r}", hint)

    def check_strategy(self, strategy: Any, keys: Keys) -> None:
        """Report an unknown strategy, unknown options, and values that do not fit."""
        for option, problem, hint in self.surroundings.strategy_problem(strategy.name, strategy.options):
            at: Keys = (*keys, option) if option is not None else (*keys, "name")
            self.texts.wrong(at, problem, hint)
