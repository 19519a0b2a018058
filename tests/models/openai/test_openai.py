"""The adapter for OpenAI-compatible endpoints against a loopback server: what goes well."""

from __future__ import annotations

import json
import sys

import anyio
import pytest

from tests.models.conftest import Heard, Serve, hear
from weaver._data.messages import Message, ToolCall, assistant, system, user
from weaver._data.usage import Usage
from weaver._models.openai.model import OpenAIModel
from weaver._models.openai.request import fits_strict_mode
from weaver._models.protocol import (
    Logprobs,
    Model,
    OutputSchema,
    Reasoning,
    Request,
    Text,
    TokenLogprob,
    ToolCallPart,
    ToolSpec,
)
from weaver._testing import faults as f
from weaver.errors import ConfigurationError
from weaver.testing import Scripted

pytestmark = pytest.mark.anyio
ONE_EVENT = b'data: {"choices":[{"delta":{"content":"one two three"},"finish_reason":"stop"}]}'
HELLO = Request(messages=(user("Hello"),))


async def test_a_chat_streams_text_usage_and_finish(serve: Serve) -> None:
    usage = Usage(calls=1, input_tokens=9, output_tokens=7, reasoning_tokens=4, cached_tokens=3)
    server, model = await serve(Scripted("one two three", usage=usage, stop="four"), dialect="vllm")
    heard = await hear(model, HELLO)
    assert [d.text for d in heard.deltas if isinstance(d, Text)] == ["one ", "two ", "three"]
    assert heard.usage == Usage(1, 9, 7, 4, 3, cost_usd=None)
    assert heard.finish.reason == "stop"
    assert heard.finish.stop == "four"
    assert server.requests[0].closed == "finished"
    assert isinstance(model, Model)


async def test_a_request_says_everything_it_was_told(serve: Serve) -> None:
    server, model = await serve(model_options={"headers": {"X-Team": "a"}, "api_key": "sk-12345678"})
    call = ToolCall("c1", "look", '{"at":1}')
    await hear(
        model,
        Request(
            messages=(
                system("S"),
                user("Hélló"),
                Message("assistant", "", (call,)),
                Message("tool", "r", (), "c1"),
            ),
            max_tokens=5,
            temperature=0.5,
            top_p=0.9,
            seed=7,
            stop=("END",),
            output=OutputSchema("shape", {"type": "object"}),
            tools=(ToolSpec("look", "looks", {"type": "object"}),),
            tool_choice="look",
            logprobs=2,
            reasoning_effort="low",
            headers={"traceparent": "00-1-2-01"},
            extra={"min_p": 0.1},
        ),
    )
    got = server.requests[0]
    assert got.traceparent == "00-1-2-01"
    assert got.headers["x-team"] == "a"
    assert got.headers["authorization"] == "Bearer sk-12345678"
    assert got.body == {
        "model": "scripted",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": "Hélló"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at":1}'}}
                ],
            },
            {"role": "tool", "content": "r", "tool_call_id": "c1"},
        ],
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["END"],
        "verbose": True,
        "response_fields": ["stopping_word"],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "shape", "schema": {"type": "object"}, "strict": False},
        },
        "tools": [
            {
                "type": "function",
                "function": {"name": "look", "description": "looks", "parameters": {"type": "object"}},
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "logprobs": True,
        "top_logprobs": 2,
        "reasoning_effort": "low",
        "min_p": 0.1,
    }


@pytest.mark.parametrize("dialect", ["vllm", "sglang", "llama.cpp"])
async def test_raw_completion_with_logprobs_and_the_matched_stop(serve: Serve, dialect: str) -> None:
    server, model = await serve(Scripted("5 6", logprobs=(-0.1, -0.2), stop="7"), dialect=dialect)
    heard = await hear(model, Request(prompt="1 2 3 4 ", stop=("7", "8"), logprobs=1))
    assert heard.text == "5 6"
    assert heard.finish.stop == "7"
    assert [d for d in heard.deltas if isinstance(d, Logprobs)] == [
        Logprobs((TokenLogprob("5 ", -0.1, (("5 ", -0.1),)),)),
        Logprobs((TokenLogprob("6", -0.2, (("6", -0.2),)),)),
    ]
    assert server.requests[0].path == "/v1/completions"
    assert server.requests[0].body["prompt"] == "1 2 3 4 "
    assert server.requests[0].body["logprobs"] == 1


async def test_a_raw_completion_with_a_schema_is_asked_for_in_the_servers_way(serve: Serve) -> None:
    schema = OutputSchema("shape", {"type": "object"})
    for dialect in ("llama.cpp", "vllm"):
        server, model = await serve(dialect=dialect)
        await hear(model, Request(prompt="x", output=schema))
        body = server.requests[0].body
        assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
        assert body.get("json_schema") == ({"type": "object"} if dialect == "llama.cpp" else None)


async def test_a_chat_gives_logprobs(serve: Serve) -> None:
    _, model = await serve(Scripted("a b", logprobs=(-0.5, -1.0)))
    heard = await hear(model, Request(messages=(user("x"),), logprobs=0))
    found = [d for d in heard.deltas if isinstance(d, Logprobs)]
    assert [t.logprob for d in found for t in d.tokens] == [-0.5, -1.0]


async def test_a_chat_streams_reasoning_and_tool_calls(serve: Serve) -> None:
    _, model = await serve(
        Scripted("done", reasoning="hm", tool_calls=(("look", '{"at": 1}'), ("see", "{}")))
    )
    heard = await hear(model, HELLO)
    assert Reasoning("hm") in heard.deltas
    assert [d for d in heard.deltas if isinstance(d, ToolCallPart)] == [
        ToolCallPart(0, "call_0", "look", '{"at": 1}'),
        ToolCallPart(1, "call_1", "see", "{}"),
    ]
    assert heard.finish.reason == "tool_calls"


async def test_max_tokens_ends_with_length(serve: Serve) -> None:
    _, model = await serve("one two three four")
    heard = await hear(model, Request(messages=(user("x"),), max_tokens=2))
    assert heard.text == "one two "
    assert heard.finish.reason == "length"


async def test_entering_waits_for_the_first_delta_only(serve: Serve) -> None:
    server, model = await serve(Scripted("one two", each=30.0))
    with anyio.fail_after(5):
        async with model.stream(HELLO) as deltas:
            assert await anext(deltas) == Text("one ")
    await server.until(lambda s: s.requests[0].closed == "disconnected", timeout=2)
    assert server.requests[0].events == 1


async def test_a_server_that_does_not_stream(serve: Serve) -> None:
    answer = {
        "id": "1",
        "choices": [{"index": 0, "message": {"content": "all at once"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    }
    _, model = await serve(faults=[f.Body(json.dumps(answer).encode())])
    heard = await hear(model, HELLO)
    assert heard.text == "all at once"
    assert heard.usage == Usage(1, 3, 4, cost_usd=None)
    assert heard.finish.reason == "stop"


@pytest.mark.parametrize(
    "fault",
    [
        [f.crlf()],
        [f.comment(0)],
        [f.Drip(size=1)],
        [f.crlf(), f.Drip(size=3)],
        [f.no_end_mark()],
        [f.no_end_mark(), f.Drip(size=5)],
        [f.usage_twice()],
        [f.Insert(b"event: ping\ndata:\n\n", 1)],
        [f.Insert(b'data: {"id": "1", "choices": []}\n\n', 0)],
        [f.Rewrite(lambda e: e.replace(b"\n\n", b"\n"))],
        [
            f.Body(
                b'data: {"choices":[{"delta":{"content":"one two three"},"finish_reason":"stop"}]}',
                "text/plain",
            )
        ],
    ],
)
async def test_harmless_oddities_of_servers(serve: Serve, fault: list[f.Fault]) -> None:
    server, model = await serve(faults=fault)
    heard = await hear(model, HELLO)
    assert heard.text == "one two three"
    assert heard.finish.reason == "stop"
    assert server.requests[0].faults == fault


async def test_a_server_without_usage(serve: Serve) -> None:
    _, model = await serve(faults=[f.no_usage()])
    assert (await hear(model, HELLO)).usage is None


async def test_bytes_that_are_not_utf8_become_replacement_characters(serve: Serve) -> None:
    _, model = await serve("one", faults=[f.invalid_utf8()])
    assert (await hear(model, HELLO)).text == "one\ufffd"


async def test_a_lone_surrogate_does_not_get_through(serve: Serve) -> None:
    _, model = await serve("one", faults=[f.Rewrite(lambda e: e.replace(b'"one"', b'"one\\ud83d"'))])
    text = (await hear(model, HELLO)).text
    assert text == "one\ufffd"
    text.encode()


async def test_a_prompt_with_a_lone_surrogate_can_be_sent(serve: Serve) -> None:
    server, model = await serve()
    await hear(model, Request(messages=(user("a\ud83d"),)))
    assert server.requests[0].request.messages[0].content == "a\ud83d"


async def test_a_large_prompt(serve: Serve) -> None:
    server, model = await serve()
    prompt = "long " * 400_000
    assert (await hear(model, Request(messages=(user(prompt),)))).text == "one two three"
    assert server.requests[0].request.messages[0].content == prompt


async def test_prefill_continues_the_last_message(serve: Serve) -> None:
    server, model = await serve(dialect="vllm")
    await hear(model, Request(messages=(user("x"), assistant("1 2")), prefill=True))
    assert server.requests[0].body["continue_final_message"] is True
    assert server.requests[0].body["add_generation_prompt"] is False


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request(messages=(user("x"),), prompt="y"), "both"),
        (Request(messages=(user("x"),), prefill=True), "assistant"),
        (Request(messages=(user("x"),), extra={"a": object()}), "JSON"),
    ],
)
async def test_requests_that_contradict_themselves(serve: Serve, request_: Request, said: str) -> None:
    server, model = await serve()
    with pytest.raises(ConfigurationError, match=said):
        await hear(model, request_)
    assert server.requests == []


async def test_a_cost_that_the_server_tells(serve: Serve) -> None:
    said = b'"usage":{"prompt_tokens":1,"completion_tokens":2,"cost":0.25}}'
    rewrite = f.Rewrite(lambda e: e.split(b'"usage"')[0] + said + b"\n\n" if b'"usage"' in e else e)
    _, model = await serve(faults=[rewrite])
    heard = await hear(model, HELLO)
    assert heard.usage is not None
    assert heard.usage.cost_usd == 0.25


async def test_a_url_without_v1_and_one_with_too_much(serve: Serve) -> None:
    server, _ = await serve()
    root = server.url.removesuffix("/v1")
    for url in (root, root + "/", server.url + "/", server.url + "/chat/completions"):
        other = OpenAIModel("openai/x", base_url=url)
        assert other.endpoint == server.url
        assert (await hear(other, HELLO)).text == "one two three"
        await other.aclose()


async def test_credentials_in_the_url_are_sent_and_never_shown(serve: Serve) -> None:
    server, _ = await serve()
    url = server.url.replace("http://", "http://me:hunter22@")
    model = OpenAIModel("openai/x", base_url=url)
    await hear(model, HELLO)
    assert server.requests[0].headers["authorization"].startswith("Basic ")
    assert "hunter22" not in model.endpoint + repr(model)
    await model.aclose()


@pytest.mark.parametrize("key", ["sk-\nx", "sk-ünïcode", "sk-\u20131"])
def test_a_key_that_cannot_be_sent(key: str) -> None:
    with pytest.raises(ConfigurationError, match="API key") as raised:
        OpenAIModel("openai/x", base_url="http://localhost:1", api_key=key)
    assert key not in str(raised.value)


def test_strict_mode_is_claimed_only_for_schemas_that_fit_it() -> None:
    closed = {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}
    assert fits_strict_mode(closed)
    assert not fits_strict_mode({**closed, "required": []})
    assert not fits_strict_mode({"type": "array", "items": {"type": "object", "properties": {}}})
    assert fits_strict_mode({"type": "array", "items": closed})


def test_importing_the_scripted_model_does_not_load_aiohttp() -> None:
    import subprocess

    code = "import sys, weaver.testing; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_a_call_keeps_the_output_before_an_error(serve: Serve) -> None:
    _, model = await serve(faults=[f.Reset(after=2)])
    heard = Heard()
    with pytest.raises(Exception, match="middle of its answer"):
        await hear(model, HELLO, heard)
    assert heard.text == "one two "
