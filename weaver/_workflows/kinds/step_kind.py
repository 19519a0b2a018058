"""`StepKind`: everything about one kind of step, from its keys in the file to its work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

from weaver._workflows.expressions.templates import Template
from weaver._workflows.expressions.types import ANY, Kind, of_spec
from weaver._workflows.kinds.bound import Bounds, Most
from weaver._workflows.schema.types import ValueSpec, key_of

if TYPE_CHECKING:
    from weaver._data.result import Answer
    from weaver._data.task import Task
    from weaver._runtime.run import Run
    from weaver._workflows.execution.preparation.prepared import Lookup, Prepared
    from weaver._workflows.execution.step_run import StepRun
    from weaver._workflows.expressions.values import Values
    from weaver._workflows.format.definition import Definition
    from weaver._workflows.format.step import Step
    from weaver._workflows.validation.compiled import CompiledStep
    from weaver._workflows.validation.registry import Surroundings
    from weaver._workflows.validation.step_checker import StepCheck

ANY_VALUE = ValueSpec(type="any")


class StepKind(ABC):
    """The action of a step. A subclass is a kind of step; an instance is the action of one step.

    Only ``key``, ``keys`` and `run` are needed. `add_kind` makes a subclass known.

    Attributes:
        key: the key that makes a step one of this kind.
        keys: the keys that the kind brings, as fields of a pydantic model; ``key`` is one of them.
        texts: keys whose values may hold ``${{ expressions }}``, at any depth.
        takes: keys of steps that mean something with this kind, besides those of `keys`.
        offer: how messages offer it: ``a task``.
        outline: the brackets around its name in Mermaid.
        may_accompany: its key may stand in steps of other kinds.
        has_partial_output: what there is when time is up can be its output.
        can_be_placed: any worker can do it (``spread``).
        workflow: the checked workflow that the step runs, if it runs one.
        prepared: the same, ready to run.
        spec: the step as it is written.
        step: the checked step; set by the loader.
    """

    key: ClassVar[str]
    keys: ClassVar[type[BaseModel]]
    texts: ClassVar[tuple[str, ...]] = ()
    takes: ClassVar[tuple[str, ...]] = ("retry",)
    offer: ClassVar[str] = ""
    outline: ClassVar[tuple[str, str]] = ("[", "]")
    may_accompany: ClassVar[bool] = False
    has_partial_output: ClassVar[bool] = False
    can_be_placed: ClassVar[bool] = True

    step: CompiledStep
    workflow: Definition | None = None
    prepared: Prepared | None = None

    def __init__(self, spec: Step) -> None:
        self.spec = spec

    # ---- the file

    @classmethod
    def own_keys(cls) -> list[str]:
        """The keys that the kind brings, as files write them."""
        return [key_of(name, field) for name, field in cls.keys.model_fields.items()]

    @classmethod
    def means_something_with(cls, key: str) -> bool:
        """Return True if steps of this kind may have ``key``."""
        return key in cls.takes or key in cls.own_keys()

    def check(self, check: StepCheck) -> None:
        """Report what is wrong with the step's keys of this kind."""

    def output(self, surroundings: Surroundings) -> Kind:
        """The type of one output: what `output` says, else anything; as data, never as instructions."""
        return of_spec(self.spec.output, data=True) if self.spec.output is not None else ANY.tainted(True)

    # ---- pictures and bounds

    @property
    def label(self) -> str:
        """The step's action in a few words."""
        return self.key

    @property
    def summary(self) -> str:
        """The step's action in the words of the file."""
        return str(value_of(self.spec, self.key) or "")

    def most(self, bounds: Bounds) -> Most:
        """The most that doing it once can take; by default no model calls."""
        return Most()

    @property
    def tokens_out(self) -> int | None:
        """Most tokens of one output; None where that is unknown."""
        return None

    # ---- tests and dry runs

    @property
    def stand_in(self) -> str | None:
        """The name under which test cases give its result; None: it is always done."""
        return None

    def result_type(self, surroundings: Surroundings) -> ValueSpec:
        """The type of its output, for the placeholders of dry runs."""
        return self.spec.output or ANY_VALUE

    # ---- the run

    def bind(self, lookup: Lookup) -> None:
        """Look up what the step names, before a run; `self` is the run's own copy."""

    def prompt(self) -> Template | None:
        """The text that a model is asked, if one is."""
        return None

    def task(self, work: StepRun, names: Mapping[str, Any], title: str) -> Task | None:
        """The task with its texts filled in; None for kinds that ask no model.

        Raises:
            ExpressionError: a text has no value.
        """
        return None

    def value(self, names: Mapping[str, Any], key: str = "") -> Any:
        """The value of a key with its expressions worked out; None if the step has no such key.

        Args:
            key: by default the kind's own.

        Raises:
            ExpressionError: an expression has no value.
        """
        parsed: Template | Values | None = self.step.texts.get(key or self.key)
        return value_of(self.spec, key or self.key) if parsed is None else parsed.value(names)

    @abstractmethod
    def run(self, work: StepRun, run: Run, names: Mapping[str, Any], task: Task | None) -> Awaitable[Answer]:
        """Do it once.

        Args:
            work: the step at work; `StepRun.answer` makes an answer of a value.
            names: what expressions may read.
            task: what `task` gave, where it was called already.
        """


def value_of(spec: Step, key: str) -> Any:
    """Return the value of a step under a key of the file; None if it has no such key."""
    return getattr(spec, f"{key}_" if iskeyword(key) else key, None)
