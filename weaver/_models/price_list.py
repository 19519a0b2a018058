"""Prices of hosted models, from the list that the extra `prices` brings. Nothing is downloaded."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import anyio.to_thread

from weaver._models.protocol import Prices


@cache
def is_installed() -> bool:
    """Return True if the extra `prices` (genai-prices) is there."""
    return find_spec("genai_prices") is not None


async def listed_prices(model_id: str, url: str) -> Prices | None:
    """Return today's prices of a model at a provider's own address; None where they are not listed.

    Args:
        model_id: what the provider calls the model.
        url: base URL of the endpoint; a model of the same name elsewhere has other prices.

    Returns:
        The prices; None also without the extra.
    """
    if not is_installed():
        return None
    return await anyio.to_thread.run_sync(partial(_listed, model_id, url))  # loading the list takes a moment


def _listed(model_id: str, url: str) -> Prices | None:
    snapshot = import_module("genai_prices.data_snapshot").get_snapshot()
    try:
        _, model = snapshot.find_provider_model(model_id, None, None, url)
    except LookupError:
        return None
    listed = model.get_prices(datetime.now(UTC))
    read, generated = _dollars(listed.input_mtok), _dollars(listed.output_mtok)
    if read is None or generated is None:
        return None
    return Prices(read, generated, _dollars(listed.cache_read_mtok), _dollars(listed.cache_write_mtok))


def _dollars(price: Any) -> float | None:
    """A price per million tokens. Where long prompts cost more, that of short ones."""
    price = getattr(price, "base", price)
    return None if price is None else float(price)
