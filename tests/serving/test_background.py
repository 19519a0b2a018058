"""Responses in the background: they outlive clients and the server, and streams are taken up again."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.serving.asking import client, vars_of
from tests.serving.conftest import FORKING, QUESTION, Served, Start, served
from weaver._journal.sqlite import SQLiteJournal
from weaver._serving.responses.replaying import events_of
from weaver._testing.faults import Refusal
from weaver.testing import Scripted, Server

SLOW = [Scripted("one two three four five six seven eight", each=0.03)]
KEYS = "alice:alice-key-0123456789,bob:bob-key-0123456789ab"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAVER_HOME", str(tmp_path / "home"))


@pytest.fixture
def journal(tmp_path: Path) -> SQLiteJournal:
    return SQLiteJournal(tmp_path / "journal.sqlite")


def ended(api: openai.OpenAI, response_id: str) -> Any:
    """Poll until the response has ended, as clients do."""
    patience = time.monotonic() + 20
    while (response := api.responses.retrieve(response_id)).status in ("queued", "in_progress"):
        assert time.monotonic() < patience
        time.sleep(0.02)
    return response


def test_a_response_in_the_background_is_begun_at_once_and_polled(start: Start):
    server = start(FORKING)
    with client(server.url) as api:
        begun = api.responses.create(model="weaver/adaptive", input=QUESTION, background=True)
        assert (begun.status, begun.background) == ("queued", True)
        answer = ended(api, begun.id)
        assert answer.output_text == "Alpha has 17 and beta has 23."
        assert (answer.id, answer.status, answer.background) == (begun.id, "completed", True)
        assert answer.usage is not None
        assert answer.usage.total_tokens > 0
        further = api.responses.create(model="weaver/direct", input="and?", previous_response_id=begun.id)
    assert further.status == "completed"
    sent = [m.content for m in server.models.requests[-1].request.messages]
    assert sent == [QUESTION, "Alpha has 17 and beta has 23.", "and?"]


def test_a_broken_stream_is_taken_up_again_after_the_last_event(start: Start):
    server = start([Scripted(**{**vars_of(one), "each": 0.01}) for one in FORKING])
    with client(server.url) as api:
        first: list[Any] = []
        with api.responses.create(
            model="weaver/adaptive", input=QUESTION, background=True, stream=True
        ) as stream:
            for event in stream:
                first.append(event)
                if event.type == "response.reasoning_summary_text.delta":
                    break
        response_id = first[0].response.id
        rest = list(
            api.responses.retrieve(response_id, stream=True, starting_after=first[-1].sequence_number)
        )
        events: list[Any] = [*first, *rest]
        assert [e.sequence_number for e in events] == list(range(len(events)))
        assert events[-1].type == "response.completed"
        deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
        assert "".join(deltas) == events[-1].response.output_text == "Alpha has 17 and beta has 23."
        whole = list(api.responses.retrieve(response_id, stream=True))  # also when it is over
        assert [e.sequence_number for e in whole] == list(range(len(events)))
    assert len(server.models.requests) == 4
    headers = {"last-event-id": str(len(events) - 2)}
    text = httpx.get(f"{server.url}/responses/{response_id}?stream=true", headers=headers).text
    assert text.startswith(f"id: {len(events) - 1}\nevent: response.completed\n")
    assert text.count("data: ") == 1


def test_a_cancelled_response_closes_its_connections_and_stays_cancelled(start: Start):
    server = start([Scripted("word " * 500, each=0.02, when="hello"), Scripted("short")])
    with client(server.url) as api:
        with api.responses.create(
            model="weaver/direct", input="hello", background=True, stream=True
        ) as stream:
            events = iter(stream)
            kinds: list[str] = []
            response_id = ""
            while "response.output_text.delta" not in kinds:
                event: Any = next(events)
                kinds.append(event.type)
                response_id = event.response.id if hasattr(event, "response") else response_id
            cancelled = api.responses.cancel(response_id)
            last: Any = list(events)[-1]
        assert last.response.status == "cancelled"
        assert cancelled.status == "cancelled"
        assert cancelled.output_text.startswith("word")
        assert api.responses.cancel(response_id).status == "cancelled"
        assert api.responses.retrieve(response_id).status == "cancelled"
        direct = api.responses.create(model="weaver/direct", input="hi")
        with pytest.raises(openai.BadRequestError, match="Only background"):
            api.responses.cancel(direct.id)
    patience = time.monotonic() + 5
    while server.models.in_flight and time.monotonic() < patience:
        time.sleep(0.01)
    assert server.models.in_flight == 0


def test_a_failure_is_kept_as_a_failed_response(start: Start):
    server = start("never", server={"faults": [Refusal(400, message="too long")]})
    with client(server.url) as api:
        begun = api.responses.create(model="weaver/direct", input="hello", background=True)
        answer = ended(api, begun.id)
    assert answer.status == "failed"
    assert answer.error is not None
    assert "too long" in answer.error.message


def test_the_same_key_begins_one_run(start: Start):
    server = start(SLOW)
    fields: dict[str, Any] = {"model": "weaver/direct", "input": "hello", "background": True}
    same = {"Idempotency-Key": "k1"}
    with client(server.url) as api:
        first = api.responses.create(**fields, extra_headers=same)
        assert api.responses.create(**fields, extra_headers=same).id == first.id
        ended(api, first.id)
        assert api.responses.create(**fields, extra_headers=same).status == "completed"
        with pytest.raises(openai.BadRequestError, match="another request"):
            api.responses.create(**fields | {"input": "other"}, extra_headers=same)
    assert len(server.models.requests) == 1


def test_nobody_reads_the_responses_of_another_key(start: Start, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WEAVER_SERVE_KEYS", KEYS)
    server = start(SLOW)
    alice, bob = (client(server.url, key=key.partition(":")[2]) for key in KEYS.split(","))
    with alice, bob:
        begun = alice.responses.create(model="weaver/direct", input="hello", background=True)
        for _ in range(2):  # while it is made, and afterwards
            for use in (bob.responses.retrieve, bob.responses.cancel, bob.responses.delete):
                with pytest.raises(openai.NotFoundError):
                    use(begun.id)
            assert ended(alice, begun.id).status == "completed"


def test_a_deleted_response_leaves_nothing_behind(start: Start, tmp_path: Path):
    server = start(["a secret answer"])
    with client(server.url) as api:
        begun = api.responses.create(model="weaver/direct", input="hello", background=True)
        ended(api, begun.id)
        api.responses.delete(begun.id)
        with pytest.raises(openai.NotFoundError):
            api.responses.retrieve(begun.id)
    with sqlite3.connect(tmp_path / "home/journal.sqlite") as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    db.close()


def test_a_conversation_and_a_background_response_outlive_their_server(
    tmp_path: Path, journal: SQLiteJournal
):
    with Server(["one", "two"]).in_thread() as models:
        made = {"journal": SQLiteJournal(tmp_path / "journal.sqlite")}
        with served(models, tmp_path, weaver=made) as server, client(server.url) as api:
            first = api.responses.create(model="weaver/direct", input="say one", instructions="Be brief.")
        with served(models, tmp_path, weaver={"journal": journal}) as server, client(server.url) as api:
            assert api.responses.retrieve(first.id).output_text == "one"
            second = api.responses.create(
                model="weaver/direct", input="say two", previous_response_id=first.id
            )
            assert_whole(list(api.responses.retrieve(first.id, stream=True)), "one")
        assert second.output_text == "two"
        assert [m.content for m in models.requests[-1].request.messages] == ["say one", "one", "say two"]


def test_a_restarted_server_goes_on_with_what_was_in_the_background(tmp_path: Path):
    """What was finished is not asked for again; what was cut is."""
    merge = next(one for one in FORKING if str(one.text).startswith("Alpha has"))
    hangs = Scripted(**{**vars_of(merge), "first": 30.0, "times": 1})
    with Server([hangs, *FORKING]).in_thread() as models:
        with served(models, tmp_path) as server, client(server.url) as api:
            begun = api.responses.create(model="weaver/adaptive", input=QUESTION, background=True)
            wait_for_calls(server, 4)
        before = len(models.requests)
        with served(models, tmp_path) as server, client(server.url) as api:
            answer = ended(api, begun.id)
            assert answer.output_text == "Alpha has 17 and beta has 23."
            assert answer.created_at == begun.created_at
            assert len(models.requests) == before + 1
        with served(models, tmp_path) as server, client(server.url) as api:  # it is not done a third time
            assert api.responses.retrieve(begun.id).status == "completed"
        assert len(models.requests) == before + 1


def wait_for_calls(server: Served, number: int) -> None:
    patience = time.monotonic() + 10
    while len(server.models.requests) < number:
        assert time.monotonic() < patience, json.dumps(len(server.models.requests))
        time.sleep(0.01)


def test_a_stream_after_a_restart_has_the_whole_answer(tmp_path: Path):
    """Of a response that ended before the restart, and of one that the next server goes on with."""
    merge = next(one for one in FORKING if str(one.text).startswith("Alpha has"))
    hangs = Scripted(**{**vars_of(merge), "first": 30.0, "times": 1})
    with Server([hangs, *FORKING]).in_thread() as models:
        with served(models, tmp_path) as server, client(server.url) as api:
            begun = api.responses.create(model="weaver/adaptive", input=QUESTION, background=True)
            wait_for_calls(server, 4)
        with served(models, tmp_path) as server, client(server.url) as api:
            events: list[Any] = list(api.responses.retrieve(begun.id, stream=True))
            assert_whole(events, "Alpha has 17 and beta has 23.")
        with served(models, tmp_path) as server, client(server.url) as api:
            events = list(api.responses.retrieve(begun.id, stream=True))
            assert_whole(events, "Alpha has 17 and beta has 23.")
            rest: list[Any] = list(api.responses.retrieve(begun.id, stream=True, starting_after=57))
            assert [(e.type, e.sequence_number) for e in rest] == [("response.completed", 58)]
            assert rest[0].response.output_text == "Alpha has 17 and beta has 23."


def test_a_client_that_has_events_of_an_earlier_server_gets_the_end(tmp_path: Path):
    merge = next(one for one in FORKING if str(one.text).startswith("Alpha has"))
    hangs = Scripted(**{**vars_of(merge), "first": 30.0, "times": 1})
    slow = Scripted(**{**vars_of(merge), "first": 0.3, "times": 1})
    with Server([hangs, slow, *FORKING]).in_thread() as models:
        with served(models, tmp_path) as server, client(server.url) as api:
            begun = api.responses.create(model="weaver/adaptive", input=QUESTION, background=True)
            wait_for_calls(server, 4)
        with served(models, tmp_path) as server, client(server.url) as api:
            rest: list[Any] = list(api.responses.retrieve(begun.id, stream=True, starting_after=3))
            assert [(e.type, e.sequence_number) for e in rest] == [("response.completed", 4)]
            assert rest[0].response.output_text == "Alpha has 17 and beta has 23."


def test_a_stored_response_of_every_shape_is_streamed_again():
    """The events give the response that they were made from."""
    message = {"id": "m", "type": "message", "status": "completed", "role": "assistant"}
    text = {"type": "output_text", "text": "So:", "annotations": [], "logprobs": []}
    output = [
        {"id": "r", "type": "reasoning", "summary": [{"type": "summary_text", "text": "2 threads"}]},
        {**message, "content": [text, {"type": "refusal", "refusal": "No."}]},
        {"id": "f", "type": "function_call", "call_id": "c", "name": "look", "arguments": '{"a": 1}'},
    ]
    for status, last in (("cancelled", "incomplete"), ("failed", "failed"), ("completed", "completed")):
        response = {"id": "resp_x", "status": status, "output": output, "usage": None, "error": None}
        sent = b"".join(events_of(response)._events).decode().split("\n\n")[:-1]
        events = [json.loads(event.split("data: ", 1)[1]) for event in sent]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert events[-1] == {
            "type": f"response.{last}", "sequence_number": len(events) - 1, "response": response,
        }  # fmt: skip
        items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        assert [{k: v for k, v in item.items() if k != "status"} for item in items] == [
            {k: v for k, v in item.items() if k != "status"} for item in output
        ]


def assert_whole(events: list[Any], text: str) -> None:
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert "".join(deltas) == events[-1].response.output_text == text
