"""Checks for dispatchers, ours and users'.

Subclass `DispatcherChecks` in a test module and give it a fixture; pytest with anyio's plugin runs the rest::

    class TestMine(DispatcherChecks):
        @pytest.fixture
        def reopen(self, url):
            return lambda lease_seconds: MyDispatcher(url, lease_seconds)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import anyio

from weaver._dispatch.port import Claim, Dispatcher, Job, Watch

Reopen = Callable[[float], Dispatcher]
"""Opens the same queue once more, as another process would, with a lease of so many seconds."""
LONG, SHORT = 60.0, 0.8
_PATIENCE = 20.0
"""Seconds that something which must happen may take."""


class DispatcherChecks:
    """The promises of `weaver._dispatch.port.Dispatcher`. ``reopen`` is a fixture, see `Reopen`."""

    async def test_each_job_is_claimed_once(self, reopen: Reopen) -> None:
        """Two workers that take jobs at the same time share them, and nothing is lost."""
        dispatchers = [reopen(LONG), reopen(LONG)]
        jobs = [Job(f"r{i}", {"question": str(i)}) for i in range(40)]
        await dispatchers[0].submit(jobs)

        async def take(dispatcher: Dispatcher, worker: str) -> list[Claim]:
            await dispatcher.heartbeat(worker, ())
            mine: list[Claim] = []
            while claims := await dispatcher.claim(worker, 3):
                mine += claims
            return mine

        shares = await asyncio.gather(*(take(d, f"w{i}") for i, d in enumerate(dispatchers)))
        claims = [claim for share in shares for claim in share]
        assert sorted(c.job.run_id for c in claims) == sorted(job.run_id for job in jobs)
        assert all(c.number == 1 and c.job.about == {"question": c.job.run_id[1:]} for c in claims)
        await _close(dispatchers)

    async def test_a_job_is_submitted_once(self, reopen: Reopen) -> None:
        """A job that is submitted again, because an answer was lost, stays as it is."""
        dispatcher = reopen(LONG)
        await dispatcher.submit([Job("r", {"question": "first"})])
        await dispatcher.submit([Job("r", {"question": "second"}), Job("s")])
        claims = await dispatcher.claim("w", 10)
        assert [(c.job.run_id, dict(c.job.about)) for c in claims] == [
            ("r", {"question": "first"}),
            ("s", {}),
        ]
        await dispatcher.finish("w", claims[0])
        await dispatcher.submit([Job("r")])
        assert not await dispatcher.claim("w", 10)
        await dispatcher.aclose()

    async def test_order(self, reopen: Reopen) -> None:
        """Priority comes first, then equal shares of the submitters, then age."""
        dispatcher = reopen(LONG)
        await dispatcher.submit([Job(f"many{i}", submitter="many") for i in range(6)])
        await dispatcher.submit([Job(f"few{i}", submitter="few") for i in range(2)])
        await dispatcher.submit([Job("urgent", submitter="many", priority=5), Job("later", priority=-1)])
        order = [(await dispatcher.claim("w", 1))[0].job.run_id for _ in range(10)]
        assert order == [
            *("urgent", "few0", "many0", "few1", "many1", "many2", "many3", "many4", "many5", "later"),
        ]
        await dispatcher.aclose()

    async def test_queues(self, reopen: Reopen) -> None:
        """A worker gets jobs of the queues that it serves."""
        dispatcher = reopen(LONG)
        await dispatcher.submit([Job("a", queue="gpu"), Job("b"), Job("c", queue="third")])
        assert [c.job.run_id for c in await dispatcher.claim("w", 5, queues=("gpu", "third"))] == ["a", "c"]
        assert [c.job.run_id for c in await dispatcher.claim("w", 5)] == ["b"]
        await dispatcher.aclose()

    async def test_a_job_that_is_given_back_comes_first(self, reopen: Reopen) -> None:
        """Released jobs and those of a worker that leaves keep their place; finished ones are gone."""
        dispatcher = reopen(LONG)
        await dispatcher.submit([Job(f"r{i}") for i in range(4)])
        first, second, third = await dispatcher.claim("w", 3)
        await dispatcher.release("w", first)
        await dispatcher.finish("w", second)
        await dispatcher.leave("w")
        claims = await dispatcher.claim("v", 10)
        assert [c.job.run_id for c in claims] == ["r0", "r2", "r3"]
        assert [c.number for c in claims] == [2, third.number + 1, 1]
        await dispatcher.aclose()

    async def test_a_dead_worker_is_replaced(self, reopen: Reopen) -> None:
        """Whoever is silent for a lease loses its jobs, learns of it, and changes nothing any more."""
        dead, alive = reopen(SHORT), reopen(SHORT)
        await dead.submit([Job("r")])
        await alive.heartbeat("alive", ())
        (old,) = await dead.claim("dead", 1)
        assert await dead.heartbeat("dead", [old]) == []
        new = await _eventually_claimed(alive, "alive")
        assert (new.job.run_id, new.number) == ("r", 2)
        assert await dead.heartbeat("dead", [old]) == [old]
        await dead.finish("dead", old)
        await dead.release("dead", old)
        assert await alive.heartbeat("alive", [new]) == []
        assert not await dead.claim("dead", 1)
        await _close([dead, alive])

    async def test_a_claim_that_nobody_knows_of_is_given_out_again(self, reopen: Reopen) -> None:
        """The answer to a claim was lost: its worker lives, and does not know that it has the job."""
        dispatcher = reopen(SHORT)
        await dispatcher.submit([Job("r")])
        await dispatcher.claim("w", 1)
        claim = await _eventually_claimed(dispatcher, "w")
        assert (claim.job.run_id, claim.number) == ("r", 2)
        await dispatcher.aclose()

    async def test_cancelling(self, reopen: Reopen) -> None:
        """A cancelled run is not begun; one that is worked on is stopped, and those that it waits for."""
        worker, user = reopen(LONG), reopen(LONG)
        await user.submit([Job("waiting"), Job("parent"), Job("child", parent="parent"), Job("other")])
        assert await user.cancel("waiting") is True
        claims = await worker.claim("w", 10)
        assert [c.job.run_id for c in claims] == ["parent", "child", "other"]
        cancelled: list[str] = []
        listens, news = asyncio.Event(), asyncio.Event()

        def on_cancel(run_id: str) -> None:
            cancelled.append(run_id)
            news.set()

        unwatch = worker.watch(Watch(listens.set, on_cancel))
        await _announced(user, listens)
        await worker.heartbeat("w", claims)
        assert await user.cancel("parent") is True
        assert [c.job.run_id for c in await worker.heartbeat("w", claims)] == ["parent", "child"]
        with anyio.fail_after(_PATIENCE):
            while len(cancelled) < 2:
                await news.wait()
                news.clear()
        assert sorted(cancelled) == ["child", "parent"]
        assert await user.cancel("parent") is False
        assert await user.cancel("nothing") is False
        unwatch()
        await _close([worker, user])

    async def test_waiting_for_the_end_of_a_run(self, reopen: Reopen) -> None:
        """Waiting ends with the run, also when it had ended before, is cancelled or does not exist."""
        worker, user = reopen(LONG), reopen(LONG)
        await user.submit([Job("r"), Job("s")])
        first, _ = await worker.claim("w", 2)
        waiting = [asyncio.ensure_future(user.wait(name)) for name in ("r", "s")]
        await asyncio.sleep(0)
        await worker.finish("w", first)
        await user.cancel("s")
        with anyio.fail_after(_PATIENCE):
            await asyncio.gather(*waiting)
            await user.wait("r")
            await user.wait("nothing")
        await _close([worker, user])

    async def test_delay(self, reopen: Reopen) -> None:
        """A job begins no earlier than it should."""
        dispatcher = reopen(LONG)
        await dispatcher.submit([Job("r", delay=0.5), Job("s", delay=3_600), Job("t", at=32_503_680_000.0)])
        assert not await dispatcher.claim("w", 10)
        assert (await _eventually_claimed(dispatcher, "w")).job.run_id == "r"
        assert not await dispatcher.claim("w", 10)
        await dispatcher.aclose()

    async def test_a_new_job_is_announced(self, reopen: Reopen) -> None:
        """A waiting worker is notified of a job without polling."""
        worker, user = reopen(LONG), reopen(LONG)
        news = asyncio.Event()
        unwatch = worker.watch(Watch(news.set, lambda _: None))
        await _announced(user, news)
        unwatch()
        await _close([worker, user])


async def _eventually_claimed(dispatcher: Dispatcher, worker: str) -> Claim:
    with anyio.fail_after(_PATIENCE):
        while True:
            await dispatcher.heartbeat(worker, ())
            if claims := await dispatcher.claim(worker, 1):
                return claims[0]
            await anyio.sleep(0.05)


async def _announced(user: Dispatcher, news: asyncio.Event) -> None:
    """Submit jobs until the worker is notified of one: it may only have begun to listen."""
    with anyio.fail_after(_PATIENCE):
        number = 0
        while not news.is_set():
            await user.submit([Job(f"announced{number}")])
            number += 1
            with anyio.move_on_after(0.5):
                await news.wait()


async def _close(dispatchers: Sequence[Dispatcher]) -> None:
    for dispatcher in dispatchers:
        await dispatcher.aclose()
