"""Steps that run another workflow file: ``uses``."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, StrictStr

from weaver._workflows.expressions.types import ANY, Kind, accepts, record
from weaver._workflows.kinds.bound import Bounds, Most
from weaver._workflows.kinds.step_kind import StepKind
from weaver._workflows.schema.components import Part
from weaver._workflows.source.diagnostics import did_you_mean

if TYPE_CHECKING:
    from weaver._data.result import Answer
    from weaver._data.task import Task
    from weaver._runtime.run import Run
    from weaver._workflows.execution.preparation.prepared import Lookup
    from weaver._workflows.execution.step_run import StepRun
    from weaver._workflows.validation.registry import Surroundings
    from weaver._workflows.validation.step_checker import StepCheck


class UsesKeys(Part):
    """The keys of steps that run another workflow; ``with`` holds its inputs."""

    uses: StrictStr | None = Field(
        default=None,
        description="Another workflow file to run with `with`, relative to this one.",
        examples=["./review.yaml"],
    )
    with_: Mapping[StrictStr, Any] | None = Field(
        default=None,
        validation_alias="with",
        serialization_alias="with",
        description="Inputs of the workflow in `uses`, or arguments of the function.",
        examples=[{"topic": "${{ inputs.topic }}"}],
    )


class UsesStep(StepKind):
    """Runs another workflow within the same run."""

    key = "uses"
    keys = UsesKeys
    texts = ("with",)
    takes = ("budget", "retry")
    offer = "uses"
    has_partial_output = True
    outline = ("[[", "]]")

    # ---- the file

    def check(self, check: StepCheck) -> None:
        """Report inputs that the workflow does not have, that do not fit or that are missing."""
        if self.workflow is None:
            return
        inputs = self.workflow.inputs
        values = check.kinds["with"].fields or {} if "with" in check.kinds else {}
        for name, value in values.items():
            if name not in inputs:
                hint = did_you_mean(name, inputs)
                check.wrong(("with", name), f"{self.spec.uses} has no input {name!r}", hint, on_key=True)
            elif (why := accepts(inputs[name], value)) is not None:
                check.wrong(("with", name), f"the input does not fit: {why}")
        for name, spec in inputs.items():
            if name not in values and not spec.optional and check.is_unsaid("with"):
                problem = f"the input {name!r} of {self.spec.uses} is missing"
                check.wrong("uses", problem, f"give it: with: {{{name}: ...}}")

    def output(self, surroundings: Surroundings) -> Kind:
        """The outputs of the workflow by name."""
        return (record(self.workflow.compiled.output_kinds) if self.workflow else ANY).tainted(True)

    # ---- pictures and bounds

    @property
    def label(self) -> str:
        """The file."""
        return str(self.spec.uses)

    def most(self, bounds: Bounds) -> Most:
        """The bound of the whole workflow."""
        return bounds.of_workflow(self.prepared)

    # ---- the run

    def bind(self, lookup: Lookup) -> None:
        """Prepare the workflow."""
        assert self.workflow is not None
        self.prepared = lookup.prepare(self.workflow, self.step.id)

    def run(
        self,
        work: StepRun,
        run: Run,
        names: Mapping[str, Any],
        task: Task | None,
    ) -> Awaitable[Answer]:
        """Run the workflow with the values under ``with`` as its inputs."""
        assert self.prepared is not None
        return work.run_workflow(run, self.prepared, self.value(names, "with") or {})
