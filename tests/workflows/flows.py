"""Small workflows for tests, and how their steps ended."""

from __future__ import annotations

from typing import Any

from weaver.errors import ServerError
from weaver.testing import Scripted, ScriptedModel
from weaver.workflows import Workflow

BROKEN = Scripted(error=ServerError("the server is down", model="m"), when="broken")
GATE = """
draft: {task: draft}
publish: {approve: 'Publish ${{ steps.draft.output }}?', task: publish}
after: {task: after, needs: publish}
"""


def flow(steps: str, *, head: str = "") -> Workflow:
    """A workflow of these steps."""
    body = "\n".join(f"  {line}" for line in steps.strip("\n").split("\n"))
    return Workflow.from_yaml(f"version: weaver/v1\nname: test\n{head}steps:\n{body}\n")


def states(result: Any) -> dict[str, str]:
    """How each thread of a result ended, by its id."""
    return {thread.id: thread.state for thread in result.threads}


def says(**seconds: float) -> ScriptedModel:
    """Answers ``<name> done`` to prompts that begin with a name, after that many seconds."""
    return ScriptedModel(
        [
            Scripted(f"{name} done", when=lambda r, n=name: r.messages[-1].content.startswith(n), first=s)
            for name, s in seconds.items()
        ]
    )


def prompts(model: ScriptedModel) -> list[str]:
    return [recorded.request.messages[-1].content for recorded in model.requests]
