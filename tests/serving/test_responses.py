"""Responses, with OpenAI's own client."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.serving.asking import client, vars_of
from tests.serving.conftest import FORKING, QUESTION, Start
from weaver.testing import Scripted

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "strict": True,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def test_a_whole_response_has_text_usage_and_status(start: Start):
    server = start(FORKING)
    with client(server.url) as api:
        answer = api.responses.create(model="weaver/adaptive", input=QUESTION)
    assert answer.output_text == "Alpha has 17 and beta has 23."
    assert (answer.object, answer.status, answer.model) == ("response", "completed", "weaver/adaptive")
    assert answer.usage is not None
    assert answer.usage.output_tokens_details.reasoning_tokens > 0
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.model_extra is not None
    assert answer.model_extra["weaver"]["calls"] == 4


def test_the_events_of_a_stream_come_in_the_official_order(start: Start):
    server = start([Scripted(**{**vars_of(one), "each": 0.01}) for one in FORKING])
    with client(server.url) as api:
        events = list(api.responses.create(model="weaver/adaptive", input=QUESTION, stream=True))
    assert [e.sequence_number for e in events] == list(range(len(events)))
    kinds = [e.type for e in events]
    kinds = [kind for i, kind in enumerate(kinds) if i == 0 or kind != kinds[i - 1]]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert len(deltas) >= 4
    final = next(e.response for e in events if e.type == "response.completed")
    assert final.output_text == "".join(deltas) == "Alpha has 17 and beta has 23."
    assert [item.type for item in final.output] == ["reasoning", "message"]
    assert final.usage is not None
    thoughts = next(e.text for e in events if e.type == "response.reasoning_summary_text.done")
    assert "Started: Alpha\n" in thoughts
    ids = {e.item_id for e in events if hasattr(e, "item_id")}
    assert ids == {item.id for item in final.output}


@pytest.mark.parametrize("stream", [False, True])
def test_functions_of_the_client_are_called_by_the_client(start: Start, stream: bool):
    call = Scripted(tool_calls=(("get_weather", '{"city": "Oslo"}'),), times=1)
    server = start([call, Scripted("Sunny.")])
    with client(server.url) as api:
        first: Any
        if stream:
            with api.responses.stream(model="weaver/adaptive", input="weather?", tools=[WEATHER]) as events:
                kinds = [e.type for e in events]
                first = events.get_final_response()
            assert "response.function_call_arguments.delta" in kinds
            assert kinds.index("response.function_call_arguments.done") < kinds.index("response.completed")
        else:
            first = api.responses.create(model="weaver/adaptive", input="weather?", tools=[WEATHER])
        (item,) = first.output
        assert (item.type, item.name, json.loads(item.arguments)) == (
            "function_call",
            "get_weather",
            {"city": "Oslo"},
        )
        result: Any = {"type": "function_call_output", "call_id": item.call_id, "output": "sun"}
        second = api.responses.create(
            model="weaver/adaptive", previous_response_id=first.id, input=[result], tools=[WEATHER]
        )
        assert second.output_text == "Sunny."
        whole: Any = [{"role": "user", "content": "weather?"}, item.model_dump(), result]
        third = api.responses.create(model="weaver/adaptive", input=whole, tools=[WEATHER], store=False)
        assert third.output_text == "Sunny."
    for received in server.models.requests[1:]:
        assert [m.role for m in received.request.messages] == ["user", "assistant", "tool"]
        assert received.request.messages[2].tool_call_id == received.request.messages[1].tool_calls[0].id


def test_a_typed_answer_is_parsed_by_the_client(start: Start):
    from pydantic import BaseModel

    class Code(BaseModel):
        alpha: int

    server = start([Scripted('{"alpha": "many"}', times=1), Scripted('{"alpha": 17}')])
    with client(server.url) as api:
        answer = api.responses.parse(model="weaver/adaptive", input="What is alpha?", text_format=Code)
    assert answer.output_parsed == Code(alpha=17)


def test_a_conversation_goes_on_from_a_stored_response_without_its_instructions(start: Start):
    server = start(["one", "two", "three"])
    with client(server.url) as api:
        first = api.responses.create(model="weaver/direct", input="say one", instructions="Be brief.")
        second = api.responses.create(
            model="weaver/direct", input="say two", previous_response_id=first.id, instructions="Be long."
        )
        assert api.responses.retrieve(first.id).output_text == "one"
        api.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            api.responses.retrieve(first.id)
        with pytest.raises(openai.BadRequestError, match="no response") as raised:
            api.responses.create(model="weaver/direct", input="x", previous_response_id=first.id)
    assert second.output_text == "two"
    assert raised.value.param == "previous_response_id"
    messages = [(m.role, m.content) for m in server.models.requests[1].request.messages]
    assert messages == [
        ("system", "Be long."),
        ("user", "say one"),
        ("assistant", "one"),
        ("user", "say two"),
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True, "store": False}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]},
            "input[0].content[0].type",
        ),
        ({"input": []}, "input"),
        ({"temperature": "hot"}, "temperature"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"conversation": "conv_1"}, "conversation"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused_with_the_name_of_the_field(
    start: Start, fields: dict[str, Any], param: str
):
    server = start()
    with client(server.url) as api, pytest.raises(openai.BadRequestError) as raised:
        api.responses.create(model="weaver/direct", **{"input": "hi", **fields})
    assert raised.value.param == param
    assert not server.models.requests


def test_a_partial_answer_is_an_incomplete_response(start: Start):
    server = start([Scripted("word " * 500, each=0.02)])
    with client(server.url) as api:
        whole = api.responses.create(
            model="weaver/direct", input="hello", metadata={"weaver_deadline": "0.3"}
        )
        events = list(
            api.responses.create(
                model="weaver/direct", input="hello", metadata={"weaver_deadline": "0.3"}, stream=True
            )
        )
    assert whole.status == "incomplete"
    assert whole.incomplete_details is not None
    assert whole.incomplete_details.reason == "max_output_tokens"
    assert whole.output_text.startswith("word word")
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.output_text.startswith("word word")
