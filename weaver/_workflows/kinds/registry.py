"""The kinds of steps that are known. A new kind of Weaver's own is added here, in two lines."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from weaver._workflows.kinds.approve import ApproveKeys, ApproveStep
from weaver._workflows.kinds.function import FunctionKeys, FunctionStep
from weaver._workflows.kinds.step_kind import StepKind, value_of
from weaver._workflows.kinds.task import TaskKeys, TaskStep
from weaver._workflows.kinds.uses import UsesKeys, UsesStep

if TYPE_CHECKING:
    from weaver._workflows.format.step import Step

KINDS: dict[str, type[StepKind]] = {
    kind.key: kind for kind in (TaskStep, FunctionStep, UsesStep, ApproveStep)
}
"""The kinds by their key, in the order in which messages name them."""


class KindKeys(ApproveKeys, UsesKeys, FunctionKeys, TaskKeys):
    """The keys of every kind; the last of the bases comes first in files."""


def kind_of(spec: Step) -> type[StepKind]:
    """The kind of a step; that of steps which do nothing (yet) is `ApproveStep`."""
    mine = [kind for kind in KINDS.values() if value_of(spec, kind.key) is not None]
    return next((kind for kind in mine if not kind.may_accompany), mine[0] if mine else ApproveStep)


def kinds_with(key: str) -> list[type[StepKind]]:
    """The kinds whose steps may have a key that not every step may have."""
    return [kind for kind in KINDS.values() if kind.means_something_with(key)]


@cache
def text_keys() -> list[str]:
    """Keys whose values may hold expressions."""
    return list(dict.fromkeys(key for kind in KINDS.values() for key in kind.texts))


@cache
def shared_keys() -> dict[str, list[str]]:
    """Keys that mean something with some kinds only: key -> the keys that make a step one of these kinds."""
    keys: dict[str, list[str]] = {}
    for kind in KINDS.values():
        for key in (*kind.own_keys(), *kind.takes):
            if key not in KINDS:
                keys.setdefault(key, [])
    return {key: [kind.key for kind in kinds_with(key)] for key in keys}


def forget_keys() -> None:
    """Work out anew which keys there are: a kind was added or removed."""
    text_keys.cache_clear()
    shared_keys.cache_clear()
