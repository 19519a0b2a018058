"""The façade: `Weaver`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio

from weaver.budget import Limits
from weaver.errors import DeadlineExceeded, UnknownName
from weaver.events import Event
from weaver.messages import Message
from weaver.model_roles import Cast
from weaver.models.layers.prices import check_prices
from weaver.models.patience import deadline
from weaver.models.protocol import Capabilities, Model, Prices
from weaver.plan import Plan
from weaver.planning.gate.gate import GATES
from weaver.planning.planner import make_plan
from weaver.planning.policy import POLICIES
from weaver.result import Answer, Decision, Result
from weaver.runtime.execution import Execution
from weaver.runtime.run import Run
from weaver.runtime.state import RunState
from weaver.settings import Settings
from weaver.strategies.common.registry import find
from weaver.streaming.run_stream import RunStream
from weaver.streaming.sync_stream import SyncRunStream
from weaver.task import Agent, Task, as_task
from weaver.tools.approvals import Approve
from weaver.tools.function import by_name
from weaver.tools.protocol import Toolset
from weaver.tools.run_tools import RunTools
from weaver.tools.toolsets import Toolsets
from weaver.tracing.record.tracer import Tracing

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from weaver.journal.port import Journal

Question = Task | str | Sequence[Message]


@dataclass(frozen=True, slots=True)
class _Asked:
    task: Question
    plan: Plan | None
    output: Any
    tools: Sequence[Any]
    deps: Any
    approve: Approve | None
    run_id: str | None
    changes: dict[str, Any]


class Weaver:
    """Answers tasks by adaptive parallel reasoning.

    Usable as it is, or as an async context manager that keeps connections open between runs. Safe to use
    from several tasks, and from several event loops, at once.

    Args:
        model: a name in LiteLLM's naming (``openai/gpt-5-mini``), or a `Model` object, which is used as it
            is (no retries or limits around it; see `weaver.models.compose`). None looks for a model:
            a key in the environment, a local server, the embedded model.
        base_url: an OpenAI-compatible endpoint.
        api_key: for ``base_url`` or the model's provider.
        headers: HTTP headers that every request to a model carries.
        planner_model, judge_model, synthesizer_model: for those roles; ``model`` by default.
        strategy: a name, ``"name:key=value,..."``, or a function.
        deadline: seconds within which a run answers, partly if need be.
        max_tokens, max_cost, max_calls, max_threads, max_depth: see `Limits` (256 threads and a depth of 3
            by default, the rest unlimited; cost in US dollars).
        thread_timeout: seconds that one thread may take.
        prices: US dollars per million tokens, by model name; they beat what a server or price list says.
        temperature, seed: sampling, and weaver's own random choices.
        agents: named workers that the planner may assign subtasks to.
        tools: functions, `Tool` objects or toolsets (`weaver.mcp`) that every task's threads may call.
        deps: what tools find in their `Context`; any object.
        approve: asks somebody about a tool call that needs approval: gets an `ApprovalRequest`, returns
            True, False or an `Approval`; sync or async. Without it, a listener of `stream` answers by
            `RunStream.approve` and `RunStream.deny`; where there is neither, such calls are denied.
        models: settings of models by name, see `weaver.settings.ModelSettings`:
            ``models={"openai/gpt-5-mini": {"effort": "low", "fallbacks": ["groq/llama-3.3-70b"]}}``.
        mcp: names of ``mcp_servers`` whose tools threads may call; servers can also stand in ``tools``.
        mcp_servers: MCP servers by name, with the arguments of `weaver.mcp`; usually in the settings file.
        max_answer, tool_rounds, max_tool_result, approval_timeout, allow_effects: see
            `weaver.settings.Settings`.
        settings: ready settings instead of arguments, environment and file.
        tracer_provider: where spans go; the global provider by default.
        tracing: ready `Tracing` instead of ``tracer_provider``, for its options or metrics.
        journal: where finished steps are recorded; none by default.
        new_id: makes run ids; random by default.
        confirm: asked before something large is downloaded (the embedded model): gets the question, says
            whether to go on. None: nobody can be asked, and nothing is downloaded.

    Raises:
        ConfigurationError: an argument, variable or settings file is wrong.
    """

    def __init__(
        self,
        model: str | Model | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        planner_model: str | Model | None = None,
        judge_model: str | Model | None = None,
        synthesizer_model: str | Model | None = None,
        strategy: str | Callable[..., Any] | None = None,
        deadline: float | None = None,
        max_tokens: int | None = None,
        max_cost: float | None = None,
        max_calls: int | None = None,
        max_threads: int | None = None,
        max_depth: int | None = None,
        thread_timeout: float | None = None,
        temperature: float | None = None,
        seed: int | None = None,
        agents: Sequence[Agent] = (),
        tools: Sequence[Any] = (),
        deps: Any = None,
        approve: Approve | None = None,
        models: Mapping[str, Any] | None = None,
        mcp: str | Sequence[str] | None = None,
        mcp_servers: Mapping[str, Any] | None = None,
        max_answer: int | None = None,
        tool_rounds: int | None = None,
        max_tool_result: int | None = None,
        approval_timeout: float | None = None,
        allow_effects: bool | None = None,
        prices: Mapping[str, Prices] | None = None,
        settings: Settings | None = None,
        tracer_provider: TracerProvider | None = None,
        tracing: Tracing | None = None,
        journal: Journal | None = None,
        new_id: Callable[[], str] | None = None,
        confirm: Callable[[str], bool] | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "model": model,
            "base_url": base_url,
            "api_key": api_key,
            "headers": headers or None,
            "planner_model": planner_model,
            "judge_model": judge_model,
            "synthesizer_model": synthesizer_model,
            "strategy": strategy,
            "deadline": deadline,
            "max_tokens": max_tokens,
            "max_cost": max_cost,
            "max_calls": max_calls,
            "max_threads": max_threads,
            "max_depth": max_depth,
            "thread_timeout": thread_timeout,
            "temperature": temperature,
            "seed": seed,
            "agents": tuple(agents) or None,
            "models": models or None,
            "mcp": mcp if mcp is None or isinstance(mcp, str) else tuple(mcp),
            "mcp_servers": mcp_servers or None,
            "max_answer": max_answer,
            "tool_rounds": tool_rounds,
            "max_tool_result": max_tool_result,
            "approval_timeout": approval_timeout,
            "allow_effects": allow_effects,
            "prices": prices or None,
        }
        self.settings = settings.changed(**given) if settings is not None else Settings.load(**given)
        self._tracing = tracing or Tracing(tracer_provider)
        self._journal = journal
        self._new_id = new_id or partial(secrets.token_hex, 8)
        self._confirm = confirm
        self._tools = (*tools, *_servers(self.settings))
        by_name(tuple(t for t in self._tools if not isinstance(t, Toolset)))
        self._toolsets = Toolsets()
        self._deps = deps
        self._approve = approve
        self._casts: dict[object, Cast] = {}
        self._users = 0

    async def run(
        self,
        task: Question,
        *,
        plan: Plan | None = None,
        output: Any = None,
        tools: Sequence[Any] = (),
        deps: Any = None,
        approve: Approve | None = None,
        run_id: str | None = None,
        **changes: Any,
    ) -> Result[Any]:
        """Answer ``task``.

        Args:
            plan: a decomposition to follow instead of asking the planner.
            output: a type that ``result.output`` will be of (pydantic model, dataclass, ``list[int]``, ...).
            tools: functions, `Tool` objects or toolsets that threads may call, besides the constructor's.
            deps, approve: as in the constructor, for this run only.
            run_id: the id of the run; with a journal, that of a run to go on with.
            changes: any of the constructor's settings, for this run only.

        Returns:
            A complete or partial result (``result.status``).

        Raises:
            WeaverError: there is no answer; ``error.result`` has everything that was finished.
        """
        execution = await self._prepare(_Asked(task, plan, output, tools, deps, approve, run_id, changes))
        async with self:
            result = await execution.run()
        if result.status == "failed" and execution.error is not None:
            raise execution.error
        return result

    def stream(
        self,
        task: Question,
        *,
        plan: Plan | None = None,
        output: Any = None,
        tools: Sequence[Any] = (),
        deps: Any = None,
        approve: Approve | None = None,
        run_id: str | None = None,
        **changes: Any,
    ) -> RunStream[Any]:
        """Answer ``task`` and watch it: ``async for event in weaver.stream(task)``.

        Arguments as for `run`. Leaving the loop early cancels the run; ``async with weaver.stream(task)``
        also waits until its connections are closed. A failed run does not raise: the last event,
        `RunFinished`, has its result.

        Raises:
            ConfigurationError: when the run begins: the task or a setting is wrong, or no model can be found.
        """
        asked = _Asked(task, plan, output, tools, deps, approve, run_id, changes)
        return RunStream(self, partial(self._prepare, asked))

    def run_sync(self, task: Question, **options: Any) -> Result[Any]:
        """`run`, for programs without an event loop. Works inside a running one too (Jupyter), in a thread.

        Raises:
            WeaverError: as `run`.
        """
        result: Result[Any] = _in_a_loop(partial(self.run, task, **options))
        return result

    def stream_sync(self, task: Question, **options: Any) -> SyncRunStream[Any]:
        """`stream`, for programs without an event loop: ``for event in weaver.stream_sync(task)``."""
        return SyncRunStream(partial(self.stream, task, **options))

    async def plan(self, task: Question, **changes: Any) -> Plan:
        """The decomposition of ``task``, without running it.

        ``parallel=False`` means that the task would be answered directly.

        Raises:
            PlanInvalid: the planner wrote no valid plan, also after two repairs.
            WeaverError: as `run`.
        """
        plans: list[Plan] = []

        async def only_plan(run: Run, task: Task) -> Answer:
            plans.append(await make_plan(run, task, agents=tuple(run.state.agents.values())))
            return Answer("planned")

        await self.run(replace(as_task(task), output=None), **{**changes, "strategy": only_plan})
        return plans[0]

    async def forecast(self, task: Question, plan: Plan, **changes: Any) -> Decision:
        """What the gate says about running ``plan``: predicted seconds and dollars of both ways. No call.

        Args:
            plan: of `plan`; its planner call is not part of the prediction.

        Raises:
            WeaverError: as `run`.
        """
        decisions: list[Decision] = []

        async def only_forecast(run: Run, task: Task) -> Answer:
            judgement = POLICIES["rules"].judge(task)
            if not plan.parallel or judgement.lean == "direct":
                verdict = await GATES["on"].before(run, task, judgement)
                fork, reason = False, plan.reason if not plan.parallel else judgement.reason
                reason = "; ".join(filter(None, (reason, verdict.reason)))
            else:
                verdict = await GATES["on"].planned(run, task, plan)
                fork, reason = verdict.fork, verdict.reason or "nothing is known about the endpoint yet"
            decisions.append(Decision(fork, "policy", reason, verdict.forecast, POLICIES["rules"].name))
            return Answer("predicted")

        await self.run(replace(as_task(task), output=None), **{**changes, "strategy": only_forecast})
        return decisions[0]

    async def model(self, role: str = "thread") -> Model:
        """The model of ``role`` (``thread``, ``planner``, ``judge``, ``synthesizer``), layers included.

        Raises:
            ConfigurationError: no model can be found, or its name is unknown.
        """
        return (await self._models(self.settings)).models[role]

    async def aclose(self) -> None:
        """Release pooled connections. The object may be used again afterwards."""
        for cast in self._casts.values():
            await cast.aclose()
        await self._toolsets.aclose()

    async def __aenter__(self) -> Self:
        self._users += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._users -= 1
        if self._users == 0:
            with anyio.CancelScope(shield=True):
                await self.aclose()

    async def _prepare(self, asked: _Asked, listen: Callable[[Event], None] | None = None) -> Execution:
        """Look up everything a run needs, within its deadline."""
        settings = self.settings.changed(**asked.changes)
        started = anyio.current_time()
        until = float("inf") if settings.deadline is None else started + settings.deadline
        deadline.set(until)
        with anyio.CancelScope(deadline=until):
            return await self._prepared(asked, settings, until, listen)
        raise DeadlineExceeded(
            f"After {settings.deadline:g} s the model, its endpoint or its tools had not been found.",
            hint="Name the model (`weaver doctor` shows what answers), or raise the deadline.",
        )

    async def _prepared(
        self, asked: _Asked, settings: Settings, until: float, listen: Callable[[Event], None] | None
    ) -> Execution:
        task = as_task(asked.task)
        if asked.output is not None:
            task = replace(task, output=asked.output)
        if tools := (*self._tools, *asked.tools):
            task = replace(task, tools=(*task.tools, *tools))
        task = replace(task, tools=await self._toolsets.resolved(task.tools))
        agents = tuple([replace(a, tools=await self._toolsets.resolved(a.tools)) for a in settings.agents])
        strategy, options = find(settings.strategy)
        cast = await self._models(settings)
        model = cast.models["thread"]
        demanding = bool(strategy.demands(options))
        strategy.check(await model.capabilities() if demanding else Capabilities(), model.name, options)
        if settings.max_cost is not None:
            await check_prices(cast.models.values())
        state = RunState(
            asked.run_id or self._new_id(),
            cast.models,
            agents=agents,
            given_plan=asked.plan,
            limits=_limits(settings),
            deadline=until,
            thread_timeout=settings.thread_timeout,
            temperature=settings.temperature,
            seed=settings.seed,
            listen=listen,
            tracing=self._tracing,
            journal=self._journal,
            max_answer=settings.max_answer,
            tools=RunTools(
                deps=self._deps if asked.deps is None else asked.deps,
                rounds=settings.tool_rounds,
                max_result_chars=settings.max_tool_result,
                approve=asked.approve or self._approve,
                approval_timeout=settings.approval_timeout,
                allow_effects=settings.allow_effects,
                toolsets=self._toolsets,
                emit=listen,
            ),
        )
        for note in cast.notes:
            state.note(note)
        return Execution(state, task, strategy.name, partial(strategy.function, **options))

    async def _models(self, settings: Settings) -> Cast:
        key = Cast.key_of(settings)
        if key not in self._casts:
            self._casts[key] = await Cast.of(settings, confirm=self._confirm)
        return self._casts[key]


def _servers(settings: Settings) -> tuple[Any, ...]:
    """The MCP servers that the settings name.

    Raises:
        UnknownName: there is no server of that name.
        ConfigurationError: its entry is wrong.
    """
    if not settings.mcp:
        return ()
    from weaver.tools.mcp import mcp

    for name in settings.mcp:
        if name not in settings.mcp_servers:
            raise UnknownName("MCP server", name, settings.mcp_servers)
    return tuple(mcp(**settings.mcp_servers[name].model_dump()) for name in settings.mcp)


def _limits(settings: Settings) -> Limits:
    default = Limits()
    return Limits(
        tokens=settings.max_tokens,
        cost_usd=settings.max_cost,
        calls=settings.max_calls,
        threads=default.threads if settings.max_threads is None else settings.max_threads,
        depth=default.depth if settings.max_depth is None else settings.max_depth,
    )


def _in_a_loop(work: Callable[[], Any]) -> Any:
    import asyncio
    import threading

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    outcome: list[Any] = []

    def elsewhere() -> None:
        try:
            outcome.append((asyncio.run(work()), None))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            outcome.append((None, error))

    thread = threading.Thread(target=elsewhere, name="weaver-run-sync")
    thread.start()
    thread.join()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value
