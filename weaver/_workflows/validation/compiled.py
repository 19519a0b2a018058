"""A workflow that was checked, with its texts parsed: what the runner works from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weaver._workflows.expressions.parser import Expression
from weaver._workflows.expressions.templates import Template, parse_template, templates_in
from weaver._workflows.expressions.types import Kind
from weaver._workflows.source.diagnostics import Problem


@dataclass(frozen=True, slots=True)
class Values:
    """Lists and objects with texts in them, parsed: ``with``, ``outputs``, ``fallback``, a written list."""

    given: Any
    texts: Mapping[tuple[str | int, ...], Template]

    @classmethod
    def of(cls, given: Any) -> Values:
        """Parse every text inside ``given``.

        Raises:
            TemplateError: one of them cannot be read.
        """
        return cls(given, {path: parse_template(text) for path, text in templates_in(given)})

    def value(self, names: Mapping[str, Any]) -> Any:
        """Everything filled in.

        Raises:
            ExpressionError: something has no value.
        """
        return self._fill(self.given, (), names)

    def _fill(self, at: Any, path: tuple[str | int, ...], names: Mapping[str, Any]) -> Any:
        if isinstance(at, str):
            return self.texts[path].value(names)
        if isinstance(at, Mapping):
            return {str(key): self._fill(value, (*path, str(key)), names) for key, value in at.items()}
        if isinstance(at, (list, tuple)):
            return [self._fill(item, (*path, index), names) for index, item in enumerate(at)]
        return at


@dataclass(slots=True)
class CompiledStep:
    """One step's parsed texts.

    Attributes:
        needs: steps named in ``needs``; the join is about these.
        waits_for: all steps it waits for: ``needs``, then those that its expressions read.
        minds: needed steps whose state its ``if`` reads: their failure does not stop it.
        items: the list of ``for_each`` as written, or the expression for it.
        most: most items that it can have, where the types say so.
    """

    id: str
    needs: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    minds: frozenset[str] = frozenset()
    condition: Expression | None = None
    items: Expression | Values | None = None
    most: int | None = None
    task: Template | None = None
    agent: Template | None = None
    approve: Template | None = None
    arguments: Values | None = None
    fallback: Values | None = None
    documents: Values | None = None
    until: Mapping[str, Expression] = field(default_factory=dict)
    workflow: Any = None  # the checked `Definition` of `uses`


@dataclass(slots=True)
class Compiled:
    """Steps in the order of the file, and the outputs with their kinds.

    Attributes:
        expectations: conditions of test cases, by number of the case and of the condition.
        warnings: what is probably a mistake in this file.
    """

    steps: dict[str, CompiledStep] = field(default_factory=dict)
    outputs: dict[str, Values] = field(default_factory=dict)
    output_kinds: dict[str, Kind] = field(default_factory=dict)
    expectations: dict[tuple[int, int], Expression] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()

    @property
    def all_warnings(self) -> tuple[Problem, ...]:
        """Those of this file and of the workflows that it uses, each once."""
        warnings = dict.fromkeys(self.warnings)
        for step in self.steps.values():
            if step.workflow is not None:
                warnings |= dict.fromkeys(step.workflow.compiled.all_warnings)
        return tuple(warnings)

    @property
    def graph(self) -> dict[str, tuple[str, ...]]:
        """The steps that each step waits for."""
        return {id_: step.waits_for for id_, step in self.steps.items()}
