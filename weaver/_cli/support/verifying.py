"""The check that ``--verify`` names. Only a flag may name a command or a Python file: they are run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from weaver.errors import ConfigurationError

COMMAND, PYTHON = "command:", "python:"


def check_from(given: str | None) -> Any:
    """Return what ``verify=`` gets; None without the flag.

    Raises:
        ConfigurationError: a file or command is wrong.
        UnknownNameError: there is no check of that name.
    """
    if given is None:
        return None
    if given.startswith(COMMAND):
        from weaver._verification.command import Command

        return Command(given.removeprefix(COMMAND).strip())
    if given.startswith(PYTHON):
        from weaver._strategies.common.from_file import member, module_of

        path, _, name = given.removeprefix(PYTHON).rpartition(":")
        if not path.endswith(".py"):
            raise ConfigurationError(f"--verify {given} is no check.", hint="Write python:FILE.py:FUNCTION.")
        return member(module_of(Path(path)), name)
    if given.endswith(".json"):
        try:
            return json.loads(Path(given).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"The JSON Schema {given} cannot be read: {error}.") from None
    from weaver._verification.named import check_of

    return check_of(given)
