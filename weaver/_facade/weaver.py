"""The façade: `Weaver`."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

import anyio

from weaver._data.budget import Limits
from weaver._data.conversation.reading import messages_from
from weaver._data.plan import Plan
from weaver._data.result import Answer, Decision, Result
from weaver._data.task import Task, as_task, with_parts
from weaver._display import one_line
from weaver._documents.opening import opened
from weaver._facade.model_roles import Cast
from weaver._facade.typed_runs import Question, RunRequest, TypedRuns
from weaver._hooks.chain import Hooks
from weaver._hooks.named import resolved
from weaver._journal import journal_of
from weaver._models.layers.prices import check_prices
from weaver._models.patience import deadline_at as run_deadline_at
from weaver._models.protocol import Capabilities, Model
from weaver._planning.gate.gate import GATES
from weaver._planning.listed import plan_of_list
from weaver._planning.planner import make_plan
from weaver._planning.policy import POLICIES
from weaver._runtime.execution import Execution
from weaver._runtime.output.output_types import output_type
from weaver._runtime.published.event_log import EventLog
from weaver._runtime.run import Run
from weaver._runtime.state.run_state import RunState
from weaver._sessions.memory import MemorySessions
from weaver._sessions.protocol import Session, Sessions
from weaver._settings.run_options import Changes, SettingOptions, check_names
from weaver._settings.settings import Settings
from weaver._strategies.common.registry import find, load
from weaver._strategies.long_inputs.whole import with_whole_documents
from weaver._streaming.run_stream import RunStream
from weaver._synthesis.choice import auto, chosen, name_of
from weaver._tools.approvals import Approve
from weaver._tools.function import by_name
from weaver._tools.protocol import Toolset
from weaver._tools.run_tools import RunTools
from weaver._tools.toolsets import Toolsets
from weaver._tracing.tracer import Tracing
from weaver._verification.named import verification_of
from weaver.errors import ConfigurationError, DeadlineExceededError, UnknownNameError
from weaver.events import Event

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from weaver._journal.port import Journal


class Weaver(TypedRuns):
    """Answers tasks by adaptive parallel reasoning.

    Usable as it is, or as an async context manager that keeps connections open between runs. Safe to use
    from several tasks, and from several event loops, at once.

    Args:
        model: a name in LiteLLM's naming (``openai/gpt-5-mini``), or a `Model` object, which is used as it
            is (no retries or limits around it; see `weaver._models.compose`). None looks for a model:
            a key in the environment, a local server, the embedded model.
        base_url: an OpenAI-compatible endpoint.
        api_key: for ``base_url`` or the model's provider.
        headers: HTTP headers that every request to a model carries.
        planner_model, judge_model, synthesizer_model: for those roles; ``model`` by default.
        strategy: a name, ``"name:key=value,..."``, or a function.
        instructions: system prompt that every model call of a run is told, whatever the strategy; those of a
            run replace those of the constructor. Agents' instructions and system messages are added to it.
        deadline: seconds within which a run answers, partly if need be; also ``"30s"``, ``"1m30s"`` or a
            `timedelta`.
        max_total_tokens, max_cost, max_calls, max_threads, max_depth: see `Limits` (256 threads and depth 3
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
        hooks: hooks and guardrails, the first one outermost: objects (see `weaver.Hook`) or names
            (``"app.guards:NoSecrets"``).
        models: settings of models by name, see `weaver._settings.settings.ModelSettings`:
            ``models={"openai/gpt-5-mini": {"effort": "low", "fallbacks": ["groq/llama-3.3-70b"]}}``.
        mcp: names of ``mcp_servers`` whose tools threads may call; servers can also stand in ``tools``.
        mcp_servers: MCP servers by name, with the arguments of `weaver.mcp`; usually in the settings file.
        max_answer, stop_repetition, tool_rounds, max_tool_result, approval_timeout, allow_effects: see
            `weaver._settings.settings.Settings`.
        settings: ready settings instead of arguments, environment and file.
        tracer_provider: where spans go; the global provider by default.
        tracing: ready `Tracing` instead of ``tracer_provider``, for its options or metrics.
        trace: keep runs, with texts, in the local store of this machine (``weaver trace``); True by default.
        durable: record finished steps in ``WEAVER_HOME/journal.sqlite``: ``run(task, run_id=...)`` and
            ``weaver resume`` go on after a crash.
        accept_changes: a resumed run does steps again that are asked something else than recorded.
        journal: records finished steps, instead of that file: a `weaver._journal.port.Journal`, or the URL of
            one (``postgresql://USER@HOST/DATABASE``). Every run is then durable.
        new_id: makes run ids; random by default.
        sessions: where ``run(session="id")`` finds conversations: the path of a SQLite file, or a function
            from an id to a `Session`. By default they last as long as this object.
        confirm: asked before something large is downloaded (the embedded model): gets the question, says
            whether to go on. None: nobody can be asked, and nothing is downloaded.

    Attributes:
        begun_by: JSON that a journal keeps with each new run: how a program goes on with it.

    Raises:
        ConfigurationError: an argument, variable or settings file is wrong.
    """

    def __init__(
        self,
        model: str | Model | None = None,
        *,
        tools: Sequence[Any] = (),
        deps: Any = None,
        approve: Approve | None = None,
        settings: Settings | None = None,
        tracer_provider: TracerProvider | None = None,
        tracing: Tracing | None = None,
        trace: bool = True,
        journal: Journal | str | None = None,
        new_id: Callable[[], str] | None = None,
        confirm: Callable[[str], bool] | None = None,
        sessions: str | Path | Sessions | None = None,
        **options: Unpack[SettingOptions],
    ) -> None:
        check_names(options, (*SettingOptions.__annotations__, *(Weaver.__init__.__kwdefaults__ or ())))
        values: dict[str, Any] = {"model": model, **options}
        self.settings = settings.changed(**values) if settings is not None else Settings.load(**values)
        if isinstance(options.get("strategy"), str):
            find(self.settings.strategy)  # a misspelt name is an error here, and not at the first run
        if options.get("policy") is not None:
            load("adaptive").parsed_options({"policy": self.settings.policy})  # so is a file that is damaged
        self._tracing = tracing if tracing is not None or trace else Tracing(tracer_provider)
        self._tracer_provider = tracer_provider
        self._journal = journal_of(journal) if isinstance(journal, str) else journal
        self._journals: dict[str | None, Journal] = {}
        self.begun_by: Mapping[str, Any] = {}
        self._new_id = new_id or partial(secrets.token_hex, 8)
        self._confirm = confirm
        self._sessions = _sessions_of(sessions)
        self._tools = (*tools, *_servers(self.settings))
        by_name(tuple(t for t in self._tools if not isinstance(t, Toolset)))
        self._hooks = resolved(self.settings.hooks)
        self._toolsets = Toolsets()
        self._deps = deps
        self._approve = approve
        self._casts: dict[object, Cast] = {}
        self._users = 0
        self._closes = False

    def __repr__(self) -> str:
        return one_line.of_settings("Weaver", self.settings)

    async def plan(self, task: Question, *, parts: Sequence[str] = (), **changes: Unpack[Changes]) -> Plan:
        """Return the decomposition of ``task``, without running it.

        ``parallel=False`` means that the task would be answered directly. No call is made where the task
        lists its parts.

        Args:
            parts: as for `run`.

        Raises:
            InvalidPlanError: the planner wrote no valid plan, also after two repairs.
            WeaverError: as `run`.
        """
        plans: list[Plan] = []

        async def only_plan(run: Run, task: Task) -> Answer:
            plan = plan_of_list(task)
            plans.append(plan or await make_plan(run, task, agents=tuple(run.context.state.agents.values())))
            return Answer("planned")

        await self._run(_by(only_plan, with_parts(as_task(task), parts), changes))
        return plans[0]

    async def forecast(self, task: Question, plan: Plan, **changes: Unpack[Changes]) -> Decision:
        """Return the gate's forecast for ``plan``: seconds and dollars of both ways. No call.

        Args:
            plan: of `plan`; its planner call is not part of the prediction.

        Raises:
            WeaverError: as `run`.
        """
        decisions: list[Decision] = []

        async def only_forecast(run: Run, task: Task) -> Answer:
            judgement = POLICIES["rules"].judge(task)
            listed = plan_of_list(task)
            if listed is not None and listed == plan:
                merge = name_of(chosen(auto, task, plan))
                verdict = await GATES["on"].before(run, task, judgement, listed=plan, merge=merge)
                fork, reason = verdict.fork, "; ".join(filter(None, (plan.reason, verdict.reason)))
            elif not plan.parallel or judgement.lean == "direct":
                verdict = await GATES["on"].before(run, task, judgement)
                fork, reason = False, plan.reason if not plan.parallel else judgement.reason
                reason = "; ".join(filter(None, (reason, verdict.reason)))
            else:
                verdict = await GATES["on"].planned(run, task, plan)
                fork, reason = verdict.fork, verdict.reason or "nothing is known about the endpoint yet"
            decisions.append(Decision(fork, "policy", reason, verdict.forecast, POLICIES["rules"].name))
            return Answer("predicted")

        await self._run(_by(only_forecast, task, changes))
        return decisions[0]

    async def _run(self, request: RunRequest) -> Result[Any]:
        execution = await self._prepare(request)
        async with self._in_use():
            result = await execution.run()
        if result.status == "failed" and execution.error is not None:
            raise execution.error
        return result

    def _stream(self, request: RunRequest) -> RunStream[Any]:
        return RunStream(self._in_use(), partial(self._prepare, request))

    async def model(self, role: str = "thread") -> Model:
        """The model of ``role`` (``thread``, ``planner``, ``judge``, ``synthesizer``), layers included.

        Raises:
            ConfigurationError: no model can be found, or its name is unknown.
        """
        return (await self._models(self.settings)).models[role]

    def journal(self, *, durable: bool | None = None) -> Journal | None:
        """Return the journal that a run of this object is recorded in; None where runs are not durable.

        Args:
            durable: instead of the setting.

        Raises:
            ConfigurationError: the setting ``journal`` names none.
        """
        return self._journal_for(self.settings.changed(durable=durable))

    async def aclose(self) -> None:
        """Release pooled connections. The object may be used again afterwards.

        Without it, and without ``async with``, connections are kept for the next run. They close when their
        event loop ends (as that of `asyncio.run` does), or when the object is dropped.
        """
        for cast in self._casts.values():
            await cast.aclose()
        await self._toolsets.aclose()
        for url, journal in self._journals.items():
            if url is not None:  # that of this machine is shared by the whole process
                await journal.aclose()

    async def __aenter__(self) -> Self:
        self._users += 1
        self._closes = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closes = True
        await self._left()

    @asynccontextmanager
    async def _in_use(self) -> AsyncGenerator[None]:
        """Hold connections open during a run."""
        self._users += 1
        try:
            yield
        finally:
            await self._left()

    async def _left(self) -> None:
        """Close everything when the last user of ``async with`` has left, and toolsets after the last run."""
        self._users -= 1
        if self._users == 0:
            with anyio.CancelScope(shield=True):
                await (self.aclose() if self._closes else self._toolsets.aclose())

    async def _prepare(self, request: RunRequest, listen: Callable[[Event], None] | None = None) -> Execution:
        """Look up everything a run needs, within its deadline."""
        settings = self.settings.changed(**request.changes)
        started = anyio.current_time()
        deadline_at = float("inf") if settings.deadline is None else started + settings.deadline
        run_deadline_at.set(deadline_at)
        with anyio.CancelScope(deadline=deadline_at):
            return await self._prepared(request, settings, deadline_at, listen)
        raise DeadlineExceededError(
            f"After {settings.deadline:g} s the model, its endpoint or its tools had not been found.",
            hint="Name the model (`weaver doctor` shows what answers), or raise the deadline.",
        )

    async def _prepared(
        self,
        request: RunRequest,
        settings: Settings,
        deadline_at: float,
        listen: Callable[[Event], None] | None,
    ) -> Execution:
        task = as_task(request.task)
        if request.parts:
            task = with_parts(task, request.parts)
        if request.documents:
            task = replace(task, documents=(*task.documents, *await opened(request.documents)))
        if request.history:
            task = task.after(messages_from(request.history, "history"))
        if request.output is not None:
            task = replace(task, output=request.output)
        if task.output is None and task.agent is not None:
            task = replace(task, output=task.agent.output)
        if task.output is not None:
            output_type(task.output)  # a wrong one is an error before anything is spent
        if tools := (*self._tools, *request.tools):
            task = replace(task, tools=(*task.tools, *tools))
        task = replace(task, tools=await self._toolsets.resolved(task.tools))
        agents = [replace(a, tools=await self._toolsets.resolved(a.tools)) for a in settings.agents]
        agents = [replace(a, hooks=resolved(a.hooks)) if a.hooks else a for a in agents]
        strategy, options = find(settings.strategy)
        decides_by_policy = "policy" in strategy.options
        if settings.policy is not None and decides_by_policy and "policy" not in options:
            options |= strategy.parsed_options({"policy": settings.policy})
        cast = await self._models(settings)
        model = cast.models["thread"]
        demanding = bool(strategy.demands(options))
        strategy.check(await model.capabilities() if demanding else Capabilities(), model.name, options)
        if settings.max_cost is not None:
            await check_prices(cast.models.values())
        journal = self._journal_for(settings)
        events = None if journal is None else EventLog()
        heard = listen if events is None else events.heard_by(listen)
        state = RunState(
            request.run_id or self._new_id(),
            cast.models,
            agents=agents,
            instructions=settings.instructions or "",
            given_plan=request.plan,
            limits=_limits(settings),
            deadline_at=deadline_at,
            deadline=settings.deadline,
            thread_timeout=settings.thread_timeout,
            temperature=settings.temperature,
            seed=settings.seed,
            listen=heard,
            tracing=self._traced(),
            journal=journal,
            events=events,
            about=self.begun_by,
            accept_changes=bool(settings.accept_changes),
            hooks=Hooks((*self._hooks, *resolved(request.hooks))),
            max_answer=settings.max_answer,
            stop_repetition=settings.stop_repetition is not False,
            verification=verification_of(request.verify),
            tools=RunTools(
                deps=self._deps if request.deps is None else request.deps,
                rounds=settings.tool_rounds,
                max_result_chars=settings.max_tool_result,
                approve=request.approve or self._approve,
                approval_timeout=settings.approval_timeout,
                allow_effects=settings.allow_effects,
                toolsets=self._toolsets,
                # Who merely reads the journal cannot answer what the run asks.
                emit=None if listen is None else heard,
            ),
        )
        for note in (*cast.notes, *(note for document in task.documents for note in document.notes)):
            state.note(note)
        if settings.policy is not None and not decides_by_policy:
            state.note(f"The policy has no part in this run: strategy {strategy.name!r} has none.")
        work: Callable[[Run, Task], Awaitable[Answer]] = partial(strategy.function, **options)
        if task.documents and not strategy.reads_documents:
            work = partial(with_whole_documents, work, strategy.name)
        return Execution(
            state,
            task,
            strategy.name,
            work,
            checks_output=request.is_answered,
            session=self._session(request.session),
            conversation=request.session if isinstance(request.session, str) else "",
        )

    def _session(self, session: object) -> Session | None:
        """The session, or that of an id.

        Raises:
            ConfigurationError: it is neither, or the id is empty.
        """
        if session is None or isinstance(session, str):
            if session is not None and not session.strip():
                raise ConfigurationError("session= is an empty id.", hint="Name the conversation.")
            return None if session is None else self._sessions(session)
        if not isinstance(session, Session):
            raise ConfigurationError(
                f"session= is a {type(session).__name__}.", hint="Use an id, or a weaver.Session."
            )
        return session

    def _journal_for(self, settings: Settings) -> Journal | None:
        """The journal of a run with these settings; None for one that is not durable."""
        if self._journal is not None:
            return self._journal
        if not settings.durable:
            return None
        url = settings.journal.get_secret_value() if settings.journal is not None else None
        if url not in self._journals:
            self._journals[url] = journal_of(url, keep=settings.retention)
        return self._journals[url]

    def _traced(self) -> Tracing:
        """Return what records the runs; made when the first one begins."""
        if self._tracing is None:
            from weaver._tracing.export.local import local_tracing

            self._tracing = local_tracing(self._tracer_provider)
        return self._tracing

    async def _models(self, settings: Settings) -> Cast:
        key = Cast.key_of(settings)
        if key not in self._casts:
            self._casts[key] = await Cast.of(settings, confirm=self._confirm)
        return self._casts[key]


def _by(strategy: Callable[..., Any], task: Question, changes: Mapping[str, Any]) -> RunRequest:
    """The request to look at a task by a strategy of ours instead of answering it."""
    check_names(changes, Changes.__annotations__)
    hooks = changes.get("hooks") or ()
    own = {name: value for name, value in changes.items() if name != "hooks"} | {
        "strategy": strategy,
        "durable": False,
    }
    return RunRequest(replace(as_task(task), output=None), hooks=hooks, changes=own, is_answered=False)


def _sessions_of(sessions: str | Path | Sessions | None) -> Sessions:
    if sessions is None:
        return MemorySessions()
    if callable(sessions):
        return sessions
    from weaver._sessions.sqlite import sessions_in

    return sessions_in(sessions)


def _servers(settings: Settings) -> tuple[Any, ...]:
    """The MCP servers that the settings name.

    Raises:
        UnknownNameError: there is no server of that name.
        ConfigurationError: its entry is wrong.
    """
    if not settings.mcp:
        return ()
    from weaver._tools.mcp import mcp

    for name in settings.mcp:
        if name not in settings.mcp_servers:
            raise UnknownNameError("MCP server", name, settings.mcp_servers)
    return tuple(mcp(**settings.mcp_servers[name].model_dump()) for name in settings.mcp)


def _limits(settings: Settings) -> Limits:
    default = Limits()
    return Limits(
        total_tokens=settings.max_total_tokens,
        cost_usd=settings.max_cost,
        calls=settings.max_calls,
        threads=default.threads if settings.max_threads is None else settings.max_threads,
        depth=default.depth if settings.max_depth is None else settings.max_depth,
    )
