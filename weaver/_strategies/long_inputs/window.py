"""How much a model can read at once."""

from __future__ import annotations

from dataclasses import dataclass

from weaver._models.protocol import Capabilities
from weaver._runtime.run import Run

ASSUMED = 8192
"""Tokens of a context window that neither the server nor the settings name."""


@dataclass(frozen=True, slots=True)
class Window:
    """The context window of a role's model.

    Attributes:
        tokens: prompt and reply together.
        is_known: the server or the user said so.
        can: everything the model can do.
    """

    tokens: int
    is_known: bool
    can: Capabilities


async def window_of(run: Run, size: int | None = None, *, role: str = "thread") -> Window:
    """Return the window that the user gave, else the server's, else `ASSUMED`, with a note.

    Args:
        size: the strategy's option.
    """
    can = await run.capabilities(role)
    tokens = size or can.context
    if tokens is not None:
        return Window(tokens, is_known=True, can=can)
    run.note(
        f"The context window of {run.context.model(role).name} is not known; {ASSUMED:,} tokens are assumed. "
        "Set it with window= or in the model's settings (context)."
    )
    return Window(ASSUMED, is_known=False, can=can)
