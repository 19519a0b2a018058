"""Warnings: texts that look like expressions and are none, and inputs that nothing reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from weaver._json_reading.json_types import is_array
from weaver._workflows.expressions.parser import Expression
from weaver._workflows.expressions.templates import Template, templates_in
from weaver._workflows.expressions.typecheck import Inference, ignore
from weaver._workflows.expressions.values import Values
from weaver._workflows.kinds.registry import text_keys
from weaver._workflows.kinds.step_kind import value_of
from weaver._workflows.source.diagnostics import shortened
from weaver._workflows.source.tree import Keys
from weaver._workflows.validation.compiled import CompiledStep
from weaver._workflows.validation.context import Checks
from weaver._workflows.validation.references import Reading, readings, readings_in

_PATH = r"[A-Za-z_]\w*(?:\.\w+|\[\d+\])*"
_PLACEHOLDER = re.compile(rf"(?<!\$)\{{\{{\s*({_PATH})\s*\}}\}}|\$\{{\s*({_PATH})\s*\}}")
_ANY = re.compile(rf"\$?\{{\{{\s*({_PATH})[^{{}}]*\}}\}}|\$\{{\s*({_PATH})\s*\}}")


def warn_of_placeholders(checks: Checks) -> None:
    """Warn of ``{{ x }}`` and ``${x}``, which reach the model as they are written."""
    for keys, text in _templates(checks):
        for match in _PLACEHOLDER.finditer(text):
            path = match[1] or match[2]
            hint = f"write {_expression(checks, path, keys)} for the value"
            _warn(checks, keys, match, "is no expression and stays as it is", hint)
    for name, agent in checks.workflow.agents.items():
        for match in _ANY.finditer(agent.instructions):
            keys = ("agents", name, "instructions")
            problem = "stays as it is: instructions hold no values"
            _warn(checks, keys, match, problem, "put the value into the task of the steps")


def warn_of_unread_inputs(checks: Checks) -> None:
    """Warn of inputs that no expression reads."""
    read: set[str] = set()
    for expression in _expressions(checks):
        paths = Inference(expression, {}, ignore).used
        names = [path[1] for path in paths if path[:1] == ("inputs",) and len(path) == 2]
        if paths.count(("inputs",)) > len(names):
            return  # all of them together
        read.update(names)
    for name in checks.workflow.inputs:
        if name not in read:
            keys: Keys = ("inputs", name)
            hint = f"read it as ${{{{ inputs.{name} }}}}, or remove it"
            checks.texts.warn(checks.texts.source.key_place(keys), keys, "nothing reads this input", hint)


def _templates(checks: Checks) -> Iterator[tuple[Keys, str]]:
    """Every text that may have expressions in it."""
    for id_, step in checks.workflow.steps.items():
        values: dict[str, Any] = {
            **{key: value_of(step, key) for key in text_keys()},
            "fallback": step.fallback,
            "for_each": step.for_each if is_array(step.for_each) else None,
        }
        for name, value in values.items():
            for path, text in templates_in(value):
                yield ("steps", id_, name, *path), text
        if step.approve is not None:
            yield ("steps", id_, "approve", "message"), step.approve.message
    for name, value in checks.workflow.outputs.items():
        for path, text in templates_in(value):
            yield ("outputs", name, *path), text


def _expressions(checks: Checks) -> Iterator[Expression]:
    for step in checks.compiled.steps.values():
        yield from _of_step(step)
    for values in checks.compiled.outputs.values():
        yield from _of_readings(readings_in(values, ()))


def _of_step(step: CompiledStep) -> Iterator[Expression]:
    if step.condition is not None:
        yield step.condition
    yield from step.until.values()
    if isinstance(step.items, Expression):
        yield step.items
    for parsed in (step.items, step.fallback, step.approve, *step.texts.values()):
        if isinstance(parsed, Values):
            yield from _of_readings(readings_in(parsed, ()))
        elif isinstance(parsed, Template):
            yield from _of_readings(readings(parsed, ()))


def _of_readings(every: Iterator[Reading]) -> Iterator[Expression]:
    for reading in every:
        yield reading.expression


def _warn(checks: Checks, keys: Keys, match: re.Match[str], problem: str, hint: str) -> None:
    before = match.string.count(match[0], 0, match.start())
    place = checks.texts.source.inside(keys, match[0], before)
    checks.texts.warn(place, keys, f"{shortened(match[0])} {problem}", hint)


def _expression(checks: Checks, path: str, keys: Keys) -> str:
    """The expression that was probably meant."""
    root = re.split(r"[.\[]", path)[0]
    step = checks.workflow.steps.get(str(keys[1])) if keys[0] == "steps" else None
    names = {"inputs", "steps"}
    if step and step.for_each is not None:
        names |= {step.item_name, "index"}
    if root not in names and root in checks.workflow.inputs:
        path = f"inputs.{path}"
    elif root not in names and root in checks.workflow.steps:
        path = f"steps.{root}.output{path[len(root) :]}"
    return f"${{{{ {path} }}}}"
