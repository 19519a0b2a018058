"""`Workflow`: a definition that can be read, written, checked and run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self, Unpack

from weaver._data.result import Result
from weaver._workflows.execution.runner import WorkflowOptions, run_workflow
from weaver._workflows.format.definition import Definition
from weaver._workflows.source.dump import dump
from weaver._workflows.validation.compiled import Compiled
from weaver._workflows.validation.loader import check_built, load
from weaver._workflows.validation.registry import Surroundings


class Workflow(Definition):
    """A workflow that can be read, written, checked and run.

    What it consists of is in `Definition`: typed inputs, steps that run as soon as what they need is done,
    and outputs.
    """

    @classmethod
    def from_yaml(
        cls,
        source: str | Path,
        *,
        root: str | Path | None = None,
        tools: Iterable[Any] | Mapping[str, Any] = (),
    ) -> Self:
        """Read and check a workflow file, or a YAML text (anything with a line break).

        Args:
            root: the folder that files named in ``uses`` must lie in; default: the file's own.
            tools: functions that it may name, besides registered ones and those of plugins.

        Raises:
            InvalidWorkflowError: every problem of the file and of the files it uses.
        """
        read = load(source, root=root, surroundings=Surroundings.of(tools))
        workflow = cls.model_construct(read.model_fields_set, **read.__dict__)
        workflow.checked_as(read.compiled, read.source)
        return workflow

    def to_yaml(self, path: str | Path | None = None) -> str:
        """The workflow as YAML that reads back as an equal object; written to ``path`` when given."""
        text = dump(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    @property
    def compiled(self) -> Compiled:
        """The parsed texts.

        Raises:
            InvalidWorkflowError: the workflow was built in Python and has problems.
        """
        if self.needs_check:
            self.check()
        return super().compiled

    def check(self, *, root: str | Path | None = None, surroundings: Surroundings | None = None) -> Self:
        """Check a workflow that was built in Python as if it were a file.

        Args:
            root: the folder that files named in ``uses`` are relative to; default: the working directory.
            surroundings: what may be named; what is registered and installed by default.

        Raises:
            InvalidWorkflowError: every problem; lines are those of `to_yaml`.
        """
        check_built(self, root=root, surroundings=surroundings)
        return self

    async def run(
        self, inputs: Mapping[str, Any] | None = None, **options: Unpack[WorkflowOptions]
    ) -> Result[dict[str, Any]]:
        """Run it: see `weaver.workflows.run_workflow`."""
        return await run_workflow(self, inputs, **options)
