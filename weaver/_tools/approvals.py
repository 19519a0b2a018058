"""Asking a person before a tool is called: one thread waits, the others go on."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from weaver.errors import UnknownNameError
from weaver.events import ApprovalAnswered, ApprovalAsked


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A tool call that a person must agree to.

    Attributes:
        id: names the request, for `approve` and `deny`.
        thread: the reasoning thread that wants to call, or None in the root.
        tool: the tool's name.
        arguments: what it would be called with. A model wrote them.
        reason: why a person is asked.
    """

    id: str
    thread: str | None
    tool: str
    arguments: Mapping[str, Any]
    reason: str


@dataclass(frozen=True, slots=True)
class Approval:
    """The answer to an `ApprovalRequest`.

    Args:
        approved: whether the call may be made.
        reason: what the model is told when it may not.
        always: the answer holds for every later call of this tool in the run.
    """

    approved: bool
    reason: str = ""
    always: bool = False


Approve = Callable[[ApprovalRequest], "bool | Approval | Awaitable[bool | Approval]"]
NOBODY = Approval(False, "nobody can be asked")


@dataclass(slots=True)
class _Pending:
    tool: str
    answered: anyio.Event = field(default_factory=anyio.Event)
    answer: Approval = NOBODY


class Approvals:
    """The approvals of one run.

    Args:
        callback: asks somebody; a plain function runs in a worker thread. None: events ask.
        emit: where `ApprovalAsked` goes; None when nobody listens. With neither a callback nor a listener,
            every request is denied at once.
        timeout: seconds after which a request is answered by ``on_timeout``; None waits until the thread's
            deadline.
        on_timeout: the answer when nobody answered before ``timeout``.
    """

    def __init__(
        self,
        callback: Approve | None = None,
        *,
        emit: Callable[[Any], None] | None = None,
        timeout: float | None = None,
        on_timeout: Approval = Approval(False, "nobody answered in time"),
    ) -> None:
        self._callback = callback
        self._emit = emit
        self._timeout = timeout
        self._on_timeout = on_timeout
        self._pending: dict[str, _Pending] = {}
        self._always: dict[str, Approval] = {}

    @property
    def pending(self) -> tuple[str, ...]:
        """Ids of the requests that wait for an answer."""
        return tuple(self._pending)

    async def ask(self, request: ApprovalRequest) -> Approval:
        """Wait for somebody's answer."""
        if (decision := self._always.get(request.tool)) is not None:
            return decision
        if self._callback is None and self._emit is None:
            return NOBODY
        pending = self._pending[request.id] = _Pending(request.tool)
        try:
            self._tell(
                ApprovalAsked(
                    request.id, request.thread, request.tool, dict(request.arguments), request.reason
                )
            )
            answer = self._on_timeout
            with anyio.move_on_after(self._timeout):
                answer = await self._answered(request, pending)
        finally:
            del self._pending[request.id]
        if answer.always:
            self.remember(request.tool, answer)
            for other in self._pending.values():
                if other.tool == request.tool:
                    self._settle(other, answer)
        self._tell(ApprovalAnswered(request.id, answer.approved, answer.reason))
        return answer

    async def wait_for(self, request: ApprovalRequest, *, is_shown: bool = True) -> Approval:
        """Wait for an answer from outside (`answer`), without asking anybody here.

        Args:
            is_shown: listeners get the request and its answer as events.
        """
        pending = self._pending[request.id] = _Pending(request.tool)
        try:
            if is_shown:
                self._tell(ApprovalAsked(request.id, request.thread, request.tool, {}, request.reason))
            await pending.answered.wait()
        finally:
            del self._pending[request.id]
        if is_shown:
            self._tell(ApprovalAnswered(request.id, pending.answer.approved, pending.answer.reason))
        return pending.answer

    def answer(self, id: str, answer: Approval) -> None:  # noqa: A002 - the word of events
        """Answer a request that waits.

        Raises:
            UnknownNameError: no request of that id waits (any more).
        """
        if id not in self._pending:
            raise UnknownNameError("pending approval", id, self._pending)
        self._settle(self._pending[id], answer)

    def remember(self, tool: str, answer: Approval) -> None:
        """Give this answer to every later call of ``tool``, if it holds for all of them."""
        if answer.always:
            self._always.setdefault(tool, replace(answer, always=False))

    def is_nobodys(self, answer: Approval) -> bool:
        """Say whether no person gave this answer: there was nobody, or nobody answered before the timeout."""
        return answer is NOBODY or answer is self._on_timeout

    async def _answered(self, request: ApprovalRequest, pending: _Pending) -> Approval:
        if self._callback is None:
            await pending.answered.wait()
            return pending.answer
        async with anyio.create_task_group() as group:
            group.start_soon(self._call_back, self._callback, request, pending)
            await pending.answered.wait()
            group.cancel_scope.cancel()
        return pending.answer

    async def _call_back(self, callback: Approve, request: ApprovalRequest, pending: _Pending) -> None:
        try:
            if inspect.iscoroutinefunction(callback):
                answer: Any = await callback(request)
            else:
                answer = await anyio.to_thread.run_sync(partial(callback, request), abandon_on_cancel=True)
                if inspect.isawaitable(answer):
                    answer = await answer
        except Exception as error:  # noqa: BLE001 - the user's code; a call that nobody agreed to is not made
            answer = Approval(False, f"asking for approval failed: {type(error).__name__}: {error}")
        self._settle(pending, answer if isinstance(answer, Approval) else Approval(answer is True))

    @staticmethod
    def _settle(pending: _Pending, answer: Approval) -> None:
        if not pending.answered.is_set():
            pending.answer = answer
            pending.answered.set()

    def _tell(self, event: Any) -> None:
        if self._emit is not None:
            self._emit(event)
