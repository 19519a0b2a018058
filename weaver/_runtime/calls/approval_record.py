"""Approvals in the journal: the question, and an answer that outlives the process that asked."""

from __future__ import annotations

from dataclasses import asdict

from weaver._runtime.state.context import ThreadContext
from weaver._runtime.state.record import APPROVAL
from weaver._tools.approvals import Approval, ApprovalRequest


async def recorded_approval(run: ThreadContext, request: ApprovalRequest) -> Approval:
    """Return the recorded answer of a person, or ask for one.

    The question is recorded first, so that `weaver approve` can answer it, also after the process died.
    A call that nobody could be asked about has no recorded answer.
    """
    approvals, record = run.state.tools.approvals, run.state.record
    if record is None:
        return await approvals.ask(request)
    key = f"{APPROVAL}/{request.id}"
    if (entry := record.find(key)) is not None:
        await record.arrive(entry)
        answer = Approval(**entry.value)
        approvals.remember(request.tool, answer)
        return answer
    question = {"tool": request.tool, "arguments": dict(request.arguments), "reason": request.reason}
    await record.add(key, "started", question)
    answer = await approvals.ask(request)
    if not approvals.is_nobodys(answer):
        await record.add(key, "verdict", asdict(answer))
    return answer
