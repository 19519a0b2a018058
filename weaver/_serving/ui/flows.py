"""Workflows on the page: as a graph, with their inputs, and run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weaver._serving.config import ServeConfig
from weaver._serving.ui.open_runs import OpenRun
from weaver._workflows.execution.approval import Question, Reply
from weaver._workflows.execution.runner import stream_workflow
from weaver._workflows.kinds.registry import kind_of
from weaver._workflows.validation.graph import reduced
from weaver._workflows.workflow import Workflow
from weaver.errors import ConfigurationError, UnknownNameError

if TYPE_CHECKING:
    from weaver._facade.weaver import Weaver
    from weaver._streaming.run_stream import RunStream
    from weaver._workflows.format.step import Step
    from weaver._workflows.schema.components import Input

TEXT_CHARS = 2_000


class Flows:
    """The workflows that the page offers, by name.

    Args:
        workflows: checked.
    """

    def __init__(self, workflows: Mapping[str, Workflow]) -> None:
        self._workflows = dict(workflows)

    @classmethod
    def load(cls, config: ServeConfig) -> Flows:
        """Read the files that the settings and the command line name.

        Raises:
            InvalidWorkflowError: every problem of a file.
            ConfigurationError: two workflows have the same name.
        """
        files = [*config.workflows, *(e.workflow for e in config.models.values() if e.workflow is not None)]
        workflows: dict[str, Workflow] = {}
        for path in dict.fromkeys((config.folder / file).resolve() for file in files):
            workflow = Workflow.from_yaml(Path(path))
            if workflow.name in workflows:
                raise ConfigurationError(f"Two workflows have the name {workflow.name!r}.")
            workflows[workflow.name] = workflow
        return cls(workflows)

    def listed(self) -> list[dict[str, Any]]:
        """List names and descriptions."""
        return [
            {"name": name, "description": flow.description, "steps": len(flow.steps)}
            for name, flow in self._workflows.items()
        ]

    def find(self, name: str) -> Workflow:
        """Find a workflow.

        Raises:
            UnknownNameError: there is none of that name.
        """
        if name not in self._workflows:
            raise UnknownNameError("workflow", name, self._workflows)
        return self._workflows[name]

    def described(self, name: str) -> dict[str, Any]:
        """Return a workflow for the page: its steps, who waits for whom, its inputs.

        Raises:
            UnknownNameError: there is none of that name.
        """
        workflow = self.find(name)
        return {
            "name": name,
            "description": workflow.description,
            "steps": [_step_json(id_, step) for id_, step in workflow.steps.items()],
            "edges": [
                [need, id_] for id_, needs in reduced(workflow.compiled.graph).items() for need in needs
            ],
            "inputs": [_input_json(id_, spec) for id_, spec in workflow.inputs.items()],
        }

    async def stream(
        self, weaver: Weaver, run: OpenRun, name: str, inputs: Mapping[str, Any], changes: Mapping[str, Any]
    ) -> RunStream[Any]:
        """Return the run of a workflow; its questions go to the page.

        Raises:
            UnknownNameError: there is none of that name.
            InvalidTaskError: inputs are missing, unknown or do not fit.
        """

        async def approve(question: Question) -> Reply:
            about = {"kind": "step", "step": question.path or question.step, "message": question.message}
            approved, comment = await run.ask(about)
            return Reply(approved, comment)

        limits: Any = {k: v for k, v in changes.items() if k != "strategy"}
        return await stream_workflow(
            self.find(name), inputs, weaver=weaver, run_id=run.id, approve=approve, **limits
        )


def _step_json(id_: str, step: Step) -> dict[str, Any]:
    text = kind_of(step)(step).summary
    return {
        "id": id_,
        "does": step.does,
        "strategy": step.strategy.name if step.strategy is not None else "",
        "agent": step.agent or "",
        "text": text[:TEXT_CHARS],
        "each": step.for_each is not None,
        "condition": str(step.if_) if step.if_ is not None else "",
        "asks": step.approve is not None,
    }


def _input_json(id_: str, spec: Input) -> dict[str, Any]:
    return {
        "name": id_,
        "type": spec.type,
        "description": spec.description or "",
        "choices": list(spec.enum or ()),
        "optional": spec.optional,
        "default": spec.default if spec.optional else None,
        "example": spec.examples[0] if spec.examples else None,
    }
