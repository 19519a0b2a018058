"""Conversations as clients send them back."""

from __future__ import annotations

_BEGIN, _END = '<details type="reasoning"', "</details>"
_THINK, _THOUGHT = "<think>", "</think>"


def without_reasoning(text: str) -> str:
    """An assistant's message without the reasoning that a client has put into it.

    Open WebUI sends it back as a block ``<details type="reasoning">``, others as ``<think>`` at the start. A
    block that does not end stays.
    """
    pieces: list[str] = []
    at = 0
    while (begin := text.find(_BEGIN, at)) >= 0 and (end := text.find(_END, begin)) >= 0:
        pieces.append(text[at:begin])
        at = end + len(_END)
    rest = "".join([*pieces, text[at:]]) if pieces or at else text
    opened = rest.lstrip()
    if opened.startswith(_THINK) and (end := opened.find(_THOUGHT)) >= 0:
        rest = opened[end + len(_THOUGHT) :]
    return rest.strip() if len(rest) < len(text) else text
