"""``weaver strategies``."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click

from weaver._cli.support.guard import debug_option
from weaver._display.words import printable
from weaver._strategies.common import registry
from weaver._strategies.common.registry import Strategy
from weaver.errors import ConfigurationError


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@debug_option
def strategies(names: tuple[str, ...], as_json: bool) -> None:
    """List the ways to answer, with options, needs and sources; with NAMEs only those.

    A NAME may also be your own strategy: path/to/file.py:name.
    """
    listed = [_named(name) for name in names] if names else everything()
    if as_json:
        click.echo(json.dumps([as_dict(strategy) for strategy in listed]))
        return
    for number, strategy in enumerate(listed):
        if number:
            click.echo()
        click.echo(printable(drawn(strategy)))


def _named(name: str) -> Strategy:
    return registry.load_file(name) if registry.is_file(name) else registry.load(name)


def everything() -> list[Strategy]:
    """All strategies by name; one that cannot be loaded is listed with the reason."""
    strategies: list[Strategy] = []
    for name in registry.names():
        try:
            strategies.append(registry.load(name))
        except ConfigurationError as error:
            strategies.append(replace(_NOTHING, name=name, summary=f"(broken) {error}"))
    return strategies


async def _nothing(*_: Any) -> Any: ...


_FUNCTION = get_origin(Callable[..., object])
_NOTHING = Strategy("", _nothing)


def as_dict(strategy: Strategy) -> dict[str, Any]:
    """One strategy for ``--json``."""
    return {
        "name": strategy.name,
        "summary": strategy.summary,
        "source": strategy.source,
        "needs": list(strategy.needs),
        "options": [
            {
                "name": name,
                "type": _type(kind),
                "default": None if _required(default) else _plain(default),
                "needs": strategy.option_needs.get(name, []),
            }
            for name, (kind, default) in strategy.options.items()
        ],
    }


def drawn(strategy: Strategy) -> str:
    """One strategy for people."""
    lines = [f"{strategy.name}  {strategy.summary}".rstrip()]
    for name, (kind, default) in strategy.options.items():
        needs = "".join(f"; needs {need}" for need in strategy.option_needs.get(name, ()))
        lines.append(f"    {name}={'...' if _required(default) else _plain(default)}  ({_type(kind)}{needs})")
    if strategy.needs:
        lines.append(f"    needs: {', '.join(strategy.needs)}")
    if strategy.source:
        lines.append(f"    source: {strategy.source}")
    return "\n".join(lines)


def _required(default: Any) -> bool:
    return default is inspect.Parameter.empty


def _plain(value: Any) -> Any:
    """``value`` as JSON can say it."""
    return value if isinstance(value, (str, int, float, bool, types.NoneType)) else str(value)


def _type(kind: Any) -> str:
    """A type as users may write its values: without modules, bounds and signatures."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type(arguments[0])
    if origin in (Union, types.UnionType):
        return " | ".join(_type(argument) for argument in arguments)
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin is _FUNCTION:
        return "function"
    if kind is types.NoneType:
        return "None"
    return str(getattr(kind, "__name__", kind)).replace("typing.", "")
