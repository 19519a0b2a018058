"""Calls and their results belong together: servers refuse a conversation in which one of them is missing."""

from __future__ import annotations

from collections.abc import Sequence

from weaver._data.messages import Message

NO_RESULT = "(The result of this call is not known.)"


def paired(messages: Sequence[Message]) -> tuple[tuple[Message, ...], list[str]]:
    """``messages`` with a result for each tool call, right after it, and a call for each result.

    A conversation that was cut off in the middle of an exchange with tools is mended: results without a call
    are left out, calls without a result get one that says so.

    Returns:
        The messages, and what was changed, in words.
    """
    fitting: list[Message] = []
    waiting: dict[str, None] = {}
    orphans = unanswered = 0

    def close() -> None:
        nonlocal unanswered
        unanswered += len(waiting)
        fitting.extend(Message("tool", NO_RESULT, tool_call_id=call) for call in waiting)
        waiting.clear()

    for message in messages:
        if message.role == "tool":
            if message.tool_call_id in waiting:
                waiting.pop(message.tool_call_id)
                fitting.append(message)
            else:
                orphans += 1
            continue
        close()
        fitting.append(message)
        waiting.update(dict.fromkeys(call.id for call in message.tool_calls))
    close()
    notes: list[str] = []
    if orphans:
        notes.append(f"{orphans} tool results of the history answer no call in it; they are left out.")
    if unanswered:
        notes.append(f"{unanswered} tool calls of the history have no result; the model is told so.")
    return tuple(fitting), notes
