"""Prices of hosted models: those that are set, the server's own, and those of the extra `prices`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest

from weaver import Weaver
from weaver._models import price_list
from weaver._models.endpoint import Endpoint
from weaver._models.openai.model import OpenAIModel
from weaver._models.price_list import listed_prices
from weaver._models.protocol import Prices
from weaver.errors import ConfigurationError
from weaver.testing import ScriptedModel, Server

pytestmark = pytest.mark.anyio
OPENAI = "https://api.openai.com/v1"


class Snapshot:
    """A list with one model, in the package's form."""

    def find_provider_model(self, model: str, provider: object, provider_id: str | None, url: str):
        if model != "gpt" or not url.startswith("http"):
            raise LookupError(model)
        return None, self

    def get_prices(self, when: datetime):
        assert when.tzinfo is not None
        tiers = SimpleNamespace(base=Decimal(10), tiers=[])
        return SimpleNamespace(
            input_mtok=Decimal("2.5"),
            output_mtok=tiers,
            cache_read_mtok=Decimal("0.25"),
            cache_write_mtok=None,
        )


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The package is installed; the loads of its list."""
    loads: list[str] = []

    def load(name: str) -> SimpleNamespace:
        loads.append(name)
        return SimpleNamespace(get_snapshot=Snapshot)

    monkeypatch.setattr(price_list, "is_installed", lambda: True)
    monkeypatch.setattr(price_list, "import_module", load)
    return loads


async def test_prices_are_read_of_plain_and_of_tiered_entries(listed):
    assert await listed_prices("gpt", OPENAI) == Prices(2.5, 10.0, 0.25, None)
    assert await listed_prices("other", OPENAI) is None
    assert listed == ["genai_prices.data_snapshot"] * 2


async def test_without_the_package_nothing_is_listed(monkeypatch):
    monkeypatch.setattr(price_list, "is_installed", lambda: False)
    assert await listed_prices("gpt", OPENAI) is None


async def test_the_package_knows_the_models_of_providers_by_their_addresses():
    pytest.importorskip("genai_prices")
    prices = await listed_prices("gpt-4o", OPENAI)
    assert prices is not None
    assert 0 < (prices.cached or 0) < prices.input < prices.output
    assert await listed_prices("gpt-4o", "https://llm.example.com/v1") is None
    assert await listed_prices("no-such-model", OPENAI) is None


async def test_capabilities_bring_the_prices_of_a_hosted_model(listed):
    model = OpenAIModel("openai/gpt", base_url=OPENAI)
    assert model.prices is None
    await model.capabilities()
    assert model.prices == Prices(2.5, 10.0, 0.25)
    await model.capabilities()
    assert len(listed) == 1
    own = OpenAIModel("openai/gpt", base_url=OPENAI, prices=Prices(1, 2))
    await own.capabilities()
    assert own.prices == Prices(1, 2)
    assert len(listed) == 1
    for priced in (model, own):
        await priced.aclose()


async def test_models_on_this_machine_have_no_listed_prices(listed):
    async with Server(ScriptedModel("six")) as server:
        model = OpenAIModel("openai/gpt", base_url=server.url, api_key="x")
        result = await Weaver(model, strategy="sequential").run("How many?")
        assert result.usage.cost_usd is None
        with pytest.raises(ConfigurationError, match=r"weaver-reasoning\[prices\]"):
            await Weaver(model, strategy="sequential", max_cost=1).run("How many?")
        await model.aclose()
    assert listed == []


async def test_a_call_of_a_hosted_model_costs_what_is_listed(listed, monkeypatch):
    monkeypatch.setattr(Endpoint, "loopback", False)
    async with Server(ScriptedModel("six")) as server:
        model = OpenAIModel("openai/gpt", base_url=server.url, api_key="x")
        for _ in range(2):
            result = await Weaver(model, strategy="sequential").run("How many?")
            usage = result.usage
            assert usage.cost_usd == pytest.approx(
                (2.5 * usage.input_tokens + 10 * usage.output_tokens) / 1e6
            )
        limited = await Weaver(model, strategy="sequential", max_cost=1).run("How many?")
        assert limited.status == "complete"
        await model.aclose()
    assert len(listed) == 1
