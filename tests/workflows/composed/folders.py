"""Folders of workflows that use each other."""

from __future__ import annotations

from weaver._workflows.validation.loader import examine

CHILD = """\
version: weaver/v1
name: child
inputs:
  topic: string
  n: {type: integer, default: 2}
agents: {critic: {instructions: You are the child's critic.}}
steps:
  look: {task: 'look at ${{ inputs.topic }} ${{ inputs.n }}'}
  judge: {task: 'judge ${{ steps.look.output }}', agent: critic}
outputs: {verdict: '${{ steps.judge.output }}', n: '${{ inputs.n }}'}
"""


def write(folder, **files: str):
    """Write workflow files; double underscores are folders."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def parent(steps: str) -> str:
    return f"version: weaver/v1\nname: parent\nsteps:\n{steps}"


def problems(path) -> list[str]:
    return [str(problem) for problem in sorted(examine(path)[1].found)]
