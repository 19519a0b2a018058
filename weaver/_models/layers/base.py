"""The base of the layers around a model."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from weaver._models.protocol import Capabilities, Model, Prices, Request, Stream


class Layer:
    """A model that is another one, except for what a subclass changes about opening and closing a call.

    Args:
        model: the model inside.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r})"

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    @property
    def provider(self) -> str:
        """The model's."""
        return self.model.provider

    @property
    def endpoint(self) -> str:
        """The model's."""
        return self.model.endpoint

    @property
    def prices(self) -> Prices | None:
        """The model's."""
        return self.model.prices

    async def capabilities(self) -> Capabilities:
        """The model's."""
        return await self.model.capabilities()

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """The model's."""
        return self.model.stream(request)

    async def aclose(self) -> None:
        """Close the model inside."""
        await self.model.aclose()
