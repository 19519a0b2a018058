"""Where weaver keeps what belongs to this machine: models, local traces, journals."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

HOME_VARIABLES = ("WEAVER_HOME", "LOCALAPPDATA", "USERPROFILE", "XDG_DATA_HOME", "HOME")
"""The environment variables that `home` depends on."""


def home(environ: Mapping[str, str] | None = None) -> Path:
    """The folder for weaver's local data; it may not exist yet.

    ``WEAVER_HOME`` when it is set, else the platform's convention: ``%LOCALAPPDATA%\\weaver`` on Windows,
    ``~/Library/Application Support/weaver`` on macOS, ``$XDG_DATA_HOME/weaver`` (``~/.local/share/weaver``)
    elsewhere.

    Args:
        environ: the environment; default ``os.environ``.
    """
    environ = os.environ if environ is None else environ
    if chosen := environ.get("WEAVER_HOME", "").strip():
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        local = environ.get("LOCALAPPDATA", "").strip()
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "weaver"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "weaver"
    # The XDG specification: a relative path is invalid and must be ignored.
    data = environ.get("XDG_DATA_HOME", "").strip()
    return (Path(data) if data.startswith("/") else Path.home() / ".local" / "share") / "weaver"


def make_private(path: Path) -> None:
    """Make an empty file, and its folder, that only their owner may read, where there is none yet.

    Raises:
        OSError: it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


def identity(path: Path) -> tuple[int, int] | None:
    """Return device and number of a file, by which it is known again; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
