"""The names that expressions may use, and the kinds of their values, before anything has run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from weaver._workflows.expressions.types import (
    ANY,
    INTEGER,
    NUMBER,
    STRING,
    Kind,
    array,
    of_spec,
    record,
)
from weaver._workflows.schema.components import Input

if TYPE_CHECKING:
    from weaver._workflows.format.definition import Definition
    from weaver._workflows.format.step import Step

STATES = ("succeeded", "failed", "timed_out", "cancelled", "skipped")
STATE = Kind("string", enum=STATES)
STATUS = Kind("string", enum=("complete", "partial", "failed"))
_TEXT = STRING.tainted(True)
_ERROR = _TEXT.or_null()


_SINGLE = re.compile(r"\s*(first|best(_of)?(\s*\([^()]*\))?)\s*")


def single(join: str | None) -> bool:
    """Return True if a join of items returns one of them, so that the output is not a list."""
    return join is not None and _SINGLE.fullmatch(join) is not None


def inputs_kind(inputs: Mapping[str, Input]) -> Kind:
    """``inputs``."""
    fields: dict[str, Kind] = {}
    for name, spec in inputs.items():
        kind = of_spec(spec, data=spec.fence, label=f"the input {name!r}")
        fields[name] = kind.or_null() if spec.optional and spec.default is None else kind
    return record(fields, noun="input")


def step_type(step: Step, output: Kind, *, id_: str) -> Kind:
    """``steps.<id>``.

    Args:
        output: what one run of the step gives, without regard to ``for_each``.
    """
    output = replace(output, label=f"the output of step {id_!r}")
    fields = {"output": output, "text": _TEXT, "state": STATE, "error": _ERROR, "seconds": NUMBER}
    if step.for_each is not None:
        each = record({"item": ANY.tainted(True), "index": INTEGER, "output": output.or_null(), **{
            name: fields[name] for name in ("text", "state", "error")
        }})  # fmt: skip
        fields["items"] = array(each)
        fields["output"] = array(output, data=output.data, label=f"the output of step {id_!r}")
        if single(step.join):
            fields["output"] = output.or_null()
    if step.if_ is not None or step.on_error == "skip" or step.approve is not None:
        fields["output"] = fields["output"].or_null()
    return record(fields, label=f"step {id_!r}")


SHAPING = ("output", "for_each", "join", "if", "on_error")
"""Keys of a step that decide what its output can be, besides those of the kinds of steps."""


def of_any_shape(step: Kind) -> Kind:
    """``steps.<id>`` where it is not known what the step does."""
    return replace(step, fields={**(step.fields or {}), "output": ANY, "items": array()})


def unsure(step: Kind) -> Kind:
    """``steps.<id>`` where the step may have failed, or never run: its output may be null."""
    if step.fields is None:
        return step
    return replace(step, fields={**step.fields, "output": step.fields["output"].or_null()})


def expectation_names(
    workflow: Definition, steps: Mapping[str, Kind], outputs: Mapping[str, Kind]
) -> dict[str, Kind]:
    """Return what the conditions of a test case may use."""
    return {
        "inputs": inputs_kind(workflow.inputs),
        "steps": record(steps, noun="step"),
        "outputs": record(outputs, noun="output"),
        "answer": _TEXT,
        "status": STATUS,
        "calls": INTEGER,
        "tokens": INTEGER,
        "notes": array(STRING),
        "conflicts": array(ANY),
        "error": _ERROR,
    }


__all__ = [
    "SHAPING",
    "STATES",
    "expectation_names",
    "inputs_kind",
    "of_any_shape",
    "single",
    "step_type",
    "unsure",
]
