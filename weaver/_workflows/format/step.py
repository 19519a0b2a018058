"""What a step may say, and what holds for all of them where they say nothing."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, StrictBool, StrictStr

from weaver._json_reading.json_types import JsonLike
from weaver._settings.units import Duration, Size
from weaver._workflows.kinds.registry import KindKeys, kind_of
from weaver._workflows.schema.components import (
    Conflicts,
    Join,
    Limits,
    OnError,
    OnTimeout,
    Part,
    Retries,
    Strategy,
    Texts,
)

MAX_ITEMS = 1_000


def _condition(value: Any) -> Any:
    return ("true" if value else "false") if isinstance(value, bool) else value


Condition = Annotated[StrictStr, BeforeValidator(_condition, json_schema_input_type=StrictStr | StrictBool)]


def _list_or_text(value: JsonLike) -> Any:
    if not isinstance(value, (str, list, tuple)):
        raise ValueError("a list is expected, or an expression for one")
    return list(value) if isinstance(value, tuple) else value


ForEach = Annotated[Any, BeforeValidator(_list_or_text, json_schema_input_type=StrictStr | list[Any])]
Name: TypeAlias = Annotated[StrictStr, Field(min_length=1, max_length=64)]


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


class _Beginning(Part):
    """The keys that come first: names, and when a step runs."""

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
    spread: bool | None = Field(
        default=None,
        strict=True,
        description="true: where workers are (weaver submit), any of them does the step, or each item.",
        examples=[True],
    )


class _Ending(Part):
    """The keys that come last: when a step is done, limits, failures."""

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
        description="partial (default): what was said so far is the output; fail; "
        "fallback: `fallback` is the output.",
        examples=["partial"],
    )
    fallback: Any = Field(
        default=None, description="The output after a timeout with on_timeout: fallback.", examples=["none"]
    )
    conflicts: Conflicts | None = Field(
        default=None,
        description="How disagreement between the items (or the steps in needs) is settled: a policy such "
        "as majority or judge, or several, tried in order. docs/coordination.md has all of them.",
        examples=["majority", ["majority", "verify(samples=3)", "judge"]],
    )


class Step(_Ending, KindKeys, _Beginning):
    """One step. It does one thing: a ``task``, a ``function``, a workflow (``uses``) or an ``approve``."""

    @property
    def does(self) -> str:
        """The key that says what the step does: ``task``, ``function``, ``uses`` or ``approve``."""
        return kind_of(self).key

    @property
    def item_name(self) -> str:
        """The name of the item of ``for_each`` in expressions."""
        return self.as_ or "item"
