"""Tool calls in every shape in which servers send them, and what has to go back with them."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any

import pytest

from tests.models.conftest import hear
from weaver import Task, Weaver, tool
from weaver._data.messages import Message, ToolCall, user
from weaver._models.protocol import Request, ToolCallPart
from weaver._models.tool_call_parts import ToolCallParts

from .conftest import DONE, Answer, Raw, chunk, event

pytestmark = pytest.mark.anyio
HELLO = Request((user("Measure both rivers."),))
ELBE, ODER = '{"river": "Elbe"}', '{"river": "Oder"}'


def call(arguments: Any = None, **fields: Any) -> dict[str, Any]:
    """One entry of ``tool_calls``."""
    function = {
        n: v for n, v in (("name", fields.pop("name", None)), ("arguments", arguments)) if v is not None
    }
    return {**fields, "function": function}


def calls(*entries: dict[str, Any]) -> bytes:
    return chunk({"tool_calls": list(entries)})


def pieces(text: str, **fields: Any) -> list[bytes]:
    return [calls(call(text[i : i + 5], **fields)) for i in range(0, len(text), 5)]


BOTH = [("length_of", "Elbe"), ("length_of", "Oder")]
ONE = BOTH[:1]
SHAPES: dict[str, tuple[list[bytes], list[tuple[str, str]]]] = {
    "regular": (
        [
            calls(call("", index=0, id="a", name="length_of")),
            *pieces(ELBE, index=0),
            calls(call("", index=1, id="b", name="length_of")),
            *pieces(ODER, index=1),
        ],
        BOTH,
    ),
    "interleaved": (
        [
            calls(call("", index=0, id="a", name="length_of"), call("", index=1, id="b", name="length_of")),
            *(calls(call(ELBE[i], index=0), call(ODER[i], index=1)) for i in range(len(ELBE))),
        ],
        BOTH,
    ),
    "one index, two ids": (
        [
            calls(call(ELBE, index=0, id="a", name="length_of")),
            calls(call(ODER, index=0, id="b", name="length_of")),
        ],
        BOTH,
    ),
    "one index, no ids": (
        [calls(call(ELBE, index=0, name="length_of")), calls(call(ODER, index=0, name="length_of"))],
        BOTH,
    ),
    "one index, two ids, in pieces": (
        [
            calls(call("", index=0, id="a", name="length_of")),
            *pieces(ELBE, index=0),
            calls(call("", index=0, id="b", name="length_of")),
            *pieces(ODER, index=0),
        ],
        BOTH,
    ),
    "no index, pieces without an id": (
        [
            calls(call("", id="a", name="length_of")),
            *pieces(ELBE),
            calls(call("", id="b", name="length_of")),
            *pieces(ODER),
        ],
        BOTH,
    ),
    "no index, ids in every piece": (
        [
            calls(call("", id="a", name="length_of")),
            *pieces(ELBE, id="a"),
            calls(call("", id="b", name="length_of")),
            *pieces(ODER, id="b"),
        ],
        BOTH,
    ),
    "no index, no id, in one chunk": (
        [calls(call(ELBE, name="length_of"), call(ODER, name="length_of"))],
        BOTH,
    ),
    "no index, no id, pieces side by side": (
        [
            calls(call("", name="length_of"), call("", name="length_of")),
            *(calls(call(ELBE[i]), call(ODER[i])) for i in range(len(ELBE))),
        ],
        BOTH,
    ),
    "id and name in every piece": (pieces(ELBE, index=0, id="a", name="length_of"), ONE),
    "one id for two": (
        [calls(call(ELBE, index=0, id="a", name="length_of"), call(ODER, index=1, id="a", name="length_of"))],
        BOTH,
    ),
    "empty, then full": (
        [calls(call("{}", index=0, id="a", name="length_of")), calls(call(ELBE, index=0))],
        ONE,
    ),
    "empty object, then full in pieces": (
        [calls(call({}, index=0, id="a", name="length_of")), *pieces(ELBE, index=0)],
        ONE,
    ),
    "growing": (
        [calls(call(ELBE[:i], index=0, id="a", name="length_of")) for i in (1, 4, 9, len(ELBE))],
        ONE,
    ),
    "whole again at the end": (
        [
            calls(call("", index=0, id="a", name="length_of")),
            *pieces(ELBE, index=0),
            calls(call(ELBE, index=0)),
        ],
        ONE,
    ),
    "double-encoded": ([calls(call(json.dumps(ELBE), index=0, id="a", name="length_of"))], ONE),
    "double-encoded, in pieces": (
        [calls(call("", index=0, id="a", name="length_of")), *pieces(json.dumps(ELBE), index=0)],
        ONE,
    ),
    "an object": ([calls(call({"river": "Elbe"}, index=0, id="a", name="length_of"))], ONE),
    "flat": ([calls({"index": 0, "id": "a", "name": "length_of", "arguments": ELBE})], ONE),
    "an object, not a list": ([chunk({"tool_calls": call(ELBE, id="a", name="length_of")})], ONE),
    "function_call": (
        [
            chunk({"function_call": {"name": "length_of", "arguments": ""}}),
            *(chunk({"function_call": {"arguments": part}}) for part in (ELBE[:6], ELBE[6:])),
        ],
        ONE,
    ),
    "a second choice": (
        [
            event(
                {
                    "choices": [
                        {"index": 0, "delta": {"content": "I look."}},
                        {
                            "index": 1,
                            "delta": {"tool_calls": [call(ELBE, index=0, id="a", name="length_of")]},
                        },
                    ]
                }
            )
        ],
        ONE,
    ),
    "only a message": (
        [event({"choices": [{"message": {"tool_calls": [call(ELBE, id="a", name="length_of")]}}]})],
        ONE,
    ),
    "name in pieces": (
        [
            calls(call(None, index=0, id="a", name="length")),
            calls(call(None, index=0, name="_of")),
            *pieces(ELBE, index=0),
        ],
        ONE,
    ),
    "a number for an id": ([calls(call(ELBE, index=0, id=7, name="length_of"))], ONE),
    "several objects in one text": ([calls(call(ELBE + ODER, index=0, id="a", name="length_of"))], BOTH),
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_call_runs(raw: Raw, shape: str) -> None:
    parts, expected = SHAPES[shape]
    got: list[tuple[str, str]] = []

    @tool
    def length_of(river: str) -> str:
        """The length of a river in km."""
        got.append(("length_of", river))
        return "1094"

    server, model = await raw(
        Answer([*parts, chunk({}, "tool_calls"), DONE]),
        Answer([chunk({"content": "1094 km."}), chunk({}, "stop"), DONE]),
    )
    async with Weaver(model, strategy="sequential") as weaver:
        result = await weaver.run(Task("Measure both rivers.", tools=(length_of,)))
    assert (result.status, result.answer) == ("complete", "1094 km.")
    assert sorted(got) == sorted(expected)
    asked, *results = server.bodies[1]["messages"][1:]
    ids = [c["id"] for c in asked["tool_calls"]]
    assert len(set(ids)) == len(expected)
    assert [r["tool_call_id"] for r in results] == ids
    assert asked["content"] in {None, "I look."}


async def test_a_tool_without_arguments(raw: Raw) -> None:
    _, model = await raw(calls(call("{}", index=0, id="a", name="now")), chunk({}, "tool_calls"), DONE)
    parts = [d for d in (await hear(model, HELLO)).deltas if isinstance(d, ToolCallPart)]
    assert parts == [ToolCallPart(0, "a", "now", "{}")]


async def test_a_hundred_thousand_pieces_take_linear_time() -> None:
    def seconds(number: int) -> float:
        parts = ToolCallParts()
        began = time.perf_counter()
        for _ in range(number):
            parts.add(ToolCallPart(0, "a", "f", "0123456789"))
        assert len(parts.calls()[0].arguments) == 10 * number
        return time.perf_counter() - began

    seconds(1000)
    assert seconds(100_000) < 60 * max(seconds(10_000), 1e-3)


# ---- what goes back

SIGNED = {"google": {"thought_signature": "c2ln"}}
THOUGHTS = [
    {"type": "thinking", "thinking": "I ", "signature": ""},
    {"type": "thinking", "thinking": "measure."},
    {"type": "thinking", "thinking": "", "signature": "s1"},
    {"type": "redacted_thinking", "data": "r1"},
    {"type": "redacted_thinking", "data": "r2"},
]
CALL = call(ELBE, index=0, id="a", name="length_of")


@pytest.mark.parametrize(
    ("parts", "message", "one"),
    [
        ([calls({**CALL, "extra_content": SIGNED})], {}, {"extra_content": SIGNED}),
        ([calls({**CALL, "thought_signature": "t"})], {}, {"thought_signature": "t"}),
        ([calls({**CALL, "provider_specific_fields": {"k": 1}})], {}, {"provider_specific_fields": {"k": 1}}),
        (
            [chunk({"reasoning_content": "I "}), chunk({"reasoning_content": "measure."}), calls(CALL)],
            {"reasoning_content": "I measure."},
            {},
        ),
        ([chunk({"reasoning": "Hm."}), calls(CALL)], {"reasoning": "Hm."}, {}),
        (
            [chunk({"thinking_blocks": [block]}) for block in THOUGHTS] + [calls(CALL)],
            {
                "thinking_blocks": [
                    {"type": "thinking", "thinking": "I measure.", "signature": "s1"},
                    {"type": "redacted_thinking", "data": "r1"},
                    {"type": "redacted_thinking", "data": "r2"},
                ]
            },
            {},
        ),
        (
            [
                chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "e", "index": 0}]}),
                calls(CALL),
            ],
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "e", "index": 0}]},
            {},
        ),
    ],
)
async def test_what_came_with_a_call_goes_back_with_it(
    raw: Raw, parts: list[bytes], message: dict[str, Any], one: dict[str, Any]
) -> None:
    @tool
    def length_of(river: str) -> str:
        """The length of a river in km."""
        return "1094"

    server, model = await raw(
        Answer([*parts, chunk({}, "tool_calls"), DONE]),
        Answer([chunk({"content": "1094 km."}), chunk({}, "stop"), DONE]),
    )
    async with Weaver(model, strategy="sequential") as weaver:
        await weaver.run(Task("Measure the Elbe.", tools=(length_of,)))
    asked = server.bodies[1]["messages"][1]
    plain = {"role", "content", "tool_calls"}
    assert {k: v for k, v in asked.items() if k not in plain} == message
    assert {k: v for k, v in asked["tool_calls"][0].items() if k not in {"id", "type", "function"}} == one


HISTORY = (
    user("Measure the Elbe."),
    Message(
        "assistant",
        " ",
        (ToolCall("a", "length_of", ELBE, {"extra_content": SIGNED}),),
        provider_data={"reasoning_content": "I measure."},
    ),
    Message("tool", "1094", tool_call_id="a"),
    Message("assistant", ""),
)


async def test_a_server_that_does_not_take_it_gets_it_no_more(raw: Raw) -> None:
    refused = {
        "detail": [
            {"loc": ["body", "messages", 1, "reasoning_content"], "msg": "Extra inputs are not permitted"}
        ]
    }
    server, model = await raw(
        Answer([json.dumps(refused).encode()], status=422),
        Answer([chunk({"content": "1094 km."}), chunk({}, "stop"), DONE]),
    )
    assert (await hear(model, Request(HISTORY))).text == "1094 km."
    first, second = (body["messages"][1] for body in server.bodies)
    assert first["reasoning_content"] == "I measure."
    assert "reasoning_content" not in second
    assert second["tool_calls"][0]["extra_content"] == SIGNED


async def test_empty_text_is_never_sent(raw: Raw) -> None:
    server, model = await raw(chunk({"content": "1094 km."}), chunk({}, "stop"), DONE)
    await hear(model, Request(HISTORY))
    contents = [m["content"] for m in server.bodies[0]["messages"] if m["role"] == "assistant"]
    assert contents == [None, "(no text)"]


def test_what_goes_back_is_plain_json() -> None:
    assert json.loads(json.dumps([asdict(m) for m in HISTORY]))[1]["tool_calls"][0]["provider_data"]
    assert hash(HISTORY[1]) == hash(HISTORY[1])
