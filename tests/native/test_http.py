"""Native formats over real HTTP, in the ways that servers report (or do not report) a matched stop string."""

from __future__ import annotations

import pytest

from weaver import Weaver
from weaver.testing import Scripted, Server

pytestmark = pytest.mark.anyio

OUTLINES = "Two. <Parallel>\n<Outlines>\n<Outline>1: a</Outline>\n<Outline>2: b</Outline>\n"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.parametrize("dialect", ["llama.cpp", "vllm", "sglang"])
async def test_threadweaver_over_http(dialect) -> None:
    replies = [
        Scripted(
            " one", when=lambda r: (r.prompt or "").endswith("<Thread>\n1:"), stop="</Thread>", first=0.05
        ),
        Scripted(" two", when=lambda r: (r.prompt or "").endswith("<Thread>\n2:"), stop="</Thread>"),
        Scripted("</Parallel>\nDone: 12.", when=lambda r: (r.prompt or "").endswith("</Thread>\n")),
        Scripted(OUTLINES, stop="</Outlines>"),
    ]
    async with Server(replies, model="trained", dialect=dialect) as server:
        weaver = Weaver("openai/trained", base_url=server.url, strategy="threadweaver:show=trajectory")
        result = await weaver.run("q")
        asked = [r for r in server.requests if r.path == "/v1/completions" and "Two" in r.body["prompt"]]
    first = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
    assert result.answer == (
        f"{OUTLINES}</Outlines>\n<Thread>\n1: one</Thread><Thread>\n2: two</Thread>\n</Parallel>\nDone: 12."
    )
    assert [r.body["prompt"] for r in asked] == [
        f"{first}{OUTLINES}</Outlines>\n<Thread>\n1:",
        f"{first}{OUTLINES}</Outlines>\n<Thread>\n2:",
        f"{first}{OUTLINES}</Outlines>\n<Thread>\n1: one</Thread><Thread>\n2: two</Thread>\n",
    ]
    assert asked[0].body["skip_special_tokens"] is False
    assert result.usage.calls == 4


async def test_a_straggler_s_connection_is_closed() -> None:
    replies = [
        Scripted(" one" * 1000, when=lambda r: (r.prompt or "").endswith("<Thread>\n1:"), each=0.05),
        Scripted(" two", when=lambda r: (r.prompt or "").endswith("<Thread>\n2:"), stop="</Thread>"),
        Scripted("</Parallel>\nDone.", when=lambda r: (r.prompt or "").endswith("</Thread>\n")),
        Scripted(OUTLINES, stop="</Outlines>"),
    ]
    async with Server(replies, model="trained") as server:
        weaver = Weaver("openai/trained", base_url=server.url, strategy="threadweaver:patience=0.4")
        result = await weaver.run("q")
        slow = next(r for r in server.requests if str(r.body.get("prompt")).endswith("<Thread>\n1:"))
        await server.until(lambda _: slow.closed != "open")
    assert result.status == "partial"
    assert slow.closed == "disconnected"
    assert 0 < slow.events < 200  # begun, and cut; a busy machine sends little meanwhile
