"""The small parts of a workflow: models, agents, budgets, retries, strategies, joins, approval, cases."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    WrapSerializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from weaver._json_reading.json_types import is_list_or_tuple, is_object
from weaver._settings.units import ENVIRONMENT, Duration, Money, Size
from weaver._workflows.schema.types import ValueSpec, written_short

ROLES = ("default", "planner", "thread", "judge", "synthesizer")
OnError = Literal["fail_fast", "keep", "skip"]
OnTimeout = Literal["fail", "partial", "fallback"]


class Part(BaseModel):
    """Base of everything in a workflow file: unknown keys are errors, values are never changed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True, hide_input_in_errors=True
    )


def short(key: str, *types: type) -> Any:
    """Let one value of ``types`` stand for the whole part: it is the part's ``key``."""

    def read(value: Any) -> Any:
        return {key: value} if isinstance(value, types) and not isinstance(value, bool) else value

    def write(part: Any, written: Callable[[Any], Any]) -> Any:
        out = written(part)
        return out[key] if is_object(out) and set(out) == {key} else out

    return _Short(read, write, key)


class _Short:
    """Metadata that makes both directions of a short form, and its JSON Schema."""

    def __init__(self, read: Callable[[Any], Any], write: Callable[..., Any], key: str) -> None:
        self.read, self.write, self.key = read, write, key

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        inner = handler(source)
        return core_schema.no_info_before_validator_function(
            self.read,
            inner,
            serialization=core_schema.wrap_serializer_function_ser_schema(self.write, schema=inner),
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        long = handler(schema)
        fields = handler.resolve_ref_schema(long).get("properties", {})
        short_schema = {k: v for k, v in fields.get(self.key, {}).items() if k not in ("default", "title")}
        return {"anyOf": [short_schema, long]}


def text_list(value: Any) -> Any:
    """One text stands for a list of one."""
    return [value] if isinstance(value, str) else value


def _one_or_list(value: Any, written: Callable[[Any], Any]) -> Any:
    out = written(value)
    return out[0] if is_list_or_tuple(out) and len(out) == 1 else list(out)


Texts = Annotated[
    tuple[StrictStr, ...],
    BeforeValidator(text_list, json_schema_input_type=StrictStr | list[StrictStr]),
    WrapSerializer(_one_or_list),
]
"""A list of texts; one alone needs no list."""


def _from_environment(value: Any) -> Any:
    if isinstance(value, str) and not ENVIRONMENT.fullmatch(value):
        raise ValueError("a key is never written into the file; write ${env:NAME}, with the variable's name")
    return _named(value)


def _named(value: Any) -> Any:
    """Refuse ``${env:}`` and other variables that no system has."""
    if isinstance(value, str):
        for match in ENVIRONMENT.finditer(value):
            if not re.fullmatch(r"[A-Za-z_]\w*", match[1].strip(), re.ASCII):
                raise ValueError(
                    f"{match[0]} names no variable; write ${{env:NAME}}, with the variable's name"
                )
    return value


def _url(value: Any) -> Any:
    """Refuse what is no address, and what has a password in it; parts may come from the environment."""
    if not isinstance(_named(value), str):
        return value
    filled = ENVIRONMENT.sub("x", value)
    if "@" in filled.partition("://")[2].partition("/")[0]:
        hint = "put the whole address into a variable: ${env:NAME}"
        raise PydanticCustomError("secret", f"a user and a password are never written into the file; {hint}")
    if value.startswith("${env:"):
        return value
    try:
        parts = urlsplit(filled)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", filled)
    except ValueError:
        good = False
    if not good:
        raise ValueError("it is no address of a server; for example http://localhost:8080/v1")
    return value


Secret = Annotated[StrictStr, BeforeValidator(_from_environment)]
"""A reference to an environment variable, ``${env:NAME}``; never a value."""

Url = Annotated[StrictStr, BeforeValidator(_url)]
"""An http(s) address without a user; it, or parts of it, may be ``${env:NAME}``."""


class ModelRef(Part):
    """A model and where it is reached."""

    short_form: ClassVar[str] = "a model's name"

    name: Annotated[StrictStr, BeforeValidator(_named)] = Field(
        min_length=1,
        description="The model, in LiteLLM's naming; `weaver models` lists what can be used here.",
        examples=["openai/gpt-5-mini", "ollama/qwen3"],
    )
    base_url: Url | None = Field(
        default=None,
        description="Endpoint that speaks the OpenAI protocol. May be ${env:NAME}.",
        examples=["http://localhost:8080/v1"],
    )
    api_key: Secret | None = Field(
        default=None,
        description="Where the key is found: ${env:NAME}. Never a key itself.",
        examples=["${env:MY_API_KEY}"],
    )


Model = Annotated[ModelRef, short("name", str)]


class Models(Part):
    """Models by the role they play."""

    default: Model | None = Field(
        default=None, description="For every role not named here.", examples=["openai/gpt-5-mini"]
    )
    planner: Model | None = Field(default=None, description="Takes tasks apart.", examples=["openai/gpt-5"])
    thread: Model | None = Field(default=None, description="Works on tasks.", examples=["openai/gpt-5-mini"])
    judge: Model | None = Field(default=None, description="Compares answers.", examples=["openai/gpt-5"])
    synthesizer: Model | None = Field(default=None, description="Merges findings.", examples=["openai/gpt-5"])


class AgentSpec(Part):
    """A named worker: instructions, a model and tools of its own."""

    description: StrictStr = Field(
        default="", description="One line, for planners and people.", examples=["Finds sources."]
    )
    instructions: StrictStr = Field(
        default="",
        description="System prompt of everything it works on.",
        examples=["You are a careful reviewer."],
    )
    model: Model | None = Field(
        default=None, description="Its own model. Default: the thread model.", examples=["openai/gpt-5"]
    )
    tools: Texts = Field(
        default=(),
        description="Registered tools (see `weaver doctor`) and servers of `mcp` that it may call.",
        examples=[["search"]],
    )
    hooks: Texts = Field(
        default=(),
        description="Hooks around its calls, tools, tasks and answers, as Python imports them.",
        examples=[["app.guards:NoSecrets"]],
    )


class Server(Part):
    """An MCP server, whose tools steps and agents may call by its name. Give ``url`` or ``command``."""

    url: StrictStr | None = Field(
        default=None,
        description="Streamable HTTP endpoint. May be ${env:NAME}.",
        examples=["https://example.com/mcp"],
    )
    command: Texts = Field(
        default=(),
        description="Program and arguments. It is started only if the user names the server (--mcp NAME).",
        examples=[["uvx", "mcp-server-time"]],
    )
    env: Mapping[StrictStr, StrictStr] = Field(
        default={}, description="Variables for the program; secrets as ${env:NAME}.", examples=[{"TZ": "UTC"}]
    )
    headers: Mapping[StrictStr, StrictStr] = Field(
        default={},
        description="Sent to the url; secrets as ${env:NAME}.",
        examples=[{"Authorization": "Bearer ${env:SHOP_TOKEN}"}],
    )
    allow: Texts = Field(
        default=(), description="Tools to offer. Default: all.", examples=[["get_current_time"]]
    )
    prefix: StrictStr = Field(default="", description="Put in front of each tool's name.", examples=["time_"])
    approve: StrictBool = Field(
        default=False, description="A person must agree before each call.", examples=[True]
    )
    timeout: Duration | None = Field(default=60.0, description="Most time for one call.", examples=["30s"])

    @model_validator(mode="after")
    def _one_way(self) -> Server:
        if (self.url is None) == (not self.command):
            raise ValueError("an MCP server has either a url or a command")
        return self


class Budget(Part):
    """What may be spent. An amount of money alone stands for ``cost``."""

    short_form: ClassVar[str] = "an amount like $0.50"

    cost: Money | None = Field(
        default=None, description="US dollars. Needs models with known prices.", examples=["$0.50"]
    )
    tokens: Size | None = Field(
        default=None, description="Input and output tokens of all calls.", examples=["20k"]
    )
    calls: Size | None = Field(default=None, description="Model calls.", examples=[40])
    threads: Size | None = Field(default=None, description="Threads that may be started.", examples=[64])
    depth: int | None = Field(
        default=None, ge=0, description="How deep strategies may fork below a step.", examples=[2]
    )


Limits = Annotated[Budget, short("cost", str)]


class Retry(Part):
    """Trying again. A number alone stands for ``times``."""

    short_form: ClassVar[str] = "a whole number"

    times: int = Field(
        default=1, ge=0, le=20, strict=True, description="How often to try again.", examples=[2]
    )
    delay: Duration = Field(default=1.0, description="Wait before the first new try.", examples=["2s"])
    backoff: float = Field(
        default=2.0, ge=1, le=10, description="Each wait is this much longer.", examples=[2]
    )


Retries = Annotated[Retry, short("times", int)]


class StrategyRef(BaseModel):
    """A strategy and its options: every other key is one. A name alone needs no mapping."""

    short_form: ClassVar[str] = "a strategy's name"
    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    name: StrictStr = Field(
        min_length=1,
        description="A strategy; `weaver strategies` lists them with their options.",
        examples=["self_consistency"],
    )

    @property
    def options(self) -> dict[str, Any]:
        """The options given."""
        return dict(self.model_extra or {})


Strategy = Annotated[StrategyRef, short("name", str)]


class Approval(Part):
    """A person is asked before the step starts. A text alone stands for ``message``."""

    short_form: ClassVar[str] = "a text"

    message: StrictStr = Field(
        min_length=1, description="What the person reads. May have ${{ }}.", examples=["Publish this brief?"]
    )
    timeout: Duration | None = Field(
        default=None, description="How long to wait for a person.", examples=["10m"]
    )
    otherwise: Literal["approve", "reject"] = Field(
        default="reject", description="What silence, or nobody to ask, means.", examples=["reject"]
    )


Approve = Annotated[Approval, short("message", str)]

Join = StrictStr
"""A join rule as text; the grammar is that of `weaver._coordination.joins.parser`."""

Conflicts = Texts
"""A ladder of policies that settle disagreement, tried in order; the grammar is that of `parse_ladder`."""


class Input(ValueSpec):
    """One input of the workflow. Without a default it must be given."""

    default: Any = Field(
        default=None, description="Used when nothing is given. May be null.", examples=["en"]
    )
    fence: bool = Field(
        default=False,
        strict=True,
        description="Whether it is somebody else's text: prompts get it as data, not as instructions.",
        examples=[True],
    )
    examples: tuple[Any, ...] = Field(
        default=(), description="Values that make sense.", examples=[["green tea"]]
    )

    @property
    def optional(self) -> bool:
        """True if it may be left out."""
        return "default" in self.model_fields_set


if TYPE_CHECKING:
    InputSpec = Input
else:
    InputSpec = written_short(Input)


def _conditions(value: Any) -> Any:
    return [value] if isinstance(value, (str, bool)) else value


class Case(Part):
    """A test of the workflow that needs no model: given answers, expected results."""

    name: StrictStr = Field(min_length=1, description="What the case shows.", examples=["one source fails"])
    inputs: Mapping[StrictStr, Any] = Field(
        default={}, description="Inputs by name.", examples=[{"topic": "tea"}]
    )
    answers: Mapping[StrictStr, Any] = Field(
        default={},
        description="What models answer, by step: a text or value, a list (one per item of for_each), "
        "or {error: text} and {after: 2s, say: text}. Steps without one answer 'ok'.",
        examples=[{"search": ["found a", "found b"], "merge": "a and b"}],
    )
    functions: Mapping[StrictStr, Any] = Field(
        default={},
        description="What registered functions give back, by name, instead of being called.",
        examples=[{"count": 3}],
    )
    approvals: Mapping[StrictStr, StrictBool] = Field(
        default={}, description="What the person says, by step. Default: yes.", examples=[{"publish": False}]
    )
    status: Literal["complete", "partial", "failed"] = Field(
        default="complete", description="How the run ends."
    )
    expect: Annotated[
        tuple[StrictStr, ...],
        BeforeValidator(_conditions, json_schema_input_type=StrictStr | list[StrictStr]),
    ] = Field(
        default=(),
        description="Conditions over outputs, steps, status, calls, notes and conflicts that must be true.",
        examples=[["'tea' in outputs.brief", "steps.search.state == 'succeeded'"]],
    )


__all__ = [
    "ROLES", "AgentSpec", "Approve", "Budget", "Case", "Conflicts", "InputSpec",
    "Join", "Limits", "Models", "Part", "Retries", "Strategy", "Texts",
]  # fmt: skip
