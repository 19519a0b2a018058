"""A ladder: policies tried in order until one settles the conflict."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from weaver._coordination.conflicts.policies.asking import ask, keep
from weaver._coordination.conflicts.policies.debating import debate
from weaver._coordination.conflicts.policies.judging import judge
from weaver._coordination.conflicts.policies.positions import Policy, about
from weaver._coordination.conflicts.policies.verification import escalate, verify
from weaver._coordination.conflicts.policies.voting import clear_majority, confidence_weighted, majority
from weaver._coordination.conflicts.statements import Told
from weaver._data.result import Conflict, Resolution
from weaver._environment import plugins
from weaver._runtime.run import Run
from weaver.errors import (
    BudgetExceededError,
    ConfigurationError,
    DeadlineExceededError,
    UnknownNameError,
    WeaverError,
)

POLICIES: Mapping[str, Any] = {
    "majority": majority,
    "clear_majority": clear_majority,
    "confidence_weighted": confidence_weighted,
    "verify": verify,
    "debate": debate,
    "judge": judge,
    "escalate": escalate,
    "ask": ask,
    "keep": keep,
}
DEFAULT_LADDER: tuple[Policy, ...] = (clear_majority, verify, judge)
"""Count first (free), then derive afresh, then judge. docs/conflicts-report.md has the measurements."""
GROUP = "weaver.conflict_policies"
"""Entry points of policies: a name, and an async function like those built in."""
FREE = (majority, clear_majority, confidence_weighted, keep)
"""Policies that make no call."""


def policy_name(policy: Policy) -> str:
    """The name of a policy, whatever options are bound to it."""
    function = policy.func if isinstance(policy, partial) else policy
    return getattr(function, "__name__", type(function).__name__)


def is_free(policy: Policy) -> bool:
    """Return True if the policy makes no call for certain."""
    return (policy.func if isinstance(policy, partial) else policy) in FREE


async def climb(
    run: Run, conflict: Conflict, threads: Sequence[Told], ladder: Sequence[Policy]
) -> Resolution | None:
    """Try the policies in order; None when none settles the conflict. Never raises for a policy's failure.

    A policy that fails is noted and the next one is tried. Once a limit of the run is reached, policies that
    cost something are not tried any more.
    """
    spent: WeaverError | None = None
    for policy in ladder:
        name = policy_name(policy)
        if name == "keep":
            break
        if spent is not None and not is_free(policy):
            continue
        try:
            resolution = await policy(run, conflict, threads)
        except (BudgetExceededError, DeadlineExceededError) as error:
            spent = error
            run.note(f"Conflict about {about(conflict)}: {name} was not tried to its end: {error.message}")
            continue
        except WeaverError as error:
            run.note(f"Conflict about {about(conflict)}: {name} failed: {error.message}")
            continue
        except Exception as error:  # noqa: BLE001 - a user's policy or callback; the run must not die of it
            run.note(f"Conflict about {about(conflict)}: {name} raised {type(error).__name__}: {error}")
            continue
        if resolution is not None:
            return resolution
    return None


def parse_ladder(text: str, *, callback: Any = None) -> tuple[Policy, ...]:
    """The ladder that ``text`` writes: ``majority(share=0.6), verify(samples=3), judge``.

    Args:
        text: policies separated by commas, or by ``+`` where commas separate options; "" or "none" is the
            empty ladder: conflicts are found and reported but not settled.
        callback: what ``ask`` asks.

    Raises:
        UnknownNameError: no such policy or option.
        ConfigurationError: not written as a ladder; an option that does not fit; ``ask`` without a callback.
    """
    if text.strip() in ("", "none"):
        return ()
    try:
        tree = ast.parse(f"({text},)", mode="eval").body
        assert isinstance(tree, ast.Tuple)
    except (SyntaxError, ValueError, AssertionError, RecursionError, MemoryError):
        raise ConfigurationError(f"{text!r} is not a ladder of policies.", hint=_HINT) from None
    return tuple(_policy(node, text, callback) for part in tree.elts for node in _joined_by_plus(part))


def _joined_by_plus(node: ast.expr) -> list[ast.expr]:
    """The parts of ``a + b + c``."""
    parts: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts.append(node.right)
        node = node.left
    return [node, *reversed(parts)]


_HINT = "Write names separated by commas: majority, verify(samples=3), judge."


def _policy(node: ast.expr, text: str, callback: Any) -> Policy:
    options: dict[str, Any] = {}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        name = node.func.id
        try:
            options = {k.arg or "": ast.literal_eval(k.value) for k in node.keywords}
        except ValueError:
            raise ConfigurationError(f"The options of {name!r} in {text!r} are not plain values.") from None
    elif isinstance(node, ast.Name):
        name = node.id
    else:
        raise ConfigurationError(f"{text!r} is not a ladder of policies.", hint=_HINT)
    function = _named(name)
    _check(name, function, options)
    if function is ask:
        if callback is None:
            raise ConfigurationError("The policy 'ask' needs somebody to ask, and there is nobody.")
        options["callback"] = callback
    return partial(function, **options) if options else function


def _named(name: str) -> Any:
    """Return a built-in policy, or that of an installed plugin.

    Raises:
        UnknownNameError: there is neither.
        ConfigurationError: the plugin cannot be loaded, or is not a function.
    """
    if name in POLICIES:
        return POLICIES[name]
    installed = plugins.installed(GROUP)
    if name not in installed:
        raise UnknownNameError("conflict policy", name, [*POLICIES, *installed])
    function = plugins.load(installed[name], "conflict policy")
    if not callable(function):
        raise ConfigurationError(
            f"The conflict policy {name!r} of {plugins.owner(installed[name])} is not a function.",
            hint="Write `async def name(run, conflict, threads)` and return a Resolution or None.",
        )
    return function


def _check(name: str, function: Any, options: Mapping[str, Any]) -> None:
    names = {
        p.name: p.default
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.default is not p.empty
    }
    for option, value in options.items():
        if option not in names:
            raise UnknownNameError(f"option of the conflict policy {name!r}", option, names)
        default = names[option]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if isinstance(default, str):
            fits = isinstance(value, str)
        elif isinstance(default, int):
            fits = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100
        else:
            fits = number and 0 <= value <= 1
        if not fits:
            expected = (
                "text" if isinstance(default, str) else "1 to 100" if isinstance(default, int) else "0 to 1"
            )
            raise ConfigurationError(f"The option {option} of {name!r} is {value!r}; it must be {expected}.")
