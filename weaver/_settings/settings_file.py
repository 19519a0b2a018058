"""Finding and reading the settings file: ``weaver.toml``, or ``[tool.weaver]`` in ``pyproject.toml``."""

from __future__ import annotations

import tomllib
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

from weaver._json_reading.json_types import is_object
from weaver.errors import ConfigurationError


def read_table(name: str, start: Path) -> tuple[Path | None, dict[str, Any]]:
    """A table of the nearest settings file that is no setting of runs (``serve``).

    Returns:
        The file, or None if there is none, and the table; {} if the file has none of that name.

    Raises:
        ConfigurationError: the file cannot be read, or the table is none.
    """
    path, content = settings_file(start)
    table = content.get(name, {})
    if not is_object(table):
        raise ConfigurationError(f"{path}: {name} must be a table.")
    return path, table


def settings_file(start: Path) -> tuple[Path | None, dict[str, Any]]:
    """Find and read the nearest settings file, from ``start`` upwards; (None, {}) if there is none.

    Raises:
        ConfigurationError: it cannot be read.
    """
    for folder in (start.absolute(), *start.absolute().parents):
        for path, table in ((folder / "weaver.toml", None), (folder / "pyproject.toml", "weaver")):
            if not path.is_file():
                continue
            content = _toml(path)
            if table is not None:
                content = content.get("tool", {}).get(table)
                if content is None:
                    continue
            if not is_object(content):
                raise ConfigurationError(f"{path}: [tool.weaver] must be a table.")
            return path, deepcopy(content)
    return None, {}


def _toml(path: Path) -> dict[str, Any]:
    try:
        stat = path.stat()
        return _parsed(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}.") from None


@lru_cache(maxsize=8)
def _parsed(path: Path, changed: int, size: int) -> dict[str, Any]:  # noqa: ARG001 - of which version
    """Parse a version of a file once: every `Weaver` looks for its settings."""
    return tomllib.loads(path.read_text(encoding="utf-8"))
