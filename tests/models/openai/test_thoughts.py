"""Thinking inside the content is told from the answer, in any pieces."""

from __future__ import annotations

import pytest

from weaver._models.openai.chunks.thoughts import ThoughtSplitter
from weaver._models.protocol import Reasoning, Text


def heard(text: str, size: int) -> tuple[str, str]:
    splitter = ThoughtSplitter()
    deltas = [d for at in range(0, len(text), size) for d in _piece(splitter, text[at : at + size])]
    deltas += splitter.end()
    return (
        "".join(d.text for d in deltas if isinstance(d, Reasoning)),
        "".join(d.text for d in deltas if isinstance(d, Text)),
    )


def _piece(splitter: ThoughtSplitter, piece: str) -> list[object]:
    return [Text(piece)] if splitter.done else list(splitter.split(piece))


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("plain answer", "", "plain answer"),
        ("  \n indented", "", "  \n indented"),
        ("<think>7 is prime</think>\n\nSeven.", "7 is prime", "Seven."),
        ("\n<Thinking>a < b</Thinking>B.", "a < b", "B."),
        ("[THINK]so[/THINK]Yes", "so", "Yes"),
        ("◁think▷so◁/think▷Yes", "so", "Yes"),
        ("<think>\n\n</think>\n\nYes", "", "Yes"),
        ("<think>one</think><think>two</think>Three", "onetwo", "Three"),
        ("<think>never closed", "never closed", ""),
        ("<thin ice> is text", "", "<thin ice> is text"),
        ("The tag <think>x</think> stays", "", "The tag <think>x</think> stays"),
        ("<", "", "<"),
        ("", "", ""),
    ],
)
def test_thinking_and_answer(text: str, reasoning: str, answer: str, size: int) -> None:
    assert heard(text, size) == (reasoning, answer)


def test_blanks_at_the_beginning_of_thinking_are_kept_in_part() -> None:
    splitter = ThoughtSplitter()
    deltas = [d for piece in ["<think>", *[" " * 10] * 1000] for d in splitter.split(piece)]
    assert deltas == []
    deltas = splitter.split("so</think>Yes")
    assert [type(d) for d in deltas] == [Reasoning, Text]
    assert "".join(d.text for d in deltas if isinstance(d, Reasoning)).strip() == "so"
    assert len("".join(d.text for d in deltas if isinstance(d, Reasoning))) < 400
