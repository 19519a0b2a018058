"""Checks by name, and from what a user gives."""

from __future__ import annotations

from typing import Any

from weaver._environment import plugins
from weaver._json_reading.json_types import is_mapping
from weaver._verification.arithmetic import arithmetic
from weaver._verification.protocol import Check, Verification
from weaver._verification.schema import Schema
from weaver.errors import UnknownNameError

GROUP = "weaver.verifiers"
CHECKS: dict[str, Check] = {"arithmetic": arithmetic}


def check_of(value: Any) -> Check:
    """Return the check of a name (ours, or one installed as ``weaver.verifiers``), or of a schema.

    Raises:
        UnknownNameError: there is no check of that name.
        ConfigurationError: a schema is none, or a plugin cannot be loaded.
    """
    if is_mapping(value):
        return Schema(value)
    if isinstance(value, str):
        if value in CHECKS:
            return CHECKS[value]
        installed = plugins.installed(GROUP)
        if value not in installed:
            raise UnknownNameError("verifier", value, [*CHECKS, *installed])
        check: Check = plugins.load(installed[value], "verifier")
        return check
    return value  # type: ignore[no-any-return]  # `Verification` looks at it


def verification_of(value: Any) -> Verification | None:
    """Return the verification that ``verify=`` asks for; None for none.

    Raises:
        ConfigurationError: as `check_of`, or it is not a check.
    """
    return None if value is None else Verification(check_of(value))
