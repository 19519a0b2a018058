"""Reading a plan while the model is still writing it."""

from __future__ import annotations

import json
import re

from pydantic import ValidationError

from weaver.errors import PlanInvalid
from weaver.plan import MAX_SUBTASKS, Plan, Subtask

MAX_PLAN_CHARS = 200_000
_BLANK = re.compile(r"[\s,]*")
_decode = json.JSONDecoder().raw_decode


class PlanReader:
    """Hands each subtask over as soon as its JSON object is complete.

    Text before the first ``{`` (prose, a code fence) and after the plan is skipped. Keys may come in any
    order; `parallel` is known as soon as it has been written.

    Args:
        max_subtasks: reading ends with the first subtask over this.

    Attributes:
        parallel: None until the model has written it.
        subtasks: the complete ones so far.
        done: the plan is complete; further text is ignored.
    """

    def __init__(self, *, max_subtasks: int = MAX_SUBTASKS) -> None:
        self.parallel: bool | None = None
        self.reason = ""
        self.subtasks: list[Subtask] = []
        self.done = False
        self.text = ""
        self._max = max_subtasks
        self._at = 0
        self._inside: str = "nothing"
        self._ids: set[str] = set()

    def feed(self, piece: str) -> list[Subtask]:
        """Read on. Returns the subtasks that ``piece`` completed.

        Raises:
            PlanInvalid: a subtask does not fit, has the id of an earlier one or is one too many; or the text
                is far too long.
        """
        self.text += piece
        if len(self.text) > MAX_PLAN_CHARS:
            raise PlanInvalid(f"The plan is longer than {MAX_PLAN_CHARS} characters.")
        before = len(self.subtasks)
        # An object can only have become complete if something was closed.
        if self._inside != "subtasks" or "}" in piece or "]" in piece:
            while not self.done and self._step():
                pass
        return self.subtasks[before:]

    def finish(self) -> Plan:
        """The whole plan, after the model's last word.

        Raises:
            PlanInvalid: what was written is no plan that can be run.
        """
        if self.parallel is None and not self.subtasks:
            raise PlanInvalid("The planner's answer is no plan: it has neither 'parallel' nor 'subtasks'.")
        if not self.done:
            raise PlanInvalid("The plan ends in the middle.")
        parallel = bool(self.subtasks) if self.parallel is None else self.parallel
        kept = tuple(self.subtasks) if parallel else ()
        return Plan(parallel=parallel, reason=self.reason, subtasks=kept).check(max_subtasks=self._max)

    def _step(self) -> bool:
        """Read one thing. False when it is not complete yet."""
        if self._inside == "nothing":
            start = self.text.find("{", self._at)
            if start < 0:
                return False
            self._at, self._inside = start + 1, "object"
            return True
        blank = _BLANK.match(self.text, self._at)
        self._at = blank.end() if blank else self._at
        if self._at >= len(self.text):
            return False
        if self._inside == "subtasks":
            return self._element()
        if self.text[self._at] == "}":
            self.done = True
            return False
        return self._pair()

    def _pair(self) -> bool:
        try:
            key, at = _decode(self.text, self._at)
        except ValueError:
            return False
        colon = re.compile(r"\s*:\s*").match(self.text, at)
        if colon is None or colon.end() >= len(self.text):
            return False
        at = colon.end()
        if key == "subtasks" and self.text[at] == "[":
            self._at, self._inside = at + 1, "subtasks"
            return True
        try:
            value, end = _decode(self.text, at)
        except (ValueError, RecursionError):
            return False
        if end >= len(self.text):  # a number may go on
            return False
        if key == "parallel":
            self.parallel = value is True or str(value).lower() == "true"
        elif key == "reason" and isinstance(value, str):
            self.reason = value
        self._at = end
        return True

    def _element(self) -> bool:
        if self.text[self._at] == "]":
            self._at, self._inside = self._at + 1, "object"
            return True
        if self.text[self._at] != "{":
            raise PlanInvalid("A subtask must be a JSON object.")
        try:
            value, end = _decode(self.text, self._at)
        except (ValueError, RecursionError):
            return False
        if len(self.subtasks) >= self._max:
            raise PlanInvalid(
                f"The plan has more than {self._max} subtasks.",
                hint="Put parts together so that there are no more.",
            )
        try:
            subtask = Subtask.model_validate(value)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:4])
            raise PlanInvalid(f"Subtask {len(self.subtasks) + 1} does not fit: {wrong}.") from error
        if subtask.id in self._ids:
            raise PlanInvalid(f"Two subtasks have the id {subtask.id!r}.")
        self._ids.add(subtask.id)
        self.subtasks.append(subtask)
        self._at = end
        return True
