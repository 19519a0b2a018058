"""Multiverse, NPR, Parallel-R1, APR and PASTA, each as its own trained model would write."""

from __future__ import annotations

import pytest

from tests.native.playing import Completions, Dialect
from tests.native.trained import CALL, NODE, NODES, ONE, PATH, TWO
from weaver import Task, Weaver
from weaver._strategies.native import check, statistics
from weaver._strategies.native.apr import apr
from weaver._strategies.native.multiverse import SWITCH, SYSTEM, multiverse
from weaver._strategies.native.npr import npr
from weaver._strategies.native.parallel_r1 import parallel_r1
from weaver._strategies.native.pasta import pasta
from weaver.errors import (
    InvalidTaskError,
)
from weaver.testing import Scripted

pytestmark = pytest.mark.anyio
DIALECTS: list[Dialect] = ["named", "unnamed", "included", "ignored"]


def multiverse_trained(prompt: str) -> str:
    """A Multiverse model whose first path forks again."""
    if prompt.endswith("<Path>\n1:"):
        return " <Parallel><Goal><Outline>1.1: r</Outline><Outline>1.2: s</Outline></Goal>"
    if prompt.endswith("</Goal>\n<Path>\n2:"):
        return " second</Path>"
    if prompt.endswith(("1.1:", "1.2:")):
        return f" leaf {prompt[-2]}</Path>"
    if prompt.endswith("<Conclusion>\n"):
        inner = "1.2: leaf 2" in prompt[-60:]
        return (
            ("inner</Conclusion></Parallel> first</Path>")
            if inner
            else "outer</Conclusion></Parallel></Think> 7"
        )
    return "<Think><Parallel><Goal><Outline>1: p</Outline><Outline>2: q</Outline></Goal>"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_multiverse_paths_fork_again(dialect: Dialect) -> None:
    model = Completions(plays=multiverse_trained, dialect=dialect)

    async def strategy(run, task):
        return await multiverse(run, task, show="trajectory")

    result = await Weaver(model, strategy=strategy).run("q")
    assert check(result.answer, "multiverse") == []
    assert [(t.id, t.parent, t.depth) for t in result.threads] == [
        ("thread1", None, 1),
        ("thread2", None, 1),
        ("thread1/thread1", "thread1", 2),
        ("thread1/thread2", "thread1", 2),
    ]
    assert statistics(result.answer, "multiverse").depth == 2
    assert "<Path>\n1.1: leaf 1</Path>\n<Path>\n1.2: leaf 2</Path>\n<Conclusion>\ninner" in result.answer
    assert result.answer.endswith("</Think> 7")
    assert SYSTEM in model.prompts[0]
    assert f"q{SWITCH}<|im_end|>" in model.prompts[0]


async def test_multiverse_does_not_nest_deeper_than_its_limit() -> None:
    def plays(prompt: str) -> str:
        return "deeper <Parallel><Goal><Outline>1: again</Outline></Goal>"

    result = await Weaver(Completions(plays=plays), strategy=multiverse, max_depth=9).run("q")
    assert max(t.depth for t in result.threads) == 5


async def test_npr_takes_away_and_does_not_fork_with_too_many_plans_or_too_little_room() -> None:
    def plays(prompt: str) -> str:
        if prompt.endswith(("<step>\n1:", "<step>\n2:")):
            return f" step {prompt[-2]}</step>"
        if prompt.endswith("<takeaway>\n"):
            return "both</takeaway>\nIt is \\boxed{3}"
        if prompt.endswith("</guideline>"):
            return "alone"
        return "<guideline>\n<plan>1: a</plan>\n<plan>2: b</plan>\n</guideline>"

    model = Completions(plays=plays)
    result = await Weaver(model, strategy=npr).run("q")
    assert result.answer.endswith("It is \\boxed{3}")
    assert "\n<step>\n1: step 1</step>\n<step>\n2: step 2</step>\n<takeaway>\n" in model.prompts[-1]
    few = await Weaver(Completions(plays=plays), strategy=npr).run(Task("q", max_tokens=1000))
    assert few.threads == ()
    assert any("needs 1024" in note for note in few.notes)
    six = "<guideline>" + "".join(f"<plan>{i}: p</plan>" for i in range(1, 7)) + "</guideline>"
    many = Completions(plays=lambda p: six if p.endswith("assistant\n") else "alone")
    assert (await Weaver(many, strategy=npr).run("q")).threads == ()


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_parallel_r1_continues_the_same_text_with_two_seeds(dialect: Dialect) -> None:
    def plays(prompt: str) -> str:
        if prompt.endswith("<Path>"):
            return "a way</Path>"
        if prompt.endswith("<Summary>"):
            return "they agree</Summary>"
        if "</Summary>" in prompt:
            return "" if prompt.endswith(" so 3") else " so 3"
        return "<Parallel>" if prompt.endswith("Hm. ") else "Hm. <Parallel>"

    model = Completions(plays=plays, dialect=dialect)
    result = await Weaver(model, strategy=parallel_r1, seed=1).run("q")
    want = "Hm. <Parallel><Path>a way</Path><Path>a way</Path></Parallel>\n<Summary>they agree</Summary> so 3"
    assert result.answer == want
    assert check(result.answer, "parallel_r1") == []
    paths = [r.request for r in model.requests if (r.request.prompt or "").endswith("<Path>")]
    assert len({p.seed for p in paths}) == 2
    assert {p.prompt for p in paths} == {paths[0].prompt}
    asked_again = [
        r for r in model.requests if r.request.max_tokens is not None and r.request.max_tokens < 20
    ]
    assert len(asked_again) == (2 if dialect == "unnamed" else 0)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_apr_children_see_only_their_node_and_the_call_is_replaced(dialect: Dialect) -> None:
    def plays(prompt: str) -> str:
        if prompt.startswith("Moving to Node #0,0"):
            return "\n26,27 unequal: No Solution"
        if prompt.startswith("Moving to Node #0,1"):
            return "\ntried\n27,27 equal: Goal Reached\n" + PATH
        if "<Sub Searches>" in prompt:
            return "27,27 equal: Goal Reached\n" + PATH
        return NODES + CALL

    model = Completions(plays=plays, dialect=dialect)
    result = await Weaver(model, strategy=apr).run("27:[22, 26, 31, 53]")
    sent = [
        p for r, p in zip(model.requests, model.prompts, strict=True) if (r.request.max_tokens or 0) > 100
    ]
    assert sent == [
        NODE,
        "Moving to Node #0,0\nCurrent State: 27:[26, 31, 31], Operations: ['53-22=31']",
        "Moving to Node #0,1\nCurrent State: 27:[22, 5, 53], Operations: ['31-26=5']",
        NODE + NODES + "<Sub Searches>\n<No Solution in Sub Search 0 at level 1 at Node #0,0>\n"
        "<Goal Reached in Sub Search 1 at level 1 at Node #0,1>\n" + PATH + "<End Sub Searches>\n",
    ]
    assert result.answer == PATH.strip()


async def test_apr_rewrites_results_that_the_model_makes_up() -> None:
    def plays(prompt: str) -> str:
        if prompt.endswith("<Calling Sub Searches>"):
            return "\nno more"
        return NODES + "<Sub Searches>\n<Goal Reached in Sub Search 0"

    model = Completions(plays=plays)

    async def strategy(run, task):
        return await apr(run, task, show="trajectory")

    result = await Weaver(model, strategy=strategy).run("27:[22, 26, 31, 53]")
    assert "<Sub Searches>" not in result.answer
    assert "<Calling Sub Searches>\nno more" in result.answer


async def test_apr_refuses_what_is_not_countdown() -> None:
    with pytest.raises(InvalidTaskError, match="Countdown"):
        await Weaver(Completions(plays=str), strategy=apr).run("What is the capital of France?")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_pasta_keeps_promises_while_the_main_thread_writes_on(dialect: Dialect) -> None:
    def plays(prompt: str) -> str | Scripted:
        if prompt.endswith("<async>"):
            return Scripted(f"about {'two' if TWO in prompt else 'one'}</async>", first=3)
        if "<sync/>" in prompt:
            return "" if prompt.endswith("the end") else " the end"
        whole = f"Intro {ONE} and {TWO} " + "w " * 8 + "<sync/>"
        return Scripted(whole.removeprefix(prompt.partition("model\n")[2]), each=0.5)

    model = Completions(plays=plays, dialect=dialect)

    async def strategy(run, task):
        return await pasta(run, task, show="trajectory")

    result = await Weaver(model, strategy=strategy).run("q")
    assert result.answer == (
        f"Intro {ONE}<async>about one</async> and {TWO}<async>about two</async> "
        + "w " * 8
        + "<sync/> the end"
    )
    assert check(result.answer, "pasta") == []
    main, first, second = model.prompts[:3]
    assert first == main + f"Intro {ONE}<async>"
    assert second == main + f"Intro {ONE} and {TWO}<async>"
    started = [r.at for r in model.requests]
    assert started[1] < started[2] < started[3]
    # The threads (3 s) ran beside the rest of the main thread's 7 s.
    assert result.metrics.wall_seconds == pytest.approx(model.requests[0].closed_at or 0, abs=0.6)
    assert result.metrics.critical_path_tokens < result.metrics.total_output_tokens
    assert [t.title for t in result.threads] == ["one", "two"]


async def test_pasta_answers_without_tags() -> None:
    def plays(prompt: str) -> str:
        if prompt.endswith("<async>"):
            return "the point</async>"
        return "" if prompt.endswith(".") else f"First {ONE}."

    model = Completions(plays=plays)
    result = await Weaver(model, strategy=pasta).run("q")
    assert result.answer == "First the point."
