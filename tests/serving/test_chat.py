"""Chat Completions, with OpenAI's own client."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.serving.asking import client, user, vars_of
from tests.serving.conftest import FORKING, QUESTION, Start
from weaver._models.protocol import Request
from weaver.testing import Scripted

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def test_a_forked_run_answers_with_the_usage_of_its_whole_tree(start: Start):
    server = start(FORKING)
    with client(server.url) as api:
        answer = api.chat.completions.create(model="weaver/adaptive", messages=user(QUESTION))
    assert answer.choices[0].message.content == "Alpha has 17 and beta has 23."
    assert (answer.object, answer.model, answer.choices[0].finish_reason) == (
        "chat.completion",
        "weaver/adaptive",
        "stop",
    )
    run: Any = answer.model_extra["weaver"]
    assert run["status"] == "complete"
    assert run["calls"] == len(server.models.requests) == 4
    assert [t["title"] for t in run["threads"]] == ["Alpha", "Beta"]
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    details = answer.usage.completion_tokens_details
    assert details is not None
    assert details.reasoning_tokens is not None
    assert 0 < details.reasoning_tokens < answer.usage.completion_tokens
    assert answer.id == f"chatcmpl-{run['run_id']}"


def test_a_stream_shows_progress_as_reasoning_and_then_the_merge_word_by_word(start: Start):
    slow = [Scripted(**{**vars_of(one), "each": 0.01}) for one in FORKING]
    server = start(slow)
    text, reasoning, pieces, chunks = "", "", 0, []
    with client(server.url) as api:
        for chunk in api.chat.completions.create(
            model="weaver/adaptive",
            messages=user(QUESTION),
            stream=True,
            stream_options={"include_usage": True},
        ):
            chunks.append(chunk)
            if chunk.choices:
                delta = chunk.choices[0].delta
                text += delta.content or ""
                pieces += bool(delta.content)
                reasoning += getattr(delta, "reasoning_content", None) or ""
                if delta.content:
                    assert "Done" in reasoning
    assert text == "Alpha has 17 and beta has 23."
    assert pieces >= 4
    for line in ("- Alpha\n- Beta\n", "Started: Alpha\n", "Done after"):
        assert line in reasoning
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 10
    assert all(c.usage is None for c in chunks[:-1])
    assert len({c.id for c in chunks}) == 1


@pytest.mark.parametrize("detail", ["off", "titles", "full"])
def test_the_request_says_how_much_of_a_run_it_wants_to_see(start: Start, detail: str):
    server = start(FORKING, progress="titles")
    reasoning = ""
    with client(server.url) as api:
        for chunk in api.chat.completions.create(
            model="weaver/adaptive",
            messages=user(QUESTION),
            stream=True,
            extra_body={"weaver": {"progress": detail}},
        ):
            reasoning += getattr(chunk.choices[0].delta, "reasoning_content", None) or ""
    assert ("Started: Alpha" in reasoning) == (detail != "off")
    assert ("The code of alpha is 17." in reasoning) == (detail == "full")


@pytest.mark.parametrize("model", ["weaver/direct", "direct", "weaver/sequential"])
def test_direct_passes_the_request_on_as_it_is(start: Start, model: str):
    server = start([Scripted("one two three", reasoning="let me think")])
    with client(server.url) as api:
        answer = api.chat.completions.create(
            model=model,
            messages=[
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Count"}]},
                {"role": "assistant", "content": "<think>\nhm\n</think>\n\none"},
                {"role": "user", "content": "go on"},
            ],
            max_completion_tokens=50,
            temperature=0.2,
            top_p=0.9,
            seed=7,
            stop=["four"],
            reasoning_effort="low",
            user="somebody",
        )
    assert answer.choices[0].message.content == "one two three"
    assert answer.choices[0].message.model_extra == {"reasoning_content": "let me think"}
    (received,) = server.models.requests
    asked: Request = received.request
    assert [(m.role, m.content) for m in asked.messages] == [
        ("system", "Be brief."),
        ("user", "Count"),
        ("assistant", "one"),
        ("user", "go on"),
    ]
    assert (asked.max_tokens, asked.temperature, asked.top_p, asked.seed, asked.stop) == (
        50,
        0.2,
        0.9,
        7,
        ("four",),
    )
    assert asked.reasoning_effort == "low"


def test_a_conversation_reaches_the_threads_of_a_strategy(start: Start):
    server = start("forty-two")
    with client(server.url) as api:
        answer = api.chat.completions.create(
            model="weaver/self_consistency",
            messages=[
                {"role": "system", "content": "Answer with a number."},
                {"role": "user", "content": "Remember 42."},
                {"role": "assistant", "content": "Done."},
                {"role": "user", "content": "Which number was it?"},
            ],
        )
    assert answer.choices[0].message.content == "forty-two"
    for received in server.models.requests:
        assert "Answer with a number." in received.request.messages[0].content
        assert any("Remember 42." in m.content for m in received.request.messages)


PIXEL = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize("model", ["weaver/direct", "weaver/self_consistency"])
def test_images_reach_the_model_and_are_read_by_nobody_else(start: Start, model: str):
    server = start("a pixel")
    parts: Any = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    with client(server.url) as api:
        answer = api.chat.completions.create(model=model, messages=[{"role": "user", "content": parts}])
        shown: Any = [{"type": "input_image", "image_url": PIXEL, "detail": "low"}]
        again = api.responses.create(model=model, input=[{"role": "user", "content": shown}])
        file: Any = [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]
        with pytest.raises(openai.BadRequestError, match=r"messages\[0\].content\[0\]"):
            api.chat.completions.create(model=model, messages=[{"role": "user", "content": file}])
    assert answer.choices[0].message.content == again.output_text == "a pixel"
    for received in server.models.requests:
        assert PIXEL in json.dumps(received.body)


@pytest.mark.parametrize("model", ["weaver/direct", "weaver/adaptive", "weaver/self_consistency"])
def test_calls_of_the_clients_tools_are_returned_and_its_results_go_back(start: Start, model: str):
    call = Scripted(
        tool_calls=(("get_weather", '{"city": "Oslo"}'), ("get_weather", '{"city": "Rom"}')), times=1
    )
    server = start([call, Scripted("Sunny.")])
    question = user("What is the weather in Oslo and in Rome?")
    with client(server.url) as api:
        first = api.chat.completions.create(model=model, messages=question, tools=[WEATHER])
        message = first.choices[0].message
        assert first.choices[0].finish_reason == "tool_calls"
        assert message.content is None
        assert message.tool_calls is not None
        given = [(c.type, c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls]  # type: ignore[union-attr]
        assert given == [
            ("function", "get_weather", {"city": "Oslo"}),
            ("function", "get_weather", {"city": "Rom"}),
        ]
        results = [{"role": "tool", "tool_call_id": c.id, "content": "sun"} for c in message.tool_calls]
        messages: Any = [*question, message.model_dump(exclude_none=True), *results]
        second = api.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    assert second.choices[0].message.content == "Sunny."
    asked = server.models.requests[-1].request.messages
    assert [m.role for m in asked] == ["user", "assistant", "tool", "tool"]
    assert asked[1].tool_calls[0].name == "get_weather"


def test_tool_calls_are_streamed_with_index_id_and_name_in_the_first_piece(start: Start):
    call = Scripted(tool_calls=(("get_weather", '{"city": "Oslo"}'), ("get_weather", '{"city": "Rom"}')))
    server = start([call])
    with client(server.url) as api:
        stream = api.chat.completions.create(
            model="weaver/adaptive",
            messages=user("weather?"),
            tools=[WEATHER],
            stream=True,
            tool_choice="required",
        )
        parts, ends = [], []
        for chunk in stream:
            parts += chunk.choices[0].delta.tool_calls or []
            ends.append(chunk.choices[0].finish_reason)
    assert ends[-1] == "tool_calls"
    for index in (0, 1):
        own = [p for p in parts if p.index == index]
        assert own[0].id
        assert own[0].function is not None
        assert own[0].function.name == "get_weather"
        assert all(p.id is None for p in own[1:])
        arguments = "".join(p.function.arguments or "" for p in own if p.function)
        assert json.loads(arguments) == {"city": ["Oslo", "Rom"][index]}
    assert server.models.requests[-1].request.tool_choice == "required"


SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "codes",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"alpha": {"type": "integer"}},
            "required": ["alpha"],
            "additionalProperties": False,
        },
    },
}


@pytest.mark.parametrize("model", ["weaver/direct", "weaver/adaptive", "weaver/self_consistency"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_fits_the_schema_also_when_the_model_is_wrong_at_first(
    start: Start, model: str, stream: bool
):
    server = start([Scripted('{"alpha": "many"}', times=1), Scripted('{"alpha": 17}')])
    with client(server.url) as api:
        answer: Any = api.chat.completions.create(
            model=model, messages=user("What is alpha?"), response_format=SCHEMA, stream=stream
        )
        if stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in answer)
        else:
            text = answer.choices[0].message.content
    assert json.loads(text) == {"alpha": 17}


def test_any_json_object_can_be_asked_for(start: Start):
    server = start([Scripted('Here it is: {"alpha": 17}')])
    with client(server.url) as api:
        answer = api.chat.completions.create(
            model="weaver/adaptive", messages=user("alpha?"), response_format={"type": "json_object"}
        )
    assert json.loads(answer.choices[0].message.content or "") == {"alpha": 17}
