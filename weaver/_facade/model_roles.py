"""Which model plays which role of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weaver._models.protocol import Model
from weaver._settings.settings import ModelSettings, Settings
from weaver.errors import ConfigurationError


class Cast:
    """The models of all roles, with how they were chosen. Built once, used by many runs."""

    def __init__(self, models: dict[str, Model], notes: tuple[str, ...], key: tuple[Any, ...]) -> None:
        self.models = models
        self.notes = notes
        self.key = key

    @staticmethod
    def key_of(settings: Settings) -> tuple[Any, ...]:
        """Return what decides which models a run has."""
        models = (settings.model, settings.planner_model, settings.judge_model, settings.synthesizer_model)
        return (
            *map(_identity, models),
            settings.base_url,
            settings.api_key.get_secret_value() if settings.api_key else None,
            tuple(sorted(settings.own_headers.items())),
            tuple((a.name, _identity(a.model)) for a in settings.agents),
            tuple(sorted(settings.prices.items(), key=lambda item: item[0])),
            tuple((name, repr(settings.models[name])) for name in sorted(settings.models)),
        )

    @classmethod
    async def of(cls, settings: Settings, *, confirm: Callable[[str], bool] | None = None) -> Cast:
        """Choose and build the models.

        Args:
            confirm: asked before the embedded model is downloaded; None: nobody can be asked.

        Raises:
            ConfigurationError: a name is unknown, or no model can be found.
        """
        built: dict[str, Model] = {}
        plain: dict[str, Model] = {}
        key = settings.api_key.get_secret_value() if settings.api_key else None
        notes: list[str] = []

        async def model(given: Any) -> Model:
            if given is not None and not isinstance(given, str):
                if not isinstance(given, Model):
                    raise ConfigurationError(f"{given!r} is not a model.", hint="See weaver.models.Model.")
                return given
            if (model := built.get(given or "")) is None:
                from weaver._models.compose import layered
                from weaver._models.layers.limit import EndpointLimits

                opened = await chosen(given)
                own = settings.models.get(opened.name) or settings.models.get(given or "") or ModelSettings()
                model = layered(
                    opened,
                    retries=own.retries,
                    limits=EndpointLimits(own.concurrency, own.rpm, own.tpm, own.max_concurrency),
                    fallbacks=[await chosen(name) for name in own.fallbacks],
                )
                if own.cache:
                    from weaver._models.reply_cache.layer import Cached
                    from weaver._models.reply_cache.store import ReplyStore

                    added = {"effort": own.effort, "extra": own.extra, "fallbacks": own.fallbacks}
                    model = Cached(model, ReplyStore(), which=own.cache, settings=added)
                built[given or ""] = model
            return model

        async def chosen(name: str | None) -> Model:
            """The model of a name with its prices and settings, without retries and limits."""
            if (model := plain.get(name or "")) is None:
                from weaver._models.catalog.resolve import choose
                from weaver._models.layers.configured import Configured
                from weaver._models.layers.prices import Priced

                choice = await choose(
                    name,
                    base_url=settings.base_url,
                    api_key=key,
                    headers=settings.own_headers,
                    confirm=confirm,
                )
                if name is None:
                    notes.append(f"Model {choice.model.name}: {choice.reason}")
                model = choice.model
                if (prices := settings.prices.get(model.name)) is not None:
                    model = Priced(model, prices)
                own = settings.models.get(model.name) or settings.models.get(name or "")
                if own is not None:
                    model = Configured(
                        model,
                        effort=own.effort,
                        extra=own.extra,
                        headers=own.headers,
                        timeout=own.timeout,
                        context=own.context,
                    )
                plain[name or ""] = model
            return model

        roles = {
            "planner": settings.planner_model,
            "judge": settings.judge_model,
            "synthesizer": settings.synthesizer_model,
        }
        models = {"thread": await model(settings.model)}
        for role, name in roles.items():
            models[role] = models["thread"] if name is None else await model(name)
        for agent in settings.agents:
            if agent.model is not None:
                models[f"agent/{agent.name}"] = await model(agent.model)
        return cls(models, tuple(notes), cls.key_of(settings))

    async def aclose(self) -> None:
        """Release the connections of all models."""
        for model in {id(m): m for m in self.models.values()}.values():
            await model.aclose()


def _identity(model: Any) -> object:
    """Names are equal by their letters, models only if they are the same object."""
    return model if model is None or isinstance(model, str) else id(model)
