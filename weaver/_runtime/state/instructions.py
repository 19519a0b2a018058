"""The user's instructions, in every model call of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from weaver._data.messages import Message, system
from weaver._runtime.state.run_state import ANSWERING

FOR_DECISIONS = (
    "The answer that the user gets in the end has to follow the instructions below. Respect them in what you "
    "decide. They do not change the form of your own reply, which was described above:"
)
"""Stands before the instructions in calls whose text is not the answer: a planner's, a judge's."""


def instructed(messages: Sequence[Message], instructions: Sequence[str], role: str) -> tuple[Message, ...]:
    """Return ``messages`` with ``instructions`` in the system message.

    Where the text may be (part of) the answer they stand in front, so that what a call says about its own
    form comes last. Elsewhere they stand at the end, as a constraint on what is decided.

    Args:
        instructions: texts in their order; one that is a paragraph of the system message already is left
            out.
        role: whose call it is: see `ThreadContext.call`.
    """
    messages = tuple(messages)
    first = messages[0] if messages and messages[0].role == "system" else None
    present = first.text if first is not None else ""
    missing = [text for text in instructions if not _has_paragraph(present, text)]
    if not missing:
        return messages
    parts = [*missing, present] if role in ANSWERING else [present, FOR_DECISIONS, *missing]
    text = "\n\n".join(part for part in parts if part)
    if first is None:
        return (system(text), *messages)
    return (replace(first, content=text), *messages[1:])


def _has_paragraph(text: str, paragraph: str) -> bool:
    return f"\n\n{paragraph}\n\n" in f"\n\n{text}\n\n"
