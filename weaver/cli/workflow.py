"""Workflow files given to ``run`` and ``plan``: handed over to `weaver.workflows.cli`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from weaver.errors import ConfigurationError


def is_workflow(argument: str) -> bool:
    """Whether the argument names a workflow file rather than being a question."""
    return (
        argument.lower().endswith((".yaml", ".yml")) and "\n" not in argument and not argument.startswith("@")
    )


def run_workflow(path: Path, inputs: tuple[str, ...], options: Mapping[str, Any]) -> int:
    """``weaver run flow.yaml``. ``options`` are the flags by name, unchecked; returns the exit code."""
    return int(_room(path).run_workflow(path, inputs, options))


def plan_workflow(path: Path, options: Mapping[str, Any]) -> int:
    """``weaver plan flow.yaml``, likewise."""
    return int(_room(path).plan_workflow(path, options))


def _room(path: Path) -> Any:
    if find_spec("weaver.workflows") is None or find_spec("weaver.workflows.cli") is None:
        raise ConfigurationError(f"{path}: this version of weaver does not run workflows.")
    return import_module("weaver.workflows.cli")
