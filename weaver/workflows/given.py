"""The inputs that a workflow is given, checked against what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from weaver.errors import InvalidTask
from weaver.workflows.problems import did_you_mean

if TYPE_CHECKING:
    from weaver.workflows.format import Workflow


def checked_inputs(workflow: Workflow, given: Mapping[str, Any], *, where: str = "") -> dict[str, Any]:
    """Every input of the workflow, with defaults for those that are not given.

    Args:
        where: for messages: the step that uses the workflow, or "".

    Raises:
        InvalidTask: all that is missing, unknown or does not fit.
    """
    problems = []
    values: dict[str, Any] = {}
    for name in given:
        if name not in workflow.inputs:
            hint = did_you_mean(name, workflow.inputs)
            problems.append(f"there is no input {name!r}" + (f" ({hint})" if hint else ""))
    for name, spec in workflow.inputs.items():
        if name not in given:
            if not spec.optional:
                about = f": {spec.description}" if spec.description else ""
                problems.append(f"the input {name!r} ({spec.type}) is missing{about.rstrip('.')}")
            values[name] = spec.default
        elif (why := spec.problem_with(given[name])) is not None:
            problems.append(f"the input {name!r} does not fit: {why}")
        else:
            values[name] = given[name]
    if problems:
        of = f"{where}: workflow {workflow.name}" if where else f"Workflow {workflow.name}"
        raise InvalidTask(
            f"{of}: {'; '.join(problems)}.", hint="" if where else "Give inputs as -i name=value."
        )
    return values


def read_inputs(workflow: Workflow, texts: Mapping[str, str]) -> dict[str, Any]:
    """Inputs from texts (of a command line), read by their types.

    What cannot be read, or has no such input, stays a text: `checked_inputs` then says what is wrong.
    """
    values: dict[str, Any] = {}
    for name, text in texts.items():
        spec = workflow.inputs.get(name)
        try:
            values[name] = text if spec is None else spec.read(text)
        except ValueError:
            values[name] = text
    return values
