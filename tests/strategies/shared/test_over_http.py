"""Over real HTTP: strategies that stop early close their streams, and the server generates less."""

from __future__ import annotations

import pytest

from weaver import Weaver
from weaver.testing import Scripted, Server

pytestmark = pytest.mark.anyio

LONG = "and so on " * 200


@pytest.fixture
def anyio_backend():
    return "asyncio"  # real sockets do not know virtual time


async def answered(server: Server, strategy: str):
    async with Weaver("openai/scripted", base_url=server.url, strategy=strategy) as weaver:
        result = await weaver.run("q")
        await server.until(lambda s: s.in_flight == 0)
    return result


async def test_short_m_at_k():
    replies = [Scripted("Answer: 4", times=2), Scripted(LONG, each=0.005)]
    async with Server(replies) as server:
        result = await answered(server, "self_consistency:samples=4,first_m=2")
        assert result.answer == "Answer: 4"
        assert [r.closed for r in server.script.requests] == ["finished"] * 2 + ["cancelled"] * 2
        assert all(r.words < 100 for r in server.script.requests)


async def test_deepconf():
    def trace(confidence: float, text: str = "so it is. Answer: 1", **how) -> Scripted:
        return Scripted(text, logprobs=(-confidence,) * 700, **how)

    replies = [trace(5, times=1), trace(4, "so it is. Answer: 2", times=1), trace(1, LONG, each=0.005)]
    async with Server(replies, dialect="vllm") as server:
        result = await answered(server, "deepconf:warmup=2,samples=4,eta=100,window=4,tau=1")
        assert result.answer.endswith("Answer: 1")
        stopped = server.script.requests[2:]
        assert [r.closed for r in stopped] == ["cancelled"] * 2
        assert all(4 <= r.words < 100 for r in stopped)


async def test_parallel_probe():
    replies = [
        Scripted(" 7", when=lambda r: r.messages[-1].content.endswith("Final answer:")),
        Scripted(LONG, each=0.005),
    ]
    async with Server(replies) as server:
        strategy = "parallel_probe:samples=2,interval=5,first_probe=1,stable=2"
        result = await answered(server, strategy)
        assert result.answer == "7"
        branches = [r for r in server.script.requests if not r.request.prefill]
        assert [r.closed for r in branches] == ["cancelled"] * 2
        assert all(r.words < 100 for r in branches)
