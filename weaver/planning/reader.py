"""Reading a plan while the model is still writing it."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from weaver.errors import PlanInvalid
from weaver.json_reading.streaming import JsonReader
from weaver.json_reading.whole import problem_in, read_json
from weaver.plan import MAX_SUBTASKS, Plan, Subtask, name_for, prompt_for

MAX_PLAN_CHARS = 200_000
# Nothing, or a fence with a short line before it. Longer texts may be thoughts that hold drafts.
_SHORT_LEAD = re.compile(r"[\s\ufeff\u200b]*([^\n]{0,80}\n*\s*```\s*\w*\s*)?")
_PROMPTS = ("task", "question", "instruction", "instructions", "description")
_YES = {"true", "yes", "y", "1", "on", "parallel"}
_NO = {"false", "no", "n", "0", "off", "none", "null", "sequential"}


class PlanReader:
    """Hands each subtask over as soon as its JSON object is complete.

    Keys may come in any order; `parallel` is known as soon as it has been written. After prose, which may
    hold drafts, nothing is decided before `finish`. What is nearly JSON is read (`weaver.json_reading`).

    Args:
        max_subtasks: reading ends with the first subtask over this.
        question: the whole task, for parts that the plan only names.

    Attributes:
        parallel: None until the model has written it.
        subtasks: the complete ones so far.
        done: the plan is complete; further text is ignored.
        cut: the text ended in the middle of the plan, after at least one subtask.
    """

    def __init__(self, *, max_subtasks: int = MAX_SUBTASKS, question: str = "") -> None:
        self.parallel: bool | None = None
        self.reason = ""
        self.subtasks: list[Subtask] = []
        self.done = False
        self.cut = False
        self._json = JsonReader()
        self._pieces: list[str] = []
        self._chars = 0
        self._max = max_subtasks
        self._ids: set[str] = set()
        self._titles: dict[str, str] = {}
        self._question = question
        self._ask = ""

    @property
    def text(self) -> str:
        """All that was read."""
        return "".join(self._pieces)

    def feed(self, piece: str) -> list[Subtask]:
        """Read on. Returns the subtasks that ``piece`` completed.

        Raises:
            PlanInvalid: a subtask does not fit, has the id of an earlier one or is one too many; or the text
                is far too long.
        """
        self._pieces.append(piece)
        self._chars += len(piece)
        if self._chars > MAX_PLAN_CHARS:
            raise PlanInvalid(f"The plan is longer than {MAX_PLAN_CHARS} characters.")
        self._json.feed(piece)
        if self.done or not _SHORT_LEAD.fullmatch(self._json.lead):
            return []
        before = len(self.subtasks)
        if self._json.values:
            self._take(self._json.values[0].value)
            self.done = self.parallel is not None or bool(self.subtasks)
        elif self._json.root is not None:
            self._take(self._json.root)
        return self.subtasks[before:]

    def finish(self) -> Plan:
        """The whole plan, after the model's last word.

        Raises:
            PlanInvalid: what was written is no plan that can be run.
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
        if self.parallel is None and not self.subtasks:
            raise PlanInvalid(
                f"The planner's answer is no plan: it has neither 'parallel' nor 'subtasks'.{self._where()}"
            )
        if self.cut and not self.subtasks and self.parallel is not False:
            raise PlanInvalid(f"The plan ends before its first subtask is complete.{self._where()}")
        parallel = bool(self.subtasks) if self.parallel is None else self.parallel
        subtasks = tuple(self.subtasks) if parallel else ()
        return Plan(parallel=parallel, reason=self.reason, subtasks=subtasks).check(max_subtasks=self._max)

    def _where(self) -> str:
        problem = problem_in(self.text)
        return f" The JSON is wrong at {problem}." if problem else ""

    def _take(self, value: Any) -> None:
        """Take over what is new and complete in a plan's JSON."""
        plan = _plan_in(value)
        if plan is None:
            return
        if self.parallel is None and "parallel" in plan:
            self.parallel = _truth(plan["parallel"])
        if isinstance(reason := plan.get("reason"), str):
            self.reason = reason
        if isinstance(ask := plan.get("ask"), str) and not self._is_being_written(plan, "ask"):
            self._ask = ask
        subtasks = plan.get("subtasks")
        if isinstance(subtasks, str):
            subtasks = next((v.value for v in read_json(subtasks) if isinstance(v.value, list)), None)
        if isinstance(subtasks, dict) and not self._json.is_open(subtasks):
            subtasks = [{"id": name, **one} for name, one in subtasks.items() if isinstance(one, dict)]
        if not isinstance(subtasks, list):
            return
        for subtask in subtasks[len(self.subtasks) :]:
            if self._json.is_open(subtask):
                break
            if (
                subtask is subtasks[-1]
                and self._json.values
                and self._json.values[-1].cut
                and _is_short(subtask)
            ):
                break
            self._add(subtask)

    def _is_being_written(self, plan: dict[str, Any], key: str) -> bool:
        """Tell that the value of ``key`` may not be whole: the text was cut in it."""
        return bool(self._json.values) and self._json.values[-1].cut and key == list(plan)[-1]

    def _add(self, value: Any) -> None:
        if isinstance(value, str) and value.strip():
            value = {"title": value.strip()}
        if not isinstance(value, dict):
            raise PlanInvalid("A subtask must be a text or a JSON object.")
        if len(self.subtasks) >= self._max:
            raise PlanInvalid(
                f"The plan has more than {self._max} subtasks.",
                hint="Put parts together so that there are no more.",
            )
        try:
            subtask = Subtask.model_validate(self._named(value))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:4])
            raise PlanInvalid(f"Subtask {len(self.subtasks) + 1} does not fit: {wrong}.") from error
        if subtask.id in self._ids:
            raise PlanInvalid(f"Two subtasks have the id {subtask.id!r}.")
        self._ids.add(subtask.id)
        self._titles.setdefault(subtask.label, subtask.id)
        self.subtasks.append(subtask)

    def _named(self, subtask: dict[str, Any]) -> dict[str, Any]:
        """A subtask with an id and a prompt, where the model gave it none or called it something else."""
        named = {**subtask}
        title = named.get("title") or named.get("name")
        if isinstance(title, str) and title.strip():
            named["title"] = title = title.strip()[:500]
        else:
            title = ""
        if named.get("id") in {None, ""}:
            number = f"t{len(self.subtasks) + 1}"
            named["id"] = number if named.get("prompt") else name_for(title or number, self._ids)
        if not named.get("prompt"):
            other = [named[name] for name in _PROMPTS if isinstance(named.get(name), str) and named[name]]
            part = title or str(named["id"])
            named["prompt"] = other[0] if other else prompt_for(part, self._question, self._ask)
        if named.get("needs") and not named.get("depends_on"):
            named["depends_on"] = named["needs"]
        if isinstance(needs := named.get("depends_on"), list):
            named["depends_on"] = [self._titles.get(n, n) if isinstance(n, str) else n for n in needs]
        return named


def _plan_in(value: Any) -> dict[str, Any] | None:
    """The object with a plan's keys: ``value``, or the only one inside it; a bare list is one of subtasks."""
    if isinstance(value, list) and value and all(isinstance(one, dict) and "prompt" in one for one in value):
        return {"subtasks": value}
    for _ in range(3):
        if not isinstance(value, dict):
            return None
        if "parallel" in value or "subtasks" in value:
            return value
        inner = [one for one in value.values() if isinstance(one, dict)]
        if len(inner) != 1:
            return None
        value = inner[0]
    return None


def _truth(value: Any) -> bool | None:
    word = str(value).strip().lower()
    return True if word in _YES else False if word in _NO else None


def _is_short(subtask: Any) -> bool:
    """Tell a subtask at the end of a cut text that lacks something, or is a name that may go on."""
    return not isinstance(subtask, dict) or not subtask.keys() >= {"id", "prompt"}
