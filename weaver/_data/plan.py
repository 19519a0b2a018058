"""The planner's decomposition: a validated DAG of subtasks (architecture contract "Plan")."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from weaver._data.waiting import cycle_in, levels
from weaver._display import markdown, one_line, terminal
from weaver._json_reading.json_types import JsonLike
from weaver.errors import InvalidPlanError

if TYPE_CHECKING:
    from rich.console import RenderableType

MAX_SUBTASKS = 32
MergeName = Literal["concat", "reference", "data", "pick", "write"]
MERGE_NAMES: tuple[MergeName, ...] = get_args(MergeName)
"""The words by which a plan chooses how its parts become one answer (docs/merging.md)."""
YOUR_PART, ONLY_THIS = '\n\nDo only the part "', '" of it. Others do the other parts.'
_NOTHING = {"", "none", "null", "nil", "n/a", "na", "-", "nothing", "[]"}


class Subtask(BaseModel):
    """One independent piece of work.

    A plan may name it only, by a bare text: see `prompt_for`.

    Attributes:
        id: unique within the plan.
        title: a few words, for people.
        prompt: self-contained text: the thread that works on it sees nothing else.
        depends_on: ids of subtasks whose findings it needs.
        agent: name of the agent that should work on it, or None.
        tools: names of the task's tools that its thread may call; () leaves it all of them.
        max_tokens: the planner's estimate of the tokens it may take, or None.
        parts: names of the parts that were put together in it; () for a single part.
        is_listed: it is one item of a list. Threads of such parts work on different things, so they are not
            asked for claims that could contradict one another.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True, defer_build=True)

    id: str = Field(min_length=1, max_length=64)
    title: str = Field(default="", max_length=500)
    prompt: str = Field(min_length=1)
    depends_on: tuple[str, ...] = ()
    agent: str | None = None
    tools: tuple[str, ...] = ()
    max_tokens: int | None = Field(default=None, ge=1)
    parts: tuple[str, ...] = ()
    is_listed: bool = False

    def __repr__(self) -> str:
        return one_line.of_subtask(self)

    def __str__(self) -> str:
        return repr(self)

    @field_validator("depends_on", "tools", mode="before")
    @classmethod
    def _names_as_written(cls, value: Any) -> Any:
        names = names_in(value)
        return value if names is None else names

    @field_validator("title", mode="before")
    @classmethod
    def _title_as_written(cls, value: Any) -> Any:
        return "" if value is None else value[:500] if isinstance(value, str) else value

    @field_validator("agent", mode="before")
    @classmethod
    def _agent_as_written(cls, value: Any) -> Any:
        return None if says_nothing(value) else value

    @field_validator("max_tokens", mode="before")
    @classmethod
    def _tokens_as_written(cls, value: Any) -> Any:
        """A hint only: ``"~200"`` is 200; what is no positive number is no hint."""
        if isinstance(value, str):
            digits = re.search(r"\d+", value[:40].replace(",", "").replace("_", ""))
            value = int(digits.group()) if digits else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < 1e9:
            return None
        return int(value)

    @property
    def label(self) -> str:
        """The title, or the id when there is none."""
        return self.title or self.id


def names_in(value: JsonLike) -> list[Any] | None:
    """Read a list of names: a name, names in one text, or objects with an id or a name are as good.

    Returns:
        The names, without words for "none"; None where ``value`` is nothing of the kind.
    """
    if isinstance(value, str):
        value = re.split(r"[\s,;\[\]\"']+", value)
    elif isinstance(value, int | float) or value is None:
        value = [value]
    if not isinstance(value, list | tuple):
        return None
    names = [item.get("id") or item.get("name") if isinstance(item, dict) else item for item in value]
    return [name for name in names if not says_nothing(name)]


def prompt_for(part: str, question: str, ask: str = "") -> str:
    """Return what the worker of a part is asked that the plan only names.

    Args:
        part: the part's name.
        question: the whole task.
        ask: a template for one part, with ``{}`` in the place of its name. Without ``{}`` it would ask the
            same of every worker, so the whole task is given with the part's name behind it.
    """
    if "{}" in ask:
        return ask.replace("{}", part)
    return f"{question}{YOUR_PART}{part}{ONLY_THIS}" if question else part


def name_for(part: str, ids: Iterable[str]) -> str:
    """An id for a part that the plan only names: lower-case words, not in ``ids``."""
    words = "-".join(re.findall(r"[^\W_]+", part.lower()))[:40].strip("-") or "part"
    unusable, name, count = set(ids), words, 1
    while name in unusable:
        count += 1
        name = f"{words}-{count}"
    return name


class Plan(BaseModel):
    """A decomposition. ``parallel=False`` means: answer directly; ``subtasks`` is then empty.

    Attributes:
        parallel: fork, or answer directly.
        reason: a few words, for people.
        ask: the template of the prompts, with ``{}`` for a part's name; "" where there was none. The prompts
            of ``subtasks`` are made already.
        merge: how the parts become one answer; None leaves that to the run.
        subtasks: the parts, in the order in which the answer names them.
        notes: what was repaired in the plan that a model wrote, a sentence each.

    Raises:
        InvalidPlanError: from `Plan.check`, with the offending names in the message.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    parallel: bool
    reason: str = ""
    ask: str = ""
    merge: MergeName | None = None
    subtasks: tuple[Subtask, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return one_line.of_plan(self)

    def __str__(self) -> str:
        return repr(self)

    def _repr_markdown_(self) -> str:
        return markdown.of_plan(self)

    def __rich__(self) -> RenderableType:
        return terminal.of_plan(self)

    def check(self, *, max_subtasks: int = MAX_SUBTASKS, max_depth: int | None = None) -> Plan:
        """Return the plan if it can be run.

        Args:
            max_subtasks: most subtasks allowed.
            max_depth: longest allowed chain of dependencies, in subtasks; None for no limit.
        """
        if len(self.subtasks) > max_subtasks:
            raise InvalidPlanError(
                f"The plan has {len(self.subtasks)} subtasks; at most {max_subtasks} are allowed."
            )
        if self.parallel and not self.subtasks:
            raise InvalidPlanError("The plan says parallel but has no subtasks.")
        depth = len(levels_of(self.subtasks))
        if max_depth is not None and depth > max_depth:
            raise InvalidPlanError(f"The plan chains {depth} subtasks; at most {max_depth} are allowed.")
        return self

    @property
    def levels(self) -> list[list[Subtask]]:
        """Subtasks by distance from the start: those of one level can run at the same time."""
        return levels_of(self.subtasks)


def levels_of(subtasks: Sequence[Subtask]) -> list[list[Subtask]]:
    """Group subtasks by their longest chain of dependencies.

    Raises:
        InvalidPlanError: duplicate ids, unknown dependencies, or a cycle.
    """
    by_id: dict[str, Subtask] = {}
    for subtask in subtasks:
        if subtask.id in by_id:
            raise InvalidPlanError(f"Two subtasks have the id {subtask.id!r}.")
        by_id[subtask.id] = subtask
    for subtask in subtasks:
        if unknown := [d for d in subtask.depends_on if d not in by_id]:
            raise InvalidPlanError(
                f"Subtask {subtask.id!r} depends on {_names(unknown)}, which the plan does not have."
            )
    graph = {s.id: s.depends_on for s in subtasks}
    if cycle := cycle_in(graph):
        raise InvalidPlanError(f"The dependencies form a cycle: {_names(cycle)}.")
    return [[by_id[id_] for id_ in level] for level in levels(graph)]


def says_nothing(name: Any) -> bool:
    """Tell whether a model means "none" by what it wrote in place of a name."""
    return name is None or (isinstance(name, str) and name.strip().lower() in _NOTHING)


def _names(ids: Iterable[str]) -> str:
    return ", ".join(repr(i) for i in ids)
