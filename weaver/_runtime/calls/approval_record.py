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


async def answer_from_outside(run: ThreadContext, name: str, message: str, *, is_shown: bool) -> Approval:
    """Record a question of a durable run and wait until somebody answers it, as `weaver approve` does.

    Args:
        name: what the question is answered by; unique in the run, and the same when it is resumed.
        message: what the person reads.
        is_shown: listeners of the run get it as an event.

    Raises:
        JournalError: the question cannot be recorded.
    """
    record = run.state.record
    assert record is not None
    key = f"{APPROVAL}/{name}"
    if (entry := record.find(key)) is not None:
        await record.arrive(entry)
        return Approval(**entry.value)
    await record.add(key, "started", {"tool": "", "arguments": {}, "reason": message})
    request = ApprovalRequest(name, run.thread_id, "", {}, message)
    return await run.state.tools.approvals.wait_for(request, is_shown=is_shown)
