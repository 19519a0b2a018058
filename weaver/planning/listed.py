"""Judge what an enumeration means, and make a plan of one whose items can be worked on at the same time.

No model is called. Steps that need one another, choices and items that get one answer are no parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from weaver.plan import Plan, prompt_for
from weaver.planning import cues
from weaver.planning.enumerations import Enumeration, enumeration_in
from weaver.planning.grouping import in_groups
from weaver.planning.parts import Parts

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


def listed_plan(question: str, *, threads: int = MAX_PARTS) -> Plan | None:
    """Make a plan of the parts that a question lists.

    Args:
        question: the user's own words.
        threads: most subtasks; neighbouring parts are put together where there are more.

    Returns:
        The plan, or None where the text lists no parts that are independent for sure, or far too many.
    """
    listing = listing_in(question)
    if listing is None or not listing.is_independent or len(listing.items.items) > MAX_PARTS:
        return None
    items = listing.items
    parts = Parts()
    for item in items.items:
        is_section = listing.meaning == "sections"
        prompt = prompt_for(item, question) if is_section else _alone(items, item)
        parts.add({"name": short(item), "prompt": prompt})
    subtasks = tuple(parts.finish())
    if len(subtasks) < 2:
        return None
    return Plan(
        parallel=True,
        reason=f"the task lists {len(subtasks)} parts",
        merge=None if items.tail else "concat",
        subtasks=in_groups(subtasks, max(1, threads)),
        notes=tuple(parts.notes),
    )


def short(text: str) -> str:
    """The beginning of a part's text, as its title."""
    line = " ".join(text.split())
    return line if len(line) <= TITLE_CHARS else f"{line[: TITLE_CHARS - 3].rstrip()}..."


def _alone(items: Enumeration, item: str) -> str:
    """The task with one item in the place of all."""
    if items.kind == "inline" and "\n" not in items.lead:
        return " ".join(filter(None, (items.lead, item, items.tail)))
    return "\n".join(filter(None, (items.lead, item, items.tail)))


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
