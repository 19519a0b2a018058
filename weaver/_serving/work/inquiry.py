"""What a client asks for, in plain data, whichever protocol it came by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weaver._data.messages import Message
from weaver._json_reading.json_types import is_mapping
from weaver._models.protocol import OutputSchema, ToolSpec
from weaver._serving.config import Detail
from weaver._serving.http.fields import Fields

EFFORTS: Mapping[str, Mapping[str, int]] = {
    "none": {"max_threads": 1, "max_depth": 0},
    "minimal": {"max_threads": 1, "max_depth": 0},
    "low": {"max_threads": 4, "max_depth": 1},
    "medium": {"max_threads": 12, "max_depth": 2},
    "high": {},
    "xhigh": {},
    "max": {},
}
"""What an effort means for `adaptive`: how wide and how deep a run may fork."""
_METADATA = "weaver_"
_HEADER = "x-weaver-"
_NAMES = ("strategy", "deadline", "max_cost", "max_total_tokens", "progress", "verify")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How models generate; None leaves it to the server of the model."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    effort: str | None = None


@dataclass(frozen=True, slots=True)
class Extras:
    """Weaver's own options of a request: object ``weaver``, headers ``X-Weaver-*`` or ``metadata.weaver_*``.

    Args:
        strategy: an offered strategy instead of the model's own.
        deadline: seconds; the server's own limit still holds.
        max_cost: US dollars of this run, likewise.
        max_total_tokens: input and output tokens of this run, likewise.
        agents: names of the model's agents that the planner may use; None: all.
        inputs: of a workflow.
        progress: how much of the run is streamed as reasoning.
        verify: name of a check that is installed here, or a JSON Schema; never a command or a file.
    """

    strategy: str | None = None
    deadline: float | None = None
    max_cost: float | None = None
    max_total_tokens: int | None = None
    agents: tuple[str, ...] | None = None
    inputs: Mapping[str, Any] | None = None
    progress: Detail | None = None
    verify: str | Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One request.

    Args:
        model: as the client wrote it.
        messages: the conversation, the message to be answered last.
        tools: the client's own tools: calls of them are returned, never made.
        output: a JSON Schema that the answer must fit.
        json_object: the answer must be any JSON object.
        extra: fields that go to the model's server as they are, where one call answers.
        not_followed: fields of the request that strategies do not follow, by name.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    sampling: Sampling = Sampling()
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str = "auto"
    output: OutputSchema | None = None
    json_object: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    extras: Extras = Extras()
    not_followed: tuple[str, ...] = ()


def extras_from(body: Fields, headers: Mapping[str, str]) -> Extras:
    """Weaver's own options; the object ``weaver`` beats headers, which beat metadata.

    Raises:
        ApiError: one has the wrong type or value.
    """
    values: dict[str, Any] = {}
    metadata = body.any("metadata")
    for name in _NAMES:
        if is_mapping(metadata) and (value := metadata.get(_METADATA + name)) is not None:
            values[name] = value
        if (header := headers.get(_HEADER + name.replace("_", "-"))) is not None:
            values[name] = header
    own = body.object("weaver")
    if own is not None:
        values |= {name: own.any(name) for name in (*_NAMES, "agents", "inputs") if own.has(name)}
    options = Fields(values, "weaver.")
    inputs = options.any("inputs")
    if inputs is not None and not is_mapping(inputs):
        raise options.error("inputs", "must be a JSON object")
    tokens = options.number("max_total_tokens", 1, 1e12, from_text=True)
    verify = options.any("verify")
    if verify is not None and not isinstance(verify, str) and not is_mapping(verify):
        raise options.error("verify", "must be the name of a check, or a JSON Schema")
    progress: Any = options.choice("progress", ("off", "titles", "full"))
    return Extras(
        strategy=options.text("strategy") or None,
        deadline=options.number("deadline", 0.001, 1e6, from_text=True),
        max_cost=options.number("max_cost", 0, 1e6, from_text=True),
        max_total_tokens=None if tokens is None else int(tokens),
        agents=options.texts("agents", 1000) if options.has("agents") else None,
        inputs=inputs,
        progress=progress,
        verify=verify,
    )
