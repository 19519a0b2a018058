"""The format ``weaver/v1``: the one description of what a workflow file may say.

YAML files and workflows built in Python are these same objects; the JSON Schema for editors is made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    StrictBool,
    StrictStr,
    model_serializer,
    model_validator,
)

from weaver._json_reading.json_types import is_mapping
from weaver._workflows.format.step import Defaults, Name, Step
from weaver._workflows.schema.components import AgentSpec, Case, InputSpec, Models, Part, Server, Texts
from weaver.errors import ConfigurationError

if TYPE_CHECKING:  # what the check finds out is kept here, and made further up
    from weaver._workflows.source.tree import Source
    from weaver._workflows.validation.compiled import Compiled

VERSION = "weaver/v1"
MANY_STEPS = 500
"""A file with more steps needs the setting ``max_steps``."""


def _outputs(value: Any) -> Any:
    return {"answer": value} if isinstance(value, str) else value


class Definition(Part):
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
    mcp: Mapping[StrictStr, Server] = Field(
        default={},
        description="MCP servers by name; `tools` of steps and agents name them.",
        examples=[{"time": {"command": ["uvx", "mcp-server-time"]}}],
    )
    hooks: Texts = Field(
        default=(),
        description="Hooks and guardrails of the run, as Python imports them.",
        examples=[["app.guards:NoSecrets"]],
    )
    defaults: Defaults = Field(
        default=Defaults(),
        description="For the whole run and every step.",
        examples=[{"deadline": "2m", "budget": "$0.50"}],
    )
    durable: StrictBool | None = Field(
        default=None,
        description="Record every finished step, so that a crash does not lose what was paid for; "
        "`weaver resume` goes on.",
        examples=[True],
    )
    steps: Mapping[StrictStr, Step] = Field(
        min_length=1,
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
        if not is_mapping(data):
            return data
        mine = {key: value for key, value in data.items() if str(key).startswith("x-")}
        if not mine:
            return data
        return {k: v for k, v in data.items() if k not in mine} | {"extensions": mine}

    @model_serializer(mode="wrap")
    def _write(self, write: Any) -> Any:
        return {**write(self), **self.extensions}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Definition) and other.__dict__ == self.__dict__

    __hash__ = None  # type: ignore[assignment]  # it holds mappings

    @property
    def compiled(self) -> Compiled:
        """The parsed texts.

        Raises:
            ConfigurationError: nobody has checked it yet.
        """
        if self._compiled is None:
            raise ConfigurationError(
                f"The workflow {self.name!r} was not checked.", hint="Load it, or build a weaver.Workflow."
            )
        return self._compiled

    @property
    def source(self) -> Source | None:
        """The file it was read from, for messages with lines; None when it was built in Python."""
        return self._source

    def checked_as(self, compiled: Compiled, source: Source | None) -> None:
        """Keep the result of the check and the source. Called by the loader."""
        self._compiled, self._source = compiled, source

    @property
    def needs_check(self) -> bool:
        """True if nobody has checked it yet: it was built in Python."""
        return self._compiled is None
