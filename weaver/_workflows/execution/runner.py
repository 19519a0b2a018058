"""Running a workflow with a `Weaver`: deadlines, budgets, tracing, journal and result are as in any run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Unpack

from weaver._data.result import Answer, Result
from weaver._data.task import Agent, Task
from weaver._dispatch.placing import Part
from weaver._models.protocol import Model
from weaver._runtime.run import Run
from weaver._settings.run_options import Changes, check_names
from weaver._workflows.execution.approval import Approve, Ask, Setting
from weaver._workflows.execution.preparation.environment import resolved
from weaver._workflows.execution.preparation.inputs import checked_inputs
from weaver._workflows.execution.preparation.prepared import Prepared, Usual, prepare
from weaver._workflows.execution.preparation.servers import check_consent
from weaver._workflows.execution.scheduler import Flow
from weaver._workflows.execution.step_run import StepRun
from weaver._workflows.schema.components import Budget, ModelRef
from weaver._workflows.validation.loader import check_built
from weaver._workflows.validation.registry import Surroundings

if TYPE_CHECKING:
    from weaver._facade.weaver import Weaver
    from weaver._settings.settings import Settings
    from weaver._streaming.run_stream import RunStream
    from weaver._workflows.format.definition import Definition

MAX_THREADS = 10_000
"""Threads of a workflow without its own limit; a for_each may need many."""
MAX_DEPTH = 3
"""How deep strategies may fork below a step, without its own limit."""


class WorkflowOptions(Changes, total=False):
    """The options of `run_workflow`."""

    weaver: Weaver | None
    tools: Iterable[Any] | Mapping[str, Any]
    approve: Approve | None
    ask: Ask | None
    run_id: str | None


async def run_workflow(
    workflow: Definition,
    inputs: Mapping[str, Any] | None = None,
    *,
    weaver: Weaver | None = None,
    tools: Iterable[Any] | Mapping[str, Any] = (),
    approve: Approve | None = None,
    ask: Ask | None = None,
    run_id: str | None = None,
    **changes: Unpack[Changes],
) -> Result[dict[str, Any]]:
    """Run a workflow.

    Args:
        inputs: by name; JSON values.
        weaver: whose settings and connections to use; a new one by default. Models that the workflow names
            beat its settings; of deadlines and limits the tighter one holds.
        tools: functions that the workflow may name, besides registered ones and those of plugins.
        approve: asked for the approvals of steps; None: nobody can be asked.
        ask: asked for the right value of a conflict, by the policy ``ask``.
        run_id: the id of the run; with a journal, that of a run to go on with.
        changes: settings for this run only; they beat the workflow. ``strategy`` is for steps without one.

    Returns:
        A complete or partial result; ``output`` has the workflow's outputs by name.

    Raises:
        InvalidWorkflowError: it was built in Python and has problems.
        InvalidTaskError: inputs are missing, unknown or do not fit.
        WeaverError: nothing came out; ``error.result`` has everything that was finished.
    """
    weaver = weaver or _new()
    check_names(changes, WorkflowOptions.__annotations__)
    start = await started(workflow, inputs or {}, weaver.settings, Given(tools, approve, ask), changes)
    result: Result[dict[str, Any]] = await weaver.run(start.task, run_id=run_id, **start.changes)
    return result


async def stream_workflow(
    workflow: Definition,
    inputs: Mapping[str, Any] | None = None,
    *,
    weaver: Weaver | None = None,
    tools: Iterable[Any] | Mapping[str, Any] = (),
    approve: Approve | None = None,
    ask: Ask | None = None,
    run_id: str | None = None,
    **changes: Unpack[Changes],
) -> RunStream[dict[str, Any]]:
    """Run a workflow and watch its events, as `Weaver.stream` does; arguments as `run_workflow`.

    Use it as ``async with await stream_workflow(...) as run: async for event in run``.
    """
    weaver = weaver or _new()
    check_names(changes, WorkflowOptions.__annotations__)
    start = await started(workflow, inputs or {}, weaver.settings, Given(tools, approve, ask), changes)
    return weaver.stream(start.task, run_id=run_id, **start.changes)


@dataclass(frozen=True, slots=True)
class Given:
    """What a run is given besides inputs and settings.

    Args:
        functions: results of functions that are not to be called; for tests.
        only_model: the one model of every role and agent, whatever the workflow says; for tests.
        approved, turn: see `Setting`.
    """

    tools: Iterable[Any] | Mapping[str, Any] = ()
    approve: Approve | None = None
    ask: Ask | None = None
    functions: Mapping[str, Any] | None = None
    only_model: Model | None = None
    approved: frozenset[str] = frozenset()
    turn: AbstractAsyncContextManager[Any] = field(default_factory=nullcontext)


@dataclass(frozen=True, slots=True)
class Start:
    """What `Weaver.run` is called with."""

    task: Task
    changes: dict[str, Any]
    prepared: Prepared
    strategy: FlowStrategy | PartStrategy


class FlowStrategy:
    """Runs a workflow's steps."""

    def __init__(self, prepared: Prepared, inputs: Mapping[str, Any], setting: Setting) -> None:
        self.__name__ = f"workflow:{prepared.workflow.name}"
        self._prepared, self._inputs, self._setting = prepared, inputs, setting
        self.flow: Flow | None = None

    async def __call__(self, run: Run, task: Task) -> Answer:  # noqa: ARG002 - a strategy's signature
        for warning in self._prepared.workflow.compiled.all_warnings:
            run.note(f"Warning: {warning}.")
        self.flow = Flow(self._prepared, self._inputs, self._setting)
        return await self.flow.run(run)


class PartStrategy:
    """Runs one step of a workflow, or one of its items, for a run that waits elsewhere."""

    def __init__(self, prepared: Prepared, part: Part, setting: Setting) -> None:
        self.__name__ = f"workflow:{prepared.workflow.name}"
        self._prepared, self._part, self._setting = prepared, part, setting

    async def __call__(self, run: Run, task: Task) -> Answer:  # noqa: ARG002 - a strategy's signature
        prepared, names = self._prepared, dict(self._part.names)
        *outer, id_ = self._part.steps
        for step in outer:
            used = prepared.steps[step].action.prepared
            assert used is not None
            prepared = used
        path = "".join(f"{step}/" for step in outer)
        progress = Flow(prepared, names.get("inputs", {}), self._setting, path).progress
        work = StepRun(progress, prepared.steps[id_])
        work.is_placed = True
        own_task = work.step.action.task(work, names, run.context.task.title)
        if own_task is not None:
            own_task = replace(own_task, prompt=self._part.prompt)
        return await work.run(run, names, own_task)


async def started(
    workflow: Definition,
    inputs: Mapping[str, Any],
    settings: Settings,
    given: Given,
    changes: Mapping[str, Any],
    *,
    part: Part | None = None,
) -> Start:
    """Everything looked up and checked, before anything is spent.

    Args:
        part: only this part is run.

    Raises:
        ConfigurationError: see `run_workflow`.
    """
    surroundings = Surroundings.of(given.tools)
    if workflow.needs_check:
        check_built(workflow, surroundings=surroundings)
    values = checked_inputs(workflow, inputs)
    is_real = given.only_model is None
    if is_real:
        check_consent(workflow, {*settings.mcp, *(changes.get("mcp") or ())})
    timeout = changes.get("thread_timeout") or settings.thread_timeout
    usual = Usual(changes.get("strategy"), timeout)
    prepared = prepare(workflow, surroundings, usual, connects=is_real)
    setting = Setting(given.approve, given.ask, given.functions or {}, given.approved, given.turn)
    strategy: FlowStrategy | PartStrategy = FlowStrategy(prepared, values, setting)
    if part is not None:
        strategy = PartStrategy(prepared, part, setting)
    merged = {**_limits(workflow, settings, prepared, changes), **await _models(workflow, given, changes)}
    for name, agent in prepared.agents.items():
        prepared.agents[name] = await _with_model(agent, given)
    if prepared.agents:
        merged["agents"] = (*settings.agents, *prepared.agents.values())
    merged |= {
        name: value
        for name, value in changes.items()
        if name not in ("max_depth", "strategy", "thread_timeout", "mcp", "hooks")
    }
    if is_real and (hooks := (*workflow.hooks, *(changes.get("hooks") or ()))):
        merged["hooks"] = hooks
    task = Task(prompt=workflow.description or workflow.name, title=workflow.name)
    return Start(task, {**merged, "strategy": strategy}, prepared, strategy)


def _limits(
    workflow: Definition, settings: Settings, prepared: Prepared, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the tighter of the file's limits and the settings': an operator's cap always applies."""
    defaults, budget = workflow.defaults, workflow.defaults.budget or Budget()
    limits: dict[str, Any] = {
        "deadline": _tighter(defaults.deadline, settings.deadline),
        "durable": settings.durable if workflow.durable is None else workflow.durable or settings.durable,
        "max_total_tokens": _tighter(budget.tokens, settings.max_total_tokens),
        "max_cost": _tighter(budget.cost, settings.max_cost),
        "max_calls": _tighter(budget.calls, settings.max_calls),
        "max_threads": _tighter(budget.threads, settings.max_threads) or MAX_THREADS,
    }
    depth = changes.get("max_depth")
    if depth is None:
        depth = _tighter(budget.depth, settings.max_depth)
    # What the steps take themselves is not the strategies' business.
    limits["max_depth"] = prepared.depth + (MAX_DEPTH if depth is None else depth)
    return limits


def _tighter(one: Any, other: Any) -> Any:
    return one if other is None else other if one is None else min(one, other)


async def _models(workflow: Definition, given: Given, changes: Mapping[str, Any]) -> dict[str, Any]:
    if given.only_model is not None:
        return dict.fromkeys(("model", "planner_model", "judge_model", "synthesizer_model"), given.only_model)
    models = workflow.models
    roles = {
        "model": models.thread or models.default,
        "planner_model": models.planner or (models.default if models.thread is not None else None),
        "judge_model": models.judge or (models.default if models.thread is not None else None),
        "synthesizer_model": models.synthesizer or (models.default if models.thread is not None else None),
    }
    if changes.get("model") is not None:
        roles = dict.fromkeys(roles)
    return {
        name: await opened(ref)
        for name, ref in roles.items()
        if ref is not None and changes.get(name) is None
    }


async def opened(ref: ModelRef) -> Any:
    """A model's name; or the model itself where the file says how it is reached.

    Raises:
        ConfigurationError: an environment variable is not set, or the model cannot be opened.
    """
    name = resolved(ref.name)
    if ref.base_url is None and ref.api_key is None:
        return name
    from weaver._models.catalog.resolve import choose
    from weaver._models.compose import layered

    url = resolved(ref.base_url) if ref.base_url is not None else None
    key = resolved(ref.api_key) if ref.api_key is not None else None
    return layered((await choose(name, base_url=url, api_key=key)).model)


async def _with_model(agent: Agent, given: Given) -> Agent:
    if given.only_model is not None:
        return replace(agent, model=None)
    return replace(agent, model=await opened(agent.model)) if isinstance(agent.model, ModelRef) else agent


def _new() -> Weaver:
    from weaver._facade.weaver import Weaver

    return Weaver()
