"""Workflows in YAML, and the same objects in Python."""

from typing import TYPE_CHECKING

from weaver._environment.doors import door

if TYPE_CHECKING:
    from weaver._workflows.execution.approval import Question, Reply
    from weaver._workflows.execution.runner import run_workflow, stream_workflow
    from weaver._workflows.execution.step_run import StepRun
    from weaver._workflows.format.extension import add_kind
    from weaver._workflows.format.step import Defaults, Step
    from weaver._workflows.kinds.step_kind import StepKind
    from weaver._workflows.schema.components import (
        AgentSpec,
        Approval,
        Budget,
        Case,
        Input,
        ModelRef,
        Models,
        Retry,
        StrategyRef,
    )
    from weaver._workflows.schema.types import ValueSpec
    from weaver._workflows.validation.registry import register
    from weaver._workflows.validation.step_checker import StepCheck
    from weaver._workflows.workflow import Workflow

_MODULES = {
    "AgentSpec": "_workflows.schema.components",
    "Approval": "_workflows.schema.components",
    "Budget": "_workflows.schema.components",
    "Case": "_workflows.schema.components",
    "Defaults": "_workflows.format.step",
    "Input": "_workflows.schema.components",
    "ModelRef": "_workflows.schema.components",
    "Models": "_workflows.schema.components",
    "Question": "_workflows.execution.approval",
    "Reply": "_workflows.execution.approval",
    "Retry": "_workflows.schema.components",
    "Step": "_workflows.format.step",
    "StepCheck": "_workflows.validation.step_checker",
    "StepKind": "_workflows.kinds.step_kind",
    "StepRun": "_workflows.execution.step_run",
    "StrategyRef": "_workflows.schema.components",
    "ValueSpec": "_workflows.schema.types",
    "Workflow": "_workflows.workflow",
    "add_kind": "_workflows.format.extension",
    "register": "_workflows.validation.registry",
    "run_workflow": "_workflows.execution.runner",
    "stream_workflow": "_workflows.execution.runner",
}

__all__ = [
    "AgentSpec",
    "Approval",
    "Budget",
    "Case",
    "Defaults",
    "Input",
    "ModelRef",
    "Models",
    "Question",
    "Reply",
    "Retry",
    "Step",
    "StepCheck",
    "StepKind",
    "StepRun",
    "StrategyRef",
    "ValueSpec",
    "Workflow",
    "add_kind",
    "register",
    "run_workflow",
    "stream_workflow",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = door(__name__, _MODULES)
