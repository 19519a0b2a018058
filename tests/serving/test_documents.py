"""Files attached to a question: documents of strategies, passed on as they are by one direct call."""

from __future__ import annotations

import base64
from typing import Any

import openai
import pytest

from tests.serving.asking import client
from tests.serving.conftest import Start
from weaver import FilePart, ImagePart, Message
from weaver._serving.work.attached import split_off
from weaver.models import user

ORDERS = "id,city\n" + "".join(f"{n},{'Oslo' if n % 3 else 'Lima'}\n" for n in range(30))


def attached(text: str | bytes, name: str = "orders.csv", kind: str = "text/csv") -> dict[str, Any]:
    data = base64.b64encode(text.encode() if isinstance(text, str) else text).decode()
    return {"type": "file", "file": {"filename": name, "file_data": f"data:{kind};base64,{data}"}}


def ask(api: openai.OpenAI, model: str, *parts: dict[str, Any]) -> Any:
    question = {"type": "text", "text": "How many orders are from Oslo?"}
    content: Any = [question, *parts]
    return api.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])


def sent_text(server: Any, number: int = -1) -> str:
    return "\n".join(m.text for m in server.models.requests[number].request.messages)


@pytest.mark.parametrize("kind", ["text/csv", "application/octet-stream"])
def test_a_file_of_a_chat_is_a_document_of_the_strategy(start: Start, kind: str):
    server = start("20")
    with client(server.url) as api:
        answer = ask(api, "weaver/adaptive", attached(ORDERS, kind=kind))
    assert answer.choices[0].message.content == "20"
    assert "29,Oslo" in sent_text(server)
    assert not any(m.media for m in server.models.requests[-1].request.messages)


def test_a_file_of_a_response_is_a_document_of_the_strategy(start: Start):
    server = start("20")
    data = base64.b64encode(ORDERS.encode()).decode()
    file = {"type": "input_file", "filename": "orders.csv", "file_data": f"data:text/csv;base64,{data}"}
    content: Any = [{"type": "input_text", "text": "How many orders are from Oslo?"}, file]
    with client(server.url) as api:
        answer = api.responses.create(model="weaver/adaptive", input=[{"role": "user", "content": content}])
    assert answer.output_text == "20"
    assert "29,Oslo" in sent_text(server)


def test_html_is_read_as_its_text(start: Start):
    server = start("20")
    page = "<!doctype html><title>t</title><script>alert(1)</script><p>There were <b>20</b> orders."
    with client(server.url) as api:
        ask(api, "weaver/adaptive", attached(page, "page.html", "text/html"))
    assert "There were 20 orders." in sent_text(server)
    assert "alert" not in sent_text(server)


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (b"\x00\x01\x02\xff" * 100, "blob.bin", "binary"),
        (b"   \n  ", "blank.txt", "empty|blanks"),
        (b"%PDF-1.7 broken", "broken.pdf", "PDF|broken"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(start: Start, data: bytes, name: str, reason: str):
    server = start("never asked")
    with client(server.url) as api, pytest.raises(openai.BadRequestError, match=reason):
        ask(api, "weaver/adaptive", attached(data, name, "application/octet-stream"))
    assert not server.models.requests


def test_one_direct_call_sends_the_file_on(start: Start):
    server = start("20")
    with client(server.url) as api:
        ask(api, "weaver/direct", attached(ORDERS))
    (message,) = server.models.requests[-1].body["messages"]
    assert [part["type"] for part in message["content"]] == ["text", "file"]
    assert message["content"][1] == attached(ORDERS)


def test_images_and_files_by_address_stay_in_the_message():
    image = ImagePart(data=b"\x89PNG....")
    by_url = FilePart(url="https://files.example/report.pdf")
    note = FilePart(data=b"a note", media_type="text/plain", name="note.txt")
    messages = (user("before"), Message("user", ["What is this?", image, by_url, note]))
    rest, files = split_off(messages)
    assert files == (note,)
    assert rest == (messages[0], Message("user", ["What is this?", image, by_url]))
    assert split_off(rest) == (rest, ())
    answered = (*messages, Message("assistant", "A cat."))
    assert split_off(answered) == (answered, ())
