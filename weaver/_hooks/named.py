"""Hooks that a settings file, a workflow or a flag names."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any

from weaver._hooks.calling import checked, checked_class
from weaver._json_reading.json_types import is_iterable
from weaver.errors import ConfigurationError

FORM = "Write package.module:name, of a class without arguments, an object, or a module."


def resolved(hooks: Iterable[Any]) -> tuple[Any, ...]:
    """Hooks, with those that are given by name looked up.

    Args:
        hooks: objects, and names such as ``"app.guards:NoSecrets"``. Only what Python can import is found;
            a class is called once, and its object serves the whole process.

    Raises:
        ConfigurationError: naming the hook that cannot be imported or is not one.
    """
    if isinstance(hooks, str) or not is_iterable(hooks):
        raise ConfigurationError(f"hooks is {hooks!r}, not a list of hooks.", hint="Write hooks=[...].")
    return tuple(_named(hook) if isinstance(hook, str) else checked(hook) for hook in hooks)


@cache
def _named(name: str) -> Any:
    place, colon, member = name.strip().partition(":")
    parts = [*place.split("."), *(member.split(".") if colon else ())]
    if not all(part.isidentifier() for part in parts):
        raise ConfigurationError(f"{name!r} does not name a hook.", hint=FORM)
    hook: Any = _imported(place, name)
    for part in member.split(".") if member else ():
        if not hasattr(hook, part):
            raise ConfigurationError(f"Hook {name!r}: {place} has no {member!r}.", hint=FORM)
        hook = getattr(hook, part)
    if isinstance(hook, type):
        checked_class(hook)
        try:
            hook = hook()
        except Exception as error:
            raise ConfigurationError(
                f"Hook {name!r}: {member}() raised {type(error).__name__}: {error}.",
                hint="A class that is named is called without arguments; name an object instead.",
            ) from error
    return checked(hook)


def _imported(place: str, name: str) -> Any:
    try:
        return import_module(place)
    except (Exception, SystemExit) as error:
        is_missing = isinstance(error, ModuleNotFoundError)
        raise ConfigurationError(
            f"Hook {name!r}: importing {place} raised {type(error).__name__}: {error}.",
            hint="Install its package, or add its folder to PYTHONPATH." if is_missing else "",
        ) from error
