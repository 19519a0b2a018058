"""The span of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import Span

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.kind import Kind
from weaver._tracing.record.recorder import Spans, declined
from weaver._tracing.spans.usage import Attributes

if TYPE_CHECKING:
    from weaver._data.plan import Plan


PLAN = Kind("plan", (sc.PLAN,), lambda _name, _attributes: "plan")


class PlanSpans(Spans):
    """Begins and ends the span of a planner's work."""

    __slots__ = ()

    def start(self, parent: Span) -> Span:
        """Begin the planner's work; its model call is a child, the threads are siblings."""
        if declined(parent):
            return parent
        return self._recorder.start(
            parent, f"{sc.PLAN} planner", {sc.OPERATION: sc.PLAN, sc.AGENT_NAME: "planner"}
        )

    def end(
        self,
        span: Span,
        *,
        plan: Plan | None = None,
        error: BaseException | None = None,
        cancel_reason: str | None = None,
    ) -> None:
        """End it: the plan is there, or the planner failed, or was cancelled since nobody needs a plan."""
        if plan is not None and span.is_recording():
            span.set_attributes(of_plan(plan))
            self._recorder.content.text(span, sc.PLAN_REASON, plan.reason)
            if plan.ask:
                self._recorder.content.text(span, sc.PLAN_ASK, plan.ask)
            if plan.subtasks:
                self._recorder.content.local_text(span, sc.PLAN_TEXT, plan.model_dump_json)
        self._recorder.end(span, error, cancel_reason=cancel_reason)


def of_plan(plan: Plan) -> Attributes:
    """Return a plan's shape: ids and edges (``a->b``: b depends on a), no text of the model's."""
    attributes: Attributes = {sc.PLAN_PARALLEL: plan.parallel, sc.PLAN_SUBTASKS: len(plan.subtasks)}
    if plan.subtasks:
        attributes[sc.PLAN_IDS] = tuple(s.id for s in plan.subtasks)
        attributes[sc.PLAN_EDGES] = tuple(f"{d}->{s.id}" for s in plan.subtasks for d in s.depends_on)
    if plan.merge is not None:
        attributes[sc.PLAN_MERGE] = plan.merge
    return attributes
