"""The inputs that a workflow is given, checked against what it asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from weaver._workflows.schema.types import ValueSpec
from weaver._workflows.source.diagnostics import did_you_mean
from weaver.errors import InvalidTaskError

if TYPE_CHECKING:
    from weaver._workflows.format.definition import Definition


HOW = 'Give inputs by name, as one mapping: {"topic": "tea"}.'


def checked_inputs(
    workflow: Definition,
    given: Mapping[str, Any],
    *,
    wrong: Mapping[str, str] = MappingProxyType({}),
    where: str = "",
    hint: str = HOW,
) -> dict[str, Any]:
    """Every input of the workflow, with defaults for those that are not given.

    Args:
        wrong: why the inputs of these names could not be read (see `read_inputs`).
        where: for messages: the step that uses the workflow, or "".
        hint: how the caller gives inputs.

    Raises:
        InvalidTaskError: all that is missing, unknown or does not fit.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    for name in {**given, **wrong}:
        if name not in workflow.inputs:
            meant = did_you_mean(name, workflow.inputs)
            problems.append(f"there is no input {name!r}" + (f" ({meant})" if meant else ""))
    for name, spec in workflow.inputs.items():
        if name in wrong:
            problems.append(f"the input {name!r} does not fit: {wrong[name]}")
        elif name not in given:
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
        raise InvalidTaskError(f"{of}: {'; '.join(problems)}.", hint="" if where else hint)
    return values


def read_inputs(
    workflow: Definition, texts: Mapping[str, Sequence[str]], whole: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """Inputs from texts (of a command line), read by their types.

    Args:
        texts: one text or several by name; several, or whole files, are the items of a list.
        whole: names whose texts are the contents of files.

    Returns:
        The values, and for names without one why there is none; both are for `checked_inputs`.
    """
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name, text in texts.items():
        try:
            spec = workflow.inputs.get(name)
            values[name] = text[-1] if spec is None else read_input(spec, text, whole=name in whole)
        except ValueError as error:
            wrong[name] = str(error)
    return values, wrong


def read_input(spec: ValueSpec, given: Sequence[str], *, whole: bool = False) -> Any:
    """The value of one input from the text or the texts for it; see `read_inputs`.

    Raises:
        ValueError: they cannot be read as its type.
    """
    if spec.type == "array" and (len(given) > 1 or (whole and not _is_list(given[0]))):
        items = spec.items or ValueSpec(type="string")
        return [items.read(text) for text in given]
    if len(given) > 1:
        raise ValueError(f"it is given {len(given)} times, and only a list takes several values")
    return spec.read(given[0])


def _is_list(text: str) -> bool:
    return text.lstrip().startswith("[")
