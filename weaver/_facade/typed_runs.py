"""The ways to run a task: awaited or not, watched or not, typed by the output that is asked for."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from weaver._data.messages import Message
from weaver._data.parts import Part
from weaver._data.plan import Plan
from weaver._data.result import Result
from weaver._data.task import Task
from weaver._settings.run_options import RunOptions, check_names
from weaver._streaming.run_stream import RunStream
from weaver._streaming.sync_stream import SyncRunStream
from weaver._tools.approvals import Approve

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from weaver._sessions.protocol import Session

T = TypeVar("T")
Words = str | Sequence[Message | Mapping[str, Any] | Part | str]
"""A question, its parts (texts, images, files), or a conversation whose last message is to be answered."""
Question = Task | Words
Schema = Mapping[str, Any]
"""A JSON Schema."""
_OWN = (
    "history",
    "session",
    "plan",
    "parts",
    "documents",
    "verify",
    "tools",
    "deps",
    "approve",
    "hooks",
    "run_id",
)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A task, and what its run is given besides: see `weaver.options.RunOptions`.

    Attributes:
        changes: settings for this run only.
        is_answered: whether the run's answer is for the caller; False for a plan or a forecast.
    """

    task: Question
    output: Any = None
    plan: Plan | None = None
    parts: Sequence[str] = ()
    documents: Sequence[Any] = ()
    verify: Any = None
    tools: Sequence[Any] = ()
    deps: Any = None
    approve: Approve | None = None
    hooks: Sequence[Any] = ()
    history: Sequence[Message | Mapping[str, Any]] = ()
    session: Session | str | None = None
    run_id: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    is_answered: bool = True

    @classmethod
    def of(cls, task: Question, output: Any, options: Mapping[str, Any]) -> RunRequest:
        """Sort the options of a call.

        Raises:
            ConfigurationError: there is no such option.
        """
        check_names(options, ("output", *RunOptions.__annotations__))
        own = {name: value for name in _OWN if (value := options.get(name)) is not None}
        changes = {name: value for name, value in options.items() if name not in _OWN}
        return cls(task, output, **own, changes=changes)


class TypedRuns(ABC):
    """The methods of `weaver.Weaver` that run a task."""

    @overload
    async def run(
        self, task: Words, *, output: None = None, **options: Unpack[RunOptions]
    ) -> Result[str]: ...
    @overload
    async def run(self, task: Task, *, output: None = None, **options: Unpack[RunOptions]) -> Result[Any]: ...
    @overload
    async def run(self, task: Question, *, output: Schema, **options: Unpack[RunOptions]) -> Result[Any]: ...
    @overload
    async def run(self, task: Question, *, output: type[T], **options: Unpack[RunOptions]) -> Result[T]: ...
    @overload
    async def run(
        self, task: Question, *, output: TypeForm[T], **options: Unpack[RunOptions]
    ) -> Result[T]: ...
    async def run(self, task: Question, *, output: Any = None, **options: Unpack[RunOptions]) -> Result[Any]:
        """Answer ``task``.

        Args:
            output: the type that ``result.output`` will be of: text (`str`, the default), a pydantic model, a
                dataclass, a ``TypedDict``, a scalar, an ``Enum``, ``Literal[...]``, a union, a list or
                dictionary of such types, or a JSON Schema.
            options: see `weaver.options.RunOptions`; also any of the constructor's settings, for this run
                only.

        Returns:
            A complete or partial result (``result.status``).

        Raises:
            ConfigurationError: the task or an option is wrong.
            WeaverError: there is no answer; ``error.result`` has everything that was finished.
        """
        return await self._run(RunRequest.of(task, output, options))

    @overload
    def run_sync(self, task: Words, *, output: None = None, **options: Unpack[RunOptions]) -> Result[str]: ...
    @overload
    def run_sync(self, task: Task, *, output: None = None, **options: Unpack[RunOptions]) -> Result[Any]: ...
    @overload
    def run_sync(self, task: Question, *, output: Schema, **options: Unpack[RunOptions]) -> Result[Any]: ...
    @overload
    def run_sync(self, task: Question, *, output: type[T], **options: Unpack[RunOptions]) -> Result[T]: ...
    @overload
    def run_sync(
        self, task: Question, *, output: TypeForm[T], **options: Unpack[RunOptions]
    ) -> Result[T]: ...
    def run_sync(self, task: Question, *, output: Any = None, **options: Unpack[RunOptions]) -> Result[Any]:
        """`run`, for programs without an event loop. Works inside a running one too (Jupyter), in a thread.

        Raises:
            WeaverError: as `run`.
        """
        return in_a_loop(partial(self._run, RunRequest.of(task, output, options)))

    @overload
    def stream(
        self, task: Words, *, output: None = None, **options: Unpack[RunOptions]
    ) -> RunStream[str]: ...
    @overload
    def stream(self, task: Task, *, output: None = None, **options: Unpack[RunOptions]) -> RunStream[Any]: ...
    @overload
    def stream(self, task: Question, *, output: Schema, **options: Unpack[RunOptions]) -> RunStream[Any]: ...
    @overload
    def stream(self, task: Question, *, output: type[T], **options: Unpack[RunOptions]) -> RunStream[T]: ...
    @overload
    def stream(
        self, task: Question, *, output: TypeForm[T], **options: Unpack[RunOptions]
    ) -> RunStream[T]: ...
    def stream(self, task: Question, *, output: Any = None, **options: Unpack[RunOptions]) -> RunStream[Any]:
        """Answer ``task`` and watch it: ``async for event in weaver.stream(task)``.

        Arguments as for `run`. Leaving the loop early cancels the run; ``async with weaver.stream(task)``
        also waits until its connections are closed. A failed run does not raise: the last event,
        `RunFinished`, has its result.

        Raises:
            ConfigurationError: an option is wrong; when the run begins: the task or a setting is wrong, or no
                model can be found.
        """
        return self._stream(RunRequest.of(task, output, options))

    @overload
    def stream_sync(
        self, task: Words, *, output: None = None, **options: Unpack[RunOptions]
    ) -> SyncRunStream[str]: ...
    @overload
    def stream_sync(
        self, task: Task, *, output: None = None, **options: Unpack[RunOptions]
    ) -> SyncRunStream[Any]: ...
    @overload
    def stream_sync(
        self, task: Question, *, output: Schema, **options: Unpack[RunOptions]
    ) -> SyncRunStream[Any]: ...
    @overload
    def stream_sync(
        self, task: Question, *, output: type[T], **options: Unpack[RunOptions]
    ) -> SyncRunStream[T]: ...
    @overload
    def stream_sync(
        self, task: Question, *, output: TypeForm[T], **options: Unpack[RunOptions]
    ) -> SyncRunStream[T]: ...
    def stream_sync(
        self, task: Question, *, output: Any = None, **options: Unpack[RunOptions]
    ) -> SyncRunStream[Any]:
        """`stream`, for programs without an event loop: ``for event in weaver.stream_sync(task)``."""
        return SyncRunStream(partial(self._stream, RunRequest.of(task, output, options)))

    @abstractmethod
    async def _run(self, request: RunRequest) -> Result[Any]: ...

    @abstractmethod
    def _stream(self, request: RunRequest) -> RunStream[Any]: ...


def in_a_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The value of ``work``, in a new event loop; in a thread where one runs already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    values: list[T] = []
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            values.append(asyncio.run(work()))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=elsewhere, name="weaver-run-sync")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return values[0]
