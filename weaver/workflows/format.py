"""The format ``weaver/v1``: the one description of what a workflow file may say.

YAML files and workflows built in Python are these same objects; the JSON Schema for editors is made of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    StrictBool,
    StrictStr,
    model_serializer,
    model_validator,
)

from weaver.result import Result
from weaver.workflows.compiled import Compiled
from weaver.workflows.parts import (
    AgentSpec,
    Approve,
    Case,
    Conflicts,
    InputSpec,
    Join,
    Limits,
    Model,
    Models,
    OnError,
    OnTimeout,
    Part,
    Retries,
    Strategy,
    Texts,
)
from weaver.workflows.source import Source
from weaver.workflows.surroundings import Surroundings
from weaver.workflows.units import Duration, Size
from weaver.workflows.values import Value

VERSION = "weaver/v1"
MAX_STEPS = 500
MAX_ITEMS = 1_000


def _condition(value: Any) -> Any:
    return ("true" if value else "false") if isinstance(value, bool) else value


Condition = Annotated[StrictStr, BeforeValidator(_condition, json_schema_input_type=StrictStr | StrictBool)]


def _list_or_text(value: Any) -> Any:
    if not isinstance(value, (str, list, tuple)):
        raise ValueError("a list is expected, or an expression for one")
    return list(value) if isinstance(value, tuple) else value


ForEach = Annotated[Any, BeforeValidator(_list_or_text, json_schema_input_type=StrictStr | list[Any])]
Name = Annotated[StrictStr, Field(min_length=1, max_length=64)]


def _outputs(value: Any) -> Any:
    return {"answer": value} if isinstance(value, str) else value


class Defaults(Part):
    """What holds where nothing else is said: for the whole run, and for each step."""

    deadline: Duration | None = Field(
        default=None,
        description="The whole run answers within this time, partly if need be.",
        examples=["2m"],
    )
    budget: Limits | None = Field(
        default=None, description="What the whole run may spend.", examples=["$0.50", {"tokens": "20k"}]
    )
    strategy: Strategy | None = Field(
        default=None,
        description="How steps work on their tasks. Default: sequential.",
        examples=["self_consistency"],
    )
    timeout: Duration | None = Field(
        default=None, description="Most time for each thread of a step.", examples=["30s"]
    )
    max_parallel: int | None = Field(
        default=None,
        ge=1,
        strict=True,
        description="Most items that a for_each works on at the same time.",
        examples=[8],
    )
    retry: Retries | None = Field(default=None, description="How often steps try again.", examples=[1])
    on_error: OnError | None = Field(
        default=None, description="What a failed step means for the rest.", examples=["keep"]
    )
    on_timeout: OnTimeout | None = Field(
        default=None, description="What a timeout means for a step.", examples=["partial"]
    )
    max_tokens: Size | None = Field(
        default=None, description="Most tokens that one thread may generate.", examples=["2k"]
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Sampling temperature.", examples=[0.2]
    )


class Step(Part):
    """One step. It does one thing: a ``task``, a ``function``, a workflow (``uses``) or an ``approve``."""

    title: StrictStr = Field(
        default="", description="A few words for people and traces.", examples=["Find sources"]
    )
    needs: Texts = Field(
        default=(),
        description="Steps that must be done first. Steps that expressions use need not be named.",
        examples=[["search", "read"]],
    )
    if_: Condition | None = Field(
        default=None,
        validation_alias="if",
        serialization_alias="if",
        description="An expression; when it is false the step is skipped.",
        examples=["inputs.deep", "len(steps.plan.output.parts) > 1"],
    )
    for_each: ForEach | None = Field(
        default=None,
        description="A list, or an expression for one: the step runs once per item, in parallel.",
        examples=["${{ steps.plan.output.questions }}", ["security", "speed"]],
    )
    as_: Name | None = Field(
        default=None,
        validation_alias="as",
        serialization_alias="as",
        description="How expressions call the item. Default: item.",
        examples=["question"],
    )
    max_parallel: int | None = Field(
        default=None, ge=1, strict=True, description="Most items worked on at the same time.", examples=[4]
    )
    max_items: int = Field(
        default=MAX_ITEMS,
        ge=1,
        le=100_000,
        strict=True,
        description="Most items taken; a longer list is cut, and says so.",
    )
    task: StrictStr | None = Field(
        default=None,
        min_length=1,
        description="What the model is asked. ${{ expressions }} put in values; what models wrote is fenced.",
        examples=["Summarise ${{ inputs.topic }} in three sentences."],
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
    max_tokens: Size | None = Field(
        default=None, description="Most tokens that one thread may generate.", examples=["2k"]
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Sampling temperature.", examples=[0.7]
    )
    function: StrictStr | None = Field(
        default=None, description="A registered Python function to call with `with`.", examples=["word_count"]
    )
    uses: StrictStr | None = Field(
        default=None,
        description="Another workflow file to run with `with`, relative to this one.",
        examples=["./review.yaml"],
    )
    with_: Mapping[StrictStr, Any] | None = Field(
        default=None,
        validation_alias="with",
        serialization_alias="with",
        description="Inputs of the workflow in `uses`, or arguments of the function.",
        examples=[{"topic": "${{ inputs.topic }}"}],
    )
    approve: Approve | None = Field(
        default=None, description="Ask a person first; a no skips the step.", examples=["Publish this brief?"]
    )
    join: Join | None = Field(
        default=None,
        description="When enough is done: of the items of for_each, otherwise of the steps in needs. "
        "all, first, quorum(2), best, settled or until(condition).",
        examples=["quorum(2)", "first"],
    )
    timeout: Duration | None = Field(
        default=None, description="Most time for each thread of the step.", examples=["30s"]
    )
    deadline: Duration | None = Field(
        default=None,
        description="Most time for the whole step, all items and new tries included.",
        examples=["2m"],
    )
    budget: Limits | None = Field(
        default=None, description="What this step may spend.", examples=["$0.10", {"calls": 8}]
    )
    retry: Retries | None = Field(default=None, description="How often to try again.", examples=[2])
    on_error: OnError | None = Field(
        default=None,
        description="keep: the rest goes on, steps that need this one are skipped (default). "
        "skip: they run without it. fail_fast: the run fails at once.",
        examples=["skip"],
    )
    on_timeout: OnTimeout | None = Field(
        default=None,
        description="fail (default), partial: what was said so far is the output, fallback: `fallback` is.",
        examples=["partial"],
    )
    fallback: Any = Field(
        default=None, description="The output after a timeout with on_timeout: fallback.", examples=["none"]
    )
    conflicts: Conflicts | None = Field(
        default=None,
        description="How disagreement between the items (or the steps in needs) is settled: a ladder "
        "of majority, confidence_weighted, verify, debate, judge, escalate, ask, keep.",
        examples=["majority", ["majority", "verify(samples=3)", "judge"]],
    )

    @property
    def does(self) -> str:
        """What the step does: ``task``, ``function``, ``uses`` or ``approve``."""
        return next(
            (name for name in ("task", "function", "uses") if getattr(self, name) is not None), "approve"
        )

    @property
    def item_name(self) -> str:
        """How expressions call the item of ``for_each``."""
        return self.as_ or "item"


class Workflow(Part):
    """A workflow: typed inputs, steps that run as soon as what they need is done, and outputs."""

    version: Literal["weaver/v1"] = Field(description="The format of this file.", examples=[VERSION])
    name: Name = Field(description="Names the workflow in traces and results.", examples=["research-brief"])
    description: StrictStr = Field(
        default="", description="What it is for.", examples=["Compares sources on a topic."]
    )
    inputs: Mapping[StrictStr, InputSpec] = Field(
        default={}, description="What must be given to run it.", examples=[{"topic": "string"}]
    )
    models: Models = Field(
        default=Models(),
        description="Models by role.",
        examples=[{"default": "openai/gpt-5-mini", "judge": "openai/gpt-5"}],
    )
    agents: Mapping[StrictStr, AgentSpec] = Field(
        default={},
        description="Named workers.",
        examples=[{"critic": {"instructions": "Find what is wrong."}}],
    )
    defaults: Defaults = Field(
        default=Defaults(),
        description="For the whole run and every step.",
        examples=[{"deadline": "2m", "budget": "$0.50"}],
    )
    steps: Mapping[StrictStr, Step] = Field(
        min_length=1,
        max_length=MAX_STEPS,
        description="The steps, by id. They run in parallel unless one needs another.",
        examples=[{"summary": {"task": "Summarise ${{ inputs.topic }}."}}],
    )
    outputs: Annotated[
        Mapping[StrictStr, Any], BeforeValidator(_outputs, json_schema_input_type=StrictStr | dict[str, Any])
    ] = Field(
        default={},
        description="What comes out, by name; `answer` is the text of the result. "
        "Default: the outputs of the last steps.",
        examples=[{"brief": "${{ steps.merge.output }}"}],
    )
    tests: tuple[Case, ...] = Field(
        default=(),
        description="Cases for `weaver test`.",
        examples=[[{"name": "works", "inputs": {"topic": "tea"}}]],
    )
    extensions: Mapping[StrictStr, Any] = Field(
        default={},
        exclude=True,
        description="Keys that begin with x-: yours, for anchors and notes.",
        examples=[{}],
    )

    _source: Source | None = PrivateAttr(default=None)
    _compiled: Compiled | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _take_extensions(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        mine = {key: value for key, value in data.items() if isinstance(key, str) and key.startswith("x-")}
        if not mine:
            return data
        return {k: v for k, v in data.items() if k not in mine} | {"extensions": mine}

    @model_serializer(mode="wrap")
    def _write(self, write: Any) -> Any:
        return {**write(self), **self.extensions}

    @classmethod
    def from_yaml(
        cls,
        source: str | Path,
        *,
        root: str | Path | None = None,
        tools: Iterable[Any] | Mapping[str, Any] = (),
    ) -> Self:
        """Read and check a workflow file, or a YAML text (anything with a line break).

        Args:
            root: the folder that files named in ``uses`` must lie in; default: the file's own.
            tools: functions that it may name, besides registered ones and those of plugins.

        Raises:
            InvalidWorkflow: every problem of the file and of the files it uses.
        """
        from weaver.workflows.load import load

        workflow = load(source, root=root, surroundings=Surroundings.of(tools))
        assert isinstance(workflow, cls)
        return workflow

    def to_yaml(self, path: str | Path | None = None) -> str:
        """The workflow as YAML that reads back as an equal object; written to ``path`` when given."""
        from weaver.workflows.dump import dump

        text = dump(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workflow) and other.__dict__ == self.__dict__

    __hash__ = None  # type: ignore[assignment]  # it holds mappings

    @property
    def compiled(self) -> Compiled:
        """The parsed texts.

        Raises:
            InvalidWorkflow: the workflow was built in Python and has problems.
        """
        if self._compiled is None:
            self.check()
        assert self._compiled is not None
        return self._compiled

    @property
    def source(self) -> Source | None:
        """Where it was read from, for messages with lines; None when it was built in Python."""
        return self._source

    def checked_as(self, compiled: Compiled, source: Source) -> None:
        """For the loader: keep what the check found out."""
        self._compiled, self._source = compiled, source

    def adopt(self, other: Workflow) -> None:
        """For the loader: take over what was found out about an equal workflow."""
        self._compiled = other.compiled

    @property
    def needs_check(self) -> bool:
        """Whether nobody has checked it yet: it was built in Python."""
        return self._compiled is None

    def check(self, *, root: str | Path | None = None, surroundings: Surroundings | None = None) -> Self:
        """Check a workflow that was built in Python as if it were a file.

        Args:
            root: the folder that files named in ``uses`` are relative to; default: the working directory.
            surroundings: what may be named; what is registered and installed by default.

        Raises:
            InvalidWorkflow: every problem; lines are those of `to_yaml`.
        """
        from weaver.workflows.load import check_built

        check_built(self, root=root, surroundings=surroundings)
        return self

    async def run(self, inputs: Mapping[str, Any] | None = None, **options: Any) -> Result[Any]:
        """Run it: see `weaver.workflows.run_workflow`."""
        from weaver.workflows.run import run_workflow

        return await run_workflow(self, inputs, **options)


__all__ = ["MAX_ITEMS", "VERSION", "Defaults", "Model", "Step", "Workflow"]
