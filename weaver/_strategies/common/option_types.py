"""Types of strategies' options: their values are checked before a run begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from weaver._coordination.answers.equivalence import equivalence
from weaver._strategies.common.from_file import loaded
from weaver._verification.named import check_of


@dataclass(frozen=True, slots=True)
class Needs:
    """Put into an option's type: whoever sets the option needs a capability (a field of `Capabilities`)."""

    capability: str


def _check(value: Any) -> Any:
    return check_of(value) if isinstance(value, str) and not value.startswith("python:") else loaded(value)


VERIFIER = BeforeValidator(_check)
"""Put into the type of a check: a name, such as ``arithmetic``, or ``python:path/to/file.py:name``."""


def _known(same: str) -> str:
    equivalence(same)
    return same


Count = Annotated[int, Field(ge=1)]
"""At least 1."""
Number = Annotated[int, Field(ge=0)]
"""At least 0."""
Share = Annotated[float, Field(gt=0, le=1)]
"""Above 0, at most 1."""
Percent = Annotated[float, Field(gt=0, le=100)]
"""Above 0, at most 100."""
Warmth = Annotated[float, Field(ge=0, le=2)]
"""A sampling temperature."""
Patience = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""How many times the usual time is waited; 0 waits for all."""
Same = Annotated[str, AfterValidator(_known)]
"""When two answers are the same: the name of an `equivalence`."""
