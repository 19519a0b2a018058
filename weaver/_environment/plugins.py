"""What installed distributions add. Looking imports nothing; loading raises errors of ours only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weaver.errors import ConfigurationError, WeaverError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints


def installed(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group (``weaver.strategies``, ``weaver.tools``, ...) by name.

    The files of all distributions are read again when one may have come or gone: that takes 10 ms and more.
    """
    return dict(_installed(group, tuple((folder, _changed_at(folder)) for folder in sys.path)))


Folders = tuple[tuple[str, int], ...]
"""Where distributions are looked for, and when each of these folders changed last."""


def _changed_at(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(64)
def _installed(group: str, folders: Folders) -> dict[str, EntryPoint]:
    return {point.name: point for point in _selecting(folders)(group=group)}


@lru_cache(4)
def _selecting(folders: Folders) -> Callable[..., EntryPoints]:  # noqa: ARG001 - decides whether to read again
    from importlib.metadata import entry_points

    return entry_points().select


def owner(point: EntryPoint) -> str:
    """Return who brings an entry point: its distribution, else what it points at."""
    return point.dist.name if point.dist is not None else point.value


def load(point: EntryPoint, kind: str) -> Any:
    """Return what an entry point points at.

    Args:
        kind: what it should be, for the message: ``strategy``, ``tool``, ...

    Raises:
        ConfigurationError: it is not there, or importing it raises anything at all.
    """
    with code_of(point, kind, "cannot be loaded"):
        return point.load()


@contextmanager
def code_of(point: EntryPoint, kind: str, what: str) -> Generator[None]:
    """Run code of a plugin: whatever it raises is a `ConfigurationError` that names the plugin and the cause.

    Args:
        what: what then is said of it: ``cannot be loaded``.
    """
    try:
        yield
    except WeaverError as error:
        raise ConfigurationError(f"{_named(point, kind)} {what}: {error.message}", hint=error.hint) from error
    except (Exception, SystemExit) as error:
        message = " ".join(str(error).split()).rstrip(".")
        raise ConfigurationError(
            f"{_named(point, kind)} {what}: {type(error).__name__}{message and ': '}{message}.",
            hint="" if point.dist is None else f"Update or remove it: pip install --upgrade {owner(point)}",
        ) from error


def _named(point: EntryPoint, kind: str) -> str:
    source = f"{point.dist.name} ({point.value})" if point.dist is not None else point.value
    return f"The {kind} {point.name!r} of {source}"
