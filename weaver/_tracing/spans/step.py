"""The span of a step that a strategy takes itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.kind import Kind
from weaver._tracing.record.recorder import PlainSpans, declined, stem


def _label(name: str, attributes: Mapping[str, Any]) -> str:
    return str(attributes.get(sc.STEP_NAME) or name)


STEP = Kind("step", (sc.STEP,), _label)


class StepSpans(PlainSpans):
    """Begins and ends the span of a strategy's own step."""

    __slots__ = ()

    def start(self, parent: Span, name: str) -> Span:
        """Begin a strategy's own step: a decision, a vote, a judgement."""
        if declined(parent):
            return parent
        return self._recorder.start(
            parent, f"{sc.STEP} {stem(name)}", {sc.OPERATION: sc.STEP, sc.STEP_NAME: name}
        )
