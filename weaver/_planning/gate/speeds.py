"""How fast an endpoint is: measured, or, until it is measured, typical of its kind."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Literal

from weaver._models.costs import HOSTED, EndpointCosts
from weaver._models.endpoint import endpoint
from weaver._models.protocol import Capabilities, Model
from weaver.errors import ConfigurationError

Kind = Literal["hosted", "local gpu", "local metal", "local cpu"]


@dataclass(frozen=True, slots=True)
class Speeds:
    """What the formulas need to know about an endpoint.

    Args:
        first_token: seconds to the first token, without reading the prompt (t0).
        prefill: prompt tokens read per second (P).
        decode: tokens per second of a stream alone (r1).
        slowdown: how much longer a token takes for each other stream (beta).
        wait: seconds in a queue before a call is sent (W).
        cached: share of a shared prompt that siblings read from a cache (h).
        slots: streams that the endpoint works on at once; None where nothing is known.
        prefills_queue: prompts are read one after another.
        basis: ``measured``, or ``prior``: typical of the ``kind``.
    """

    first_token: float
    prefill: float
    decode: float
    slowdown: float
    wait: float = 0.0
    cached: float = 0.0
    slots: int | None = None
    prefills_queue: bool = False
    basis: Literal["measured", "prior"] = "prior"
    kind: Kind | None = None


PRIORS: dict[Kind, Speeds] = {
    "hosted": Speeds(0.5, 5000, 80, 0.0),
    "local gpu": Speeds(0.1, 4000, 80, 0.03),
    "local metal": Speeds(0.15, 800, 50, 0.15, prefills_queue=True),
    "local cpu": Speeds(0.1, 150, 20, 0.57, prefills_queue=True),
}
"""Fitted to published and own measurements: vLLM on an RTX 4090 and an A100 (beta 0.027, 0.030), llama.cpp
with Metal (0.13 to 0.17) and on two cores (0.57). Hosted services slow nobody down until their rate limit."""
_LLAMA = ("llama_cpp", "ollama", "lmstudio", "llamafile")
_GPU_SERVERS = ("vllm", "hosted_vllm", "sglang", "tgi", "tabby")


def kind_of(model: Model) -> Kind | None:
    """Return what kind of endpoint a model has; None where that cannot be told (in this process, a proxy)."""
    provider = model.provider.lower().replace(".", "_").replace("-", "_")
    if provider in _LLAMA and _here(model):
        return "local metal" if sys.platform == "darwin" else "local cpu"
    if provider in _GPU_SERVERS:
        return "local gpu"
    if model.endpoint.startswith("https://") or (not model.endpoint and model.provider in HOSTED):
        return "hosted"
    return None


def _here(model: Model) -> bool:
    try:
        return endpoint(model.endpoint, place="the model's endpoint").loopback
    except ConfigurationError:
        return True  # no address: a model in this process


def speeds_of(model: Model, costs: EndpointCosts, can: Capabilities) -> Speeds | None:
    """The speeds of a model's endpoint; None where nothing is measured and its kind is not known.

    What is not measured yet (a slowdown needs streams beside each other) is taken from the kind.
    """
    kind = kind_of(model)
    prior = PRIORS[kind] if kind is not None else None
    measured = costs.measured
    base = replace(prior or PRIORS["hosted"], slots=can.slots, kind=kind)
    if measured.decode is None or measured.first_token is None:
        return base if prior is not None else None
    return replace(
        base,
        first_token=measured.first_token,
        prefill=measured.prefill or (base.prefill if prior is not None else 1e6),
        decode=measured.decode,
        slowdown=base.slowdown if measured.slowdown is None else measured.slowdown,
        wait=measured.wait or 0.0,
        cached=base.cached if measured.cached is None else measured.cached,
        basis="measured",
    )
