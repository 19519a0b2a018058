"""For tests of programs built on Weaver: scripted models, virtual time, a loopback server."""

from typing import TYPE_CHECKING

from weaver._environment.doors import door

if TYPE_CHECKING:
    from weaver._testing import faults
    from weaver._testing.clock import VirtualTimeLoop, virtual_time
    from weaver._testing.dispatchers import DispatcherChecks
    from weaver._testing.exchange import Received
    from weaver._testing.journals import JournalChecks
    from weaver._testing.scripted import Scripted, ScriptedModel
    from weaver._testing.server import Server
    from weaver._testing.server_process import ServerProcess
    from weaver._testing.simulated import SimulatedModel, Work

_MODULES = {
    "DispatcherChecks": "_testing.dispatchers",
    "JournalChecks": "_testing.journals",
    "Received": "_testing.exchange",
    "Scripted": "_testing.scripted",
    "ScriptedModel": "_testing.scripted",
    "Server": "_testing.server",
    "ServerProcess": "_testing.server_process",
    "SimulatedModel": "_testing.simulated",
    "VirtualTimeLoop": "_testing.clock",
    "Work": "_testing.simulated",
    "faults": "_testing.faults",
    "virtual_time": "_testing.clock",
}

__all__ = [
    "DispatcherChecks",
    "JournalChecks",
    "Received",
    "Scripted",
    "ScriptedModel",
    "Server",
    "ServerProcess",
    "SimulatedModel",
    "VirtualTimeLoop",
    "Work",
    "faults",
    "virtual_time",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = door(__name__, _MODULES)
