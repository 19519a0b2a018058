"""Processes of this machine, by the name under which they own runs."""

from __future__ import annotations

import os
import socket


def owner() -> str:
    """Return the name of this process: ``HOST:PID``."""
    return f"{socket.gethostname()}:{os.getpid()}"


def may_work(name: str) -> bool:
    """Return True if the process that `owner` named is this one, or one of this machine that is alive."""
    return name == owner() or lives(name)


def lives(name: str) -> bool:
    """Return True if the process that `owner` named is another one of this machine, and alive."""
    host, _, number = name.rpartition(":")
    if host != socket.gethostname() or not number.isdigit() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
