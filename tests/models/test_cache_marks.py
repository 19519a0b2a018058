"""Where the mark for the provider's cache goes."""

from __future__ import annotations

import pytest

from weaver._models.cache_marks import marked, takes_marks

LONG = "All work and no play. " * 300


def message(role, content):
    return {"role": role, "content": content}


def test_the_last_message_but_one_is_marked():
    fields = {"messages": [message("system", "Be kind."), message("user", LONG), message("user", "Part 3")]}
    system, shared, tail = marked(fields)["messages"]
    assert system == message("system", "Be kind.")
    assert shared["content"][0]["text"] == LONG
    assert shared["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert tail == message("user", "Part 3")
    assert fields["messages"][1]["content"] == LONG


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": LONG},
        {"messages": []},
        {"messages": [message("user", "short"), message("user", LONG)]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": []}, message("user", "x")]},
    ],
)
def test_what_is_short_or_no_text_is_left_alone(fields):
    assert marked(fields) == fields


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("anthropic/claude-haiku-4-5", True),
        ("bedrock/anthropic.claude-v2", True),
        ("vertex_ai/claude-sonnet-4", True),
        ("openai/gpt-5-mini", False),
        ("gemini/gemini-2.5-pro", False),
    ],
)
def test_claude_is_marked_wherever_it_is_hosted(name, takes):
    assert takes_marks(name) is takes
