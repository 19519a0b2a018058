"""Running strategies on the same items under the same limits."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio

from weaver.api import Weaver
from weaver.errors import (
    ConfigurationError,
    InvalidTask,
    ModelUnauthorized,
    ModelUnreachable,
    WeaverError,
)
from weaver.evals.items import Grade, Item, TaskSet
from weaver.evals.metering import Meter, Metered, current_meter
from weaver.evals.records import Key, Record, RecordFile, overlap
from weaver.models.protocol import Model
from weaver.result import Result
from weaver.settings import Settings
from weaver.strategies.registry import find

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
        items = sum(len(task.items) for task in self.tasks)
        return items * len(self.strategies) * len(self.models) * self.repeats

    @property
    def header(self) -> dict[str, Any]:
        """What must be the same for two results to belong to one comparison. Strategies may be added."""
        given = {
            name: getattr(self.settings, name)
            for name in sorted(self.settings.model_fields_set - _NOT_LIMITS)
            if getattr(self.settings, name) not in (None, ())
        }
        limits = {
            name: getattr(value, "name", value) if name.endswith("_model") else value
            for name, value in given.items()
        }
        return {
            "tasks": {task.name: len(task.items) for task in self.tasks},
            "instruction": self.tasks[0].instruction if self.tasks else "",
            "seed": self.seed,
            "repeats": self.repeats,
            "concurrency": self.concurrency,
            "limits": limits,
            "simulated": self.simulated,
        }


_NOT_LIMITS = {
    "model", "base_url", "api_key", "strategy", "seed", "agents", "prices",
}  # fmt: skip


async def compare(
    comparison: Comparison,
    file: RecordFile,
    *,
    on_record: Done | None = None,
    retry_failed: bool = False,
    **options: Any,
) -> None:
    """Run everything that ``file`` does not have yet, item by item, all strategies in turn.

    Args:
        file: open; each run is added to it as soon as it is graded.
        on_record: called with each new record.
        retry_failed: run those again that ended without any answer.
        options: for `Weaver` (``tracing``, ...).

    Raises:
        ConfigurationError: a strategy does not exist, or a model cannot do what it needs. Nothing was run.
        ModelUnreachable, ModelUnauthorized: no run can succeed; what was finished is in the file.
    """
    await _check(comparison)
    done = {record.key for record in file.records if not (retry_failed and record.status == "failed")}
    limit = anyio.Semaphore(comparison.concurrency)
    async with AsyncExitStack() as stack:
        weavers = {}
        for model in comparison.models:
            settings = comparison.settings.changed(
                model=Metered(model), **_metered_roles(comparison.settings)
            )
            weavers[model.name] = await stack.enter_async_context(Weaver(settings=settings, **options))
        failure: list[WeaverError] = []
        async with anyio.create_task_group() as group:

            async def one(run: _Run) -> None:
                try:
                    record = await _record(run, weavers[run.key[3]])
                    file.add(record)
                    if on_record is not None:
                        on_record(record)
                except WeaverError as error:
                    failure.append(error)
                    group.cancel_scope.cancel()
                finally:
                    limit.release()

            for run in _runs(comparison):
                if run.key not in done:
                    await limit.acquire()
                    group.start_soon(one, run)
    if failure:
        raise failure[0]


def _metered_roles(settings: Settings) -> dict[str, Model]:
    """The models of other roles, metered too. Names are left to `Weaver`, and so is their metering."""
    roles = {name: getattr(settings, name) for name in ("planner_model", "judge_model", "synthesizer_model")}
    return {name: Metered(model) for name, model in roles.items() if isinstance(model, Model)}


@dataclass(frozen=True, slots=True)
class _Run:
    task: TaskSet
    item: Item
    key: Key
    seed: int


def _runs(comparison: Comparison) -> list[_Run]:
    """All runs, item by item, so that a slow hour of the machine hits all strategies alike."""
    runs = []
    for task in comparison.tasks:
        for item, repeat in itertools.product(task.items, range(comparison.repeats)):
            name = f"{comparison.seed}/{task.name}/{item.id}/{repeat}"
            seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) // 2
            for model, strategy in itertools.product(comparison.models, comparison.strategies):
                runs.append(_Run(task, item, (task.name, item.id, strategy, model.name, repeat), seed))
    return runs


async def _check(comparison: Comparison) -> None:
    if len(set(comparison.strategies)) < len(comparison.strategies):
        raise ConfigurationError("A strategy is given twice.")
    names = [model.name for model in comparison.models]
    if len(set(names)) < len(names):
        raise ConfigurationError(f"Two models have the same name: {', '.join(names)}.")
    for given in comparison.strategies:
        strategy, _ = find(given)
        for model in comparison.models:
            strategy.check(await model.capabilities(), model.name)


async def _record(run: _Run, weaver: Weaver) -> Record:
    task, item, strategy, model, repeat = run.key
    meter = Meter()
    token = current_meter.set(meter)
    error: WeaverError | None = None
    result: Result[Any] | None
    try:
        result = await weaver.run(run.task.asked(run.item), strategy=strategy, seed=run.seed)
    except InvalidTask as refused:  # a strategy for other tasks; the others go on
        error, result = refused, None
    except (ConfigurationError, ModelUnreachable, ModelUnauthorized):
        raise
    except WeaverError as raised:
        if meter.refusal is not None:
            raise meter.refusal from None
        error, result = raised, raised.result
    finally:
        current_meter.reset(token)
    grade = Grade(correct=False, score=0.0, why="no answer")
    if result is not None and result.answer.strip():
        grade = await run.item.grader(run.item, result.answer)
    known = dict(_of_result(result)) if result is not None else {"status": "failed"}
    return Record(
        task=task,
        item=item,
        strategy=strategy,
        model=model,
        repeat=repeat,
        seed=run.seed,
        correct=grade.correct,
        score=grade.score,
        why=grade.why,
        expected=run.item.answer,
        critical_steps=meter.critical_steps,
        longest_context=meter.longest_context,
        structure=run.item.structure,
        ideal_speedup=run.item.ideal_speedup,
        error=str(error) if error is not None else None,
        **known,
    )


def _of_result(result: Result[Any]) -> dict[str, Any]:
    usage, metrics = result.usage, result.metrics
    return {
        "status": result.status,
        "answer": result.answer[:ANSWER_CHARS],
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
    }
