"""Values of environment variables, for what a workflow file must not hold itself."""

from __future__ import annotations

import os
from typing import Any

from weaver._settings.units import ENVIRONMENT
from weaver.errors import ConfigurationError


def resolved(text: str) -> str:
    """A text with ``${env:NAME}`` replaced. Only for what goes to a model's or a server's constructor.

    Raises:
        ConfigurationError: a variable is not set.
    """

    def value(match: Any) -> str:
        name = match[1].strip()
        if not (text := os.environ.get(name, "")):
            raise ConfigurationError(
                f"The workflow reads the environment variable {name}, which is not set.",
                hint=f"Set it: export {name}=...",
            )
        return text

    return ENVIRONMENT.sub(value, text)
