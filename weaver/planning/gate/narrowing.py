"""Putting the parts of a plan into fewer threads."""

from __future__ import annotations

from weaver.plan import YOUR_PART, Plan, Subtask


def narrowed(plan: Plan, width: int) -> Plan:
    """Put independent parts into ``width`` threads, neighbours together.

    Returns:
        The plan itself where it is narrow enough, or where parts need one another or have agents.
    """
    parts = plan.subtasks
    if width < 1 or len(parts) <= width or any(s.depends_on or s.agent for s in parts):
        return plan
    least, more = divmod(len(parts), width)
    sizes = [least + (i < more) for i in range(width)]
    groups: list[Subtask] = []
    at = 0
    for size in sizes:
        groups.append(_together(parts[at : at + size]))
        at += size
    return plan.model_copy(update={"subtasks": tuple(groups)})


def _together(parts: tuple[Subtask, ...]) -> Subtask:
    if len(parts) == 1:
        return parts[0]
    lengths = [s.max_tokens for s in parts if s.max_tokens is not None]
    heads = {s.prompt.rpartition(YOUR_PART)[0] for s in parts}
    if len(heads) == 1 and (question := heads.pop()):  # parts of one task that the plan only names
        names = "; ".join(s.label for s in parts)
        prompt = f"{question}\n\nYour parts: {names}. Do only these parts, in this order."
    else:
        prompts = "\n\n".join(f"{i}. {s.prompt}" for i, s in enumerate(parts, 1))
        prompt = f"Answer each of these, in this order, under its number:\n\n{prompts}"
    return parts[0].model_copy(
        update={
            "title": ", ".join(s.label for s in parts)[:100],
            "prompt": prompt,
            "max_tokens": sum(lengths) if len(lengths) == len(parts) else None,
        }
    )
