"""Where servers put the text of an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.models.conftest import hear
from weaver._data.messages import user
from weaver._models.protocol import Reasoning, Request

from .conftest import DONE, Raw, chunk, event

pytestmark = pytest.mark.anyio
HELLO = Request((user("Name a river."),))


def choice(**fields: Any) -> bytes:
    return event({"id": "x", "choices": [{"index": 0, **fields}]})


@pytest.mark.parametrize(
    "parts",
    [
        [choice(delta={}, message={"content": "The Elbe."}, finish_reason="stop")],
        [choice(delta=None, message={"content": "The "}), choice(message={"content": "Elbe."})],
        [choice(delta={}, text="The Elbe.")],
        [choice(message="The Elbe.")],
        [
            choice(delta={"content": "The Elbe."}),
            choice(delta={}, message={"content": "The Elbe."}, finish_reason="stop"),
        ],
        [choice(delta={"content": {"type": "text", "text": "The Elbe."}})],
        [choice(delta={"content": {"parts": [{"text": "The "}, {"text": "Elbe."}]}})],
        [choice(delta={"content": ["The ", "Elbe."]})],
        [event({"choices": [{"index": 1, "delta": {"content": "The Elbe."}, "finish_reason": "stop"}]})],
        [
            event(
                {
                    "choices": [
                        {"index": 0, "delta": {"content": "The Elbe."}},
                        {"index": 1, "delta": {"content": "Another."}},
                    ]
                }
            )
        ],
        [
            event(
                {
                    "message": {"role": "assistant", "content": "The Elbe."},
                    "done": True,
                    "done_reason": "stop",
                }
            )
        ],
    ],
)
async def test_the_text_in_any_place(raw: Raw, parts: list[bytes]) -> None:
    _, model = await raw(*parts, DONE)
    assert (await hear(model, HELLO)).text == "The Elbe."


@pytest.mark.parametrize("ending", ["", "\n", "\n\n", "\r\n", " \n"])
async def test_json_lines(raw: Raw, ending: str) -> None:
    lines = [{"choices": [{"delta": {"content": word}}]} for word in ("The ", "Elbe.")]
    _, model = await raw(("\n".join(map(json.dumps, lines)) + ending).encode())
    assert (await hear(model, HELLO)).text == "The Elbe."


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"thinking": "hm"},
        {"reasoning": {"content": "hm"}},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
    ],
)
async def test_reasoning_in_any_place(raw: Raw, delta: dict[str, Any]) -> None:
    _, model = await raw(chunk(delta), chunk({"content": "The Elbe."}), chunk({}, "stop"), DONE)
    heard = await hear(model, HELLO)
    assert Reasoning("hm") in heard.deltas
    assert heard.text == "The Elbe."
