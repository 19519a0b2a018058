"""Watching a run: loops with and without a block, leaving early, text, reasoning."""

from __future__ import annotations

import asyncio
import gc
import weakref

import anyio
import pytest

from weaver import Answer, Run, Task, Weaver, events
from weaver.errors import (
    BadRequestError,
    ConfigurationError,
    InvalidTaskError,
    ModelError,
    RunCancelled,
    RunUnfinishedError,
    UnknownNameError,
)
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio
LONG = "one two three four five six seven eight"
UNSURE = "Plan a team offsite in Lisbon and cover travel, food and one activity."


@pytest.fixture
def anyio_backend():
    return virtual_time()


def slow() -> ScriptedModel:
    return ScriptedModel([Scripted(LONG, each=1)])


def watched(model: ScriptedModel, **options: object):
    return Weaver(model, strategy="sequential").stream("q", **options)


async def until_closed(model: ScriptedModel) -> None:
    with anyio.fail_after(1):
        while model.in_flight:
            await anyio.sleep(0.01)


async def test_a_loop_without_a_block_reads_all_events():
    run = watched(ScriptedModel([Scripted("It is 42.")]))
    seen = [event async for event in run]
    assert [type(event) for event in seen[:2]] == [events.RunStarted, events.AnswerStarted]
    assert isinstance(seen[-1], events.RunFinished)
    assert run.result.answer == "It is 42."
    assert run.finished


@pytest.mark.parametrize("held", [True, False])
async def test_a_loop_that_is_left_cancels_the_run(held: bool):
    model = slow()
    run = watched(model)
    async for event in run if held else watched(model):
        if isinstance(event, events.AnswerDelta):
            break
    assert model.in_flight == 1
    await until_closed(model)
    assert model.requests[0].closed == "cancelled"
    if held:
        assert (run.result.status, run.result.answer) == ("partial", "one")
        assert isinstance(run.error, RunCancelled)


async def test_an_error_in_the_loop_cancels_the_run():
    model = slow()

    async def fail() -> None:
        async for event in watched(model):
            if isinstance(event, events.AnswerDelta):
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await until_closed(model)


async def test_a_reader_that_is_cancelled_cancels_the_run():
    model = slow()

    async def read() -> None:
        async for _ in watched(model):
            pass

    reader = asyncio.create_task(read())
    await anyio.sleep(2.5)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await until_closed(model)


@pytest.mark.parametrize("way", ["events", "text", "objects"])
async def test_a_cancelled_reader_does_not_keep_the_run_alive_by_its_traceback(way: str):
    model = slow()
    errors = []

    async def read() -> None:
        run = {"events": lambda r: r, "text": lambda r: r.text(), "objects": lambda r: r.objects()}[way]
        try:
            async for _ in run(watched(model)):
                pass
        except asyncio.CancelledError as error:
            errors.append(error)  # as servers keep it for a while

    reader = asyncio.create_task(read())
    await anyio.sleep(2.5)
    reader.cancel()
    await reader
    await until_closed(model)
    assert errors


async def test_an_async_generator_that_nobody_reads_on_cancels_the_run():
    model = slow()

    async def endpoint():
        async with watched(model) as run:
            async for event in run:
                yield event.as_dict()

    pieces = endpoint()
    await anext(pieces)
    await anext(pieces)
    del pieces  # as a web server does whose client has left
    await anyio.sleep(0.01)
    await until_closed(model)


async def test_leaving_and_cancelling_give_the_same_result():
    results = []
    for way in ("cancel", "block", "loop", "aclose"):
        run = watched(slow())
        if way == "block":
            async with run:
                async for event in run:
                    if isinstance(event, events.AnswerDelta):
                        break
        else:
            iterator = aiter(run)
            while not isinstance(await anext(iterator), events.AnswerDelta):
                pass
            if way == "cancel":
                run.cancel()
                assert isinstance([e async for e in iterator][-1], events.RunFinished)
            elif way == "aclose":
                await run.aclose()
            del iterator
        result = await run.wait()
        assert isinstance(run.error, RunCancelled)
        results.append((result.status, result.answer, result.error, result.usage, result.notes))
    assert results == [results[0]] * 4


async def test_a_run_that_is_cancelled_while_it_is_prepared_has_a_result():
    class Slow(ScriptedModel):
        async def capabilities(self):
            await anyio.sleep(60)
            return await super().capabilities()

    async def method(run: Run, task: Task, *, samples: int = 2) -> Answer:
        raise AssertionError

    run = Weaver(Slow(), strategy="hogwild").stream("q")
    reading = asyncio.create_task(run.wait())
    await anyio.sleep(1)
    run.cancel()
    result = await reading
    assert (result.status, result.answer) == ("failed", "")
    assert isinstance(run.error, RunCancelled)


async def test_a_run_that_cannot_begin_raises():
    with pytest.raises(InvalidTaskError):
        async with Weaver(slow()).stream(" "):
            raise AssertionError
    run = Weaver(slow()).stream(" ")
    with pytest.raises(InvalidTaskError):
        await run.wait()
    with pytest.raises(InvalidTaskError):
        _ = run.result


async def test_a_result_that_is_not_there_yet():
    model = slow()
    run = watched(model)
    with pytest.raises(RunUnfinishedError, match="has not ended"):
        _ = run.result
    with pytest.raises(RunUnfinishedError, match="has not begun"):
        run.approve("x")
    await run.aclose()
    assert [event async for event in run] == []
    assert model.requests == []


async def test_two_readers_at_the_same_time_are_an_error():
    async with watched(slow()) as run:
        one = asyncio.create_task(run.wait())
        await anyio.sleep(0.5)
        with pytest.raises(ConfigurationError, match="Two tasks"):
            await anext(aiter(run))
        await one
    assert run.result.answer == LONG


async def test_a_block_may_be_read_in_several_loops():
    async with watched(slow()) as run:
        async for event in run:
            if isinstance(event, events.AnswerDelta):
                break
        rest = [event.text async for event in run if isinstance(event, events.AnswerDelta)]
    assert "".join(rest) == "two three four five six seven eight"
    assert run.result.status == "complete"


async def test_nothing_is_left_behind():
    model = slow()
    run = watched(model)
    alive = weakref.ref(run)
    iterator = aiter(run)
    await anext(iterator)
    del run, iterator
    assert alive() is None
    await until_closed(model)
    await anyio.sleep(0.1)
    gc.collect()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "weaver-run"]


async def test_the_text_of_the_answer():
    assert [piece async for piece in watched(ScriptedModel([Scripted("It is 42.")])).text()] == [
        "It ",
        "is ",
        "42.",
    ]
    whole = [text async for text in watched(ScriptedModel([Scripted("It is 42.")])).text(whole=True)]
    assert whole == ["It ", "It is ", "It is 42."]


async def test_leaving_the_text_cancels_the_run():
    model = slow()
    async for _ in watched(model).text():
        break
    await anyio.sleep(0.01)
    await until_closed(model)


async def test_the_text_of_a_failed_run_raises():
    model = ScriptedModel([Scripted(error=BadRequestError("No.", model="m"))])
    with pytest.raises(ModelError, match=r"No\."):
        _ = [piece async for piece in watched(model).text()]


async def test_the_text_of_a_cancelled_run_just_ends():
    run = watched(ScriptedModel([Scripted("x", first=60)]))
    async with run:
        run.cancel()
        assert [piece async for piece in run.text()] == []
    assert run.result.status == "failed"


async def test_text_before_a_tool_call_is_not_repeated():
    def look(word: str) -> str:
        """Look a word up."""
        return "found"

    def model() -> ScriptedModel:
        return ScriptedModel(
            [
                Scripted("Let me look.", tool_calls=(("look", '{"word": "x"}'),), times=1),
                Scripted("It is 42."),
            ]
        )

    run = watched(model(), tools=[look])
    assert "".join([piece async for piece in run.text()]) == "Let me look.\n\nIt is 42."
    assert run.result.answer == "It is 42."
    whole = [text async for text in watched(model(), tools=[look]).text(whole=True)]
    assert whole[-1] == "It is 42."
    speculated = Weaver(model()).stream(UNSURE, tools=[look], deadline=60)
    assert "".join([piece async for piece in speculated.text()]).endswith("It is 42.")


async def test_an_answer_that_goes_on_after_a_correction_is_not_repeated():
    async def method(run: Run, task: Task) -> Answer:
        run.emit(events.AnswerStarted("parts"))
        run.emit(events.AnswerDelta("first"))
        run.emit(events.AnswerDelta(" part"))
        return Answer("first part, second part")

    run = Weaver(ScriptedModel(), strategy=method).stream("q")
    assert [piece async for piece in run.text()] == ["first", " part", ", second part"]


@pytest.mark.parametrize("strategy", ["sequential", "adaptive"])
async def test_reasoning_of_a_direct_answer_is_told(strategy: str):
    model = ScriptedModel(
        [
            Scripted('{"parallel": false, "reason": "one", "subtasks": []}', when="subtasks", first=3),
            Scripted("It is 42.", reasoning="six times seven", each=0.1),
        ]
    )
    question = UNSURE if strategy == "adaptive" else "q"
    run = Weaver(model, strategy=strategy).stream(question)
    told = [e.text async for e in run if isinstance(e, events.AnswerReasoning)]
    assert "".join(told) == "six times seven"
    assert run.result.answer == "It is 42."


PLAN = (
    '{"parallel": true, "reason": "", "subtasks": [{"id": "a", "title": "A", "prompt": "quick"}, '
    '{"id": "b", "title": "B", "prompt": "slow"}]}'
)


async def test_one_thread_is_stopped_and_the_run_goes_on():
    model = ScriptedModel([
        Scripted(PLAN, when="subtasks"),
        Scripted("alpha", when=lambda r: r.messages[-1].text == "quick"),
        Scripted(LONG, when=lambda r: r.messages[-1].text == "slow", each=100),
        Scripted("merged"),
    ])  # fmt: skip
    run = Weaver(model, strategy="adaptive:gate=off,hedge=off").stream(UNSURE)
    with pytest.raises(RunUnfinishedError):
        run.cancel_thread("b")
    async with run:
        async for event in run:
            if isinstance(event, events.ThreadDelta) and event.thread == "b":
                run.cancel_thread("b")
                with pytest.raises(UnknownNameError, match="nobody"):
                    run.cancel_thread("nobody")
    by_id = {thread.id: thread for thread in run.result.threads}
    assert (by_id["b"].state, by_id["b"].cancel_reason) == ("cancelled", "user")
    assert by_id["a"].state == "succeeded"
    assert run.result.answer == "merged"
    assert run.result.metrics.wall_seconds < 50
