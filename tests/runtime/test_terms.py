"""What a thread's failure, timeout or slowness means to the others."""

from __future__ import annotations

import anyio
import pytest

from weaver import Answer, Run, Task, Weaver
from weaver._runtime.threads.thread_options import Hedge, Terms
from weaver.errors import ConfigurationError, NoAnswerError, ServerError
from weaver.events import ThreadHedged
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


async def seconds(run: Run, task: Task) -> Answer:
    """A body that takes as many seconds as its prompt says; ``fail`` fails after one."""
    if task.prompt.startswith("fail"):
        await anyio.sleep(1)
        raise ServerError("It broke.")
    await anyio.sleep(float(task.prompt))
    return Answer(f"{task.prompt}|{task.context}")


def forking(tasks, **terms):
    async def method(run: Run, task: Task) -> Answer:
        async with run.fork(body=seconds, **terms) as threads:
            for name, (prompt, after) in tasks.items():
                threads.start(Task(prompt), id=name, after=after)
            threads.close()
            return Answer(" ".join(t.id for t in await threads.join()))

    return method


async def result_of(tasks, **terms):
    return await Weaver(ScriptedModel(), strategy=forking(tasks, **terms)).run("go")


async def test_keep_skips_dependents_of_a_failure():
    result = await result_of({"a": ("fail", []), "b": ("1", ["a"]), "c": ("3", [])})
    assert [t.state for t in result.threads] == ["failed", "skipped", "succeeded"]


async def test_skip_lets_dependents_go_on_without_the_finding():
    result = await result_of({"a": ("fail", []), "b": ("1", ["a"])}, on_error="skip")
    assert [t.state for t in result.threads] == ["failed", "succeeded"]
    assert result.threads[1].answer == "1|"


async def test_fail_fast_cancels_the_others_and_raises_the_error_itself():
    with pytest.raises(ServerError, match="It broke") as caught:
        await result_of({"a": ("fail", []), "b": ("50", [])}, on_error="fail_fast")
    result = caught.value.result
    assert [(t.state, t.cancel_reason) for t in result.threads] == [("failed", None), ("cancelled", "pruned")]
    assert result.metrics.wall_seconds == pytest.approx(1)


async def test_a_partial_timeout_is_a_finding_for_dependents_and_a_failing_one_is_not():
    model = ScriptedModel(
        [Scripted("used it", when="next"), Scripted("one two three four", when="slow", each=1)]
    )

    async def body(run: Run, task: Task) -> Answer:
        return Answer((await run.think(f"{task.prompt} {task.context}")).text)

    def method(on_timeout: str):
        async def strategy(run: Run, task: Task) -> Answer:
            async with run.fork(body=body, timeout=1.5, on_timeout=on_timeout) as threads:
                threads.start(Task("slow"), id="a")
                threads.start(Task("next"), id="b", after=["a"])
                threads.close()
                async for _ in threads.as_finished():
                    pass
                return Answer(" ".join(t.state for t in threads.all))

        return strategy

    assert (await Weaver(model, strategy=method("partial")).run("go")).answer == "timed_out succeeded"
    assert "one two" in model.requests[1].request.messages[0].content
    assert (await Weaver(model, strategy=method("fail")).run("go")).answer == "timed_out skipped"


async def test_a_fallback_takes_over_after_a_timeout_and_after_an_error():
    async def plain(run: Run, task: Task) -> Answer:
        await anyio.sleep(0.5)
        return Answer("plan B")

    terms = {"timeout": 2, "on_timeout": "fallback", "fallback": plain}
    result = await result_of({"a": ("50", []), "b": ("fail", [])}, **terms)
    assert [(t.state, t.answer, t.attempts) for t in result.threads] == [("succeeded", "plan B", 2)] * 2
    assert result.threads[0].seconds == pytest.approx(2.5)
    assert result.threads[1].seconds == pytest.approx(1.5)


def test_policies_that_do_not_exist_are_refused():
    for wrong in ({"on_error": "explode"}, {"on_timeout": "maybe"}, {"on_timeout": "fallback"}):
        with pytest.raises(ConfigurationError):
            Terms(seconds, **wrong)
    with pytest.raises(ConfigurationError):
        Hedge(quantile=0)


async def test_a_straggler_is_hedged_the_first_success_wins_and_the_loser_is_closed():
    model = ScriptedModel(
        [
            Scripted("quick answer", when="quick", first=1),
            Scripted("w " * 100, when="slow", times=1, each=1),
            Scripted("second try", when="slow", first=1),
        ]
    )

    async def method(run: Run, task: Task) -> Answer:
        hedge = Hedge(quantile=1, factor=2, least=2)
        async with run.fork([Task("quick"), Task("quick"), Task("slow")], hedge=hedge) as threads:
            await threads.join()
            return Answer(threads.all[2].text)

    events = []
    async with Weaver(model, strategy=method).stream("go") as run:
        events.extend([e async for e in run])
    result = run.result
    assert result.answer == "second try"
    slow = result.threads[2]
    assert (slow.state, slow.attempts) == ("succeeded", 2)
    assert slow.seconds == pytest.approx(3)
    assert [e for e in events if isinstance(e, ThreadHedged)] == [ThreadHedged("t3", pytest.approx(2))]
    assert [r.closed for r in model.requests] == ["finished", "finished", "cancelled", "finished"]
    assert model.requests[2].closed_at == pytest.approx(3)
    assert slow.usage.calls == 2
    assert result.usage.calls == 4
    assert result.metrics.critical_path_tokens == 2, "the loser is not on the path"


async def test_a_hedge_may_go_to_another_endpoint_and_its_failure_hurts_nobody():
    other = ScriptedModel([Scripted(error=ServerError("down."))], name="other")
    model = ScriptedModel(
        [Scripted("quick", when="quick", first=1), Scripted("slow but sure", when="slow", first=9)]
    )

    async def method(run: Run, task: Task) -> Answer:
        tasks = [Task("quick"), Task("quick"), Task("slow")]
        async with run.fork(tasks, hedge=Hedge(factor=1, model=other)) as threads:
            return Answer(" ".join(t.id for t in await threads.join()))

    result = await Weaver(model, strategy=method).run("go")
    assert result.answer == "t1 t2 t3"
    assert len(other.requests) == 1
    assert result.threads[2].answer == "slow but sure"


async def test_hedges_are_capped():
    model = ScriptedModel([Scripted("quick", when="quick", first=1), Scripted("slow", first=30)])

    async def method(run: Run, task: Task) -> Answer:
        tasks = [Task("quick"), Task("quick"), *[Task("x")] * 18]
        async with run.fork(tasks, hedge=Hedge(share=0.1)) as threads:
            return Answer(str(len(await threads.join())))

    result = await Weaver(model, strategy=method).run("go")
    assert result.answer == "20"
    assert sum(t.attempts == 2 for t in result.threads) == 2


async def test_pruning_takes_along_what_waits_for_the_pruned():
    async def method(run: Run, task: Task) -> Answer:
        async with run.fork(body=seconds) as threads:
            for name, prompt, after in [("a", "9", []), ("b", "1", ["a"]), ("c", "1", ["b"]), ("d", "1", [])]:
                threads.start(Task(prompt), id=name, after=after)
            threads.close()
            threads.prune(threads.all[0])
            return Answer(" ".join(t.id for t in await threads.join()))

    result = await Weaver(ScriptedModel(), strategy=method).run("go")
    assert result.answer == "d"
    assert [t.cancel_reason for t in result.threads] == ["pruned", "pruned", "pruned", None]


async def test_join_names_what_is_missing():
    with pytest.raises(NoAnswerError, match="ServerError: It broke"):
        await result_of({"a": ("fail", [])})
