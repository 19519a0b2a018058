"""Asking a person: ``approve``, alone or before the work of a step of another kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from weaver._workflows.expressions.types import BOOLEAN, STRING, Kind, record
from weaver._workflows.kinds.step_kind import StepKind
from weaver._workflows.schema.components import Approve, Part

if TYPE_CHECKING:
    from weaver._data.result import Answer
    from weaver._data.task import Task
    from weaver._runtime.run import Run
    from weaver._workflows.execution.step_run import StepRun
    from weaver._workflows.validation.registry import Surroundings


class ApproveKeys(Part):
    """The key that has a person asked."""

    approve: Approve | None = Field(
        default=None, description="Ask a person first; a no skips the step.", examples=["Publish this brief?"]
    )


class ApproveStep(StepKind):
    """Does nothing but ask a person. The question itself comes before the work of every kind of step."""

    key = "approve"
    keys = ApproveKeys
    takes = ()
    offer = "approve"
    outline = ("{{", "}}")
    may_accompany = True
    can_be_placed = False  # the person has been asked here

    def output(self, surroundings: Surroundings) -> Kind:
        """Return the type of a person's reply."""
        return record({"approved": BOOLEAN, "comment": STRING.tainted(True)})

    @property
    def label(self) -> str:
        """The fact that a person decides."""
        return "a person approves"

    @property
    def summary(self) -> str:
        """The question."""
        return self.spec.approve.message if self.spec.approve is not None else ""

    async def run(
        self,
        work: StepRun,
        run: Run,
        names: Mapping[str, Any],
        task: Task | None,
    ) -> Answer:
        """Return the person's answer."""
        from weaver._data.result import Answer

        comment = work.reply.comment
        return Answer(comment or "approved", output={"approved": True, "comment": comment})
