"""What an OpenAI-compatible server can do, found once with two cheap requests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from pydantic_core import from_json

from weaver._json_reading.json_types import Json, is_array, is_object
from weaver._models.endpoint import Endpoint
from weaver._models.openai.dialect import Dialect
from weaver._models.patience import patience
from weaver._models.price_list import listed_prices
from weaver._models.protocol import Capabilities, Prices

Get = Callable[[str], Awaitable[bytes | None]]

_ASK_AGAIN = 30.0
LONGEST = 6.0
"""Seconds that a run without a deadline waits: two requests."""
_SMALL = 4e9  # parameters

# Inference engines: JSON Schema, raw prompts and unfinished messages.
_ENGINE = Capabilities(
    json_schema=True, json_object=True, tools=True, logprobs=True, completions=True, prefill=True
)
_DESKTOP = Capabilities(json_schema=True, json_object=True, tools=True, completions=True)
_HOSTED = Capabilities(json_schema=True, json_object=True, tools=True, logprobs=True)
_UNKNOWN = Capabilities(json_object=True, tools=True)
_BY_OWNER = {
    "llamacpp": _ENGINE,
    "vllm": _ENGINE,
    "sglang": _ENGINE,
    "library": _DESKTOP,  # Ollama
    "organization_owner": _DESKTOP,  # LM Studio
}
# OpenAI's models that reason before they answer do not show log-probabilities.
_REASONS = re.compile(r"^(o\d|gpt-[5-9])")
# "qwen2.5-0.5b", "Llama-3.2-3B-Instruct", "gemma-270m"; not the active part of "30b-a3b".
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)(b|m)(?![a-z0-9])", re.IGNORECASE)


class Probe:
    """Asks one server about one model, at most once; one that did not answer is asked again after 30 s.

    Args:
        model_id: what the server calls the model.
        place: the endpoint.
        given: what the user says that the server can do; the server is then asked for its dialect only.
        get: fetches a URL; None when that fails in whatever way.

    Attributes:
        dialect: how to talk to this server.
        prices: from the server's list of models, where it has them, else from the list of the extra `prices`.
        are_prices_sought: that list was looked into, or need not be.
        known: what the server can do, once that is known.
    """

    def __init__(self, model_id: str, place: Endpoint, given: Capabilities | None, get: Get) -> None:
        self._model_id = model_id
        self._place = place
        self._given = given
        self._get = get
        self._asking: asyncio.Task[None] | None = None
        self._ask_again_at: tuple[asyncio.AbstractEventLoop, float] | None = None
        self.prices: Prices | None = None
        self.are_prices_sought = place.loopback
        self.known: Capabilities | None = None
        official = place.host == "api.openai.com"
        self.dialect = Dialect(max_tokens="max_completion_tokens" if official else "max_tokens")
        if official:
            self.known = given or replace(_HOSTED, logprobs=_REASONS.match(model_id) is None)

    async def find_prices(self) -> None:
        """Look the prices up in the list of the extra `prices`, once, where the server has not named any."""
        if not self.are_prices_sought:
            self.are_prices_sought = True
            self.prices = self.prices or await listed_prices(self._model_id, self._place.url)

    async def capabilities(self) -> Capabilities:
        """Return what the server can do, as far as that is known in time. Never raises.

        A server that is slow to say it is waited for no longer than the run's deadline allows (`patience`);
        it is asked on meanwhile, and the next caller may know.
        """
        if self.known is not None:
            return self.known
        loop = asyncio.get_running_loop()
        again = self._ask_again_at
        if again is None or again[0] is not loop or loop.time() >= again[1]:
            asking = self._asking
            if asking is None or asking.done() or asking.get_loop() is not loop:
                asking = self._asking = loop.create_task(self._ask(loop), name="weaver-probe")
            await asyncio.wait([asking], timeout=patience(LONGEST))
        return self._so_far()

    def _so_far(self) -> Capabilities:
        return self.known or self._given or _UNKNOWN

    async def aclose(self) -> None:
        """Stop asking."""
        asking, self._asking = self._asking, None
        if asking is not None and not asking.done() and asking.get_loop() is asyncio.get_running_loop():
            asking.cancel()
            await asyncio.wait([asking])

    async def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        listed = _parsed(await self._get(self._place.at("/models")))
        if listed is None:
            self._ask_again_at = loop, loop.time() + _ASK_AGAIN
            return
        entry = _entry(listed, self._model_id)
        owner = entry.get("owned_by")
        can = _BY_OWNER.get(owner, _UNKNOWN) if isinstance(owner, str) else _UNKNOWN
        can = replace(can, context=_first_int(entry, "max_model_len", "context_length", "context_window"))
        if is_array(supported := entry.get("supported_parameters")):  # OpenRouter
            can = replace(
                can,
                json_schema="structured_outputs" in supported,
                json_object="response_format" in supported,
                tools="tools" in supported,
                logprobs="logprobs" in supported,
            )
        architecture = entry.get("architecture")
        if is_object(architecture) and is_array(kinds := architecture.get("input_modalities")):
            can = replace(can, vision="image" in kinds, audio="audio" in kinds, files="file" in kinds or None)
        parameters: float | None = None
        if owner == "llamacpp":
            self.dialect.llama_cpp = True
            props = _parsed(await self._get(self._place.beside("/props"))) or {}
            can = _llama_cpp(can, props)
            meta = entry.get("meta")
            parameters = _first_int(meta, "n_params") if is_object(meta) else None
        if parameters is None:
            parameters = parameters_in(str(entry.get("id") or self._model_id))
        can = replace(can, small=parameters is not None and parameters <= _SMALL)
        self.prices = _prices(entry.get("pricing")) or self.prices
        self.known = self._given or can


def parameters_in(name: str) -> float | None:
    """The number of parameters that a model's name tells (``qwen2.5-0.5b``: 5e8), if it does."""
    sizes = [float(n) * (1e9 if unit in "bB" else 1e6) for n, unit in _SIZE.findall(name)]
    return max(sizes, default=None)


def _parsed(body: bytes | None) -> dict[str, Any] | None:
    try:
        document = from_json(body) if body else None
    except ValueError:
        return None
    if is_array(document):  # Together's bare list
        return {"data": document}
    return document if is_object(document) else None


def _entry(listed: dict[str, Any], model_id: str) -> dict[str, Any]:
    entries = listed.get("data") or listed.get("models")
    entries = [e for e in entries if is_object(e)] if is_array(entries) else []
    named = [e for e in entries if e.get("id") == model_id]
    # A server with one model answers with it whatever name it is asked by.
    return named[0] if named else entries[0] if len(entries) == 1 else _common_owner(entries)


def _common_owner(entries: list[dict[str, Any]]) -> dict[str, Any]:
    owners = {str(e.get("owned_by")) for e in entries}
    return {"owned_by": owners.pop()} if len(owners) == 1 else {}


def _llama_cpp(can: Capabilities, props: dict[str, Any]) -> Capabilities:
    settings = props.get("default_generation_settings")
    template = props.get("chat_template")
    return replace(
        can,
        slots=_first_int(props, "total_slots"),
        context=_first_int(settings, "n_ctx") if is_object(settings) else can.context,
        tools="tool" in template if isinstance(template, str) else can.tools,
        vision=_flag(props.get("modalities"), "vision"),
        audio=_flag(props.get("modalities"), "audio"),
    )


def _flag(values: Json, name: str) -> bool | None:
    value = values.get(name) if isinstance(values, dict) else None
    return value if isinstance(value, bool) else None


def _first_int(found: dict[str, Any], *names: str) -> int | None:
    for name in names:
        value = found.get(name)
        if isinstance(value, int) and value > 0:
            return value
    return None


def _prices(pricing: Any) -> Prices | None:
    """OpenRouter's prices: dollars per token, as text."""
    try:
        cached = pricing.get("input_cache_read")
        return Prices(
            float(pricing["prompt"]) * 1e6,
            float(pricing["completion"]) * 1e6,
            None if cached is None else float(cached) * 1e6,
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
