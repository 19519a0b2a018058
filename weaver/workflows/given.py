"""The inputs that a workflow is given, checked against what it asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from weaver.errors import InvalidTask
from weaver.workflows.problems import did_you_mean
from weaver.workflows.values import ValueSpec

if TYPE_CHECKING:
    from weaver.workflows.format import Definition


def checked_inputs(workflow: Definition, given: Mapping[str, Any], *, where: str = "") -> dict[str, Any]:
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


def read_inputs(
    workflow: Definition, texts: Mapping[str, Sequence[str]], whole: Collection[str] = ()
) -> dict[str, Any]:
    """Inputs from texts (of a command line), read by their types.

    What cannot be read, or has no such input, stays a text: `checked_inputs` then says what is wrong.

    Args:
        texts: one text or several by name; several, or whole files, are the items of a list.
        whole: names whose texts are the contents of files.
    """
    values: dict[str, Any] = {}
    for name, given in texts.items():
        spec = workflow.inputs.get(name)
        if (
            spec is not None
            and spec.type == "array"
            and (len(given) > 1 or (name in whole and not _is_list(given[0])))
        ):
            items = spec.items or ValueSpec(type="string")
            values[name] = [_read(items, text) for text in given]
        else:
            values[name] = given[-1] if spec is None else _read(spec, given[-1])
    return values


def _read(spec: ValueSpec, text: str) -> Any:
    try:
        return spec.read(text)
    except ValueError:
        return text


def _is_list(text: str) -> bool:
    return text.lstrip().startswith("[")
