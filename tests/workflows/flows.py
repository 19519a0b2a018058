"""Small workflows for tests, and how their steps ended."""

from __future__ import annotations

from typing import Any

from weaver.workflows import Workflow


def flow(steps: str, *, head: str = "") -> Workflow:
    """A workflow of these steps."""
    body = "\n".join(f"  {line}" for line in steps.strip("\n").split("\n"))
    return Workflow.from_yaml(f"version: weaver/v1\nname: test\n{head}steps:\n{body}\n")


def states(result: Any) -> dict[str, str]:
    """How each thread of a result ended, by its id."""
    return {thread.id: thread.state for thread in result.threads}
