"""Fork and join: who runs when, who is cancelled why, and what a parent gets to see."""

from __future__ import annotations

import anyio
import pytest

from weaver import Answer, Run, Task, Weaver, WeaverError
from weaver.errors import NoAnswerError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def model_of(**seconds: float) -> ScriptedModel:
    """A model that answers each named prompt with its name after that many seconds."""
    return ScriptedModel([Scripted(f"{name} done", when=name, first=s) for name, s in seconds.items()])


async def test_threads_come_in_the_order_they_finish():
    model = model_of(slow=3, quick=1, middle=2)

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("slow"), Task("quick"), Task("middle")]) as threads:
            return Answer(" ".join([t.task.prompt async for t in threads.as_finished()]))

    result = await Weaver(model, strategy=method).run("go")
    assert result.answer == "quick middle slow"
    assert result.metrics.wall_seconds == pytest.approx(3)
    assert [t.started_at for t in result.threads] == [0, 0, 0]


async def test_leaving_a_fork_cancels_what_runs_and_closes_its_stream():
    model = ScriptedModel(
        [Scripted("a b c d e f", when="slow", each=1), Scripted("done", when="quick", first=2.5)]
    )

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("slow"), Task("quick")]) as threads:
            async for thread in threads.as_finished():
                return Answer(thread.text)
        raise AssertionError

    result = await Weaver(model, strategy=method).run("go")
    slow = result.threads[0]
    assert (slow.state, slow.cancel_reason, slow.answer) == ("cancelled", "not_needed", "a b c")
    assert slow.usage.output_tokens == 3
    assert slow.usage.estimated
    assert model.requests[0].closed == "cancelled"
    assert model.requests[0].closed_at == pytest.approx(2.5)
    assert model.in_flight == 0


async def test_a_thread_starts_when_its_own_dependencies_are_done_and_gets_their_findings():
    model = model_of(first=1, other=5, needs=1)

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork() as threads:
            threads.start(Task("needs"), id="n", after=["f"])  # may be named before it is started
            threads.start(Task("first"), id="f")
            threads.start(Task("other"), id="o")
            threads.close()
            return Answer(" ".join(t.id for t in await threads.join()))

    result = await Weaver(model, strategy=method).run("go")
    needs = next(t for t in result.threads if t.id == "n")
    assert needs.started_at == pytest.approx(1), "it must not wait for `other`"
    asked = next(r.request for r in model.requests if "needs" in r.request.messages[-1].content)
    assert "first done" in asked.messages[-1].content
    assert "other" not in asked.messages[-1].content


async def test_what_depends_on_a_failed_thread_is_skipped_and_siblings_go_on():
    model = ScriptedModel(
        [Scripted(when="bad", error=WeaverError("broken.")), Scripted("fine", when="good", first=1)]
    )

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork() as threads:
            threads.start(Task("bad"), id="bad")
            threads.start(Task("good after"), id="after", after=["bad"])
            threads.start(Task("good"), id="good")
            threads.close()
            winners = await threads.join()
            return Answer(" ".join(w.id for w in winners))

    result = await Weaver(model, strategy=method).run("go")
    assert result.answer == "good"
    states = {t.id: t.state for t in result.threads}
    assert states == {"bad": "failed", "after": "skipped", "good": "succeeded"}
    assert "broken" in (result.threads[0].error or "")
    assert len(model.requests) == 2


async def test_a_dependency_that_is_never_started_is_said_not_waited_for():
    async def method(run: Run, task: Task) -> Answer:
        async with run.fork() as threads:
            threads.start(Task("x"), id="x", after=["ghost"])
            threads.close()
            with pytest.raises(NoAnswerError, match="ghost"):
                await threads.join()
        return Answer("survived")

    result = await Weaver(ScriptedModel("y"), strategy=method).run("go")
    assert result.answer == "survived"
    assert result.threads[0].state == "skipped"


async def test_a_timeout_keeps_what_was_said_and_is_neither_failure_nor_cancellation():
    model = ScriptedModel([Scripted("one two three four five six seven", each=1)])

    async def body(run: Run, task: Task) -> Answer:
        return Answer((await run.think(task.prompt)).text)

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("x")], timeout=2.5, body=body) as threads:
            async for thread in threads.as_finished():
                return Answer(f"{thread.state}: {thread.text}")
        raise AssertionError

    result = await Weaver(model, strategy=method).run("go")
    assert result.answer == "timed_out: one two three"
    assert result.threads[0].cancel_reason is None
    assert result.threads[0].error is None


async def test_a_thread_near_its_time_limit_is_told_to_conclude():
    model = ScriptedModel(
        [
            Scripted("so the answer is 42", when="out of room", each=0.1),
            Scripted("a b c d e f g h i j", each=1),
        ]
    )

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("think long")], timeout=10) as threads:
            return (await threads.join())[0].answer

    result = await Weaver(model, strategy=method).run("go")
    assert result.answer == "so the answer is 42"
    assert model.requests[0].closed_at == pytest.approx(8)
    assert any("asked to conclude" in note for note in result.notes)


async def test_an_error_in_the_block_ends_the_fork_and_is_not_wrapped():
    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("x")]):
            await anyio.sleep(1)
            raise NoAnswerError("Gave up.")

    with pytest.raises(NoAnswerError, match="Gave up") as caught:
        await Weaver(ScriptedModel([Scripted("y", first=9)]), strategy=method).run("go")
    assert caught.value.result.threads[0].state == "cancelled"
    assert caught.value.result.threads[0].cancel_reason == "parent"


async def test_a_body_that_raises_anything_is_a_failed_thread_with_its_name_in_the_message():
    async def body(run: Run, task: Task) -> Answer:
        raise ZeroDivisionError("oops")

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("x")], body=body) as threads:
            with pytest.raises(NoAnswerError, match="ZeroDivisionError: oops"):
                await threads.join()
        return Answer("survived")

    result = await Weaver(ScriptedModel(), strategy=method).run("go")
    assert result.threads[0].state == "failed"


async def test_nested_threads_have_structural_paths_and_a_depth_cap():
    async def body(run: Run, task: Task) -> Answer:
        if run.remaining.depth == 0:
            return Answer(run.path)
        async with run.fork([task], body=body) as threads:
            return (await threads.join())[0].answer

    result = await Weaver(ScriptedModel(), strategy=body, max_depth=3).run("go")
    assert result.answer == "t1/t1/t1"
    assert [(t.id, t.parent, t.depth) for t in result.threads] == [
        ("t1", None, 1),
        ("t1/t1", "t1", 2),
        ("t1/t1/t1", "t1/t1", 3),
    ]


async def test_cancelling_a_parent_cancels_its_children_with_the_reason_parent():
    model = ScriptedModel([Scripted("never", first=100)])

    async def parent(run: Run, task: Task) -> Answer:
        async with run.fork([Task("child")]) as threads:
            return (await threads.join())[0].answer

    async def method(run: Run, task: Task) -> Answer:
        async with run.fork([Task("p")], body=parent) as threads:
            await anyio.sleep(1)
            threads.all[0].cancel("lost_race")
            async for thread in threads.as_finished():
                return Answer(thread.state)
        raise AssertionError

    result = await Weaver(model, strategy=method).run("go")
    assert result.answer == "cancelled"
    assert [(t.id, t.cancel_reason) for t in result.threads] == [("t1", "lost_race"), ("t1/t1", "parent")]
    assert result.metrics.cancelled_threads == 2


async def test_a_second_fork_of_the_same_thread_has_fresh_ids():
    async def method(run: Run, task: Task) -> Answer:
        for _ in range(2):
            async with run.fork() as threads:
                threads.start(Task("x"), id="a")
                threads.start(Task("x"))
                threads.close()
                await threads.join()
        return Answer("ok")

    result = await Weaver(ScriptedModel(), strategy=method).run("go")
    assert [t.id for t in result.threads] == ["a", "t1", "a~2", "t2"]


async def test_child_gives_its_answer_or_says_why_not():
    model = ScriptedModel([Scripted("yes", when="good"), Scripted(when="bad", error=WeaverError("no way."))])

    async def method(run: Run, task: Task) -> Answer:
        with pytest.raises(NoAnswerError, match="failed"):
            await run.child(Task("bad"))
        return await run.child(Task("good"))

    assert (await Weaver(model, strategy=method).run("go")).answer == "yes"
