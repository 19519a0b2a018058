"""A checked workflow with everything it names looked up: strategies, tools, agents, output types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from weaver._data.task import Agent
from weaver._hooks.named import resolved
from weaver._tools.protocol import Tool
from weaver._workflows.execution.preparation.servers import toolset
from weaver._workflows.schema.components import Retry
from weaver._workflows.validation.compiled import CompiledStep
from weaver._workflows.validation.registry import Surroundings
from weaver._workflows.validation.scopes import single

if TYPE_CHECKING:
    from weaver._runtime.threads.thread_options import Body, OnError, OnTimeout
    from weaver._strategies.common.registry import Strategy
    from weaver._workflows.schema.definition import Definition
    from weaver._workflows.schema.step import Step

NO_RETRY = Retry(times=0)
NO_TIMEOUT = float("inf")
"""A step's thread has the time that its own threads need; timeouts are theirs."""


@dataclass(slots=True)
class PreparedStep:
    """One step, ready to run; the workflow's defaults are in.

    Attributes:
        strategy, options: what is checked against the model's capabilities; ``body`` is the two as one.
        output: a type for `Task.output`, or None for text.
        claims: whether its threads are asked for claims, because somebody compares them.
        used: the workflow that it runs, for ``uses``.
        does: what it does: ``task``, ``function``, ``uses`` or ``approve``.
        title: for people and traces.
        direct: nothing stands between a thread and the strategy's function.
        single: a for_each hands up one item's output.
    """

    id: str
    step: Step
    compiled: CompiledStep
    strategy: Strategy | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    body: Body | None = None
    tools: tuple[Tool, ...] = ()
    function: Tool | None = None
    output: Any = None
    agents: Mapping[str, Agent] = field(default_factory=dict)
    agent: Agent | None = None
    claims: bool = False
    used: Prepared | None = None
    timeout: float | None = None
    retry: Retry = NO_RETRY
    on_error: OnError = "keep"
    on_timeout: OnTimeout = "partial"
    max_parallel: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None

    does: str = "task"
    title: str = ""
    direct: bool = True
    single: bool = False


@dataclass(slots=True)
class Prepared:
    """A workflow, ready to run.

    Attributes:
        depth: levels of threads that the steps themselves take, without their strategies' own.
        agents: every agent of it and of the workflows it uses.
    """

    workflow: Definition
    steps: dict[str, PreparedStep]
    agents: tuple[Agent, ...] = ()
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Usual:
    """What holds for steps when neither they nor the file's defaults say otherwise.

    Args:
        strategy: a name with options, or a function; beats the file's defaults. None: `sequential`.
        timeout: seconds for each thread.
    """

    strategy: Any = None
    timeout: float | None = None


def prepare(
    workflow: Definition,
    surroundings: Surroundings,
    usual: Usual = Usual(),
    *,
    within: str = "",
    connects: bool = True,
) -> Prepared:
    """Look up what a workflow names.

    Args:
        usual: what the caller's settings say.
        within: the step that uses this workflow, for names of agents; "" for the outermost.
        connects: False leaves out the tools of MCP servers and hooks: nothing is started or imported.

    Raises:
        InvalidWorkflowError: it was built in Python and has problems.
        ConfigurationError: a tool or strategy is not there (any more).
    """
    compiled = workflow.compiled
    prefix = f"{within}." if within else ""
    servers = {name: toolset(name, server) for name, server in workflow.mcp.items()} if connects else {}
    lookup = _Lookup(surroundings, servers, frozenset(workflow.mcp) - servers.keys(), connects)
    agents = {name: _agent(workflow, name, prefix, lookup) for name in workflow.agents}
    own = _own_agent(workflow, prefix) if within else None
    compared = {
        n
        for id_, s in workflow.steps.items()
        if s.conflicts and s.for_each is None
        for n in compiled.steps[id_].needs
    }
    prepared = Prepared(workflow, {}, tuple(agents.values()) + ((own,) if own else ()))
    for id_, step in workflow.steps.items():
        prepared_step = _step(workflow, id_, lookup, usual, f"{prefix}{id_}")
        prepared_step.agents, prepared_step.agent = agents, own
        prepared_step.claims = bool(step.conflicts) or id_ in compared
        prepared_step.direct = not prepared_step.claims and not (
            prepared_step.strategy is not None and prepared_step.strategy.demands(prepared_step.options)
        )
        prepared.steps[id_] = prepared_step
        below = 0
        if prepared_step.used is not None:
            prepared.agents += prepared_step.used.agents
            below = prepared_step.used.depth
        prepared.depth = max(prepared.depth, 1 + (step.for_each is not None) + below)
    return prepared


@dataclass(frozen=True, slots=True)
class _Lookup:
    """What names of tools mean.

    Attributes:
        servers: toolsets by name.
        unconnected: names of servers whose tools are left out.
        connects: whether the tools of servers are wanted, also in workflows that are used.
    """

    surroundings: Surroundings
    servers: Mapping[str, Any]
    unconnected: frozenset[str]
    connects: bool

    def tools(self, names: Sequence[str]) -> tuple[Any, ...]:
        """The tools of these names; a server's in its place."""
        return tuple(
            self.servers[name] if name in self.servers else self.surroundings.tool(name)
            for name in names
            if name not in self.unconnected
        )


def _step(workflow: Definition, id_: str, lookup: _Lookup, usual: Usual, within: str) -> PreparedStep:
    surroundings = lookup.surroundings
    step = workflow.steps[id_]
    defaults, compiled = workflow.defaults, workflow.compiled.steps[id_]
    prepared_step = PreparedStep(
        id_,
        step,
        compiled,
        timeout=step.timeout or defaults.timeout or usual.timeout,
        retry=step.retry or defaults.retry or NO_RETRY,
        on_error=step.on_error or defaults.on_error or "keep",
        on_timeout=step.on_timeout or defaults.on_timeout or "partial",
        does=step.does,
        title=step.title or id_.replace("_", " "),
        single=single(step.join),
        max_parallel=step.max_parallel or defaults.max_parallel,
        max_tokens=step.max_tokens or defaults.max_tokens,
        temperature=step.temperature if step.temperature is not None else defaults.temperature,
    )
    prepared_step.tools = lookup.tools(step.tools or ())
    if step.output is not None:
        prepared_step.output = step.output.python_type(id_)
    if step.does == "function":
        prepared_step.function = surroundings.tool(str(step.function))
    elif step.does == "uses":
        prepared_step.used = prepare(
            compiled.workflow, surroundings, usual, within=within, connects=lookup.connects
        )
    elif step.does == "task":
        from weaver._strategies.common import registry

        if step.strategy is None and usual.strategy is not None:
            prepared_step.strategy, prepared_step.options = registry.find(usual.strategy)
        else:
            reference = step.strategy or defaults.strategy
            prepared_step.strategy = registry.load(reference.name if reference is not None else "sequential")
            prepared_step.options = (
                prepared_step.strategy.parsed_options(reference.options) if reference is not None else {}
            )
        function = prepared_step.strategy.function
        prepared_step.body = partial(function, **prepared_step.options) if prepared_step.options else function
    return prepared_step


def _agent(workflow: Definition, name: str, prefix: str, lookup: _Lookup) -> Agent:
    spec = workflow.agents[name]
    tools = lookup.tools(spec.tools)
    hooks = resolved(spec.hooks) if lookup.connects else ()
    model = spec.model or (_thread_model(workflow) if prefix else None)
    return Agent(f"{prefix}{name}", spec.description, spec.instructions, model, tools, hooks)


def _own_agent(workflow: Definition, prefix: str) -> Agent | None:
    """The worker of steps without an agent in a used workflow that names a model of its own."""
    model = _thread_model(workflow)
    return Agent(f"{prefix}thread", model=model) if model is not None else None


def _thread_model(workflow: Definition) -> Any:
    return workflow.models.thread or workflow.models.default
