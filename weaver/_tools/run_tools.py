"""What all tool calls of one run share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weaver._tools.approvals import Approvals, Approve
from weaver._tools.results import MAX_RESULT_CHARS, ResultStore
from weaver._tools.toolsets import Toolsets

TOOL_ROUNDS = 16
"""Model calls of one thread that may end in tool calls, unless the run says otherwise."""


class RunTools:
    """Dependencies, limits, large results and approvals of one run.

    Args:
        deps: what tools find in their `Context`.
        rounds: model calls of one thread that may end in tool calls.
        max_result_chars: characters of one tool result that a model gets at once.
        approve: asks somebody before a call that needs approval.
        approval_timeout: seconds after which an approval that nobody answered is a no.
        allow_effects: tools with effects need no approval in threads that have read untrusted text.
        toolsets: lists the tools of toolsets that threads are given.
        emit: where events go; None when nobody listens.
    """

    def __init__(
        self,
        *,
        deps: Any = None,
        rounds: int | None = None,
        max_result_chars: int | None = None,
        approve: Approve | None = None,
        approval_timeout: float | None = None,
        allow_effects: bool | None = None,
        toolsets: Toolsets | None = None,
        emit: Callable[[Any], None] | None = None,
    ) -> None:
        self.deps = deps
        self.rounds = TOOL_ROUNDS if rounds is None else rounds
        self.allow_effects = bool(allow_effects)
        self.toolsets = toolsets or Toolsets()
        self.results = ResultStore(MAX_RESULT_CHARS if max_result_chars is None else max_result_chars)
        self.approvals = Approvals(approve, emit=emit, timeout=approval_timeout)
