"""Workflows in YAML, and the same objects in Python. The public names are loaded when they are used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weaver.workflows.parts import AgentSpec as AgentSpec
    from weaver.workflows.parts import Approval as Approval
    from weaver.workflows.parts import Budget as Budget
    from weaver.workflows.parts import Case as Case
    from weaver.workflows.parts import Input as Input
    from weaver.workflows.parts import ModelRef as ModelRef
    from weaver.workflows.parts import Models as Models
    from weaver.workflows.parts import Retry as Retry
    from weaver.workflows.parts import StrategyRef as StrategyRef
    from weaver.workflows.run import run_workflow as run_workflow
    from weaver.workflows.run import stream_workflow as stream_workflow
    from weaver.workflows.setting import Question as Question
    from weaver.workflows.setting import Reply as Reply
    from weaver.workflows.step import Defaults as Defaults
    from weaver.workflows.step import Step as Step
    from weaver.workflows.surroundings import register as register
    from weaver.workflows.values import ValueSpec as ValueSpec
    from weaver.workflows.workflow import Workflow as Workflow

_HOME = {
    "AgentSpec": "parts", "Approval": "parts", "Budget": "parts", "Case": "parts", "Defaults": "step",
    "Input": "parts", "ModelRef": "parts", "Models": "parts", "Question": "setting", "Reply": "setting",
    "Retry": "parts", "Step": "step", "StrategyRef": "parts", "ValueSpec": "values", "Workflow": "workflow",
    "register": "surroundings", "run_workflow": "run", "stream_workflow": "run",
}  # fmt: skip

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
