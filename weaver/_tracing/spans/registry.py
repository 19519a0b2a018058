"""All kinds of spans: views find here what a span is."""

from __future__ import annotations

from collections.abc import Mapping

from weaver._tracing.record.kind import Kind
from weaver._tracing.spans.call import CALL
from weaver._tracing.spans.conflict import CONFLICT
from weaver._tracing.spans.decision import EVALUATION
from weaver._tracing.spans.join import JOIN
from weaver._tracing.spans.plan import PLAN
from weaver._tracing.spans.run import RUN
from weaver._tracing.spans.step import STEP
from weaver._tracing.spans.synthesis import SYNTHESIS
from weaver._tracing.spans.thread import THREAD
from weaver._tracing.spans.tool import TOOL
from weaver._tracing.spans.verification import VERIFICATION

ALL = (RUN, PLAN, THREAD, CALL, TOOL, JOIN, CONFLICT, SYNTHESIS, STEP, VERIFICATION, EVALUATION)

OTHER = Kind("other")
"""A span that is not weaver's."""

KINDS: Mapping[str, Kind] = {operation: kind for kind in ALL for operation in kind.operations}
"""Kinds by operation."""
