"""Judge what an enumeration means, and make a plan of one whose items can be worked on at the same time.

No model is called. Steps that need one another, choices and items that get one answer are no parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from weaver._data.plan import MergeName, Plan
from weaver._data.task import Task
from weaver._planning import cues
from weaver._planning.enumerations import Enumeration, enumeration_in
from weaver._planning.grouping import in_groups, split
from weaver._planning.parts import Parts
from weaver._text.shortening import one_line

Meaning = Literal["tasks", "each", "sections", "last", "steps", "together", "open"]
MAX_PARTS = 64
CUE_CHARS = 1000
TITLE_CHARS = 80


@dataclass(frozen=True, slots=True)
class Listing:
    """An enumeration and what it means.

    Attributes:
        meaning: ``tasks`` (each item asks for something), ``each`` (the text before asks the same of each),
            ``sections`` (of one text), ``last`` (as these, but the last item needs the others), ``steps``
            (each needs the one before), ``together`` (one answer about all), ``open`` (nothing says).
    """

    items: Enumeration
    meaning: Meaning

    @property
    def is_independent(self) -> bool:
        """Tell that the items can be worked on at the same time, for sure."""
        return self.meaning in {"tasks", "each", "sections"} and not self.items.others


@lru_cache(maxsize=16)
def listing_in(text: str) -> Listing | None:
    """Return what a text enumerates; None where it enumerates nothing."""
    items = enumeration_in(text)
    return None if items is None else Listing(items, _meaning(items))


def plan_of_list(task: Task, *, threads: int = MAX_PARTS) -> Plan | None:
    """Make a plan of the parts that the user listed: in ``task.parts``, or in the question.

    Args:
        task: lines that a program added to the question stand in the prompt of each part.
        threads: most subtasks; neighbouring parts are put together where there are more.

    Returns:
        The plan; None where there are no two parts that are independent for sure, or where they may speak of
        other messages than the question.
    """
    own = task.user_words
    if task.parts:
        return _plan_of_texts(own, task.parts, threads)
    if task.context or task.earlier:
        return None
    plan = listed_plan(own, threads=threads)
    if plan is None or own == task.question or own not in task.question:
        return plan
    before, _, after = task.question.partition(own)
    subtasks = tuple(s.model_copy(update={"prompt": f"{before}{s.prompt}{after}"}) for s in plan.subtasks)
    return plan.model_copy(update={"subtasks": subtasks, "merge": None})


def _plan_of_texts(question: str, texts: Sequence[str], threads: int) -> Plan | None:
    parts = Parts(question)
    for text in texts:
        parts.add({"name": text})
    return _plan(parts, f"{len(texts)} parts were given", "concat", threads)


def listed_plan(question: str, *, threads: int = MAX_PARTS) -> Plan | None:
    """Make a plan of the parts that a question lists; None where it lists none, or far too many."""
    listing = listing_in(question)
    if listing is None or not listing.is_independent or len(listing.items.items) > MAX_PARTS:
        return None
    items = listing.items
    if len(set(items.items)) < len(items.items):  # the answer has them twice, and threads only once
        return None
    reason = f"the task lists {len(items.items)} parts"
    merge: MergeName | None = None if items.tail else "concat"
    if listing.meaning == "sections":
        parts = Parts(question)
        for item in items.items:
            parts.add({"name": item})
        return _plan(parts, reason, merge, threads)
    parts, texts = Parts(), items.items
    for group in split(texts, max(1, threads)):
        parts.add({"name": ", ".join(map(short, group)), "prompt": _alone(items, group)})
    plan = _plan(parts, reason, merge, threads)
    if plan is None or len(plan.subtasks) == len(texts):
        return plan
    groups = split([short(text) for text in texts], threads)
    subtasks = (s.model_copy(update={"parts": tuple(g)}) for s, g in zip(plan.subtasks, groups, strict=True))
    return plan.model_copy(update={"subtasks": tuple(subtasks)})


def _plan(parts: Parts, reason: str, merge: MergeName | None, threads: int) -> Plan | None:
    """The plan of parts that are independent; None where fewer than two are left."""
    listed = [part.model_copy(update={"is_listed": True}) for part in parts.finish()]
    subtasks = in_groups(listed, max(1, threads))
    if len(subtasks) < 2:
        return None
    titled = tuple(s.model_copy(update={"title": short(s.title), "is_listed": True}) for s in subtasks)
    return Plan(parallel=True, reason=reason, merge=merge, subtasks=titled, notes=tuple(parts.notes))


def short(text: str) -> str:
    """The beginning of a part's text, as its title."""
    return one_line(text, TITLE_CHARS)


def _alone(items: Enumeration, group: Sequence[str]) -> str:
    """The task with some items in the place of all."""
    if len(group) > 1:
        listed = "\n".join(f"{i}. {item}" for i, item in enumerate(group, 1))
    else:
        listed = group[0]
        if items.kind == "inline" and "\n" not in items.lead:
            return " ".join(filter(None, (items.lead, listed, items.tail)))
    return "\n".join(filter(None, (items.lead, listed, items.tail)))


def _meaning(listed: Enumeration) -> Meaning:
    items, lead = listed.items[:MAX_PARTS], _ends(listed.lead)
    around = f"{lead}\n{_ends(listed.tail)}"
    each = cues.EACH.search(around) is not None and cues.ONE_ANSWER.search(_ends(listed.tail)) is None
    needs = [cues.needs_earlier(item, is_data=each) for item in items[1:]]
    last = items[-1][:CUE_CHARS]
    if listed.family == "step" or (cues.STEPS.search(lead) and not each):
        return "steps"
    if any(needs[:-1]) or (needs[-1] and (len(items) == 2 or not cues.WHOLE.search(last))):
        return "steps"
    if not each and 2 * sum(map(cues.is_step, items)) > len(items):
        return "steps"
    if needs[-1] or cues.WHOLE.search(last):
        return "last"
    if cues.ALL_IN_ONE.search(around):
        return "together"
    if listed.kind == "questions" and any(map(cues.speaks_of_earlier, items[1:])):
        return "open"
    if cues.SECTIONS.search(lead):
        return "sections"
    if each:
        return "each"
    if listed.kind == "questions" or all(map(cues.is_task, items)):
        return "tasks"
    if cues.ONE_ANSWER.search(around) or (lead.endswith(("?", "\uff1f")) and listed.family == "letter"):
        return "together"
    return "open"


def _ends(text: str) -> str:
    """The beginning and the end of a text, where people say what they want."""
    text = text.strip()
    return text if len(text) <= 2 * CUE_CHARS else f"{text[:CUE_CHARS]}\n{text[-CUE_CHARS:]}"
