"""The verbs that call models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload, runtime_checkable

from weaver._data.messages import Message, user
from weaver._data.result import Answer
from weaver._models.protocol import Capabilities, Delta, Request
from weaver._models.reply import Reply
from weaver._runtime.calls.call import Call
from weaver._runtime.output.asking import Asking
from weaver._runtime.output.structured_output import Shape
from weaver._runtime.state.context import Scope

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar("T")
Listen = Callable[[Delta], None]


@runtime_checkable
class BeginsAnew(Protocol):
    """A listener that wants to know when what it heard so far is not the answer after all."""

    def begin_anew(self) -> None:
        """Forget what was heard: a tool was called, or the call is repeated."""
        ...


class Thinker(Scope):
    """A scope that can ask models."""

    async def capabilities(self, role: str = "thread") -> Capabilities:
        """What the model of a role can do."""
        return await self.model(role).capabilities()

    def call(self, request: Request | str, *, role: str = "thread", name: str = "call") -> Call:
        """A model call as a stream: ``async with run.call(...) as call: async for delta in call: ...``.

        Args:
            role: whose model answers: ``planner``, ``thread``, ``judge`` or ``synthesizer``.
            name: structural name within this thread; repeated names are numbered in order.
        """
        return Call(self, _as_request(request), role=role, name=self.key(name))

    async def think(
        self,
        request: Request | str,
        *,
        role: str = "thread",
        name: str = "call",
        listen: Listen | None = None,
    ) -> Reply:
        """One model call, to its end.

        Args:
            listen: called with each delta as it arrives.

        Raises:
            ModelError: the call failed.
            BudgetExceededError: there is no room for it; nothing was sent.
        """
        async with self.call(request, role=role, name=name) as call:
            if listen is None:
                async for _ in call:
                    pass
            else:
                async for delta in call:
                    listen(delta)
        return call.reply

    def answer(self, reply: Reply, text: str | None = None) -> Answer:
        """The answer that ``reply`` is; not complete, with a note, unless the model came to its own end.

        Args:
            text: the answer's text, where it is not the reply's own.
        """
        if reply.finish == "length":  # calls note the other ways to end abnormally
            self.note(f"{self.path or 'The answer'} is cut: {reply.model} {reply.why_incomplete}.")
        return Answer((reply.text if text is None else text).strip(), complete=reply.is_complete)

    @overload
    async def parsed(
        self, request: Request | str, shape: Shape[T], *, role: str = "judge", name: str = "call"
    ) -> T: ...
    @overload
    async def parsed(
        self, request: Request | str, shape: TypeForm[T], *, role: str = "judge", name: str = "call"
    ) -> T: ...
    async def parsed(
        self, request: Request | str, shape: Any, *, role: str = "judge", name: str = "call"
    ) -> Any:
        """A model call whose output is validated, with at most two repairs that quote what was wrong.

        Args:
            shape: the type of the value, as for `Weaver.run`, or a `Shape`.

        Raises:
            InvalidOutputError: it still does not fit after the repairs.
        """
        fitting: Shape[Any] = shape if isinstance(shape, Shape) else Shape(shape)
        asking = Asking(
            _as_request(request), fitting.schema, await self.capabilities(role), self.model(role), self.note
        )

        async def ask(request: Request) -> Reply:
            return await self.think(request, role=role, name=name)

        value, _ = await asking.fitted(fitting, await asking.ask(ask), ask)
        return value


def _as_request(request: Request | str | Sequence[Message]) -> Request:
    if isinstance(request, Request):
        return request
    if isinstance(request, str):
        return Request(messages=(user(request),))
    return Request(messages=tuple(request))
