"""A session carries a conversation from run to run."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest

from weaver import Hook, MemorySession, Message, RefusedError, Session, SQLiteSession, Weaver
from weaver._cli.app import weaver as command
from weaver._data.messages import ToolCall, assistant, user
from weaver._journal.memory import MemoryJournal
from weaver.errors import ConfigurationError, ServerError, SessionError, WeaverError
from weaver.events import AnswerDelta
from weaver.testing import Scripted, ScriptedModel, Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=["memory", "sqlite"])
def session(request, tmp_path):
    return MemorySession() if request.param == "memory" else SQLiteSession("zoe", tmp_path / "s.db")


def echo(request):
    return f"answer to {request.messages[-1].text}"


async def test_a_conversation_goes_on(session):
    model = ScriptedModel([Scripted(echo)])
    weaver = Weaver(model, strategy="sequential")
    await weaver.run("one", session=session)
    result = await weaver.run("two", session=session)
    assert [m.text for m in model.requests[1].request.messages] == ["one", "answer to one", "two"]
    assert tuple(await session.read()) == result.all_messages
    assert [m.text for m in result.messages] == ["two", "answer to two"]
    await session.clear()
    assert tuple(await session.read()) == ()


async def test_ids_find_sessions_that_last_as_long_as_the_weaver_or_in_a_file(tmp_path):
    model = ScriptedModel([Scripted(echo)])
    weaver = Weaver(model, strategy="sequential")
    await weaver.run("one", session="a")
    await weaver.run("other", session="b")
    assert [m.text for m in (await weaver.run("two", session="a")).history] == ["one", "answer to one"]
    for sessions in (
        tmp_path / "x" / "chat.db",
        str(tmp_path / "y.db"),
        partial(SQLiteSession, path=tmp_path / "z"),
    ):
        await Weaver(model, strategy="sequential", sessions=sessions).run("one", session="a")
        again = await Weaver(model, strategy="sequential", sessions=sessions).run("two", session="a")
        assert len(again.history) == 2


async def test_everything_about_a_message_is_kept(session):
    call = ToolCall("c", "f", '{"x": 1}', {"signature": "s"})
    turn = [
        user("q\ud800"),
        Message("assistant", "", (call,), provider_data={"reasoning_content": "hm"}),
        Message("tool", "result", tool_call_id="c", untrusted=False),
        Message("assistant", "a", untrusted=True),
    ]
    await session.append(turn)
    assert list(await session.read()) == turn


async def test_two_runs_at_once_take_turns(session):
    model = ScriptedModel([Scripted(echo, first=0.05)])
    weaver = Weaver(model, strategy="sequential")
    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(partial(weaver.run, f"q{number}", session=session))
    messages = list(await session.read())
    assert [m.role for m in messages] == ["user", "assistant"] * 4
    assert all(a.text == f"answer to {q.text}" for q, a in zip(messages[::2], messages[1::2], strict=True))
    assert sorted(len(r.request.messages) for r in model.requests) == [1, 3, 5, 7]
    assert model.max_in_flight == 1


async def test_a_run_that_fails_leaves_the_session_as_it_was(session):
    weaver = Weaver(ScriptedModel([Scripted(error=ServerError("down"))]), strategy="sequential")
    await session.append([user("one"), assistant("1")])
    with pytest.raises(ServerError):
        await weaver.run("two", session=session)
    assert len(await session.read()) == 2
    good = Weaver(ScriptedModel("ok"), strategy="sequential")
    assert len((await good.run("two", session=session)).all_messages) == 4


async def test_a_run_that_is_cancelled_or_left_leaves_the_session_as_it_was(session):
    weaver = Weaver(ScriptedModel([Scripted("word " * 50, each=0.02)]), strategy="sequential")
    with anyio.move_on_after(0.2):
        await weaver.run("one", session=session)
    async with weaver.stream("two", session=session) as run:
        async for event in run:
            if isinstance(event, AnswerDelta):
                break
    assert run.result.status in ("partial", "failed")
    assert list(await session.read()) == []
    good = Weaver(ScriptedModel("ok"), strategy="sequential")
    with anyio.fail_after(5):
        await good.run("three", session=session)
    assert len(await session.read()) == 2


async def test_a_partial_answer_by_the_deadline_is_kept(session):
    weaver = Weaver(ScriptedModel([Scripted("word " * 50, each=0.05)]), strategy="sequential", deadline=0.25)
    result = await weaver.run("one", session=session)
    assert result.status == "partial"
    assert [m.role for m in await session.read()] == ["user", "assistant"]


async def test_what_a_guardrail_changed_or_refused_is_not_kept(session):
    class Guard(Hook):
        def check_input(self, task, context):
            return task.question.replace("secret", "***")

        def check_output(self, answer, context):
            if "bad" in answer.text:
                raise RefusedError("no")

    weaver = Weaver(ScriptedModel([Scripted(echo)]), strategy="sequential", hooks=[Guard()])
    await weaver.run("my secret", session=session)
    with pytest.raises(RefusedError):
        await weaver.run("bad", session=session)
    assert [m.text for m in await session.read()] == ["my ***", "answer to my ***"]


async def test_waiting_for_a_session_is_within_the_deadline(session):
    weaver = Weaver(ScriptedModel("ok"), strategy="sequential", deadline=0.15)
    async with session.exclusive():
        started = anyio.current_time()
        with pytest.raises(WeaverError, match="deadline"):
            await weaver.run("one", session=session)
        assert anyio.current_time() - started < 0.6
    assert (await weaver.run("one", session=session)).answer == "ok"


class Broken:
    def __init__(self, *, reads: bool) -> None:
        self.reads = reads

    async def read(self):
        if self.reads:
            return [{"role": "user", "content": "dicts are taken"}, {"role": "assistant", "content": "yes"}]
        raise OSError("gone")

    async def append(self, messages):
        raise OSError("disk full")

    @asynccontextmanager
    async def exclusive(self):
        yield


async def test_a_session_of_ones_own_that_fails_is_an_error_or_a_note():
    model = ScriptedModel("ok")
    assert isinstance(Broken(reads=True), Session)
    with pytest.raises(SessionError, match="OSError: gone"):
        await Weaver(model, strategy="sequential").run("q", session=Broken(reads=False))
    assert not model.requests
    result = await Weaver(model, strategy="sequential").run("q", session=Broken(reads=True))
    assert result.status == "complete"
    assert len(result.history) == 2
    assert any("not added to the session" in note and "disk full" in note for note in result.notes)


@pytest.mark.parametrize(("wrong", "why"), [("", "empty id"), (5, "session= is a int")])
async def test_wrong_sessions_are_named(wrong, why):
    with pytest.raises(ConfigurationError, match=why):
        await Weaver(ScriptedModel("ok")).run("q", session=wrong)


async def test_a_file_that_is_none_of_sessions_is_named(tmp_path):
    path = tmp_path / "x.db"
    path.write_text("this is no database, " * 100)
    with pytest.raises(SessionError, match="cannot be used"):
        await Weaver(ScriptedModel("ok")).run("q", session=SQLiteSession("a", path))
    good = tmp_path / "y.db"
    await SQLiteSession("a", good).append([user("q")])
    with sqlite3.connect(good) as db:
        db.execute("UPDATE messages SET body = 'no json'")
    with pytest.raises(SessionError, match="'a'"):
        await SQLiteSession("a", good).read()


async def test_the_file_is_for_its_owner_only(tmp_path):
    session = SQLiteSession("a", tmp_path / "s.db")
    await session.append([user("q")])
    assert (tmp_path / "s.db").stat().st_mode & 0o077 == 0


async def test_a_resumed_run_adds_its_turn_once(session):
    journal = MemoryJournal()
    weaver = Weaver(ScriptedModel([Scripted(echo)]), strategy="sequential", journal=journal)
    await weaver.run("zero", session=session)
    first = await weaver.run("one", session=session, run_id="r")
    again = await weaver.run("one", session=session, run_id="r")
    assert again.all_messages == first.all_messages
    assert [m.text for m in await session.read()] == ["zero", "answer to zero", "one", "answer to one"]


def test_processes_take_turns(tmp_path):
    code = """
import asyncio, sys
from weaver import Weaver, SQLiteSession
from weaver.testing import Scripted, ScriptedModel
model = ScriptedModel([Scripted(lambda r: "re " + r.messages[-1].text, first=0.1)])
weaver = Weaver(model, strategy="sequential")
for i in range(3):
    asyncio.run(weaver.run(f"{sys.argv[2]}{i}", session=SQLiteSession("s", sys.argv[1])))
"""
    path = tmp_path / "s.db"
    several = [subprocess.Popen([sys.executable, "-c", code, str(path), who]) for who in "ab"]
    assert [p.wait(60) for p in several] == [0, 0]
    messages = list(anyio.run(SQLiteSession("s", path).read))
    assert len(messages) == 12
    assert all(a.text == f"re {q.text}" for q, a in zip(messages[::2], messages[1::2], strict=True))


async def test_the_command_line_keeps_a_session(tmp_path, monkeypatch):
    monkeypatch.setenv("WEAVER_HOME", str(tmp_path))
    async with Server(ScriptedModel([Scripted(echo)]), model="mock") as server:

        def ask(*words: str) -> int:
            flags = ["--model", "openai/mock", "--base-url", server.url, "--strategy", "sequential", "-q"]
            return command(["run", *flags, *words], standalone_mode=False)

        for question in ("one", "two"):
            await anyio.to_thread.run_sync(ask, "--session", "zoe", question)
        sent = [r.body["messages"] for r in server.requests if "messages" in (r.body or {})]
    assert [m["content"] for m in sent[1]] == ["one", "answer to one", "two"]
    assert (tmp_path / "sessions.sqlite").exists()
