"""Errors in every envelope and place: the server's words reach the user, and what it means is understood."""

from __future__ import annotations

import json

import pytest

from tests.models.conftest import Heard, hear
from weaver._data.messages import user
from weaver._models.protocol import Request
from weaver.errors import (
    AuthenticationError,
    BadRequestError,
    ModelError,
    ModelProtocolError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)

from .conftest import DONE, Answer, Raw, chunk, event, usage

pytestmark = pytest.mark.anyio
HELLO = Request((user("Name a river."),))
RAW = json.dumps({"error": {"message": "Not served in your state", "type": "forbidden"}})


def whole(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (
            whole({"choices": None, "base_resp": {"status_code": 1008, "status_msg": "no funds"}}),
            BadRequestError,
            "no funds",
        ),
        (
            whole({"choices": [], "base_resp": {"status_code": 1002, "status_msg": "slower"}}),
            RateLimitError,
            "slower",
        ),
        (whole({"code": 1302, "msg": "concurrency reached"}), ModelError, "concurrency reached"),
        (whole({"errors": [{"message": "one"}, {"message": "two"}]}), ModelError, "one; two"),
        (
            whole([{"error": {"code": 403, "message": "key is blocked"}}]),
            AuthenticationError,
            "key is blocked",
        ),
        (
            whole({"type": "error", "error": {"type": "overloaded_error", "message": "Full"}}),
            RateLimitError,
            "Full",
        ),
        (
            whole({"object": "error", "message": "no such model", "code": 404}),
            BadRequestError,
            "no such model",
        ),
        (whole({"error": "plain words"}), ServerError, "plain words"),
        (whole({"error": {"message": "stop", "code": "rate_limit_exceeded"}}), RateLimitError, "stop"),
        (whole({"error": {"message": "no", "type": "invalid_request_error"}}), BadRequestError, "no"),
        (whole({"error": {"message": "who?", "code": "invalid_api_key"}}), AuthenticationError, "who?"),
        (whole({"error": {"message": "top up", "code": "insufficient_quota"}}), BadRequestError, "top up"),
        (
            event({"error": {"message": "top up", "type": "insufficient_balance"}}) + DONE,
            BadRequestError,
            "top up",
        ),
        (
            b'error: {"code": 400, "message": "prompt of 9000 tokens"}\n\n' + DONE,
            BadRequestError,
            "prompt of 9000",
        ),
        (event({"type": "status", "level": "error", "message": "it broke"}) + DONE, ModelError, "it broke"),
        (event({"type": "ping"}) + DONE, ModelProtocolError, "ping"),
    ],
)
async def test_an_error_instead_of_an_answer(
    raw: Raw, body: bytes, kind: type[ModelError], said: str
) -> None:
    _, model = await raw(body)
    with pytest.raises(kind) as raised:
        await hear(model, HELLO)
    assert said in raised.value.message
    assert ".." not in raised.value.message
    assert len(raised.value.message) < 600


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {
                "error": {
                    "message": "Provider returned error",
                    "metadata": {"raw": RAW, "provider_name": "Far"},
                }
            },
            "Provider returned error: Not served in your state (forbidden) (Far)",
        ),
        ({"error": {"message": "Flagged", "metadata": {"reasons": ["violence"]}}}, "flagged for violence"),
        (
            {
                "detail": [
                    {"loc": ["body", "tools", 0], "msg": "bad tool"},
                    {"loc": ["body", "n"], "msg": "bad value"},
                ]
            },
            "tools.0: bad tool; n: bad value",
        ),
        ({"error": {"message": json.dumps({"error": {"message": "inner words"}})}}, "inner words"),
        ({"error": {"message": str(b'{"error": {"message": "of bytes"}}')}}, "of bytes"),
        ([{"error": {"message": "in a list"}}], "in a list"),
        ({"error": {"message": "Ends with a stop."}}, "Ends with a stop."),
    ],
)
async def test_the_words_of_a_refusal(raw: Raw, body: object, said: str) -> None:
    _, model = await raw(Answer([whole(body)], status=400))
    with pytest.raises(BadRequestError) as raised:
        await hear(model, HELLO)
    assert said in raised.value.message
    assert ".." not in raised.value.message


async def test_how_long_to_wait_is_said(raw: Raw) -> None:
    _, model = await raw(Answer([b"{}"], status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(RateLimitError, match="3600 s"):
        await hear(model, HELLO)


async def test_a_region_is_not_the_keys_fault(raw: Raw) -> None:
    _, model = await raw(Answer([whole({"error": {"message": "Your country is not supported"}})], status=403))
    with pytest.raises(BadRequestError) as raised:
        await hear(model, HELLO)
    assert "Check the API key" not in str(raised.value)


@pytest.mark.parametrize(
    "broken",
    [
        event(
            {
                "error": {"message": "line fell"},
                "choices": [{"delta": {"content": ""}, "finish_reason": "error"}],
            }
        ),
        event({"choices": [{"delta": {}, "error": {"message": "line fell"}}]}),
        event(
            {
                "choices": [{"delta": {"content": ""}, "finish_reason": None}],
                "error": {"message": "line fell"},
            }
        ),
        event({"error": {"message": "line fell", "code": 502}}),
    ],
)
async def test_an_error_beside_choices_after_some_text(raw: Raw, broken: bytes) -> None:
    _, model = await raw(chunk({"content": "The "}), broken, DONE)
    heard = Heard()
    with pytest.raises(StreamInterruptedError, match="line fell"):
        await hear(model, HELLO, heard)
    assert heard.text == "The "


@pytest.mark.parametrize(
    "nothing", [None, "", {}, [], False, {"code": 0, "message": ""}, {"message": "success"}]
)
async def test_errors_that_are_none(raw: Raw, nothing: object) -> None:
    _, model = await raw(
        chunk({"content": "The Rhine."}, error=nothing),
        chunk({}, "stop", base_resp={"status_code": 0, "status_msg": "success"}),
        event({"choices": [], "error": nothing, "usage": {"prompt_tokens": 4, "completion_tokens": 3}}),
        DONE,
    )
    heard = await hear(model, HELLO)
    assert heard.text == "The Rhine."
    assert heard.usage is not None


@pytest.mark.parametrize(
    "foreign",
    [
        event({"type": "ping"}),
        b"event: ping\ndata: {}\n\n",
        b"event: heartbeat\ndata: beat\n\n",
        b"data: null\n\n",
        event({"type": "status", "message": "searching the web"}),
        event({"obfuscation": "xyz"}),
        event({"message": "keep-alive"}),
        b"id: 7\nretry: 10\n\n",
    ],
)
async def test_foreign_events_are_passed_over(raw: Raw, foreign: bytes) -> None:
    _, model = await raw(
        foreign,
        chunk({"content": "The "}),
        foreign,
        chunk({"content": "Rhine."}),
        foreign,
        chunk({}, "stop"),
        usage(4, 3),
        foreign,
        DONE,
    )
    assert (await hear(model, HELLO)).text == "The Rhine."


@pytest.mark.parametrize(
    "value",
    [
        {"choices": "x"},
        {"choices": [7]},
        {"choices": [{"delta": 7}]},
        {"choices": [{"delta": {"content": 7}}]},
    ],
)
async def test_wrong_shapes_are_told_without_pythons_words(raw: Raw, value: object) -> None:
    _, model = await raw(event(value), DONE)
    with pytest.raises(ModelProtocolError) as raised:
        await hear(model, HELLO)
    assert not any(word in raised.value.message for word in ("'str'", "attribute", "unhashable", "NoneType"))
