"""A workflow that was checked, with its texts parsed: what the runner works from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from weaver._workflows.expressions.parser import Expression
from weaver._workflows.expressions.templates import Template
from weaver._workflows.expressions.types import Kind
from weaver._workflows.expressions.values import Values
from weaver._workflows.schema.components import OnError, OnTimeout, Retry
from weaver._workflows.source.diagnostics import Problem

if TYPE_CHECKING:
    from weaver._workflows.format.step import Step
    from weaver._workflows.kinds.step_kind import StepKind

NO_RETRY = Retry(times=0)


@dataclass(slots=True)
class CompiledStep:
    """One step after the loader: as written, with its texts parsed. A run has copies, with its settings.

    Attributes:
        spec: the step as it is written.
        action: what it does; see `StepKind`.
        needs: steps named in ``needs``; the join is about these.
        waits_for: all steps it waits for: ``needs``, then those that its expressions read.
        minds: needed steps whose state its ``if`` reads: their failure does not stop it.
        items: the list of ``for_each`` as written, or the expression for it.
        most: most items that it can have, where the types say so.
        texts: values of the kind's keys with expressions in them, by key.
        approve: what a person is asked before the work.
        until: the conditions of ``until(...)``, by their text.
        single: a for_each returns one item's output.
        claims: whether its threads are asked for claims, because somebody compares them.
        title: for people and traces.
        output: at a run, a type for `Task.output`, or None for text.
        timeout, retry, on_error, on_timeout, max_parallel: at a run, the step's own, else the defaults'.
    """

    id: str
    spec: Step
    action: StepKind
    needs: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    minds: frozenset[str] = frozenset()
    condition: Expression | None = None
    items: Expression | Values | None = None
    most: int | None = None
    texts: dict[str, Template | Values] = field(default_factory=dict[str, Template | Values])
    approve: Template | None = None
    fallback: Values | None = None
    until: Mapping[str, Expression] = field(default_factory=dict[str, Expression])
    single: bool = False
    claims: bool = False
    title: str = ""
    output: Any = None
    timeout: float | None = None
    retry: Retry = NO_RETRY
    on_error: OnError = "keep"
    on_timeout: OnTimeout = "partial"
    max_parallel: int | None = None

    def __post_init__(self) -> None:
        self.action.step = self


@dataclass(slots=True)
class Compiled:
    """Steps in the order of the file, and the outputs with their kinds.

    Attributes:
        expectations: conditions of test cases, by number of the case and of the condition.
        warnings: what is probably a mistake in this file.
    """

    steps: dict[str, CompiledStep] = field(default_factory=dict[str, CompiledStep])
    outputs: dict[str, Values] = field(default_factory=dict[str, Values])
    output_kinds: dict[str, Kind] = field(default_factory=dict[str, Kind])
    expectations: dict[tuple[int, int], Expression] = field(default_factory=dict[tuple[int, int], Expression])
    warnings: tuple[Problem, ...] = ()

    @property
    def all_warnings(self) -> tuple[Problem, ...]:
        """Those of this file and of the workflows that it uses, each once."""
        warnings = dict.fromkeys(self.warnings)
        for step in self.steps.values():
            if step.action.workflow is not None:
                warnings |= dict.fromkeys(step.action.workflow.compiled.all_warnings)
        return tuple(warnings)

    @property
    def graph(self) -> dict[str, tuple[str, ...]]:
        """The steps that each step waits for."""
        return {id_: step.waits_for for id_, step in self.steps.items()}
