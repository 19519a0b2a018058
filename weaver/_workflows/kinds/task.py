"""Steps that ask a model: ``task``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import Field, StrictStr

from weaver._settings.units import Size
from weaver._workflows.expressions.functions import text_of
from weaver._workflows.expressions.templates import Template
from weaver._workflows.expressions.types import STRING, Kind
from weaver._workflows.kinds.bound import Bounds, Most
from weaver._workflows.kinds.step_kind import StepKind
from weaver._workflows.schema.components import Part, Strategy, Texts
from weaver._workflows.schema.types import Value
from weaver._workflows.source.diagnostics import did_you_mean
from weaver.errors import ConfigurationError, StepError

if TYPE_CHECKING:
    from weaver._data.result import Answer
    from weaver._data.task import Agent, Task
    from weaver._runtime.run import Run
    from weaver._runtime.threads.thread_options import Body
    from weaver._strategies.common.registry import Strategy as StrategyFunction
    from weaver._verification.protocol import Check
    from weaver._workflows.execution.preparation.prepared import Lookup
    from weaver._workflows.execution.step_run import StepRun
    from weaver._workflows.validation.registry import Surroundings
    from weaver._workflows.validation.step_checker import StepCheck

REPAIRS = 2
OVERHEAD = 200
"""Input tokens of instructions around a task."""

_CALLS: dict[str, Callable[[Mapping[str, Any]], int]] = {
    # Calls of one thread under a strategy whose number follows from its options.
    "sequential": lambda o: 1 + int(o.get("wait") or 0) + (2 if o.get("think_tokens") else 0),
    "fixed": lambda o: int(o.get("k", 4)) + 2,
    "self_consistency": lambda o: int(o["samples"]),
    "best_of_n": lambda o: int(o["n"]) * 2,
    "mixture_of_agents": lambda o: int(o["layers"]) * int(o["proposers"]) + 1,
    "debate": lambda o: int(o["agents"]) * int(o["rounds"]),
    "rounds": lambda o: int(o["width"]) * int(o["rounds"]) + 1,
    "skeleton_of_thought": lambda o: 2 + int(o.get("max_points") or 10),
}


class TaskKeys(Part):
    """The keys of steps that ask a model."""

    task: StrictStr | None = Field(
        default=None,
        min_length=1,
        description="What the model is asked. ${{ expressions }} put in values; what models wrote is fenced.",
        examples=["Summarise ${{ inputs.topic }} in three sentences."],
    )
    documents: Texts | None = Field(
        default=None,
        description="What the task is about: files beside the workflow, or texts of expressions.",
        examples=[["report.md", "${{ inputs.notes }}"]],
    )
    agent: StrictStr | None = Field(
        default=None,
        description="The agent that works on it; may be an expression.",
        examples=["reviewer", "${{ item }}"],
    )
    strategy: Strategy | None = Field(
        default=None,
        description="How it works on its task, with options.",
        examples=["self_consistency", {"name": "self_consistency", "samples": 5}],
    )
    tools: Texts | None = Field(
        default=None,
        description="Names of registered tools that may be called.",
        examples=[["search", "fetch"]],
    )
    output: Value | None = Field(
        default=None,
        description="What the answer must look like. Default: a text.",
        examples=[{"properties": {"title": "string", "score": "number"}}],
    )
    verify: StrictStr | dict[str, Any] | None = Field(
        default=None,
        description="What checks the answer, which is repaired once: arithmetic, the name of an installed "
        "check, or a JSON Schema.",
        examples=["arithmetic", {"type": "object", "required": ["total"]}],
    )
    max_tokens: Size | None = Field(
        default=None, description="Most tokens that one thread may generate.", examples=["2k"]
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Sampling temperature.", examples=[0.7]
    )


class TaskStep(StepKind):
    """Asks a model, with a strategy, tools and an agent.

    Attributes:
        strategy, options: what is checked against the model's capabilities; ``body`` is the two as one.
        agents: every agent of the run by its full name: ``within`` and the name in its file.
        verifier: checks the answer; None: nothing does.
        direct: nothing stands between a thread and the strategy's function.
    """

    key = "task"
    keys = TaskKeys
    texts = ("task", "agent", "documents")
    takes = ("budget", "retry")
    offer = "a task"
    has_partial_output = True

    strategy: StrategyFunction | None = None
    options: Mapping[str, Any] = MappingProxyType({})
    body: Body | None = None
    tools: tuple[Any, ...] = ()
    agents: Mapping[str, Agent] = MappingProxyType({})
    agent_names: tuple[str, ...] = ()
    within = ""
    verifier: Check | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    direct = True

    # ---- the file

    def check(self, check: StepCheck) -> None:
        """Report agents, strategies and tools that are not there."""
        self.check_names(check)

    def check_names(self, check: StepCheck) -> None:
        """Do the same, also for a step whose own key could not be read."""
        if "agent" in check.kinds:
            self._check_agent(check, check.kinds["agent"])
        if self.spec.strategy is not None and check.surroundings.strict:
            check.checks.check_strategy(self.spec.strategy, (*check.keys, "strategy"))
        check.checks.check_tools(self.spec.tools or (), (*check.keys, "tools"))
        self._check_verify(check)

    def _check_verify(self, check: StepCheck) -> None:
        """Report a check that is not there. A file may name neither a command nor code: it may be foreign."""
        from weaver._verification.named import check_of

        verify = self.spec.verify
        if isinstance(verify, str) and verify.startswith(("command:", "python:")):
            hint = "name an installed check, or write a JSON Schema"
            check.wrong("verify", "a workflow file may name no command and no Python file as a check", hint)
        elif verify is not None and (check.surroundings.strict or not isinstance(verify, str)):
            try:
                check_of(verify)
            except ConfigurationError as error:
                check.wrong("verify", error.message.rstrip("."), error.hint.rstrip("."))

    def _check_agent(self, check: StepCheck, kind: Kind) -> None:
        agents = check.checks.workflow.agents
        lost = check.checks.lost_agents
        if not kind.one_of("string"):
            check.wrong("agent", f"an agent's name is a text, and this is {kind.words}")
        if not agents and not lost and kind.enum is None:
            check.wrong("agent", "there are no agents to choose from", "describe some under `agents`")
        for name in kind.enum or ():
            if name not in agents and name not in lost:
                hint = did_you_mean(str(name), agents) or "describe it under `agents`"
                check.wrong("agent", f"there is no agent {name!r}", hint)

    def output(self, surroundings: Surroundings) -> Kind:
        """A text, unless `output` says otherwise."""
        return super().output(surroundings) if self.spec.output is not None else STRING.tainted(True)

    # ---- pictures and bounds

    @property
    def label(self) -> str:
        """The strategy, and who works on it."""
        return f"{self._name} as {self.spec.agent}" if self.spec.agent else self._name

    def most(self, bounds: Bounds) -> Most:
        """The calls that the strategy's options allow, and their tokens."""
        calls = self._most_calls()
        bound = "" if calls is not None else f"how many calls {self._name} makes is decided while it runs"
        return Most(1, calls, *self._most_tokens(calls, bounds), bound)

    @property
    def _name(self) -> str:
        return self.strategy.name if self.strategy is not None else "sequential"

    def _most_calls(self) -> int | None:
        assert self.strategy is not None
        defaults = {key: default for key, (_, default) in self.strategy.options.items()}
        try:
            calls = _CALLS[self._name]({**defaults, **self.options})
        except (KeyError, TypeError, ValueError):
            return None
        if self.step.output is not None:
            calls += REPAIRS
        if self.spec.verify is not None:
            calls += 1 if self.step.output is None else 1 + REPAIRS
        if self.tools or any(agent.tools for agent in self._own_agents().values()):
            from weaver._tools.run_tools import TOOL_ROUNDS

            calls += TOOL_ROUNDS
        return calls

    def _most_tokens(self, calls: int | None, bounds: Bounds) -> tuple[int | None, float | None]:
        from weaver._data.usage import estimate_tokens

        template = self.prompt()
        assert template is not None
        text = "".join(part for part in template.parts if isinstance(part, str))
        inputs: int | None = OVERHEAD + estimate_tokens(text)
        for id_ in self.step.waits_for:
            before = bounds.outputs.get(id_)
            inputs = None if inputs is None or before is None else inputs + before
        if calls is None or self.max_tokens is None or inputs is None:
            return None, None
        written, read = calls * self.max_tokens, calls * inputs
        if bounds.prices is None:
            return written + read, None
        return written + read, (read * bounds.prices.input + written * bounds.prices.output) / 1e6

    @property
    def tokens_out(self) -> int | None:
        """The cap of one thread."""
        return self.max_tokens

    # ---- the run

    def bind(self, lookup: Lookup) -> None:
        """Look up the strategy, the tools and the agents."""
        spec, defaults = self.spec, lookup.workflow.defaults
        self.strategy, self.options = lookup.strategy(spec.strategy)
        function = self.strategy.function
        self.body = partial(function, **self.options) if self.options else function
        self.tools = lookup.tools(spec.tools or ())
        self.agents, self.within = lookup.agents, lookup.prefix
        self.agent_names = tuple(lookup.workflow.agents)
        self.max_tokens = spec.max_tokens or defaults.max_tokens
        self.temperature = spec.temperature if spec.temperature is not None else defaults.temperature
        if spec.verify is not None:
            from weaver._verification.named import check_of

            self.verifier = check_of(spec.verify)
        self.direct = (
            self.verifier is None and not self.step.claims and not self.strategy.demands(self.options)
        )

    def prompt(self) -> Template | None:
        """The task's text."""
        template = self.step.texts.get("task")
        return template if isinstance(template, Template) else None

    def task(self, work: StepRun, names: Mapping[str, Any], title: str) -> Task:
        """The task of the step, or of one of its items, with its texts filled in.

        Raises:
            ExpressionError: a text has no value.
        """
        from weaver._coordination.conflicts.briefing import briefing
        from weaver._data.task import Task

        template = self.prompt()
        assert template is not None
        prompt = template.prompt(names)
        if work.progress.conflicts:
            settled = [work.progress.conflicts.get(id_, ()) for id_ in (self.step.id, *self.step.waits_for)]
            briefs = [brief for conflicts in settled if (brief := briefing(conflicts))]
            prompt = "\n\n".join([prompt, *briefs])
        return Task(
            prompt,
            title=title,
            output=self.step.output,
            tools=self.tools,
            agent=self._agent(names),
            max_tokens=self.max_tokens,
            temperature=self.temperature,
        )

    def _own_agents(self) -> dict[str, Agent]:
        return {name: self.agents[f"{self.within}{name}"] for name in self.agent_names}

    def _agent(self, names: Mapping[str, Any]) -> Agent | None:
        if self.spec.agent is None:
            return self.agents.get(self.within)
        name = text_of(self.value(names, "agent"))
        if name not in self.agent_names:
            raise StepError(
                f"Step {self.step.id}: there is no agent {name!r}.",
                hint=f"Known: {', '.join(self.agent_names) or 'none'}.",
            )
        return self.agents[f"{self.within}{name}"]

    # Plain functions that hand on a coroutine: a thread's way to its model has no frame that does nothing.

    def run(self, work: StepRun, run: Run, names: Mapping[str, Any], task: Task | None) -> Awaitable[Answer]:
        """Give the task to the strategy."""
        if task is None:
            task = self.task(work, names, run.context.task.title)
            run.context.task = task
            if run.context.thread is not None:
                run.context.thread.task = task
        assert self.body is not None
        if self.spec.documents is not None:
            return self._on_documents(work, run, names, task, self.body)
        return self.body(run, task) if self.direct else self._carefully(run, task, self.body)

    async def _on_documents(
        self, work: StepRun, run: Run, names: Mapping[str, Any], task: Task, body: Body
    ) -> Answer:
        from weaver._workflows.kinds.documents import documents_of, with_documents

        source = work.progress.prepared.workflow.source
        folder = source.path.parent.resolve() if source is not None and source.path is not None else None
        values = self.value(names, "documents")
        documents = await documents_of(self.step.id, folder, self.spec.documents or (), values)
        task = replace(task, documents=documents)
        return await self._carefully(run, task, partial(with_documents, body, self.strategy))

    async def _carefully(self, run: Run, task: Task, body: Body) -> Answer:
        """Run a strategy that needs something of the model, or whose answer is checked or compared."""
        from weaver._coordination.conflicts.claims import claiming

        strategy = self.strategy
        if strategy is not None and strategy.demands(self.options):
            strategy.check(await run.capabilities(), run.context.model().name, self.options)
        answer = await (claiming(body) if self.step.claims else body)(run, task)
        if self.verifier is None:
            return answer
        from weaver._runtime.verifying import verified
        from weaver._verification.protocol import Verification

        run.offer(answer)
        return await verified(run, task, answer, Verification(self.verifier))
