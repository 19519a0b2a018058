"""Running strategies on the same items under the same limits."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import anyio

from weaver._data.decisions import Reward
from weaver._data.result import Result
from weaver._evals.header import Header
from weaver._evals.items import Item, TaskSet, digest
from weaver._evals.metering import Meter, Metered, current_meter
from weaver._evals.records import Key, Record, RecordFile, overlap
from weaver._facade.weaver import Weaver
from weaver._models.catalog import registry
from weaver._models.catalog.resolve import LOCAL
from weaver._models.layers.prices import check_prices
from weaver._models.protocol import Model
from weaver._planning.features import VERSION, features_of
from weaver._settings.settings import Settings
from weaver._strategies.common.registry import find
from weaver.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidTaskError,
    ModelConnectionError,
    WeaverError,
)

ANSWER_CHARS = 4000
Done = Callable[[Record], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is compared.

    Args:
        tasks: on what.
        strategies: names, or ``name:key=value,...``; those are also the names in reports.
        models: each strategy runs on each of them.
        settings: limits, sampling, agents and models of other roles; its model, strategy and seed are not
            used.
        repeats: runs per item, with different seeds.
        seed: run seeds depend on it, the item and the repeat only: all strategies get the same.
        concurrency: runs at the same time. With more than one, runs slow each other down.
        simulated: the models are simulations; reports say so.
    """

    tasks: Sequence[TaskSet]
    strategies: Sequence[str]
    models: Sequence[Model]
    settings: Settings = field(default_factory=partial(Settings.model_validate, {}))
    repeats: int = 1
    seed: int = 0
    concurrency: int = 1
    simulated: bool = False

    @property
    def size(self) -> int:
        """Number of runs."""
        return len(self.keys)

    @property
    def keys(self) -> list[Key]:
        """All runs, in the order in which they are made."""
        return [run.key for run in _runs(self)]

    @property
    def header(self) -> Header:
        """The facts that must agree for results to belong to one comparison, and those that may grow.

        Strategies may be added, and so may items behind those that are there, and models
        (`weaver._evals.header`). Concurrency may change: it stands in each record.
        """
        settings = self.settings
        facts = {
            name: value
            for name in sorted(settings.model_fields_set - _NOT_LIMITS)
            if (value := getattr(settings, name)) not in (None, ())
        }
        return {
            "tasks": {task.name: [item.digest for item in task.items] for task in self.tasks},
            "instruction": self.tasks[0].instruction if self.tasks else "",
            "seed": self.seed,
            "repeats": self.repeats,
            "limits": {
                name: str(getattr(value, "name", value)) if name == "policy" else value
                for name, value in facts.items()
                if name not in _ROLES
            },
            "models": {model.name: _place(model) for model in self.models},
            "roles": {name: _named(facts[name], settings) for name in _ROLES if name in facts},
            "agents": {
                agent.name: digest(
                    agent.description,
                    agent.instructions,
                    "" if agent.model is None else _named(agent.model, settings),
                    [getattr(tool, "name", None) or getattr(tool, "__name__", "") for tool in agent.tools],
                )
                for agent in settings.agents
            },
            "simulated": self.simulated,
        }


_ROLES = ("planner_model", "judge_model", "synthesizer_model")
_NOT_LIMITS = {
    "model", "base_url", "api_key", "strategy", "seed", "agents", "prices",
}  # fmt: skip


def _place(model: Model) -> str:
    """Return a model's address without secrets; "" for those that Weaver starts itself."""
    if model.name.partition("/")[0] in {LOCAL, *registry.installed()}:
        return ""
    return public(model.endpoint)


def public(url: str) -> str:
    """An endpoint without user, password, query and fragment, which may hold secrets."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _named(model: Any, settings: Settings) -> str:
    """A model of another role: its name, and where it is."""
    name, place = (
        (model, public(settings.base_url or "")) if isinstance(model, str) else (model.name, _place(model))
    )
    return f"{name} at {place}" if place else name


async def compare(
    comparison: Comparison,
    file: RecordFile,
    *,
    on_record: Done | None = None,
    retry_failed: bool = False,
    **options: Any,
) -> None:
    """Run everything that ``file`` does not have yet, item by item, all strategies in turn.

    A run whose grader fails is kept with its answer and counts as not graded; another `compare` into the
    same file grades its answer again, without running it again.

    Args:
        file: open; each run is added to it as soon as it is graded.
        on_record: called with each record that was added.
        retry_failed: run those again that ended without any answer.
        options: for `Weaver` (``tracing``, ...).

    Raises:
        ConfigurationError: as `check`; nothing was run. Or the file cannot be written any more.
        ModelConnectionError, AuthenticationError: no run can succeed; what was finished is in the file.
    """
    await check(comparison)
    before = {r.key: r for r in file.records if not (retry_failed and r.status == "failed")}
    limit = anyio.Semaphore(comparison.concurrency)
    async with AsyncExitStack() as stack:
        weavers: dict[str, Weaver] = {}
        for model in comparison.models:
            settings = comparison.settings.changed(
                model=Metered(model), **_metered_roles(comparison.settings)
            )
            weavers[model.name] = await stack.enter_async_context(Weaver(settings=settings, **options))
        failure: list[WeaverError] = []
        async with anyio.create_task_group() as group:

            def keep(record: Record) -> None:
                file.add(record)
                if on_record is not None:
                    on_record(record)

            async def one(run: _Run, ungraded: Record | None) -> None:
                try:
                    answered = ungraded or await _answered(run, weavers[run.key[3]], comparison.concurrency)
                    try:
                        record = await _graded(run.item, answered)
                    except BaseException:  # what was paid for is kept, and graded next time
                        if ungraded is None:
                            keep(answered)
                        raise
                    if record != ungraded:
                        keep(record)
                except WeaverError as error:
                    failure.append(error)
                    group.cancel_scope.cancel()
                finally:
                    limit.release()

            for run in _runs(comparison):
                earlier = before.get(run.key)
                if earlier is None or not earlier.graded:
                    await limit.acquire()
                    group.start_soon(one, run, earlier)
    if failure:
        raise failure[0]


def _metered_roles(settings: Settings) -> dict[str, Model]:
    """The models of other roles, metered too. Names are left to `Weaver`, and so is their metering."""
    roles = {name: getattr(settings, name) for name in _ROLES}
    return {name: Metered(model) for name, model in roles.items() if isinstance(model, Model)}


@dataclass(frozen=True, slots=True)
class _Run:
    task: TaskSet
    item: Item
    key: Key
    seed: int


def _runs(comparison: Comparison) -> list[_Run]:
    """All runs, item by item, so that a slow hour of the machine hits all strategies alike."""
    runs: list[_Run] = []
    for task in comparison.tasks:
        for item, repeat in itertools.product(task.items, range(comparison.repeats)):
            name = f"{comparison.seed}/{task.name}/{item.id}/{repeat}"
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) // 2
            for model, strategy in itertools.product(comparison.models, comparison.strategies):
                runs.append(_Run(task, item, (task.name, item.id, strategy, model.name, repeat), seed))
    return runs


async def check(comparison: Comparison) -> None:
    """Refuse a comparison that cannot be run, before anything is paid for.

    Raises:
        ConfigurationError: a strategy, model or task is given twice; a strategy does not exist or has wrong
            options; a model cannot do what a strategy needs; or costs are limited and prices unknown.
    """
    models = comparison.models
    for kind, names in (
        ("strategy", comparison.strategies),
        ("task", [task.name for task in comparison.tasks]),
        ("model", [model.name for model in models]),
    ):
        if twice := sorted({name for name in names if list(names).count(name) > 1}):
            raise ConfigurationError(f"The {kind} {twice[0]!r} is given twice.")
    for spelled in comparison.strategies:
        strategy, options = find(spelled)
        for model in models:
            strategy.check(await model.capabilities(), model.name, options)
    if comparison.settings.max_cost is not None:
        roles = (getattr(comparison.settings, name) for name in _ROLES)
        await check_prices([*models, *(model for model in roles if isinstance(model, Model))])


async def _answered(run: _Run, weaver: Weaver, concurrency: int) -> Record:
    """The run's record, not graded yet."""
    task, item, strategy, model, repeat = run.key
    question = run.task.asked(run.item)
    meter = Meter()
    token = current_meter.set(meter)
    error: WeaverError | None = None
    result: Result[Any] | None
    try:
        result = await weaver.run(question, strategy=strategy, seed=run.seed)
    except InvalidTaskError as refused:  # a strategy for other tasks; the others go on
        error, result = refused, None
    except (ConfigurationError, ModelConnectionError, AuthenticationError):
        raise
    except WeaverError as raised:
        if meter.refusal is not None:
            raise meter.refusal from None
        error, result = raised, raised.result
    finally:
        current_meter.reset(token)
    values: dict[str, Any] = dict(_of_result(result)) if result is not None else {"status": "failed"}
    return Record(
        task=task,
        item=item,
        strategy=strategy,
        model=model,
        repeat=repeat,
        seed=run.seed,
        graded=False,
        why="not graded: interrupted",
        expected=run.item.answer,
        critical_steps=meter.critical_steps,
        longest_context=meter.longest_context,
        concurrency=concurrency,
        structure=run.item.structure,
        ideal_speedup=run.item.ideal_speedup,
        features=features_of(question),
        features_version=VERSION,
        error=str(error) if error is not None else None,
        **values,
    )


async def _graded(item: Item, record: Record) -> Record:
    """The record with its grade, or with why it could not be graded."""
    if not record.answer.strip():
        return replace(record, graded=True, why="no answer", decisions=_rewarded(record, 0.0))
    try:
        grade = await item.grader(item, record.answer)
    except Exception as error:  # noqa: BLE001 - graders are users' and other packages' code, or models
        message = str(error) if isinstance(error, WeaverError) else f"{type(error).__name__}: {error}"
        return replace(record, why=f"not graded: {message}")
    return replace(
        record,
        graded=True,
        correct=grade.correct,
        score=grade.score,
        why=grade.why,
        answer=record.answer[:ANSWER_CHARS],
        decisions=_rewarded(record, grade.score),
    )


def _rewarded(record: Record, score: float) -> tuple[dict[str, Any], ...]:
    """The decisions of a run, with its grade as their reward."""
    reward = asdict(Reward(score, "grader", record.task))
    return tuple({**decision, "reward": reward} for decision in record.decisions)


def _of_result(result: Result[Any]) -> dict[str, Any]:
    usage, metrics = result.usage, result.metrics
    return {
        "status": result.status,
        "answer": result.answer,
        "run_id": result.run_id,
        "trace_id": result.trace_id,
        "critical_path_tokens": metrics.critical_path_tokens,
        "total_output_tokens": metrics.total_output_tokens,
        "thread_tokens": sum(t.usage.output_tokens for t in result.threads),
        "input_tokens": usage.input_tokens,
        "cached_tokens": usage.cached_tokens,
        "calls": usage.calls,
        "threads": metrics.threads,
        "cancelled_threads": metrics.cancelled_threads,
        "depth": max((t.depth for t in result.threads), default=0),
        "wall_seconds": metrics.wall_seconds,
        "critical_path_seconds": metrics.critical_path_seconds,
        "queue_seconds": metrics.queue_seconds,
        "cost_usd": usage.cost_usd,
        "estimated": usage.estimated,
        "redundancy": overlap(t.answer for t in result.threads if t.answer),
        "notes": result.notes,
        "decisions": tuple(decision.as_dict() for decision in result.decision_log),
        **_prediction(result),
    }


def _prediction(result: Result[Any]) -> dict[str, Any]:
    decision = result.decision
    if decision is None or (forecast := decision.forecast) is None:
        return {}
    forked = decision.parallel
    return {
        "decided_fork": forked,
        "predicted_seconds": forecast.fork_seconds if forked else forecast.direct_seconds,
        "predicted_usd": forecast.fork_usd if forked else forecast.direct_usd,
    }
