"""Kinds of steps that are added while a program runs: by the program itself, or by installed plugins."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from weaver._environment import plugins
from weaver._workflows.format.definition import Definition
from weaver._workflows.format.step import Step
from weaver._workflows.kinds.registry import KINDS, forget_keys
from weaver._workflows.kinds.step_kind import StepKind
from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "weaver.step_kinds"
Kind = TypeVar("Kind", bound=type[StepKind])


def add_kind(kind: Kind) -> Kind:
    """Add a kind of step: its keys are keys of steps from now on, in files and in Python.

    Plugins are found by their entry point in the group ``weaver.step_kinds``.

    Raises:
        ConfigurationError: it is not a kind of step, or one of its keys is a key of steps already.
    """
    _check_class(kind)
    if KINDS.get(kind.key) is kind:
        return kind
    if kind.key not in kind.own_keys():
        raise ConfigurationError(f"The kind of step {kind.key!r} has no field {kind.key!r} among its keys.")
    if taken := sorted(kind.keys.model_fields.keys() & Step.model_fields.keys()):
        raise ConfigurationError(f"The kind of step {kind.key!r} has keys that steps have already: {taken}.")
    KINDS[kind.key] = kind
    Step.model_fields.update(kind.keys.model_fields)
    _rebuild()
    return kind


def remove_kind(key: str) -> None:
    """Forget a kind of step that was added."""
    for name in KINDS.pop(key).keys.model_fields:
        del Step.model_fields[name]
    _rebuild()


def add_installed(keys: Container[str]) -> None:
    """Add the kinds of installed plugins whose key is one of ``keys``; an entry point is named like the key.

    Raises:
        ConfigurationError: one cannot be loaded or added.
    """
    for name, point in _points().items():
        if name in keys and name not in KINDS:
            kind = add_kind(plugins.load(point, "step kind"))
            if kind.key != name:
                raise ConfigurationError(
                    f"The step kind {name!r} of {plugins.owner(point)} has the key {kind.key!r}.",
                    hint="An entry point of weaver.step_kinds is named like the key of the kind.",
                )


def installed_keys() -> list[str]:
    """The keys of all kinds that plugins bring; nothing is imported."""
    return list(_points())


def _points() -> dict[str, EntryPoint]:
    return plugins.installed(GROUP)


def _rebuild() -> None:
    forget_keys()
    models: list[type[BaseModel]] = [Step, Definition, *Definition.__subclasses__()]
    for model in models:
        model.model_rebuild(force=True)


def _check_class(kind: object) -> None:
    if not (isinstance(kind, type) and issubclass(kind, StepKind)):
        raise ConfigurationError(f"{kind!r} is not a kind of step: a subclass of weaver.workflows.StepKind.")
