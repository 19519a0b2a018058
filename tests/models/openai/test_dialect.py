"""A server that refuses a wish is asked in the next way, and that is remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.models.conftest import hear
from tests.picky import Body, Picky, said
from weaver._data.messages import assistant, system, user
from weaver._models.endpoint_memory import memory
from weaver._models.layers.call_log import CallLog, Dropped, current_call
from weaver._models.openai.errors.complaints import complaint_in, is_used_up, wait_in, window_in
from weaver._models.openai.model import OpenAIModel
from weaver._models.protocol import Request, ToolSpec
from weaver.errors import BadRequestError, ModelError

pytestmark = pytest.mark.anyio

TOOL = ToolSpec("look", "Look.", {"type": "object", "properties": {"at": {"type": "string"}}})
PLAIN = Request(messages=(user("What is 6 times 7?"),))
FULL = Request(
    messages=(system("Be brief."), user("What is 6 times 7?")),
    max_tokens=900,
    temperature=0.2,
    top_p=0.9,
    seed=7,
    logprobs=2,
    reasoning_effort="low",
    tools=(TOOL,),
    tool_choice="look",
)


def roles(body: Body) -> list[str]:
    return [message["role"] for message in body["messages"]]


def has(name: str) -> Callable[[Body], bool]:
    return lambda body: name in body


REFUSALS: dict[str, tuple[Callable[[Body], bool], int, Any]] = {
    "stream options, by loc": (
        has("stream_options"),
        422,
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs"}]},
    ),
    "stream options, in words": (
        has("stream_options"),
        400,
        said("Unrecognized request argument: stream_options"),
    ),
    "seed, by param": (has("seed"), 400, said("Unsupported parameter for this model.", param="seed")),
    "top_p": (has("top_p"), 400, {"message": "top_p is not supported by this model", "code": 400}),
    "temperature": (
        lambda b: b.get("temperature", 1) != 1,
        400,
        said("invalid temperature: only 1 is allowed for this model"),
    ),
    "logprobs": (has("logprobs"), 400, said("logprobs are not supported with this model")),
    "top_logprobs": (has("top_logprobs"), 400, said("property 'top_logprobs' is unsupported")),
    "effort": (has("reasoning_effort"), 400, said("Unknown parameter: 'reasoning_effort'.")),
    "named tool": (
        lambda b: isinstance(b.get("tool_choice"), dict),
        400,
        said("tool_choice with a named function is not available in thinking mode"),
    ),
    "any forced tool": (
        has("tool_choice"),
        400,
        said("The tool_choice parameter does not support being set"),
    ),
    "max_tokens": (
        has("max_tokens"),
        400,
        said("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", param="max_tokens"),
    ),
    "both caps": (
        lambda b: "max_tokens" in b or "max_completion_tokens" in b,
        400,
        said("max_tokens and max_completion_tokens are not supported here"),
    ),
    "a lower cap": (
        lambda b: b.get("max_tokens", 0) > 512,
        400,
        said("Invalid max_tokens value, the valid range of max_tokens is [1, 512]"),
    ),
    "a cap in Groq's words": (
        lambda b: b.get("max_tokens", 0) > 600,
        400,
        said("`max_tokens` must be less than or equal to `600`, the maximum value for this model"),
    ),
    "the window": (
        lambda b: b.get("max_tokens", 0) > 440,
        400,
        said(
            "This model's maximum context length is 2,048 tokens. However, you requested 2,492 tokens "
            "(1,592 in the messages, 900 in the completion)."
        ),
    ),
    "the window, vLLM": (
        lambda b: b.get("max_tokens", 0) > 440,
        400,
        said(
            "'max_tokens' or 'max_completion_tokens' is too large: 900. This model's maximum context length "
            "is 2048 tokens and your request has 1592 input tokens (900 > 2048 - 1592)."
        ),
    ),
    "system": (lambda b: "system" in roles(b), 400, said("System role not supported")),
    "system, Gemma": (
        lambda b: "system" in roles(b),
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "Developer instruction is not enabled for models/gemma-3-27b-it",
                }
            }
        ],
    ),
    "system, a template": (
        lambda b: "system" in roles(b),
        500,
        said("Conversation roles must alternate user/assistant/user/assistant/..."),
    ),
    "the window, Mistral": (
        lambda b: b.get("max_tokens", 0) > 440,
        400,
        {"message": "Prompt contains 1592 tokens and 900 max tokens: too large for 2048 maximum context"},
    ),
    "the window, TGI": (
        lambda b: b.get("max_tokens", 0) > 440,
        422,
        {
            "error": "`inputs` tokens + `max_new_tokens` must be <= 2048. Given: 1592 `inputs` tokens "
            "and 900 `max_new_tokens`"
        },
    ),
    "a cap in Anthropic's words": (
        lambda b: b.get("max_tokens", 0) > 800,
        400,
        said("max_tokens: 900 > 800, which is the maximum allowed number of output tokens for m"),
    ),
    "a cap, by loc": (
        lambda b: b.get("max_tokens", 0) > 800,
        422,
        {
            "detail": [
                {
                    "type": "less_than_equal",
                    "loc": ["body", "max_tokens"],
                    "msg": "Input should be less than or equal to 800",
                }
            ]
        },
    ),
    "system, a Mistral template": (
        lambda b: "system" in roles(b),
        400,
        said("Only user and assistant roles are supported!"),
    ),
    "system, by loc": (
        lambda b: "system" in roles(b),
        422,
        {
            "detail": [
                {"loc": ["body", "messages", 0, "role"], "msg": "Input should be 'user' or 'assistant'"}
            ]
        },
    ),
    "stream, by value": (
        lambda b: bool(b["stream"]),
        400,
        said("Unsupported value: 'stream' does not support true with this model. Only false is supported."),
    ),
    "stream": (
        lambda b: bool(b["stream"]),
        400,
        said("Your organization must be verified to stream this model.", param="stream"),
    ),
    "stream, in other words": (
        lambda b: bool(b["stream"]),
        400,
        said("Streaming is not supported for this deployment"),
    ),
    "something optional": (lambda b: "seed" in b or "top_p" in b, 400, said("Bad request")),
}


@pytest.mark.parametrize(("refuses", "status", "body"), REFUSALS.values(), ids=REFUSALS)
async def test_the_next_way_is_taken_and_remembered(
    refuses: Callable[[Body], bool], status: int, body: Any
) -> None:
    async with Picky(lambda b: (status, body) if refuses(b) else None) as server:
        first = OpenAIModel("openai/m", base_url=server.url)
        request = FULL if status != 400 or body != said("Bad request") else replace(FULL, tools=())
        heard = await hear(first, request)
        assert heard.text == "Forty-two." or heard.deltas
        tries = len(server.bodies)
        assert 2 <= tries <= 4
        await hear(first, request)
        depends_on_prompt = "2048" in str(body).replace(",", "")
        assert len(server.bodies) == tries + (2 if depends_on_prompt else 1)
        memory().flush()
        # Another process: its first request is in the right form.
        later = OpenAIModel("openai/m", base_url=server.url)
        before = len(server.bodies)
        await hear(later, request)
        assert len(server.bodies) == before + (2 if depends_on_prompt else 1)
        assert not refuses(server.bodies[-1])
        await first.aclose()
        await later.aclose()


async def test_a_cap_is_lowered_to_what_the_prompt_leaves() -> None:
    refuses, status, body = REFUSALS["the window"]
    async with Picky(lambda b: (status, body) if refuses(b) else None) as server:
        model = OpenAIModel("openai/m", base_url=server.url)
        await hear(model, FULL)
        assert server.bodies[-1]["max_tokens"] == 2048 - 1592 - 16
        await model.aclose()


async def test_instructions_move_into_the_first_user_message() -> None:
    async with Picky(
        lambda b: (400, said("system role is not allowed")) if "system" in roles(b) else None
    ) as server:
        model = OpenAIModel("openai/m", base_url=server.url)
        request = Request(messages=(system("Be brief."), user("One?"), assistant("Yes."), user("Two?")))
        assert (await hear(model, request)).text == "Forty-two."
        assert server.bodies[-1]["messages"] == [
            {"role": "user", "content": "Be brief.\n\nOne?"},
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "Two?"},
        ]
        await model.aclose()


async def test_a_whole_answer_is_read_and_told() -> None:
    def refuse(body: Body) -> tuple[int, Any] | None:
        return (
            (400, said("This model does not support streaming", param="stream")) if body["stream"] else None
        )

    async with Picky(refuse) as server:
        model = OpenAIModel("openai/m", base_url=server.url)
        log = CallLog()
        told: list[Any] = []
        log.on_change = told.append
        current_call.set(log)
        assert (await hear(model, PLAIN)).text == "Forty-two."
        assert told == [Dropped("openai/m", "stream", "answers come whole")]
        await model.aclose()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, said("Incorrect API key provided")),
        (403, said("This request was flagged by moderation")),
        (404, said("The model `m` does not exist")),
        (
            400,
            said(
                "This model's maximum context length is 4096 tokens, however your messages have 9000 tokens"
            ),
        ),
        (400, said("Your credit balance is too low to access the API")),
        (400, said("The response was filtered due to the content management policy")),
        (422, {"detail": [{"type": "missing", "loc": ["body", "customer"], "msg": "Field required"}]}),
        (400, said("temperature must lie between 0 and 2")),
    ],
)
async def test_what_is_not_about_the_form_is_not_repeated(status: int, body: Any) -> None:
    async with Picky(lambda _: (status, body)) as server:
        model = OpenAIModel("openai/m", base_url=server.url)
        with pytest.raises(ModelError) as raised:
            await hear(model, Request(messages=PLAIN.messages, temperature=3.0))
        assert len(server.bodies) == 1
        if status == 422:
            assert "customer" in raised.value.message
        await model.aclose()


async def test_suspects_that_were_innocent_are_sent_again() -> None:
    async with Picky(
        lambda b: (400, said("Bad request")) if "42" not in str(b["messages"]) else None
    ) as server:
        model = OpenAIModel("openai/m", base_url=server.url)
        request = Request(messages=PLAIN.messages, seed=3)
        with pytest.raises(BadRequestError, match="Bad request"):
            await hear(model, request)
        assert [("seed" in b) for b in server.bodies] == [True, False]
        await hear(model, Request(messages=(user("42?"),), seed=3))
        assert "seed" in server.bodies[-1]
        await model.aclose()


async def test_another_server_at_the_same_place_starts_anew() -> None:
    async with Picky(lambda b: (400, said("seed is not supported")) if "seed" in b else None) as server:
        request = Request(messages=PLAIN.messages, seed=3)
        model = OpenAIModel("openai/m", base_url=server.url)
        await hear(model, request)
        server.name, server.refuse = "other/2", lambda _: None
        later = OpenAIModel("openai/m", base_url=server.url)
        await hear(later, request)  # it is met here
        await hear(later, request)
        assert ["seed" in b for b in server.bodies] == [True, False, False, True]
        assert memory().get("dialect", server.url, "m") is None
        await model.aclose()
        await later.aclose()


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "7"}, b"", 7),
        ({"retry-after": "7s"}, b"", 7),
        ({"Retry-After-Ms": "1500", "Retry-After": "9"}, b"", 1.5),
        ({}, b'[{"error": {"details": [{"@type": "google.rpc.RetryInfo", "retryDelay": "34s"}]}}]', 34),
        ({}, b'{"error": {"details": [{"retryDelay": "0.250s"}]}}', 0.25),
        ({}, b'{"error": {"message": "Please try again in 7.66s. Visit our site."}}', 7.66),
        ({}, b'{"error": {"message": "Please try again in 1m30.5s."}}', 90.5),
        ({}, b'{"error": {"message": "try again in 120ms"}}', 0.12),
        ({}, b'{"message": "Rate limit exceeded, retry after 12 seconds"}', 12),
        ({}, b'{"error": {"message": "{\\"retry_after\\": 3}"}}', 3),
        ({}, b'{"error": {"message": "Try again later."}}', None),
        ({"Retry-After": "soon"}, b"", None),
        ({}, b"[" * 5000, None),
    ],
)  # fmt: skip
async def test_how_long_a_server_asks_to_wait(
    headers: dict[str, str], body: bytes, seconds: float | None
) -> None:
    assert wait_in(headers, body) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset-tokens": "9.5s"}, 9.5),
        ({"X-RateLimit-Reset-Requests": "1m2s", "X-RateLimit-Remaining-Requests": "0",
          "x-ratelimit-reset-tokens": "3s", "x-ratelimit-remaining-tokens": "800"}, 62),
        ({"x-ratelimit-reset-requests": "7h12m", "x-ratelimit-reset-tokens": "4s"}, 4),
        ({"ratelimit-reset": "30"}, 30),
        ({"content-type": "text"}, None),
    ],
)  # fmt: skip
async def test_when_the_window_opens(headers: dict[str, str], seconds: float | None) -> None:
    assert window_in(headers) == seconds


@pytest.mark.parametrize(
    ("status", "body", "used_up"),
    [
        (429, b'{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}', True),
        (429, b'{"error": {"message": "Please recharge", "type": "exceeded_current_quota_error"}}', True),
        (500, b'{"error": {"message": "insufficient balance (1008)"}}', True),
        (402, b"{}", True),
        (400, b'{"error": {"message": "Your credit balance is too low"}}', True),
        (429, b'{"error": {"message": "Quota exceeded: GenerateRequestsPerDayPerProject"}}', True),
        (429, b'{"error": {"message": "You exceeded your current quota. Please retry in 12.5s."}}', False),
        (429, b'{"error": {"message": "30 requests per minute reached. See /settings/billing"}}', False),
        (429, b'{"error": {"message": "Too many requests"}}', False),
        (503, b'{"error": {"message": "Overloaded"}}', False),
    ],
)  # fmt: skip
async def test_a_used_up_quota_is_no_rate_limit(status: int, body: bytes, used_up: bool) -> None:
    assert is_used_up(status, complaint_in(status, body).text, wait_in({}, body)) is used_up
