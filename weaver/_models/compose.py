"""A model with its layers, composed once when it is built."""

from __future__ import annotations

from collections.abc import Sequence

from weaver._models.layers.fallback import Fallbacks
from weaver._models.layers.limit import EndpointLimits, Gates, Limited
from weaver._models.layers.retry import PATIENCE, Retrying
from weaver._models.protocol import Model

RETRIES = 4
"""How often a call is tried again at most, unless the user says otherwise."""


def layered(
    model: Model,
    *,
    retries: int | None = None,
    limits: EndpointLimits | None = None,
    fallbacks: Sequence[Model] = (),
    gates: Gates | None = None,
) -> Model:
    """``model`` with limits and retries around it, and with models to fall back to.

    A call waits for its endpoint's limits; when it fails in a way that may pass, it gives its place back
    before it waits and tries again; when it fails permanently, the next model is asked.

    Args:
        model: the model inside.
        retries: how often a call is tried again at most; 0 for never; 4 by default.
        limits: of the model's endpoint; None adapts to what the endpoint takes.
        fallbacks: models to ask in turn when this one fails; each gets retries and adaptive limits too.
        gates: where the endpoints' limits are kept; by default shared by the whole process.
    """
    models = (model, *fallbacks)
    chain = [
        Retrying(
            Limited(inner, limits if inner is model else None, gates=gates),
            retries=RETRIES if retries is None else retries,
            # The next model is a better way out of a rate limit than a minute of waiting.
            patience=PATIENCE if place == len(fallbacks) else 0.0,
        )
        for place, inner in enumerate(models)
    ]
    return chain[0] if len(chain) == 1 else Fallbacks(chain)
