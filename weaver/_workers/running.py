"""One submitted run at work in this process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from weaver._data.result import ErrorReport
from weaver._data.task import Task, with_parts
from weaver._dispatch.placing import Part
from weaver._facade.weaver import Weaver
from weaver._settings.settings import Settings
from weaver._workers.submission import Submission
from weaver.errors import InvalidWorkflowError, JournalError, WeaverError

if TYPE_CHECKING:
    from weaver._journal.port import Journal
    from weaver._streaming.run_stream import RunStream
    from weaver._workflows.format.definition import Definition

_WEAVERS = 64
"""Kinds of settings whose connections are kept for the next run."""


class Runs:
    """Makes runs of submissions. Runs with the same settings share connections.

    Args:
        journal: where they are recorded.
        options: for each `Weaver`, such as ``tracing``.
    """

    def __init__(self, journal: Journal, **options: Any) -> None:
        self._journal = journal
        self._options = options
        self._weavers: OrderedDict[str, Weaver] = OrderedDict()

    async def stream(
        self, run_id: str, about: Mapping[str, Any], *, max_cost: float | None = None
    ) -> RunStream[Any]:
        """The run, not begun yet. It goes on with what its journal has.

        Args:
            about: of its head.
            max_cost: US dollars that it may spend at most, whatever it was submitted with.

        Raises:
            ConfigurationError: it cannot be run here: a setting, a model or a function is missing.
        """
        submission = Submission.from_json(run_id, about)
        settings = Settings.load(**submission.settings)
        if max_cost is not None:
            settings = settings.changed(max_cost=min(max_cost, settings.max_cost or max_cost))
        weaver = self._weaver(settings)
        if not submission.path:
            task = with_parts(Task(submission.text, **submission.task), tuple(submission.parts))
            return weaver.stream(task, run_id=run_id)
        from weaver._workflows.execution.runner import Given, started

        workflow = _loaded(submission)
        answers = Given(approved=frozenset(submission.approved))
        changes = {name: getattr(settings, name) for name in submission.flags}
        part = None
        if submission.steps:
            part = Part(run_id, submission.steps, submission.names, submission.prompt)
        start = await started(workflow, submission.inputs, settings, answers, changes, part=part)
        return weaver.stream(start.task, run_id=run_id, **start.changes)

    async def aclose(self) -> None:
        """Close the connections to models."""
        while self._weavers:
            await self._weavers.popitem()[1].aclose()

    def _weaver(self, settings: Settings) -> Weaver:
        key = repr(settings)
        if key not in self._weavers:
            self._weavers[key] = Weaver(settings=settings, journal=self._journal, **self._options)
        self._weavers.move_to_end(key)
        if len(self._weavers) > _WEAVERS:
            self._weavers.popitem(last=False)  # its connections close with its last run
        return self._weavers[key]


async def error_of(stream: RunStream[Any]) -> WeaverError | None:
    """Wait for the end of a run and return its error: a `JournalError` where its end is not recorded."""
    await stream.wait()
    if stream.error is None and not stream.is_recorded:
        return JournalError("The run has ended, and its end could not be recorded.")
    return stream.error


async def record_failure(journal: Journal, run_id: str, error: Exception, owner: str) -> None:
    """Record that a run could not even begin, as a run does at its end.

    Raises:
        JournalError: it cannot be recorded.
    """
    message = str(error) if isinstance(error, WeaverError) else f"{type(error).__name__}: {error}"
    epoch = (await journal.open(run_id, owner=owner)).epoch
    report = asdict(ErrorReport(type(error).__name__, message))
    result = {"run_id": run_id, "status": "failed", "answer": "", "error": report}
    await journal.finish(run_id, epoch, "failed", result)


def _loaded(submission: Submission) -> Definition:
    """The workflow, checked again: this worker may know other functions.

    Raises:
        InvalidWorkflowError: every problem.
    """
    from weaver._workflows.validation.loader import load

    with TemporaryDirectory(prefix="weaver-job-") as name:
        folder = Path(name).resolve()
        for path, text in submission.files.items():
            file = (folder / path).resolve()
            if not file.is_relative_to(folder):
                raise InvalidWorkflowError(f"The submitted file {path!r} leaves its folder.")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        return load(folder / submission.path, root=folder)
