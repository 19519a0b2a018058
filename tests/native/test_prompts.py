"""Every format's exact prompts, as a server receives them, and the trajectories that come of them."""

from __future__ import annotations

import pytest

from tests.native.playing import Completions
from tests.native.trained import NODE, TRAINED, Trained
from weaver import Weaver
from weaver.testing import Server

pytestmark = pytest.mark.anyio

FORMS = pytest.mark.parametrize("trained", TRAINED, ids=[t.strategy.partition(":")[0] for t in TRAINED])


@pytest.fixture
def anyio_backend():
    return "asyncio"


@FORMS
async def test_the_server_receives_the_prompts_that_the_model_was_trained_with(trained: Trained) -> None:
    async with Server(Completions(plays=trained.plays), model="trained", dialect="vllm") as server:
        weaver = Weaver("openai/trained", base_url=server.url, strategy=trained.strategy)
        result = await weaver.run(trained.question)
        sent = [r.body["prompt"] for r in server.requests]
    assert result.status == "complete", result.notes
    apart = trained.strategy.startswith("apr")  # its searches see only their own node
    first, *threads = sent[:3]
    assert first == trained.begins
    assert sorted(threads) == sorted(("" if apart else trained.begins) + fork for fork in trained.forks)
    assert sent[3] == trained.begins + trained.joined


async def test_apr_leaves_the_budget_out_where_none_is_given() -> None:
    async with Server(Completions(plays=lambda _: "no"), model="trained", dialect="vllm") as server:
        await Weaver("openai/trained", base_url=server.url, strategy="apr:show=trajectory").run(
            "27:[22, 26, 31, 53]"
        )
        assert server.requests[0].body["prompt"] == NODE
