"""What a run may be told from outside: arguments, environment, and a settings file.

Arguments beat ``WEAVER_*`` environment variables, which beat ``weaver.toml`` or ``[tool.weaver]`` in
``pyproject.toml``. The file is the nearest one, searched from the working directory upwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from weaver._data.task import Agent
from weaver._journal.retention import Retention
from weaver._json_reading.json_types import is_list_or_tuple
from weaver._models.protocol import Prices
from weaver._settings.settings_file import settings_file
from weaver._settings.values import (
    headers_value,
    hooks_value,
    model_value,
    names_value,
    no_bool,
    policy_value,
    prices_value,
    seconds_value,
    strategy_value,
    url_value,
)
from weaver._text.names import did_you_mean
from weaver._text.shortening import shorten
from weaver.errors import ConfigurationError

PREFIX = "WEAVER_"
_TABLES = ("prices", "mcp_servers", "models")
"""Settings that are tables: no flag and no variable."""
SECRET = {"api_key", "headers", "journal"}
"""Settings that no message shows."""
_OTHER_TABLES = ("serve",)
"""Tables of the settings file that are no settings of runs; see `weaver.settings_file.read_table`."""


Seconds = Annotated[float, BeforeValidator(seconds_value), Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(no_bool), Field(ge=1)]
Most = Annotated[float, BeforeValidator(no_bool), Field(ge=0, allow_inf_nan=False)]
"""A limit; 0 for none."""
KEEP_DAYS, KEEP_MEGABYTES = 30.0, 1_000.0
ModelName = Annotated[Any, BeforeValidator(model_value)]


class MCPEntry(BaseModel):
    """An MCP server in a settings file: the arguments of `weaver.mcp`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str | None = None
    command: tuple[str, ...] | None = None
    env: dict[str, str] | None = None
    cwd: str | None = None
    headers: dict[str, str] | None = None
    allow: tuple[str, ...] | None = None
    prefix: str = ""
    approve: bool = False
    trusted: bool = False
    timeout: Seconds | None = 60.0
    connect_timeout: Seconds = 30.0


class ModelSettings(BaseModel):
    """Settings of one model, as in a table ``[models."openai/gpt-5-mini"]``.

    Attributes:
        effort: reasoning effort of calls that name none: low, medium, high or what else the model knows.
        extra: provider-specific fields of the request body.
        headers: HTTP headers of each request; never logged.
        retries: how often a call that failed is tried again.
        fallbacks: models to ask in turn when this one fails permanently.
        rpm, tpm: requests and tokens (input and output) a minute.
        concurrency: calls at the same time; learned by default.
        max_concurrency: most calls at the same time while they are learned.
        timeout: most seconds of one call, from sending to its end.
        context: the model's context window in tokens, where its server does not say it, or says it wrong.
        cache: answer a call from an earlier one with exactly the same request: true for every call,
            ``temperature-0`` for calls with that temperature.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    effort: str | None = Field(default=None, min_length=1)
    extra: dict[str, Any] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    retries: int | None = Field(default=None, ge=0, le=100)
    fallbacks: tuple[str, ...] = ()
    rpm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    tpm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    concurrency: int | None = Field(default=None, ge=1)
    max_concurrency: int | None = Field(default=None, ge=1)
    timeout: Seconds | None = None
    context: int | None = Field(default=None, ge=256)
    cache: Literal[True, False, "temperature-0"] = False


class Settings(BaseModel):
    """Every setting of a run; None means "not set". One field per flag of ``weaver run``.

    The description of a field is also the help of its flag. Times are seconds, also written ``30s`` or
    ``1m30s``; money is US dollars.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    model: ModelName | None = Field(
        default=None,
        description="Model that threads use, in LiteLLM's naming (openai/gpt-5-mini, ollama/qwen3, "
        "local/NAME, a .gguf file). Default: what can be found, see `weaver doctor`.",
        json_schema_extra={"metavar": "NAME"},
    )
    planner_model: ModelName | None = Field(
        default=None, description="Model that plans. Default: --model.", json_schema_extra={"metavar": "NAME"}
    )
    judge_model: ModelName | None = Field(
        default=None,
        description="Model that judges and votes. Default: --model.",
        json_schema_extra={"metavar": "NAME"},
    )
    synthesizer_model: ModelName | None = Field(
        default=None,
        description="Model that merges findings. Default: --model.",
        json_schema_extra={"metavar": "NAME"},
    )
    base_url: Annotated[str, BeforeValidator(url_value)] | None = Field(
        default=None,
        description="Endpoint that speaks the OpenAI protocol, for example http://localhost:8080/v1.",
        json_schema_extra={"metavar": "URL"},
    )
    api_key: SecretStr | None = Field(
        default=None, description="Key for --base-url or the model's provider. Never read from a file."
    )
    headers: Annotated[Mapping[str, SecretStr], BeforeValidator(headers_value)] = Field(
        default={},
        description="HTTP headers that every request to a model carries, by name. As an argument, as a table "
        "in the settings file, or in WEAVER_HEADERS as JSON or as lines of NAME: VALUE.",
    )
    strategy: Annotated[Any, BeforeValidator(strategy_value)] = Field(
        default="adaptive",
        description="How to answer; `weaver strategies` lists them. Also path/to/file.py:name.",
        json_schema_extra={"metavar": "NAME[:key=value,...]"},
    )
    policy: Annotated[Any, BeforeValidator(policy_value)] = Field(
        default=None,
        description="File of a learned policy (`weaver policy fit`) that decides how `adaptive` answers. "
        "Default: the rules.",
        json_schema_extra={"metavar": "FILE"},
    )
    instructions: str | None = Field(
        default=None,
        description="System prompt: what every model call of the run is told, whatever the strategy.",
        json_schema_extra={"metavar": "TEXT"},
    )
    deadline: Seconds | None = Field(
        default=None,
        description="Answer within this many seconds, partly if need be.",
        json_schema_extra={"metavar": "SECONDS"},
    )
    max_total_tokens: Count | None = Field(
        default=None,
        description="Budget of tokens for the whole run, input and output together.",
        json_schema_extra={"metavar": "N"},
    )
    max_cost: Annotated[float, BeforeValidator(no_bool), Field(ge=0, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Budget in US dollars for the whole run.",
        json_schema_extra={"metavar": "USD"},
    )
    max_calls: Count | None = Field(
        default=None, description="Most model calls of the whole run.", json_schema_extra={"metavar": "N"}
    )
    max_threads: Count | None = Field(
        default=None,
        description="Most reasoning threads of the whole run.",
        json_schema_extra={"metavar": "N"},
    )
    max_depth: Annotated[int, BeforeValidator(no_bool), Field(ge=0)] | None = Field(
        default=None,
        description="How deep threads may fork again; 0 forbids forking.",
        json_schema_extra={"metavar": "N"},
    )
    thread_timeout: Seconds | None = Field(
        default=None,
        description="Most seconds that one thread may take.",
        json_schema_extra={"metavar": "SECONDS"},
    )
    temperature: Annotated[float, BeforeValidator(no_bool), Field(ge=0, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Sampling temperature of threads. Default: the server's.",
        json_schema_extra={"metavar": "T"},
    )
    seed: Annotated[int, BeforeValidator(no_bool), Field(ge=0, lt=2**63)] | None = Field(
        default=None,
        description="Seed of sampling and of weaver's own random choices.",
        json_schema_extra={"metavar": "N"},
    )
    max_answer: Count | None = Field(
        default=None,
        description="Most bytes of text that one model call may generate; then it is stopped and its text "
        "kept. Default: 1000000.",
        json_schema_extra={"metavar": "BYTES"},
    )
    stop_repetition: bool | None = Field(
        default=None,
        description="End a model call that writes the same words again and again; its text is kept. "
        "Default: true.",
    )
    max_steps: Count | None = Field(
        default=None,
        description="Most steps of a workflow file. Each is a thread with its own calls: this stops a file "
        "that a program or a model wrote by mistake. Default: 500.",
    )
    tool_rounds: Count | None = Field(
        default=None,
        description="Most model calls of one thread that may end in tool calls. Default: 16.",
        json_schema_extra={"metavar": "N"},
    )
    max_tool_result: Count | None = Field(
        default=None,
        description="Most characters of one tool result that a model gets at once; larger ones are kept "
        "aside, and it reads them in pieces. Default: 20000.",
        json_schema_extra={"metavar": "CHARS"},
    )
    approval_timeout: Seconds | None = Field(
        default=None,
        description="Seconds after which a tool call that nobody approved is denied. Default: no limit of "
        "its own.",
        json_schema_extra={"metavar": "SECONDS"},
    )
    allow_effects: bool | None = Field(
        default=None,
        description="Let tools with effects be called without approval by threads that have read untrusted "
        "text.",
    )
    durable: bool | None = Field(
        default=None,
        description="Record every finished step on this machine, so that the run can be resumed after a "
        "crash without paying again (weaver runs, weaver resume).",
    )
    journal: Annotated[SecretStr, Field(min_length=1)] | None = Field(
        default=None,
        description="Journal of durable runs, where it is not the file of this machine: "
        "postgresql://USER@HOST/DATABASE (plugin weaver-reasoning-postgres).",
        json_schema_extra={"metavar": "URL"},
    )
    keep_days: Most | None = Field(
        default=None,
        description="Days that complete durable runs are kept. Default: 30; 0 keeps them for ever.",
    )
    keep_runs: Annotated[int, BeforeValidator(no_bool), Field(ge=0)] | None = Field(
        default=None,
        description="Number of complete durable runs that are kept, the latest. Default: 0, any number.",
    )
    keep_megabytes: Most | None = Field(
        default=None,
        description="Size of the file with durable runs above which the oldest complete ones are forgotten. "
        "Default: 1000; 0 is no limit.",
    )
    keep_unfinished_days: Most | None = Field(
        default=None,
        description="Days that durable runs are kept that could still be resumed, since they were last "
        "worked on. Default: 0, for ever.",
    )
    accept_changes: bool | None = Field(
        default=None,
        description="Resuming: do steps again whose request differs from the recorded one, instead of "
        "stopping.",
    )
    mcp: Annotated[tuple[str, ...], BeforeValidator(names_value)] = Field(
        default=(),
        description="MCP servers of the settings file (mcp_servers) whose tools threads may call. A file "
        "alone starts none.",
        json_schema_extra={"metavar": "NAME,..."},
    )
    mcp_servers: Mapping[str, MCPEntry] = Field(
        default={},
        description="MCP servers by name: url or command, env, headers, allow, prefix, approve, timeout. In "
        "the settings file or as an argument; `mcp` says which are used.",
    )
    hooks: Annotated[tuple[Any, ...], BeforeValidator(hooks_value)] = Field(
        default=(),
        description="Hooks and guardrails around calls, tools, the task and the answer, by the name that "
        "Python imports: package.module:name.",
        json_schema_extra={"metavar": "NAME,..."},
    )
    agents: tuple[Agent, ...] = Field(
        default=(),
        description="YAML or TOML file with a list of agents (name, description, instructions, model) "
        "that the planner may assign subtasks to.",
        json_schema_extra={"metavar": "FILE"},
    )
    models: Mapping[str, ModelSettings] = Field(
        default={},
        description="Settings of models, by name: effort, extra, headers, retries, fallbacks, rpm, tpm, "
        "concurrency, max_concurrency, timeout, cache. In the settings file or as an argument.",
    )
    prices: Mapping[str, Annotated[Prices, BeforeValidator(prices_value)]] = Field(
        default={},
        description="US dollars per million tokens of models, by name: input, output, cached, written. They "
        "beat what the server or a price list says. In the settings file or as an argument.",
    )

    @property
    def retention(self) -> Retention:
        """The durable runs that are kept."""

        def limit(value: float | None, default: float | None = None) -> float | None:
            return default if value is None else value or None

        return Retention(
            days=limit(self.keep_days, KEEP_DAYS),
            runs=self.keep_runs or None,
            megabytes=limit(self.keep_megabytes, KEEP_MEGABYTES),
            unfinished_days=limit(self.keep_unfinished_days),
        )

    @property
    def own_headers(self) -> dict[str, str]:
        """`headers` in the clear, to be sent. Not to be shown."""
        return {name: value.get_secret_value() for name, value in self.headers.items()}

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        *,
        flags: bool = False,
        **arguments: Any,
    ) -> Self:
        """Settings from arguments, environment and file, each value from the strongest that gives it.

        Args:
            environ: the environment; default ``os.environ``.
            cwd: where the search for a settings file begins; default the working directory.
            flags: the arguments were flags on a command line (errors then say ``--max-total-tokens``).
            arguments: fields of `Settings`; None means "not given".

        Raises:
            ConfigurationError: naming the flag, variable or ``file:key`` that is wrong.
        """
        environ = os.environ if environ is None else environ
        where = Path.cwd() if cwd is None else Path(cwd)
        values = _from_file(where)
        values |= _from_environment(environ, where)
        for name, value in arguments.items():
            if value is not None:
                values[name] = _Given(value, f"--{name.replace('_', '-')}" if flags else f"{name}=", where)
        if isinstance(agents := values.get("agents"), _Given):
            values["agents"] = agents.replaced(_agents_from, agents)
        if isinstance(policy := values.get("policy"), _Given):
            values["policy"] = policy.replaced(_policy_from, policy)
        try:
            return cls.model_validate({name: raw.value for name, raw in values.items()})
        except ValidationError as error:
            raise _explained(error, values) from None

    def changed(self, **arguments: Any) -> Self:
        """These settings with some replaced; None leaves a field as it is.

        Raises:
            ConfigurationError: naming the argument that is wrong.
        """
        values = {
            name: _Given(value, f"{name}=", Path.cwd())
            for name, value in arguments.items()
            if value is not None
        }
        if not values:
            return self
        explicit = {name: getattr(self, name) for name in self.model_fields_set}
        try:
            return type(self).model_validate(explicit | {name: raw.value for name, raw in values.items()})
        except ValidationError as error:
            raise _explained(error, values) from None


@dataclass(frozen=True, slots=True)
class _Given:
    """A raw value, the place that it came from in words, and the folder that its paths are relative to."""

    value: Any
    place: str
    folder: Path

    def replaced(self, function: Callable[[_Given], Any], given: _Given) -> _Given:
        return _Given(function(given), self.place, self.folder)


def _from_environment(environ: Mapping[str, str], folder: Path) -> dict[str, _Given]:
    return {
        name: _Given(value, PREFIX + name.upper(), folder)
        for name in Settings.model_fields
        if name not in _TABLES and (value := environ.get(PREFIX + name.upper(), "").strip())
    }


def _from_file(start: Path) -> dict[str, _Given]:
    path, content = settings_file(start)
    if path is None:
        return {}
    if "api_key" in content:
        raise ConfigurationError(
            f"{path}: api_key: keys are not read from files.", hint="Set WEAVER_API_KEY instead."
        )
    if "mcp" in content:
        raise ConfigurationError(
            f"{path}: mcp: a file may describe MCP servers (mcp_servers), and not start them.",
            hint="Say --mcp NAME, WEAVER_MCP=NAME or mcp=NAME.",
        )
    return {
        name: _Given(value, f"{path}: {name}", path.parent)
        for name, value in content.items()
        if name not in _OTHER_TABLES
    }


def _policy_from(given: _Given) -> Any:
    """The policy; a file's name is relative to where it is named."""
    value = given.value
    is_file = isinstance(value, Path) or (isinstance(value, str) and value.strip().lower().endswith(".json"))
    return str(given.folder / Path(str(value).strip()).expanduser()) if is_file else value


def _agents_from(given: _Given) -> Any:
    from weaver._settings.agents import agents_from, load_agents

    value = given.value
    if isinstance(value, (str, Path)):
        return load_agents(given.folder / value)
    if is_list_or_tuple(value) and all(isinstance(item, Agent) for item in value):
        return tuple(value)
    return agents_from(value, given.place)


def _explained(error: ValidationError, values: Mapping[str, _Given]) -> ConfigurationError:
    """The first problem (of several, the others follow in the same message), each with its source."""
    problems: list[str] = []
    hint = ""
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        raw = values.get(name)
        place = raw.place if raw else name
        if name in _TABLES:
            place += "".join(f".{part}" for part in problem["loc"][1:])
        if problem["type"] == "extra_forbidden":
            problems.append(f"{place}: there is no such setting")
            hint = did_you_mean(name, Settings.model_fields)
            continue
        message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
        suffix = "" if raw is None or name in SECRET else f" (given: {_shown(raw.value)})"
        line = f"{place}: {message}{suffix}"
        if line not in problems:
            problems.append(line)
    return ConfigurationError("; ".join(problems) + ".", hint=hint)


def _shown(value: Any) -> str:
    return shorten(repr(value), 60)
