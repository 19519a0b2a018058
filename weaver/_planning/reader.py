"""Reading a plan while the model is still writing it (docs/decisions/0094-short-plans.md has the grammar)."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial
from typing import Any

from weaver._data.plan import MAX_SUBTASKS, MERGE_NAMES, MergeName, Plan, Subtask, says_nothing
from weaver._json_reading.json_types import Json, is_array, is_object
from weaver._json_reading.streaming import JsonReader
from weaver._json_reading.whole import problem_in, read_json
from weaver._planning.grouping import in_groups
from weaver._planning.parts import Parts, template
from weaver.errors import InvalidPlanError

MAX_PLAN_CHARS = 200_000
MAX_PARTS = 64
# Nothing, or a fence with a short line before it. Longer texts may be thoughts that hold drafts.
_SHORT_LEAD = re.compile(r"[\s\ufeff\u200b]*([^\n]{0,80}\n*\s*```\s*\w*\s*)?")
_SEPARATOR = re.compile(r"\s*[\n;]\s*")
_PARTS = ("parts", "subtasks", "tasks")
_YES = {"true", "yes", "y", "1", "on", "parallel"}
_NO = {"false", "no", "n", "0", "off", "none", "null", "sequential"}


class PlanReader:
    """Gives each part as soon as its thread can start: when it is closed, and what it needs has started.

    Keys may come in any order; `parallel` is known as soon as it has been written. After prose, which may
    hold drafts, nothing is decided before `finish`. What is nearly JSON is read (`weaver.json_reading`), and
    what is wrong with the parts is repaired and noted (`weaver._planning.parts`).

    The plan depends on the text alone, not on the pieces it came in. Where something written later changes
    parts that were given before (a template behind them, or more parts than threads are allowed), `revision`
    grows, and `subtasks` begins anew.

    Args:
        max_subtasks: most threads; more parts than this are put together.
        question: the whole task, for parts that the plan only names.
        agents, tools: names that parts may use; None: any.
        min_parts: a plan with fewer parts is a direct answer.

    Attributes:
        parallel: None until the model has written it.
        reason, ask, merge: as in `Plan`.
        subtasks: those that can start, in the order in which they can.
        revision: how often `subtasks` began anew.
        done: the plan is complete; further text is ignored.
        cut: the text ended in the middle of the plan, after at least one part.
    """

    def __init__(
        self,
        *,
        max_subtasks: int = MAX_SUBTASKS,
        question: str = "",
        agents: Collection[str] | None = None,
        tools: Collection[str] | None = None,
        min_parts: int = 2,
    ) -> None:
        self.parallel: bool | None = None
        self.reason = ""
        self.ask = ""
        self.merge: MergeName | None = None
        self.subtasks: list[Subtask] = []
        self.revision = 0
        self.done = False
        self.cut = False
        self._json = JsonReader()
        self._pieces: list[str] = []
        self._chars = 0
        self._max = max_subtasks
        self._min = min_parts
        self._new_parts = partial(Parts, question, agents=agents, tools=tools)
        self._parts = self._new_parts()
        self._taken = 0
        self._plan: dict[str, Any] = {}
        self._notes: list[str] = []

    @property
    def text(self) -> str:
        """All that was read."""
        return "".join(self._pieces)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on what was repaired, a sentence each; complete after `finish`."""
        return tuple(dict.fromkeys([*self._parts.notes, *self._notes]))

    def feed(self, piece: str) -> list[Subtask]:
        """Read on. Returns the subtasks that can start with ``piece``.

        Raises:
            InvalidPlanError: there are far too many parts, or the text is far too long.
        """
        self._pieces.append(piece)
        self._chars += len(piece)
        if self._chars > MAX_PLAN_CHARS:
            raise InvalidPlanError(f"The plan is longer than {MAX_PLAN_CHARS} characters.")
        self._json.feed(piece)
        if self.done or not (self._json.values or self._json.root is not None):
            return []
        if not _SHORT_LEAD.fullmatch(self._json.lead):
            return []
        before, revision = len(self.subtasks), self.revision
        if self._json.values:
            self._take(self._json.values[0].value)
            self.done = self.parallel is not None or self._taken > 0
        elif self._json.root is not None:
            self._take(self._json.root)
        return self.subtasks[before:] if revision == self.revision else list(self.subtasks)

    def finish(self) -> Plan:
        """The whole plan, after the model's last word.

        Raises:
            InvalidPlanError: what was written is no plan.
        """
        if not self.done:
            values = self._json.finish()
            if not any(_plan_in(value.value) for value in values):
                values = read_json(self.text)  # JSON inside a JSON string
            for value in reversed(values):  # drafts come first
                if _plan_in(value.value) is not None:
                    self._take(value.value)
                    self.cut = value.cut
                    break
        if self.parallel is None and not self._taken:
            raise InvalidPlanError(
                f"The planner's answer is no plan: it has neither 'parallel' nor 'subtasks'.{self._where()}"
            )
        if self.cut and not len(self._parts) and self.parallel is not False:
            raise InvalidPlanError(f"The plan ends before its first subtask is complete.{self._where()}")
        self._note_merge()
        subtasks = self._final() if self.parallel is not False else ()
        self.parallel = bool(subtasks)
        if any(subtask not in subtasks for subtask in self.subtasks):
            self._begin_anew()
        started = {s.id for s in self.subtasks}
        self.subtasks += [s for s in subtasks if s.id not in started]
        return Plan(
            parallel=self.parallel,
            reason=self.reason,
            ask=self.ask,
            merge=self.merge or self._parts.merge,
            subtasks=subtasks,
            notes=self.notes,
        ).check(max_subtasks=max(self._max, self._min))

    def _where(self) -> str:
        problem = problem_in(self.text)
        return f" The JSON is wrong at {problem}." if problem else ""

    def _final(self) -> tuple[Subtask, ...]:
        """All parts, in no more threads than are allowed; () where there are too few."""
        parts = self._parts.finish()
        least = 1 if self.cut else self._min  # the planner meant to fork
        if len(parts) < least:
            there = f"{len(parts)} part" if parts else "no parts"
            self._notes.append(f"The plan has {there} that can be worked on; the task is answered directly.")
            return ()
        groups = in_groups(parts, max(1, self._max))
        if len(groups) < len(parts):
            self._notes.append(
                f"The plan has {len(parts)} parts, and at most {self._max} threads are allowed; parts "
                "were put together."
            )
            if replaced := {s.agent for s in parts if s.agent} - {s.agent for s in groups}:
                self._notes.append(
                    f"Parts of {', '.join(sorted(replaced))} went to workers where they were put together."
                )
        return groups if len(groups) >= least else ()

    def _take(self, value: Any) -> None:
        """Take over what is new and complete in a plan's JSON."""
        plan = _plan_in(value)
        if plan is None:
            return
        self._plan = plan
        if self.parallel is None and "parallel" in plan:
            self.parallel = _truth(plan["parallel"])
        if isinstance(reason := plan.get("reason"), str):
            self.reason = reason
        ask = plan.get("ask")
        if isinstance(ask, str) and not says_nothing(ask):
            self._ask_with(template(ask))
        parts, before = self._parts_in(plan), self._taken
        for part in parts[self._taken :]:
            if self._json.is_open(part) or (part is parts[-1] and self._is_last_cut(part)):
                break
            self._taken += 1
            self._add(part)
        if self._taken == len(parts) and parts and not self._is_list_open(plan):
            self._parts.close()
        elif self._taken == before:
            return
        if len(self._parts) <= self._max:
            self.subtasks += self._parts.startable({s.id for s in self.subtasks})
        elif self.subtasks:  # they are put together when all are known
            self._begin_anew()

    def _parts_in(self, plan: dict[str, Any]) -> list[Any]:
        parts = next((plan[key] for key in _PARTS if key in plan), None)
        if isinstance(parts, str):
            listed = next((v.value for v in read_json(parts) if is_array(v.value)), None)
            return _SEPARATOR.split(parts.strip()) if listed is None else listed
        if is_object(parts) and not self._json.is_open(parts):
            return [_part_named(name, part) for name, part in parts.items()]
        return parts if is_array(parts) else []

    def _is_list_open(self, plan: dict[str, Any]) -> bool:
        value = next((plan[key] for key in _PARTS if key in plan), None)
        return self._json.is_open(value)

    def _ask_with(self, ask: str) -> None:
        """Make the prompts by a template, also those of parts that were read before it."""
        if ask == self.ask:
            return
        self.ask, self._taken = ask, 0
        self._parts = self._new_parts(ask=ask)
        self._begin_anew()

    def _begin_anew(self) -> None:
        if self.subtasks:
            self.revision += 1
            self.subtasks = []

    def _is_last_cut(self, part: Any) -> bool:
        """Tell an object at the end of a cut text that lacks something. Half a name is no part at all."""
        was_cut = bool(self._json.values) and self._json.values[-1].cut
        return was_cut and isinstance(part, dict) and not part.keys() >= {"id", "prompt"}

    def _add(self, value: Any) -> None:
        if self._taken <= MAX_PARTS:
            self._parts.add(value)
        if max(self._taken, len(self._parts)) > MAX_PARTS:
            raise InvalidPlanError(
                f"The plan has more than {MAX_PARTS} parts.",
                hint=f"Put parts together so that there are no more than {self._max}.",
            )

    def _note_merge(self) -> None:
        word = self._plan.get("merge")
        if says_nothing(word):
            return
        name = str(word).strip().lower()
        self.merge = next((word for word in MERGE_NAMES if word == name), None)
        if self.merge is None and name != "auto":
            self._notes.append(
                f"The plan names a merge {name[:40]!r} that does not exist; the run chooses one."
            )


def _plan_in(value: Json) -> dict[str, Any] | None:
    """The object with a plan's keys: ``value``, or the only one inside it; a bare list is one of subtasks."""
    if (
        isinstance(value, list)
        and value
        and all(isinstance(item, dict) and "prompt" in item for item in value)
    ):
        return {"subtasks": value}
    for _ in range(3):
        if not isinstance(value, dict):
            return None
        if "parallel" in value or any(key in value for key in _PARTS[:2]):
            return value
        inner = [item for item in value.values() if isinstance(item, dict)]
        if len(inner) != 1:
            return None
        value = inner[0]
    return None


def _part_named(name: str, part: Json) -> Any:
    """A part that was written as ``name: part``."""
    if isinstance(part, dict):
        return {"id": name, **part}
    return {"name": name, "prompt": part} if isinstance(part, str) else name


def _truth(value: Any) -> bool | None:
    word = str(value).strip().lower()
    return True if word in _YES else False if word in _NO else None
