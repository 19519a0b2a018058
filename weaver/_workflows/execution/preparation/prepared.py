"""A checked workflow with everything it names looked up: strategies, tools, agents, output types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from weaver._data.task import Agent
from weaver._hooks.named import resolved
from weaver._workflows.execution.preparation.servers import toolset
from weaver._workflows.validation.compiled import NO_RETRY, CompiledStep
from weaver._workflows.validation.registry import Surroundings

if TYPE_CHECKING:
    from weaver._strategies.common.registry import Strategy
    from weaver._workflows.format.definition import Definition

NO_TIMEOUT = float("inf")
"""A step's thread has the time that its own threads need; timeouts are theirs."""


@dataclass(slots=True)
class Prepared:
    """A workflow, ready to run.

    Attributes:
        steps: those of this run, with its settings; a workflow's own stay as the loader left them.
        agents: every agent of it and of the workflows it uses, by its full name: one mapping for all of them.
            The prefix of a used workflow is the worker of its steps without an agent, if it has one.
        depth: levels of threads that the steps themselves take, without their strategies' own.
    """

    workflow: Definition
    steps: dict[str, CompiledStep]
    agents: dict[str, Agent]
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
    agents: dict[str, Agent] | None = None,
    connects: bool = True,
) -> Prepared:
    """Look up what a workflow names.

    Args:
        usual: what the caller's settings say.
        within: the step that uses this workflow, for names of agents; "" for the outermost.
        agents: those of the workflows around it; its own are added.
        connects: False leaves out the tools of MCP servers and hooks: nothing is started or imported.

    Raises:
        InvalidWorkflowError: it was built in Python and has problems.
        ConfigurationError: a tool or strategy is not there (any more).
    """
    compiled = workflow.compiled
    servers = {name: toolset(name, server) for name, server in workflow.mcp.items()} if connects else {}
    prepared = Prepared(workflow, {}, {} if agents is None else agents)
    prefix = f"{within}." if within else ""
    lookup = Lookup(workflow, surroundings, usual, prepared.agents, servers, connects, prefix)
    prepared.agents |= {f"{prefix}{name}": _agent(name, lookup) for name in workflow.agents}
    if within and (model := _thread_model(workflow)) is not None:
        # The worker of steps without an agent, where a used workflow names its own model.
        prepared.agents[prefix] = Agent(f"{prefix}thread", model=model)
    compared = {
        need
        for step in compiled.steps.values()
        if step.spec.conflicts and step.spec.for_each is None
        for need in step.needs
    }
    for id_, step in compiled.steps.items():
        prepared.steps[id_] = bound = _bound(step, lookup, is_compared=id_ in compared)
        below = bound.action.prepared.depth if bound.action.prepared is not None else 0
        prepared.depth = max(prepared.depth, 1 + (step.spec.for_each is not None) + below)
    return prepared


@dataclass(frozen=True, slots=True)
class Lookup:
    """The meaning of the names in a workflow in this run; `StepKind.bind` asks it.

    Attributes:
        agents: every agent of the run by its full name.
        servers: toolsets by name.
        connects: whether the tools of servers are wanted, also in workflows that are used.
        prefix: stands before the names of this workflow's agents.
    """

    workflow: Definition
    surroundings: Surroundings
    usual: Usual
    agents: dict[str, Agent]
    servers: Mapping[str, Any]
    connects: bool
    prefix: str

    def tools(self, names: Sequence[str]) -> tuple[Any, ...]:
        """The tools of these names; a server's in its place."""
        return tuple(
            self.servers[name] if name in self.servers else self.surroundings.tool(name)
            for name in names
            if name in self.servers or name not in self.workflow.mcp
        )

    def strategy(self, reference: Any) -> tuple[Strategy, Mapping[str, Any]]:
        """The strategy that a step names, and its options; without a name that of the run or the file.

        Raises:
            ConfigurationError: there is none of that name, or an option does not fit.
        """
        from weaver._strategies.common import registry

        if reference is None and self.usual.strategy is not None:
            return registry.find(self.usual.strategy)
        reference = reference or self.workflow.defaults.strategy
        if reference is None:
            return registry.load("sequential"), {}
        strategy = registry.load(reference.name)
        return strategy, strategy.parsed_options(reference.options)

    def prepare(self, workflow: Definition, step: str) -> Prepared:
        """A workflow that a step uses, ready to run.

        Args:
            step: the id of that step.
        """
        return prepare(
            workflow,
            self.surroundings,
            self.usual,
            within=f"{self.prefix}{step}",
            agents=self.agents,
            connects=self.connects,
        )


def _bound(step: CompiledStep, lookup: Lookup, *, is_compared: bool) -> CompiledStep:
    """The step with the settings of this run, and its action ready to be done."""
    spec, defaults, usual = step.spec, lookup.workflow.defaults, lookup.usual
    bound = replace(
        step,
        action=copy(step.action),
        title=spec.title or step.id.replace("_", " "),
        claims=bool(spec.conflicts) or is_compared,
        output=spec.output.python_type(step.id) if spec.output is not None else None,
        timeout=spec.timeout or defaults.timeout or usual.timeout,
        retry=spec.retry or defaults.retry or NO_RETRY,
        on_error=spec.on_error or defaults.on_error or "keep",
        on_timeout=spec.on_timeout or defaults.on_timeout or "partial",
        max_parallel=spec.max_parallel or defaults.max_parallel,
    )
    bound.action.bind(lookup)
    return bound


def _agent(name: str, lookup: Lookup) -> Agent:
    workflow, prefix = lookup.workflow, lookup.prefix
    spec = workflow.agents[name]
    hooks = resolved(spec.hooks) if lookup.connects else ()
    model = spec.model or (_thread_model(workflow) if prefix else None)
    return Agent(
        f"{prefix}{name}", spec.description, spec.instructions, model, lookup.tools(spec.tools), hooks
    )


def _thread_model(workflow: Definition) -> Any:
    return workflow.models.thread or workflow.models.default
