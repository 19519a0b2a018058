"""Checks for ``verify=`` and for `best_of_n`: arithmetic, JSON Schemas, tests in a sandbox."""

from typing import TYPE_CHECKING

from weaver._environment.doors import door

if TYPE_CHECKING:
    from weaver._verification.arithmetic import arithmetic
    from weaver._verification.command import Command, code_of
    from weaver._verification.protocol import Verdict
    from weaver._verification.sandbox import Finished, run_sandboxed
    from weaver._verification.schema import Schema

_MODULES = {
    "Command": "_verification.command",
    "Finished": "_verification.sandbox",
    "Schema": "_verification.schema",
    "Verdict": "_verification.protocol",
    "arithmetic": "_verification.arithmetic",
    "code_of": "_verification.command",
    "run_sandboxed": "_verification.sandbox",
}

__all__ = ["Command", "Finished", "Schema", "Verdict", "arithmetic", "code_of", "run_sandboxed"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = door(__name__, _MODULES)
