"""For tests of weaver and of programs built on it: scripted models, virtual time, a loopback server."""

from __future__ import annotations

from weaver.testing.clock import VirtualTimeLoop as VirtualTimeLoop
from weaver.testing.clock import virtual_time as virtual_time
from weaver.testing.scripted import Scripted as Scripted
from weaver.testing.scripted import ScriptedModel as ScriptedModel

__all__ = ["Scripted", "ScriptedModel", "VirtualTimeLoop", "virtual_time"]
