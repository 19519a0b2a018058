"""Every format's exact prompts, as a server receives them, and the trajectories that come of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.native.playing import Completions
from tests.native.trained import NODE, TRAINED, Trained
from weaver import Weaver
from weaver._strategies.native import check, statistics
from weaver.testing import Scripted, Server

pytestmark = pytest.mark.anyio

FORMS = pytest.mark.parametrize("trained", TRAINED, ids=[t.name for t in TRAINED])


@pytest.fixture
def anyio_backend():
    return "asyncio"


def trajectory_of(trained: Trained) -> str:
    """The strategy, so that it answers with the trajectory."""
    return f"{trained.strategy}{',' if ':' in trained.strategy else ':'}show=trajectory"


@FORMS
async def test_the_server_receives_the_prompts_that_the_model_was_trained_with(trained: Trained) -> None:
    async with Server(Completions(plays=trained.plays), model="trained", dialect="vllm") as server:
        weaver = Weaver("openai/trained", base_url=server.url, strategy=trained.strategy)
        result = await weaver.run(trained.question)
        sent = [r.body["prompt"] for r in server.requests]
    assert result.status == "complete", result.notes
    apart = trained.name == "apr"  # its searches see only their own node
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


@FORMS
async def test_its_trajectory_keeps_its_format(trained: Trained) -> None:
    result = await Weaver(Completions(plays=trained.plays), strategy=trajectory_of(trained)).run(
        trained.question
    )
    assert result.answer == trained.trajectory
    assert check(result.answer, trained.name) == []
    found = statistics(result.answer, trained.name)
    assert (found.blocks, found.threads, found.unclosed) == (1, 2, 0)


@FORMS
@pytest.mark.parametrize(
    "ends", [{"finish": "length"}, {"error": OSError("gone"), "error_after": 1}, {"text": ""}], ids=str
)
async def test_a_trajectory_with_an_unfinished_thread_keeps_its_format(trained: Trained, ends: Any) -> None:
    def plays(prompt: str) -> str | Scripted:
        said = trained.plays(prompt)
        if not prompt.endswith(trained.forks[0]):
            return said
        return replace(Scripted(str(said).partition("</")[0]), **ends)

    result = await Weaver(Completions(plays=plays), strategy=trajectory_of(trained)).run(trained.question)
    assert check(result.answer, trained.name) == []
    assert statistics(result.answer, trained.name).unclosed == 0
