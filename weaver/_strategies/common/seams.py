"""Parts of a strategy that users may replace: objects in Python, names on a command line and in YAML.

Names are those built in, and those of installed plugins (entry points). An object is taken as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import PlainValidator

from weaver._coordination.conflicts.policies.ladder import parse_ladder
from weaver._coordination.conflicts.policies.positions import Policy as ConflictPolicy
from weaver._environment import plugins
from weaver._synthesis.choice import MERGES
from weaver.errors import ConfigurationError, UnknownNameError

Ladder = tuple[ConflictPolicy, ...]
DEFAULT_LADDER = "clear_majority+verify+judge"


def by_name(kind: str, builtin: Mapping[str, Any], group: str, *, needs: str) -> Callable[[Any], Any]:
    """Make a validator of an option that takes an object or a name.

    Args:
        kind: what it is, for messages: ``policy``.
        builtin: objects by name.
        group: entry-point group of installed ones. What an entry point names may be a class: an object of it
            is made, without arguments.
        needs: the method that an object must have; ``__call__`` for a function.

    Returns:
        A function that returns the object, and raises `UnknownNameError` or `ConfigurationError`.
    """

    def resolve(value: Any) -> Any:
        if isinstance(value, bool):
            value = "on" if value else "off"  # as YAML reads these words
        if isinstance(value, str):
            value = _named(kind, value, builtin, group)
        if isinstance(value, type):
            value = value()
        if value is not None and not callable(getattr(value, needs, None)):
            method = "" if needs == "__call__" else f" with a method {needs!r}"
            raise ConfigurationError(
                f"{value!r} is not a {kind}.",
                hint=f"Give an object{method}, or a name: {', '.join(builtin)}.",
            )
        return value

    return resolve


merge_named = by_name("merge", MERGES, "weaver.merges", needs="__call__")
"""Return the merge that an option gives, by its name or as an object."""


def checked(resolve: Callable[[Any], Any]) -> PlainValidator:
    """Make a validator that keeps the value as it was given, once ``resolve`` takes it."""

    def check(value: Any) -> Any:
        resolve(value)
        return value

    return PlainValidator(check)


def _named(kind: str, name: str, builtin: Mapping[str, Any], group: str) -> Any:
    if name in builtin:
        return builtin[name]
    installed = plugins.installed(group)
    if name in installed:
        return plugins.load(installed[name], kind)
    raise UnknownNameError(kind, name, [*builtin, *installed])


def conflict_policies(value: str | Sequence[str | ConflictPolicy] | None) -> Ladder | None:
    """Conflict policies in order, of names joined by ``+``, or of a list of names and objects.

    Returns:
        The policies; () leaves conflicts open (``none``), None does not look for any (``off``).
    """
    if value is None or value == "off":
        return None
    if value == "auto":
        value = DEFAULT_LADDER
    if isinstance(value, str):
        return parse_ladder(value)
    ladder: list[ConflictPolicy] = []
    for policy in value:
        if isinstance(policy, str):
            ladder += parse_ladder(policy)
        elif callable(policy):
            ladder.append(policy)
        else:
            raise ConfigurationError(
                f"{policy!r} is not a conflict policy.", hint="Give a name or a function."
            )
    return tuple(ladder)
