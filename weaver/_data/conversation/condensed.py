"""Earlier turns in short, for planners and threads: no model is asked, and the length is bounded."""

from __future__ import annotations

from collections.abc import Sequence

from weaver._data.messages import Message
from weaver._text.untrusted import fenced

BUDGET = 8_000
"""Characters (about 2,000 tokens) of all earlier turns together."""
RECENT = 4
"""Messages at the end that are kept word for word while there is room."""
_OLD = 400  # characters of an older message
_RESULT = 300  # of a tool's result
_ARGUMENTS = 200


def condensed(messages: Sequence[Message], budget: int = BUDGET) -> tuple[Message, ...]:
    """Return ``messages`` as text-only turns of the user and the assistant, in at most about ``budget``.

    The first message and the last `RECENT` stay; of older ones the newest come first, each shortened. Tool
    calls and their results become a few lines of the assistant's turn, the results fenced. System messages
    are left out: see `weaver._data.task.Task.instructions`.

    Args:
        budget: characters; twice as many at most, where the last messages alone are longer.
    """
    turns = _turns(messages)
    if sum(len(turn.text) for turn in turns) <= budget:
        return turns
    old, recent = turns[:-RECENT], turns[-RECENT:]
    share = budget // len(recent)
    newest = [_shortened(turn, max(share, _OLD)) for turn in recent]
    room = budget - sum(len(turn.text) for turn in newest)
    first = [_shortened(old[0], _OLD)] if old else []
    middle: list[Message] = []
    for turn in reversed(old[1:]):
        short = _shortened(turn, _OLD)
        room -= len(short.text)
        if room < 0:
            break
        middle.append(short)
    dropped = len(old) - len(first) - len(middle)
    if dropped:
        first = [first[0].extended(f"[{dropped} earlier messages are left out here.]")]
    return _merged([*first, *reversed(middle), *newest])


def transcript(messages: Sequence[Message], budget: int = BUDGET) -> str:
    """Return `condensed` as one fenced text, for judges and for merging; "" where there is nothing."""
    turns = condensed(messages, budget)
    talk = "\n\n".join(f"{turn.role}: {turn.text}" for turn in turns)
    return fenced(talk, "conversation so far") if talk else ""


def _turns(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Texts of the user and the assistant, in turn; exchanges with tools are part of the assistant's."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    turns: list[Message] = []
    for message in messages:
        if message.role == "system":
            continue
        if message.role == "tool":
            name = names.get(message.tool_call_id or "", "a tool")
            result = fenced(_short(message.text, _RESULT), f"result of {name}")
            turns.append(Message("assistant", result, untrusted=True))
            continue
        calls = [f"[called {call.name}({_short(call.arguments, _ARGUMENTS)})]" for call in message.tool_calls]
        text = "\n".join(filter(None, (message.text, *calls)))
        turns.append(Message(message.role, text, untrusted=message.is_untrusted))
    return _merged(turns)


def _merged(turns: Sequence[Message]) -> tuple[Message, ...]:
    """Neighbours of one role as one turn: many chat templates want the roles to alternate."""
    merged: list[Message] = []
    texts: list[str] = []

    def close() -> None:
        if merged:
            last = merged[-1]
            merged[-1] = Message(last.role, "\n\n".join(texts), untrusted=last.untrusted)

    for turn in turns:
        if not turn.text.strip():
            continue
        if merged and merged[-1].role == turn.role:
            texts.append(turn.text)
            if turn.untrusted and not merged[-1].untrusted:
                merged[-1] = turn
            continue
        close()
        merged.append(turn)
        texts = [turn.text]
    close()
    return tuple(merged)


def _shortened(turn: Message, size: int) -> Message:
    return Message(turn.role, _short(turn.text, size), untrusted=turn.untrusted)


def _short(text: str, size: int) -> str:
    """The beginning and the end of a text; what is said last often matters most."""
    if len(text) <= size:
        return text
    end = size // 4
    return f"{text[: size - end]} [...] {text[-end:]}"
