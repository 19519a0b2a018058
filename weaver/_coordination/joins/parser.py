"""Join rules as text, for YAML and the command line: ``quorum(2) | until(...)``."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable

from weaver._coordination.answers.equivalence import equivalence
from weaver._coordination.joins.rules import (
    All,
    BestOf,
    Both,
    Either,
    First,
    Judge,
    Predicate,
    Quorum,
    Settled,
    Until,
)
from weaver._environment import plugins
from weaver._runtime.threads.join_protocol import JoinRule
from weaver.errors import ConfigurationError, UnknownNameError

GROUP = "weaver.join_rules"
"""Entry points of rules: a name, and a function from the arguments to a `JoinRule`."""
_NAMES = ("all", "first", "quorum(k)", "best", "settled", "until(...)")
_ATOM = re.compile(r"\s*(?P<name>[a-z_]+)\s*(?:\((?P<argument>.*)\))?\s*\Z", re.DOTALL)


def parse_rule(
    text: str,
    *,
    judge: Judge | None = None,
    predicate: Callable[[str], Predicate] | None = None,
) -> JoinRule:
    """The join rule that ``text`` writes.

    Args:
        text: ``all``, ``first``, ``quorum(2)``, ``quorum(2, wait)``, ``best``, ``best(0.9)`` (a score that is
            enough), ``settled``, ``settled(number(0.01))`` (how answers are compared), ``until(...)``; joined
            with ``|`` (whichever first) and ``&`` (both, binds closer). ``best_of`` is ``best``.
        judge: the scorer for ``best``.
        predicate: compiles what stands in ``until(...)``.

    Raises:
        UnknownNameError: no such rule or equivalence.
        ConfigurationError: a wrong argument, or a rule that needs a judge or predicates where there are none.
    """
    either = _split(text, "|")
    if len(either) > 1:
        return Either(tuple(parse_rule(part, judge=judge, predicate=predicate) for part in either))
    both = _split(text, "&")
    if len(both) > 1:
        return Both(tuple(parse_rule(part, judge=judge, predicate=predicate) for part in both))
    stripped = text.strip()
    if stripped.startswith("(") and stripped.endswith(")"):
        return parse_rule(stripped[1:-1], judge=judge, predicate=predicate)
    match = _ATOM.match(text)
    if match is None:
        raise ConfigurationError(
            f"{text.strip()!r} is not a join rule.",
            hint=f"Known: {', '.join(_NAMES)}; join them with | and &.",
        )
    return _atom(match["name"], match["argument"], judge, predicate)


def _atom(
    name: str, argument: str | None, judge: Judge | None, predicate: Callable[[str], Predicate] | None
) -> JoinRule:
    if name in ("all", "first"):
        if argument is not None:
            raise ConfigurationError(f"The join rule {name!r} takes no argument.", hint=f"Write {name}.")
        return All() if name == "all" else First()
    if name == "quorum":
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?:,\s*(wait|stop))?\s*", argument or "")
        if match is None:
            raise ConfigurationError(
                f"quorum({argument or ''}) is not a join rule.",
                hint="Say how many threads have to succeed: quorum(2), or quorum(2, wait).",
            )
        return Quorum(int(match[1]), "wait" if match[2] == "wait" else "stop")
    if name in ("best", "best_of"):
        if judge is None:
            raise ConfigurationError("The join rule 'best' needs a judge here, and there is none.")
        return BestOf(judge, _score(argument))
    if name == "settled":
        return Settled(equivalence(argument)) if argument is not None else Settled()
    if name == "until":
        if predicate is None or not (argument or "").strip():
            raise ConfigurationError(
                "The join rule 'until(...)' needs a condition.",
                hint="In YAML write until(<expression>); in Python use joins.Until(function).",
            )
        return Until(predicate(argument or ""), (argument or "").strip())
    return _installed(name, argument)


def _installed(name: str, argument: str | None) -> JoinRule:
    """Return the rule of an installed plugin: what its function returns for the literal arguments.

    Raises:
        UnknownNameError: there is no such rule.
        ConfigurationError: the plugin cannot be loaded, refuses the arguments, or returns something else.
    """
    points = plugins.installed(GROUP)
    if name not in points:
        raise UnknownNameError("join rule", name, [*_NAMES, *points])
    try:
        arguments = ast.literal_eval(f"({argument},)") if (argument or "").strip() else ()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigurationError(f"The arguments of {name}({argument}) are not plain values.") from None
    make = plugins.load(points[name], "join rule")
    _check_arguments(name, make, arguments)
    with plugins.code_of(points[name], "join rule", "cannot be made"):
        rule = make(*arguments)
    if not (callable(getattr(rule, "begin", None)) and isinstance(getattr(rule, "name", None), str)):
        raise ConfigurationError(
            f"The join rule {name!r} of {plugins.owner(points[name])} is {type(rule).__name__}, not a rule.",
            hint="Return one of weaver.joins, for example joins.Until(function).",
        )
    made: JoinRule = rule
    return made


def _check_arguments(name: str, make: Callable[..., object], arguments: tuple[object, ...]) -> None:
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError):  # a class or an object of a C extension
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        written = ", ".join(signature.parameters)
        raise ConfigurationError(
            f"The arguments of the join rule {name!r} do not fit: {error}.", hint=f"Write {name}({written})."
        ) from None


def _score(argument: str | None) -> float | None:
    if argument is None or not argument.strip():
        return None
    try:
        return float(argument)
    except ValueError:
        raise ConfigurationError(
            f"best({argument}) is not a join rule.", hint="Give the score that is enough: best(0.9)."
        ) from None


def _split(text: str, mark: str) -> list[str]:
    """Split at ``mark`` outside of parentheses."""
    parts: list[str] = []
    depth = 0
    start = 0
    for i, char in enumerate(text):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth < 0:
            break
        if char == mark and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    if depth != 0:
        raise ConfigurationError(f"The parentheses of the join rule {text.strip()!r} do not match.")
    return [*parts, text[start:]]
