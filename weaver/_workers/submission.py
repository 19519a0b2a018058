"""A question or a workflow as JSON that any worker can run: it needs no file of the submitter."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from weaver._json_reading.json_types import is_list_or_tuple
from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    from weaver._settings.settings import Settings
    from weaver._workflows.format.definition import Definition

KEY = "job"
"""Where ``RunHead.about`` has it."""
_STAY = {
    "api_key", "headers", "journal", "durable", "mcp_servers", "hooks", "agents", "models", "prices",
    "keep_days", "keep_runs", "keep_megabytes", "keep_unfinished_days",
}  # fmt: skip
"""Settings that are the worker's: keys, and what names or holds more than plain values."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What a run was submitted with.

    Attributes:
        text: the question; "" for a workflow.
        settings: the submitter's, plain values only.
        flags: names of settings that were given as arguments: those beat a workflow's own.
        files: texts of a workflow and of the files it uses, by path below their common folder.
        path: which of the files is the workflow.
        inputs: checked JSON values by name.
        steps, names, prompt: of a part of a run, see `weaver._dispatch.placing.Part`.
        approved: steps whose questions are answered with yes beforehand.
        task: fields of the question's task besides its text, JSON.
    """

    text: str = ""
    parts: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    flags: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    path: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    approved: Sequence[str] = ()
    steps: Sequence[str] = ()
    names: Mapping[str, Any] = field(default_factory=dict[str, Any])
    prompt: str = ""
    task: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def from_json(cls, run_id: str, about: Mapping[str, Any]) -> Self:
        """The submission of a run.

        Raises:
            ConfigurationError: the run was begun in another way.
        """
        try:
            return cls(**about[KEY])
        except (KeyError, TypeError):
            raise ConfigurationError(
                f"Run {run_id} was not submitted for workers by a program of this version.",
                hint="Go on with it where it was begun: weaver resume.",
            ) from None

    def about(self) -> dict[str, Any]:
        """Return the JSON to begin the run with."""
        return {"question": self.text or self.path, "strategy": self._strategy, KEY: asdict(self)}

    @property
    def _strategy(self) -> str:
        return str(self.settings.get("strategy", "workflow" if self.path else "adaptive"))


def travelling(settings: Settings) -> dict[str, Any]:
    """The settings that were given by flag, variable or file and that another machine can use.

    Raises:
        ConfigurationError: one of them is an object, or code in a file of this machine.
    """
    values: dict[str, Any] = {}
    for name in sorted(settings.model_fields_set - _STAY):
        value: Any = getattr(settings, name)
        if is_list_or_tuple(value):
            value = list(value)
        if value is None or value == []:
            continue
        text = str(value)
        is_file = name == "strategy" and ".py" in text
        if is_file or not isinstance(value, (str, int, float, bool, list)):
            raise ConfigurationError(
                f"The {name} {value!r} cannot be sent to a worker: it is code of this machine.",
                hint="Install it on the workers and name it (entry points, docs/strategies.md).",
            )
        if name == "base_url" and set("?@") & set(text):
            continue  # it may hold a key; the worker's own is used
        values[name] = value
    return values


def files_of(workflow: Definition, path: Path) -> tuple[dict[str, str], str]:
    """The texts of a workflow's files, by path below their common folder, and which one it is itself."""
    texts_by_file: dict[Path, str] = {}
    _collect(workflow, path.resolve(), texts_by_file)
    base = Path(os.path.commonpath([file.parent for file in texts_by_file]))
    texts = {file.relative_to(base).as_posix(): text for file, text in texts_by_file.items()}
    return texts, path.resolve().relative_to(base).as_posix()


def _collect(workflow: Definition, path: Path, files: dict[Path, str]) -> None:
    if path in files:
        return
    files[path] = path.read_text("utf-8")
    for id_, step in workflow.steps.items():
        other = workflow.compiled.steps[id_].action.workflow
        if step.uses is not None and other is not None:
            _collect(other, (path.parent / step.uses).resolve(), files)
