"""Agents from a YAML or TOML file, for the planner to assign subtasks to."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from weaver._data.task import Agent
from weaver._json_reading.json_types import is_list_or_tuple, is_object
from weaver.errors import ConfigurationError

MAX_FILE_BYTES = 1_000_000


class AgentEntry(BaseModel):
    """One agent as it stands in a file.

    Attributes:
        name: how plans refer to it.
        description: one line that the planner reads.
        instructions: system prompt of the threads that it works on.
        model: its own model name, or None for the run's thread model.
        hooks: names of hooks, ``package.module:name``.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=64)
    description: str = ""
    instructions: str = ""
    model: str | None = Field(default=None, min_length=1)
    hooks: tuple[str, ...] = ()


def load_agents(path: Path) -> tuple[Agent, ...]:
    """Read a file that holds a list of agents, or a table ``agents`` with that list.

    Args:
        path: ``.yaml``, ``.yml`` or ``.toml``.

    Raises:
        ConfigurationError: naming the file and, where there is one, the entry and key.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigurationError(f"{path}: an agents file may have at most {MAX_FILE_BYTES:,} bytes.")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text.") from None
    if path.suffix.lower() == ".toml":
        try:
            content: Any = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise ConfigurationError(f"{path} is not valid TOML: {error}.") from None
    elif path.suffix.lower() in {".yaml", ".yml"}:
        content = _yaml(text, path)
    else:
        raise ConfigurationError(f"{path}: agents are read from a .yaml, .yml or .toml file.")
    return agents_from(content, str(path))


def agents_from(content: Any, place: str) -> tuple[Agent, ...]:
    """Agents of a parsed list (or of a table with the key ``agents``).

    Args:
        place: where it was read, for messages.

    Raises:
        ConfigurationError: wrong shape, unknown or missing keys, or two agents of one name.
    """
    if is_object(content) and set(content) == {"agents"}:
        content = content["agents"]
    if not is_list_or_tuple(content):
        raise ConfigurationError(
            f"{place}: expected a list of agents.",
            hint="Each has: name, description, instructions, model, hooks.",
        )
    agents: list[Agent] = []
    for number, entry in enumerate(content, 1):
        if isinstance(entry, Agent):
            agents.append(entry)
            continue
        try:
            checked = AgentEntry.model_validate(entry)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            raise ConfigurationError(
                f"{place}: agent {number}{': ' + key if key else ''}: {first['msg']}.",
                hint="Known keys: name, description, instructions, model, hooks.",
            ) from None
        agents.append(
            Agent(checked.name, checked.description, checked.instructions, checked.model, hooks=checked.hooks)
        )
    names = [agent.name for agent in agents]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"{place}: two agents have the name {twice[0]!r}.")
    return tuple(agents)


def _yaml(text: str, path: Path) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses a key that stands twice, where YAML's own reader silently takes the last one."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys: set[str] = set()
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
                if key.value in keys:
                    raise yaml.constructor.ConstructorError(
                        problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark
                    )
                keys.add(key.value)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigurationError(f"{path}{where}: not valid YAML: {problem}.") from None
