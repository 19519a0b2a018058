"""For tests of weaver and of programs built on it: scripted models, virtual time, a loopback server."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from weaver.testing.clock import VirtualTimeLoop as VirtualTimeLoop
from weaver.testing.clock import virtual_time as virtual_time
from weaver.testing.scripted import Scripted as Scripted
from weaver.testing.scripted import ScriptedModel as ScriptedModel
from weaver.testing.simulated import SimulatedModel as SimulatedModel
from weaver.testing.simulated import Work as Work

if TYPE_CHECKING:
    from weaver.testing.exchange import Received as Received
    from weaver.testing.server import Server as Server
    from weaver.testing.server_process import ServerProcess as ServerProcess

__all__ = [
    "Received",
    "Scripted",
    "ScriptedModel",
    "Server",
    "ServerProcess",
    "SimulatedModel",
    "VirtualTimeLoop",
    "Work",
    "virtual_time",
]

# aiohttp is loaded with the server only.
_HOME = {
    "Received": "weaver.testing.exchange",
    "Server": "weaver.testing.server",
    "ServerProcess": "weaver.testing.server_process",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'weaver.testing' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
