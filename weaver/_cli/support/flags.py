"""One flag per field of `Settings`, with the same name, help and checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from weaver._json_reading.json_types import is_object
from weaver._settings.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

# A key on a command line is visible to every user of the machine; a table is no flag.
NO_FLAG = {
    "api_key", "headers", "prices", "mcp_servers", "models", "max_steps",
    "keep_days", "keep_runs", "keep_megabytes", "keep_unfinished_days",
}  # fmt: skip


def settings_flags(command: F) -> F:
    """Add the flags. Their values arrive as text; `Settings.load` checks them and names the flag."""
    return settings_flags_without()(command)


def settings_flags_without(*names: str) -> Callable[[F], F]:
    """`settings_flags`, for a command that has other ways to say what ``names`` are."""
    return lambda command: _with_flags(command, NO_FLAG | set(names))


def _with_flags(command: F, left_out: set[str]) -> F:
    for name, field in reversed(Settings.model_fields.items()):
        if name in left_out:
            continue
        extra = field.json_schema_extra if is_object(field.json_schema_extra) else {}
        metavar = str(extra.get("metavar", "TEXT"))
        timed = metavar == "SECONDS"
        if field.annotation == bool | None:
            option = click.option(
                "--" + name.replace("_", "-"), name, is_flag=True, default=None, help=field.description
            )
            command = option(command)
            continue
        command = click.option(
            "--" + name.replace("_", "-"),
            name,
            metavar=metavar,
            help=f"{field.description} Also 90s, 2m, 1h30m." if timed else field.description,
        )(command)
    return command


def settings_from(options: dict[str, Any]) -> Settings:
    """The settings that the flags, the environment and the settings file give together.

    Args:
        options: the command's options; those that are not settings are ignored.

    Raises:
        ConfigurationError: naming what is wrong.
    """
    load_named_files(options.get("strategy"))
    explicit = {name: options[name] for name in Settings.model_fields if options.get(name) is not None}
    return Settings.load(flags=True, **explicit)


def load_named_files(strategy: Any) -> None:
    """Load the Python files that ``--strategy`` names: ``path/to/file.py:name``, and functions in options.

    Only a flag may do that: a variable, a settings file or a request over the network must not run code.
    """
    if isinstance(strategy, str) and ".py" in strategy:
        from weaver._strategies.common.from_file import load_functions
        from weaver._strategies.common.registry import is_file, load_file

        load_functions(strategy)
        if is_file(strategy.strip()):
            load_file(strategy.strip())
