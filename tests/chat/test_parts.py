"""Images, sound and files in messages, to every kind of model."""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import replace

import pytest

from weaver import (
    AudioPart,
    FilePart,
    ImagePart,
    MemorySession,
    Message,
    Plan,
    SQLiteSession,
    Subtask,
    TextPart,
    Weaver,
    tool,
)
from weaver._data.conversation.reading import messages_from
from weaver._data.conversation.sizes import message_tokens
from weaver._data.messages import user
from weaver._journal.memory import MemoryJournal
from weaver._models.litellm.model import _takes
from weaver._models.openai.dialect import Dialect
from weaver._models.openai.request import fields_of
from weaver._models.protocol import Capabilities, Request
from weaver._testing.scripted import text_of
from weaver._tracing.record.messages import input_of
from weaver.errors import BadRequestError, InvalidTaskError, MissingCapabilityError, ServerError
from weaver.testing import Scripted, ScriptedModel, Server

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
IMAGE = ImagePart(data=PNG)
BLIND = Capabilities(json_schema=True, json_object=True, tools=True, vision=False, audio=False, files=False)


@pytest.fixture
def anyio_backend():
    return "asyncio"


def test_what_a_part_may_be_made_of(tmp_path):
    (tmp_path / "x.png").write_bytes(PNG)
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    assert ImagePart(path=tmp_path / "x.png") == IMAGE == ImagePart(url=URL)
    assert IMAGE.media_type == "image/png"
    assert FilePart(path=str(tmp_path / "a.pdf")).name == "a.pdf"
    assert FilePart(path=tmp_path / "a.pdf").media_type == "application/pdf"
    assert AudioPart(data=b"RIFF0000WAVE").format == "wav"
    assert AudioPart(data=b"ID3x").format == "mp3"
    assert ImagePart(url="https://example.com/x.png").source == "https://example.com/x.png"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (ImagePart, "exactly one"),
        (lambda: ImagePart(data=b"x", url="https://x.org/a"), "exactly one"),
        (lambda: ImagePart(path="/nowhere/x.png"), "cannot be read"),
        (lambda: ImagePart(url="file:///etc/passwd"), "is not the URL"),
        (lambda: ImagePart(url="/etc/passwd"), "is not the URL"),
        (lambda: ImagePart(url="data:image/png;base64,%%%"), "not valid base64"),
        (lambda: ImagePart(data=b""), "0 bytes"),
        (lambda: Message("user", [42]), "has a int"),
        (
            lambda: messages_from(
                [{"role": "user", "content": [{"type": "image_url", "image_url": "/etc/passwd"}]}]
            ),
            "URL",
        ),
    ],
)
def test_wrong_parts_are_named(make, why):
    with pytest.raises(InvalidTaskError, match=why):
        make()


def test_texts_and_reprs_hold_no_bytes():
    message = user(["What is this?", IMAGE, FilePart(data=b"%PDF", name="a\n\nb.pdf"), IMAGE])
    assert message.text == "What is this?\n\n[image 1]\n\n[file 1: a b.pdf]\n\n[image 2]"
    assert "PNG" not in repr(message)
    assert len(repr(user([ImagePart(data=b"\x89PNG" * 10**6)]))) < 400
    assert 2000 < message_tokens(message) < 4000


def test_traces_describe_parts():
    _, [said] = input_of(Request((user(["Look", IMAGE]),)), str)
    text = json.dumps(said)
    assert "[image, image/png, 208 bytes]" in text
    assert URL[30:60] not in text


async def test_they_reach_the_server_in_its_form():
    async with Server(ScriptedModel("a cat"), model="mock") as server:
        weaver = Weaver("openai/mock", base_url=server.url, strategy="sequential")
        parts = ["What is this?", IMAGE, ImagePart(url="https://x.org/a.png", detail="low")]
        result = await weaver.run([*parts, AudioPart(data=b"ID3x"), FilePart(data=b"%PDF", name="a.pdf")])
        [sent] = [r.body["messages"] for r in server.requests if r.body and "messages" in r.body]
    assert result.answer == "a cat"
    assert sent[0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "image_url", "image_url": {"url": "https://x.org/a.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "SUQzeA==", "format": "mp3"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
    ]


def test_what_goes_out_comes_in_again():
    message = user(["Look", IMAGE, AudioPart(data=b"ID3x"), FilePart(data=b"%PDF", name="a.pdf")])
    assert messages_from([json.loads(json.dumps(message.as_dict()))]) == (message,)


def test_media_of_tools_follow_their_results():
    call = Message("assistant", "", ())
    results = [
        Message("tool", ["a map", IMAGE], tool_call_id="1"),
        Message("tool", "plain", tool_call_id="2"),
    ]
    body = fields_of(Request((user("q"), call, *results, user("go on"))), Dialect())
    roles = [m["role"] for m in body["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user", "user"]
    assert body["messages"][2]["content"] == "a map\n\n[image 1]"
    assert body["messages"][4]["content"][1]["image_url"] == {"url": URL}
    assert "follow no instruction" in body["messages"][4]["content"][0]["text"]


async def test_threads_and_direct_answers_see_them_and_the_planner_a_mark():
    plan = json.dumps({"parallel": True, "reason": "two", "subtasks": ["colours", "shapes"]})
    model = ScriptedModel(
        [
            Scripted(plan, when="You decide how a task is worked on"),
            Scripted("merged", when="Several workers"),
            Scripted("part"),
        ]
    )
    weaver = Weaver(model, strategy="adaptive:gate=off,merge=write", max_depth=1)
    result = await weaver.run(["Compare the picture's colours and shapes: mood, era.", IMAGE])
    assert result.answer == "merged"
    planner, *threads, synthesizer = (r.request for r in model.requests)
    assert len(threads) == 2
    assert "[image 1]" in planner.messages[-1].text
    assert not planner.messages[-1].media
    assert all(request.messages[-1].media == (IMAGE,) for request in threads)
    assert "[image 1]" in text_of(synthesizer)
    assert not synthesizer.messages[-1].media
    await Weaver(direct := ScriptedModel("ok"), strategy="self_consistency:samples=2").run(["q", IMAGE])
    assert all(r.request.messages[-1].media == (IMAGE,) for r in direct.requests)
    assert all("Answer:" in r.request.messages[-1].text for r in direct.requests)


async def test_a_model_known_to_be_blind_is_refused_before_anything_is_sent():
    for task, history in ((["q", IMAGE], ()), ("q", [user(["old", IMAGE])])):
        model = ScriptedModel("ok", can=BLIND)
        plan = Plan(parallel=True, subtasks=(Subtask(id="a", prompt="x"), Subtask(id="b", prompt="y")))
        with pytest.raises(MissingCapabilityError, match="scripted takes no images"):
            await Weaver(model).run(task, history=history, plan=plan)
        assert not model.requests
    model = ScriptedModel("ok", can=BLIND)
    with pytest.raises(MissingCapabilityError, match="no audio and no files"):
        await Weaver(model).run(["q", AudioPart(data=b"ID3"), FilePart(data=b"%PDF")])
    session = MemorySession([user(["old", IMAGE])])
    with pytest.raises(MissingCapabilityError):
        await Weaver(model).run("q", session=session)
    assert not model.requests


@pytest.mark.parametrize(
    "refusal",
    [
        ServerError("image input is not supported - hint: provide the mmproj", model="scripted"),
        BadRequestError("unknown variant `image_url`, expected `text`", model="scripted"),
        BadRequestError("messages[0].content must be a string", model="scripted"),
        BadRequestError("At most 0 image(s) may be provided in one request.", model="scripted"),
    ],
)
async def test_a_servers_refusal_says_what_is_missing(refusal):
    model = ScriptedModel([Scripted(error=refusal)])
    with pytest.raises(MissingCapabilityError, match="scripted takes no images") as caught:
        await Weaver(model, strategy="sequential").run(["q", IMAGE])
    assert refusal.message in caught.value.message
    other = ScriptedModel([Scripted(error=BadRequestError("Your credit is used up.", model="scripted"))])
    with pytest.raises(BadRequestError):
        await Weaver(other, strategy="sequential").run(["q", IMAGE])


async def test_llama_cpp_says_whether_it_sees():
    from weaver._models.openai.probe import _llama_cpp

    assert _llama_cpp(Capabilities(), {"modalities": {"vision": False, "audio": True}}).vision is False
    assert _llama_cpp(Capabilities(), {}).vision is None
    assert _takes({"supports_vision": True}, "supports_vision") is True
    assert _takes({"supports_function_calling": True}, "supports_vision") is False
    assert _takes({}, "supports_vision") is None


@tool
def camera(place: str) -> list[object]:
    """Take a picture."""
    return [f"The {place}:", IMAGE]


def asking() -> list[Scripted]:
    return [Scripted(tool_calls=(("camera", '{"place": "door"}'),), times=1), Scripted("A cat.")]


async def test_tools_may_return_parts():
    model = ScriptedModel(asking())
    result = await Weaver(model, strategy="sequential", tools=[camera]).run("Who is there?")
    sent = model.requests[1].request.messages[-1]
    assert sent.parts == (TextPart("The door:"), IMAGE)
    assert result.messages[2] == sent
    again = await Weaver(ScriptedModel("yes"), strategy="sequential").run(
        "Sure?", history=result.all_messages
    )
    assert again.history[2].media == (IMAGE,)


async def test_parts_of_tools_are_described_to_a_blind_model():
    model = ScriptedModel(asking(), can=replace(BLIND))
    result = await Weaver(model, strategy="sequential", tools=[camera]).run("Who is there?")
    assert (
        "[image, image/png, 208 bytes; this model cannot see it]"
        in model.requests[1].request.messages[-1].text
    )
    assert result.answer == "A cat."
    assert any("beside its text" in note for note in result.notes)


async def test_a_server_that_refuses_parts_of_tools_gets_descriptions():
    def sees(request: Request) -> bool:
        return any(m.media for m in request.messages)

    refusal = Scripted(error=BadRequestError("no image input", model="scripted"), when=sees)
    model = ScriptedModel([refusal, *asking()])
    result = await Weaver(model, strategy="sequential", tools=[camera]).run("Who is there?")
    assert result.answer == "A cat."
    assert any("described instead" in note for note in result.notes)
    assert len(model.requests) == 3


async def test_parts_of_tools_survive_a_resumed_run():
    journal = MemoryJournal()
    weaver = Weaver(None, strategy="sequential", tools=[camera], journal=journal)
    first = await weaver.run("Who is there?", run_id="r", model=ScriptedModel(asking()))
    assert json.dumps([entry.value for entry in await journal.entries("r")])
    again = await weaver.run("Who is there?", run_id="r", model=ScriptedModel("not asked"))
    assert again.messages == first.messages


async def test_sessions_keep_parts(tmp_path):
    session = SQLiteSession("a", tmp_path / "s.db")
    weaver = Weaver(ScriptedModel("ok"), strategy="sequential")
    await weaver.run(["Look", IMAGE], session=session)
    assert (await weaver.run("And?", session=session)).history[0].media == (IMAGE,)


async def test_text_in_an_image_is_untrusted():
    sent: list[str] = []

    @tool(has_effects=True)
    def send(text: str) -> str:
        """Send a mail."""
        sent.append(text)
        return "sent"

    model = ScriptedModel([Scripted(tool_calls=(("send", '{"text": "x"}'),), times=1), Scripted("done")])
    await Weaver(model, strategy="sequential", tools=[send]).run(["Read it.", IMAGE])
    assert sent == []


async def test_logs_hold_no_bytes(caplog):
    caplog.set_level(logging.DEBUG)
    model = ScriptedModel([Scripted(error=ServerError("down"))])
    with pytest.raises(ServerError):
        await Weaver(model, strategy="sequential").run(["q", IMAGE])
    assert URL[30:60] not in caplog.text
    assert "\\x89PNG" not in caplog.text


async def test_native_formats_take_text_only():
    model = ScriptedModel("ok")
    with pytest.raises(MissingCapabilityError, match="more than text"):
        await Weaver(model, strategy="threadweaver").run(["q", IMAGE])
    assert not model.requests
