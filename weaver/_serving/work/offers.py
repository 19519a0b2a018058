"""The models that clients may name, and what each of them runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from weaver._serving.config import ModelEntry, ServeConfig
from weaver._serving.http.errors import ApiError
from weaver._settings.agents import load_agents
from weaver._strategies.common.registry import load, names
from weaver.errors import ConfigurationError, MissingCapabilityError, UnknownNameError

if TYPE_CHECKING:
    from weaver._data.task import Agent
    from weaver._facade.weaver import Weaver
    from weaver._workflows.workflow import Workflow

DIRECT = "direct"
PREFIX = "weaver/"
# A request may name an installed strategy and nothing else: no options, no file, no function.
_STRATEGY = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SAME_AS = {"sequential": DIRECT}
_NOT_SERVED = {"fixed"}  # it follows a plan that stands in its options
OPTILLM = {
    "none": DIRECT,
    "bon": "best_of_n",
    "moa": "mixture_of_agents",
    "self_consistency": "self_consistency",
    "mcts": "tree_of_thoughts",
    "deepconf": "deepconf",
}
"""optillm's names of methods that Weaver has, too."""


@dataclass(frozen=True)
class Offer:
    """What a model name stands for.

    Attributes:
        id: as `/v1/models` lists it.
        strategy: a strategy with its options, None for a workflow, or `DIRECT` for one call.
        model: the language model instead of the server's own, or None.
        limits: of each run, by the names of settings.
        agents: that the planner may assign subtasks to; None: those of the settings.
    """

    id: str
    strategy: str | None = DIRECT
    model: str | None = None
    workflow: Workflow | None = None
    description: str = ""
    limits: Mapping[str, float] | None = None
    agents: tuple[Agent, ...] | None = None

    @property
    def is_direct(self) -> bool:
        """True if one call answers."""
        return self.strategy == DIRECT


class Offers:
    """Finds the offer that a request means."""

    def __init__(self, every: Sequence[Offer], upstream: Sequence[str]) -> None:
        self._by_id = {offer.id: offer for offer in every}
        self._upstream = upstream

    @property
    def all(self) -> tuple[Offer, ...]:
        """The offers that `/v1/models` lists."""
        return tuple(self._by_id.values())

    def find(self, name: str, *, strategy: str | None = None) -> Offer:
        """The offer of a model name.

        Known are: the listed ids, with or without ``weaver/``; ``STRATEGY/MODEL`` where ``upstream`` allows
        the language model; optillm's ``moa-MODEL`` likewise.

        Args:
            strategy: what the request itself says (``weaver.strategy`` or ``optillm_approach``).

        Raises:
            ApiError: 404: there is no such model.
        """
        offer = self._by_id.get(name) or self._by_id.get(PREFIX + name) or self._with_upstream(name)
        if offer is None:
            listed = ", ".join(list(self._by_id)[:12])
            raise ApiError(
                404,
                f"The model {name[:100]!r} does not exist. Offered: {listed}.",
                param="model",
                code="model_not_found",
            )
        if strategy is None:
            return offer
        by_name = self._strategy(strategy)
        if by_name is None or offer.workflow is not None:
            raise ApiError(404, f"There is no strategy {strategy[:64]!r} here.", code="strategy_not_found")
        return replace(by_name, model=offer.model, limits=offer.limits, agents=offer.agents)

    def _strategy(self, name: str) -> Offer | None:
        return self._by_id.get(PREFIX + OPTILLM.get(name, _SAME_AS.get(name, name)))

    def _with_upstream(self, name: str) -> Offer | None:
        if name in _SAME_AS or name.removeprefix(PREFIX) in _SAME_AS:
            return self._by_id.get(PREFIX + _SAME_AS[name.removeprefix(PREFIX)])
        for separator in ("/", "-"):
            method, separated, model = name.removeprefix(PREFIX).partition(separator)
            if separated and (offer := self._strategy(method)) is not None and self._allows(model):
                return replace(offer, id=name, model=model)
        if self._allows(name) and (direct := self._strategy(DIRECT)) is not None:
            return replace(direct, id=name, model=name)
        return None

    def _allows(self, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in self._upstream)


async def offers_of(weaver: Weaver, config: ServeConfig) -> Offers:
    """Everything that ``config`` offers, checked.

    Raises:
        ConfigurationError: a strategy, workflow or agents file cannot be used.
    """
    default = weaver.settings.strategy if isinstance(weaver.settings.strategy, str) else "adaptive"
    every = [Offer(PREFIX + DIRECT, description="One call of the model."), *await _strategies(weaver, config)]
    for file in config.workflows:
        workflow = _workflow(config, file)
        every.append(_of_workflow(f"workflow/{workflow.name}", workflow, workflow.description))
    for name, entry in config.models.items():
        every.append(_of_entry(name, entry, config, default))
    ids = [offer.id for offer in every]
    if twice := next((id_ for id_ in ids if ids.count(id_) > 1), None):
        raise ConfigurationError(f"serve: two models have the name {twice!r}.")
    return Offers(every, config.upstream)


async def _strategies(weaver: Weaver, config: ServeConfig) -> list[Offer]:
    served = config.strategies
    for name in served or ():
        if name not in names() and name != DIRECT:
            raise UnknownNameError("strategy (serve.strategies)", name, [*names(), DIRECT])
    can = await (await weaver.model()).capabilities()
    offers: list[Offer] = []
    first = ("adaptive",)  # chat clients choose the first of the list
    for name in (*first, *(n for n in names() if n not in first)):
        left_out = name in _SAME_AS or name in _NOT_SERVED or not _STRATEGY.fullmatch(name)
        if left_out or (served is not None and name not in served):
            continue
        try:
            method = load(name)
            method.check(can, "the model")
        except MissingCapabilityError:
            if served is not None:
                raise
            continue
        offers.append(Offer(PREFIX + name, name, description=method.summary))
    return offers


def _of_entry(name: str, entry: ModelEntry, config: ServeConfig, default: str) -> Offer:
    agents = None if entry.agents is None else load_agents(config.folder / entry.agents)
    if entry.workflow is not None:
        if entry.strategy or entry.model or agents:
            raise ConfigurationError(
                f"serve.models.{name}: a workflow chooses strategies, models and agents itself.",
                hint="Leave strategy, model and agents out.",
            )
        workflow = _workflow(config, entry.workflow)
        offer = _of_workflow(name, workflow, entry.description or workflow.description)
        return replace(offer, limits=entry.limits)
    from weaver._strategies.common.registry import find

    strategy = entry.strategy or default
    if strategy in (DIRECT, "sequential"):
        strategy = DIRECT
    else:
        find(strategy)
    return Offer(name, strategy, entry.model, None, entry.description, entry.limits, agents)


def _of_workflow(name: str, workflow: Workflow, description: str) -> Offer:
    return Offer(name, None, workflow=workflow, description=description)


def _workflow(config: ServeConfig, file: str) -> Workflow:
    from weaver._workflows.workflow import Workflow

    return Workflow.from_yaml(config.folder / file)


def listed(offer: Offer, created: int) -> dict[str, Any]:
    """The entry of an offer in `/v1/models`."""
    return {
        "id": offer.id,
        "object": "model",
        "created": created,
        "owned_by": "weaver",
        "description": offer.description,
    }
