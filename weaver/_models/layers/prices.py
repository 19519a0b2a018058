"""A model whose prices the user gives, where neither the server nor a price list knows them."""

from __future__ import annotations

from collections.abc import Iterable

from weaver._models.layers.base import Layer
from weaver._models.protocol import Model, Prices
from weaver.errors import ConfigurationError


class Priced(Layer):
    """``model`` at other prices.

    Args:
        prices: US dollars per million tokens; they replace what the model says itself.
    """

    def __init__(self, model: Model, prices: Prices) -> None:
        super().__init__(model)
        self._given = prices

    @property
    def prices(self) -> Prices:
        """Those that were given."""
        return self._given


async def check_prices(models: Iterable[Model]) -> None:
    """Refuse a limit on cost where a model's prices are unknown, before anything is paid for.

    Raises:
        ConfigurationError: naming the model.
    """
    for model in models:
        if model.prices is None:
            await model.capabilities()  # price lists of servers and packages are known after this
        if model.prices is None:
            raise unknown_prices(model.name)


def unknown_prices(model: str) -> ConfigurationError:
    """The error for a limit on cost that cannot be kept."""
    return ConfigurationError(
        f"There is a limit on cost, but the prices of {model or 'the model'} are unknown.",
        hint="Give prices (`prices` in the settings file), install weaver-reasoning[prices], which has those "
        "of hosted models, or limit tokens (`max_total_tokens`) instead.",
    )
