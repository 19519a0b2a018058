"""A model whose prices the user gives, where neither the server nor a price list knows them."""

from __future__ import annotations

from weaver.models.layer import Layer
from weaver.models.protocol import Model, Prices


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
