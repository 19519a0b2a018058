"""Workflows in YAML, and the same objects in Python. The public names are loaded when they are used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weaver.workflows.execution.approval import Question as Question
    from weaver.workflows.execution.approval import Reply as Reply
    from weaver.workflows.execution.runner import run_workflow as run_workflow
    from weaver.workflows.execution.runner import stream_workflow as stream_workflow
    from weaver.workflows.schema.components import AgentSpec as AgentSpec
    from weaver.workflows.schema.components import Approval as Approval
    from weaver.workflows.schema.components import Budget as Budget
    from weaver.workflows.schema.components import Case as Case
    from weaver.workflows.schema.components import Input as Input
    from weaver.workflows.schema.components import ModelRef as ModelRef
    from weaver.workflows.schema.components import Models as Models
    from weaver.workflows.schema.components import Retry as Retry
    from weaver.workflows.schema.components import StrategyRef as StrategyRef
    from weaver.workflows.schema.step import Defaults as Defaults
    from weaver.workflows.schema.step import Step as Step
    from weaver.workflows.schema.types import ValueSpec as ValueSpec
    from weaver.workflows.validation.registry import register as register
    from weaver.workflows.workflow import Workflow as Workflow

_HOME = {
    "AgentSpec": "schema.components",
    "Approval": "schema.components",
    "Budget": "schema.components",
    "Case": "schema.components",
    "Defaults": "schema.step",
    "Input": "schema.components",
    "ModelRef": "schema.components",
    "Models": "schema.components",
    "Question": "execution.approval",
    "Reply": "execution.approval",
    "Retry": "schema.components",
    "Step": "schema.step",
    "StrategyRef": "schema.components",
    "ValueSpec": "schema.types",
    "Workflow": "workflow",
    "register": "validation.registry",
    "run_workflow": "execution.runner",
    "stream_workflow": "execution.runner",
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
    "StrategyRef",
    "ValueSpec",
    "Workflow",
    "register",
    "run_workflow",
    "stream_workflow",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'weaver.workflows' has no attribute {name!r}")
    value = getattr(import_module(f"weaver.workflows.{_HOME[name]}"), name)
    globals()[name] = value
    return value
