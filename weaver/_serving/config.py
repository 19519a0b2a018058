"""What `weaver serve` offers, to whom, and within which limits: table ``serve`` of the settings file."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from weaver._settings.settings_file import read_table
from weaver.errors import ConfigurationError

Detail = Literal["off", "titles", "full"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]


class Part(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ModelEntry(Part):
    """A model that clients may name, ``[serve.models.NAME]``: a strategy, or a workflow.

    Attributes:
        strategy: ``"name"`` or ``"name:key=value,..."``; the server's own by default.
        model: which language model it uses, in LiteLLM's naming; the server's own by default.
        workflow: a workflow file, relative to the settings file, instead of a strategy.
        agents: a file with the agents that the planner may assign subtasks to, likewise relative.
        description: what it is for, for people.
        deadline, max_cost, max_total_tokens, max_calls, max_threads: limits of each run.
    """

    strategy: str | None = Field(default=None, min_length=1)
    model: str | None = Field(default=None, min_length=1)
    workflow: str | None = Field(default=None, min_length=1)
    agents: str | None = Field(default=None, min_length=1)
    description: str = ""
    deadline: Positive | None = None
    max_cost: Positive | None = None
    max_total_tokens: Count | None = None
    max_calls: Count | None = None
    max_threads: Count | None = None

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by the names of settings."""
        names = ("deadline", "max_cost", "max_total_tokens", "max_calls", "max_threads")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class KeyEntry(Part):
    """What the holder of a key may do, ``[serve.keys.NAME]``; the key itself is in WEAVER_SERVE_KEYS.

    Attributes:
        max_cost: US dollars in one period.
        max_total_tokens: input and output tokens in one period.
        period: when spending starts anew, in UTC.
        rpm: requests a minute.
        concurrency: requests at the same time.
        models: patterns of the models that it may name, as in ``weaver/*``.
    """

    max_cost: Positive | None = None
    max_total_tokens: Count | None = None
    period: Literal["hour", "day", "month"] = "day"
    rpm: Positive | None = None
    concurrency: Count | None = None
    models: Names = ("*",)


class ServeConfig(Part):
    """The table ``serve``.

    Attributes:
        host, port: where to listen; port 0 takes a free one.
        models: further models by name.
        workflows: workflow files (relative to the settings file), served as ``workflow/NAME``.
        strategies: the strategies that clients may name; all that the model can do by default.
        upstream: patterns of language models that a request may choose by ``STRATEGY/MODEL``, as in
            ``openai/*``; none by default.
        progress: how much of a run is streamed as reasoning: nothing, the titles of threads, or their
            results too.
        keys: limits of keys, by the names that WEAVER_SERVE_KEYS gives them.
        hosts: names in the Host header that are accepted; those of this machine's loopback by default when
            it listens there, any name otherwise.
        cors: origins of web pages that may call, as in ``http://localhost:3000``; none by default.
        max_body: bytes of a request.
        body_timeout: seconds for a request to arrive.
        send_timeout: seconds that a client may take to read a piece of the answer.
        max_requests: requests at the same time.
        drain: seconds that runs get to end after SIGTERM.
        stored: most responses that are kept in memory for ``previous_response_id`` and retrieval.
    """

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8320, ge=0, le=65535)
    models: dict[str, ModelEntry] = {}
    workflows: Names = ()
    strategies: Names | None = None
    upstream: Names = ()
    progress: Detail = "titles"
    keys: dict[str, KeyEntry] = {}
    hosts: Names | None = None
    cors: Names = ()
    max_body: Count = 20_000_000
    body_timeout: Positive = 30.0
    send_timeout: Positive = 60.0
    max_requests: Count = 1000
    drain: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    stored: int = Field(default=1000, ge=0)
    folder: Path = Field(default=Path(), exclude=True, description="What paths are relative to.")

    @classmethod
    def load(cls, cwd: Path | None = None, **arguments: Any) -> Self:
        """The table of the nearest settings file, with ``arguments`` (those that are not None) over it.

        Raises:
            ConfigurationError: naming the file and the key.
        """
        path, table = read_table("serve", cwd or Path.cwd())
        values = {**table, **{name: value for name, value in arguments.items() if value is not None}}
        try:
            return cls.model_validate({**values, "folder": path.parent if path else cwd or Path.cwd()})
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            raise ConfigurationError(f"{path or 'serve'}: serve.{key}: {message}.") from None

    @property
    def is_local(self) -> bool:
        """True if only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
