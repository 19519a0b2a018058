"""Calling a hook's method: sync or async, and with errors that name the hook."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from weaver._hooks.protocol import METHODS, Hook
from weaver.errors import ConfigurationError, HookError, RefusedError, WeaverError

HINT = "A hook has around_call, around_tool, check_input or check_output: see docs/hooks.md."


@dataclass(frozen=True, slots=True)
class Step:
    """One method of one hook.

    Attributes:
        name: the hook and the method, for messages: ``app.guards.Metering.around_call``.
        parallel: whether the hook's input check may run beside the first model calls.
    """

    name: str
    method: Callable[..., Any]
    parallel: bool = False

    async def call(self, *arguments: Any, passed_on: Sequence[BaseException] = ()) -> Any:
        """Call the method, and await what it returns where that can be awaited.

        Args:
            passed_on: errors of what the hook is around; it did not make them.

        Raises:
            RefusedError: the hook said no; ``hook`` is its name.
            WeaverError: as the hook raises it.
            HookError: it raised something else.
        """
        try:
            value = self.method(*arguments)
            return await value if inspect.isawaitable(value) else value
        except RefusedError as refusal:
            refusal.hook = refusal.hook or self.name
            raise
        except WeaverError:
            raise
        except (Exception, SystemExit) as error:
            if any(error is other for other in passed_on):
                raise
            raise self.failure(f"raised {type(error).__name__}: {error}") from error

    def failure(self, problem: str, hint: str = "") -> HookError:
        """The error that says what the method did wrong."""
        return HookError(f"Hook {self.name} {problem.rstrip('.')}.", hint=hint)


def steps(hooks: Iterable[Any], method: str) -> tuple[Step, ...]:
    """The steps of those hooks that define ``method``, in their order."""
    return tuple(
        Step(f"{name_of(hook)}.{method}", getattr(hook, method), bool(getattr(hook, "parallel", False)))
        for hook in hooks
        if defines(hook, method)
    )


def defines(hook: Any, method: str) -> bool:
    """Check whether the hook has its own method of that name."""
    function = getattr(hook, method, None)
    return callable(function) and getattr(function, "__func__", function) is not getattr(Hook, method)


def name_of(hook: Any) -> str:
    """The module and name of a hook, for messages."""
    if isinstance(hook, ModuleType):
        return hook.__name__
    kind = hook if isinstance(hook, type) else type(hook)
    return f"{kind.__module__}.{kind.__qualname__.rpartition('<locals>.')[2]}".removeprefix("__main__.")


def checked(hook: Any) -> Any:
    """``hook`` itself, if it is one.

    Raises:
        ConfigurationError: it has none of the methods, or is a class.
    """
    if isinstance(hook, type):
        raise ConfigurationError(
            f"{name_of(hook)} is a class, not a hook.", hint=f"Pass an object: {hook.__name__}()."
        )
    _check_methods(hook)
    return hook


def checked_class(kind: type) -> None:
    """Refuse a class whose objects are no hooks, before it is called.

    Raises:
        ConfigurationError: it has none of the methods.
    """
    _check_methods(kind)


def _check_methods(hook: Any) -> None:
    if not any(defines(hook, method) for method in METHODS):
        raise ConfigurationError(f"{name_of(hook)} is not a hook: it has none of the methods.", hint=HINT)
