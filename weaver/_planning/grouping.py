"""Put the parts of a plan into fewer threads: one thread then answers several parts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TypeVar

from weaver._data.plan import YOUR_PART, Plan, Subtask, levels_of

T = TypeVar("T")
TITLE_CHARS = 100


def narrowed(plan: Plan, width: int) -> Plan:
    """Put independent parts into ``width`` threads, neighbours together.

    Returns:
        The plan itself where it is narrow enough, or where parts need one another or have agents.
    """
    parts = plan.subtasks
    if width < 1 or len(parts) <= width or any(s.depends_on or s.agent for s in parts):
        return plan
    return plan.model_copy(update={"subtasks": in_groups(parts, width)})


def in_groups(parts: Sequence[Subtask], threads: int) -> tuple[Subtask, ...]:
    """Put ``parts`` into at most ``threads`` threads, whatever they need.

    Neighbours go together, and parts after what they need, so that no group needs a later one.

    Args:
        parts: with ids of their own, and without cycles.
        threads: at least 1.

    Returns:
        The groups, each with the id of its first part. A group of parts with different agents has none.
    """
    if len(parts) <= threads:
        return tuple(parts)
    groups = split([s for level in levels_of(parts) for s in level], threads)
    group_of = {s.id: group[0].id for group in groups for s in group}
    return tuple(_together(group, group_of) for group in groups)


def split(values: Sequence[T], groups: int) -> list[Sequence[T]]:
    """Split ``values`` into at most ``groups`` runs of neighbours, of nearly the same length."""
    least, larger = divmod(len(values), groups)
    ends = list(accumulate(least + (i < larger) for i in range(min(groups, len(values)))))
    return [values[begin:end] for begin, end in pairwise([0, *ends])]


def _together(parts: Sequence[Subtask], group_of: dict[str, str]) -> Subtask:
    first = parts[0]
    needs = dict.fromkeys(group_of[d] for s in parts for d in s.depends_on if group_of[d] != first.id)
    if len(parts) == 1:
        return first if tuple(needs) == first.depends_on else _changed(first, depends_on=tuple(needs))
    lengths = [s.max_tokens for s in parts if s.max_tokens is not None]
    agents = {s.agent for s in parts}
    tools = dict.fromkeys(name for s in parts for name in s.tools)
    return _changed(
        first,
        title=", ".join(s.label for s in parts)[:TITLE_CHARS],
        prompt=_prompt(parts),
        depends_on=tuple(needs),
        agent=agents.pop() if len(agents) == 1 else None,
        tools=tuple(tools) if all(s.tools for s in parts) else (),
        max_tokens=sum(lengths) if len(lengths) == len(parts) else None,
        is_listed=all(s.is_listed for s in parts),
        parts=tuple(name for s in parts for name in s.parts or (s.label,)),
    )


def _prompt(parts: Sequence[Subtask]) -> str:
    heads = {s.prompt.rpartition(YOUR_PART)[0] for s in parts}
    if len(heads) == 1 and (question := heads.pop()):  # parts of one task that the plan only names
        names = "; ".join(s.label for s in parts)
        return f"{question}\n\nDo only these parts of it, in this order: {names}. Others do the other parts."
    prompts = "\n\n".join(f"{i}. {_titled(s)}" for i, s in enumerate(parts, 1))
    return f"Answer each of these, in this order, under its number:\n\n{prompts}"


def _titled(part: Subtask) -> str:
    """The part's prompt, with its title where the prompt does not hold it."""
    title = part.title
    return part.prompt if title.casefold() in part.prompt.casefold() else f"{title}: {part.prompt}"


def _changed(part: Subtask, **fields: object) -> Subtask:
    return part.model_copy(update=fields)
