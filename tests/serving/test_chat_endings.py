"""Chat Completions that end otherwise: clients that leave, deadlines, errors, and repeated requests."""

from __future__ import annotations

import threading
import time
from typing import Any

import openai
import pytest

from tests.serving.asking import client, connected, user, wait_for
from tests.serving.conftest import Start
from weaver._testing.faults import Refusal, Truncate
from weaver.testing import Scripted


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_the_run_and_its_upstream_calls_at_once(start: Start, stream: bool):
    server = start([Scripted("word " * 1000, each=0.02)])
    body = {"model": "weaver/self_consistency", "messages": user("hello?"), "stream": stream}
    with connected(server.url, body):
        wait_for(lambda: server.models.in_flight > 3)
    seconds = wait_for(lambda: not server.models.in_flight)
    assert seconds < 0.25  # the promise is 0.1 s, and this machine may be busy
    assert {r.closed for r in server.models.requests} == {"disconnected"}
    wait_for(lambda: not server.service.open)
    assert 'status="499"} 1' in server.service.metrics.text()


def test_a_partial_answer_at_the_deadline_says_so(start: Start):
    server = start([Scripted("word " * 500, each=0.02)])
    with client(server.url) as api:
        began = time.monotonic()
        answer = api.chat.completions.create(
            model="weaver/direct", messages=user("hello?"), extra_headers={"X-Weaver-Deadline": "0.3"}
        )
        assert time.monotonic() - began < 1.5
    assert answer.choices[0].finish_reason == "length"
    assert (answer.choices[0].message.content or "").startswith("word word")
    assert answer.model_extra["weaver"]["status"] == "partial"


def test_limits_of_the_server_hold_whatever_a_request_says(start: Start):
    server = start([Scripted("word " * 500, each=0.02)], weaver={"deadline": 0.3})
    with client(server.url) as api:
        for extra in ({"weaver": {"deadline": 60}}, {"metadata": {"weaver_deadline": "60"}}):
            began = time.monotonic()
            api.chat.completions.create(model="weaver/direct", messages=user("hello?"), extra_body=extra)
            assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Refusal(401, "bad key"), 500, "upstream_unauthorized"),
        (Refusal(400, "too long"), 400, "upstream_rejected"),
    ],
)
def test_errors_of_the_models_server_have_statuses_that_tell_whose_fault_it_is(
    start: Start, stream: bool, fault: Refusal, status: int, code: str
):
    server = start(server={"faults": [fault]})
    with client(server.url) as api, pytest.raises(openai.APIStatusError) as raised:
        api.chat.completions.create(model="weaver/direct", messages=user("hi"), stream=stream)
    assert raised.value.status_code == status
    assert raised.value.code == code
    assert raised.value.response.headers["x-weaver-run-id"]


def test_an_error_after_the_first_text_comes_inside_the_stream(start: Start):
    server = start([Scripted("one two three four", each=0.1)], server={"faults": [Truncate(2)]})
    with client(server.url) as api:
        stream = api.chat.completions.create(model="weaver/direct", messages=user("hi"), stream=True)
        text: list[str] = []
        with pytest.raises(openai.APIError) as raised:
            text.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert "".join(text).startswith("one")
    assert "closed the connection" in str(raised.value)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (openai.BadRequestError, 400, None),
        (openai.NotFoundError, 404, "model_not_found"),
    ],
)
def test_errors_of_a_request_have_openais_shape(
    start: Start, stream: bool, error: type[openai.APIStatusError], status: int, code: str | None
):
    server = start()
    options: Any = {"temperature": 9} if status == 400 else {}
    with client(server.url) as api, pytest.raises(error) as raised:
        api.chat.completions.create(
            model="weaver/direct" if status == 400 else "gpt-4o",
            messages=user("hi"),
            stream=stream,
            **options,
        )
    body: Any = raised.value.body
    assert set(body) == {"message", "type", "param", "code"}
    assert (body["type"], body["code"]) == ("invalid_request_error", code)
    assert body["param"] == ("temperature" if status == 400 else "model")


@pytest.mark.parametrize("stream", [False, True])
def test_requests_of_one_idempotency_key_are_one_run(start: Start, stream: bool):
    server = start([Scripted("one two three", each=0.05)])
    options: dict[str, Any] = {"model": "weaver/direct", "stream": stream}
    key = {"Idempotency-Key": "k1"}
    texts: list[str] = []

    def ask() -> None:
        with client(server.url) as api:
            answer: Any = api.chat.completions.create(messages=user("hi"), extra_headers=key, **options)
            if stream:
                texts.append("".join(chunk.choices[0].delta.content or "" for chunk in answer))
            else:
                texts.append(answer.choices[0].message.content)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ask()
    assert texts == ["one two three"] * 4
    assert len(server.models.requests) == 1
    with client(server.url) as api, pytest.raises(openai.BadRequestError) as raised:
        api.chat.completions.create(messages=user("another"), extra_headers=key, **options)
    assert raised.value.code == "idempotency_key_reused"


def test_a_run_that_was_cancelled_can_be_asked_for_again_under_its_key(start: Start):
    server = start([Scripted("word " * 1000, each=0.02, times=1), Scripted("second")])
    body: Any = {"model": "weaver/direct", "messages": user("hi")}
    with connected(server.url, body, "Idempotency-Key: k1\r\n"):
        wait_for(lambda: server.models.in_flight)
    wait_for(lambda: not server.service.open)
    with client(server.url) as api:
        answer = api.chat.completions.create(**body, extra_headers={"Idempotency-Key": "k1"})
    assert answer.choices[0].message.content == "second"
