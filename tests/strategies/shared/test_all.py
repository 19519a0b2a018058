"""What holds for every strategy over a chat model, whatever it does."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from functools import partial
from zlib import crc32

import pytest

from tests.strategies.sensible import FAST, HARD, OURS, model, sense
from weaver import Message, Task, Weaver
from weaver._journal.memory import MemoryJournal
from weaver._journal.port import Entry
from weaver._models.protocol import Capabilities, Request
from weaver._strategies.common import registry
from weaver._testing.scripted import text_of
from weaver.errors import (
    BudgetExceededError,
    ConfigurationError,
    DeadlineExceededError,
    MissingCapabilityError,
    NoAnswerError,
    ServerError,
    WeaverError,
)
from weaver.events import AnswerDelta, AnswerStarted
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio


def test_all_of_the_literature_are_there():
    assert set(OURS) >= {
        "sequential", "self_consistency", "best_of_n", "deepconf", "parallel_probe", "tree_of_thoughts",
        "graph_of_thoughts", "skeleton_of_thought", "llm_compiler", "mixture_of_agents", "debate",
        "parathinker", "group_think", "hogwild", "adaptive", "fixed",
    }  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_it_says_what_it_is(name):
    found = registry.load(name)
    text = inspect.getdoc(found.function) or ""
    assert found.source, "names its source"
    assert found.summary.endswith(".")
    said = text.partition("Args:")[2]
    undocumented = [option for option in found.options if not re.search(rf"\b{option}\b", said)]
    assert undocumented in ([], ["temperature"]), "explains its options"
    assert all(default is not inspect.Parameter.empty for _, default in found.options.values())


@pytest.mark.parametrize("name", OURS)
async def test_it_answers_and_leaves_nothing_open(name):
    scripted = model(each=0.1)
    spoken: list[str] = []
    async with Weaver(scripted, strategy=FAST.get(name, name), seed=1).stream(HARD) as run:
        async for event in run:
            if isinstance(event, AnswerStarted):
                spoken.clear()
            elif isinstance(event, AnswerDelta):
                spoken.append(event.text)
    result = run.result
    assert result.status in ("complete", "partial"), result.error
    assert result.answer
    assert "".join(spoken).strip() == result.answer.strip()
    assert scripted.in_flight == 0
    assert {r.closed for r in scripted.requests} <= {"finished", "cancelled"}
    assert result.usage.calls == len(scripted.requests)
    assert result.strategy == name
    assert result.decision is not None
    assert 0 < result.metrics.critical_path_tokens <= result.metrics.total_output_tokens


@pytest.mark.parametrize("name", OURS)
async def test_the_conversation_and_what_is_known_are_part_of_the_task(name):
    scripted = model()
    talk = (Message("user", "I am Zoe."), Message("assistant", "Hello!"), Message("user", HARD))
    await Weaver(scripted, strategy=FAST.get(name, name)).run(Task(messages=talk, context="Fact: 77."))
    sent = [text_of(r.request) for r in scripted.requests]
    assert "I am Zoe." in sent[0]
    assert "Fact: 77." in sent[0]


@pytest.mark.parametrize("name", OURS)
async def test_no_request_is_sent_twice(name):
    """The same prompt again is another sample, so it has another seed."""

    def various(request: Request) -> str:
        said = sense(request)
        return said.replace("42", str(crc32(repr(request).encode())))

    scripted = ScriptedModel([Scripted(various, logprobs=(-1.0,) * 20)])
    await Weaver(scripted, strategy=FAST.get(name, name), seed=7).run(HARD)
    sent = [repr(r.request) for r in scripted.requests]
    assert len(sent) == len(set(sent))


@pytest.mark.parametrize("name", OURS)
async def test_it_ends_by_its_deadline(name):
    slow = model(each=0.4)
    try:
        result = await Weaver(slow, strategy=FAST.get(name, name), deadline=4).run(HARD)
    except (DeadlineExceededError, NoAnswerError) as error:
        result = error.result
    assert result.metrics.wall_seconds <= 4.25
    assert slow.in_flight == 0


@pytest.mark.parametrize("limit", ["max_calls", "max_threads", "max_total_tokens"])
@pytest.mark.parametrize("name", OURS)
async def test_limits_bind_and_end_in_an_answer_or_a_typed_error(name, limit):
    most = 600 if limit == "max_total_tokens" else 3
    scripted = model()
    try:
        result = await Weaver(scripted, strategy=FAST.get(name, name), **{limit: most}).run(HARD)
    except (BudgetExceededError, NoAnswerError) as error:
        result = error.result
    used = {
        "max_calls": len(scripted.requests),
        "max_threads": len(result.threads),
        "max_total_tokens": result.usage.total_tokens,
    }[limit]
    assert used <= most


@pytest.mark.parametrize("name", OURS)
async def test_it_works_on_a_plain_chat_endpoint_or_says_what_is_missing(name):
    plain = ScriptedModel([Scripted(sense)], can=Capabilities())
    try:
        result = await Weaver(plain, strategy=FAST.get(name, name)).run(HARD)
    except MissingCapabilityError as error:
        assert registry.load(name).needs
        assert all(need in error.message for need in registry.load(name).needs)  # noqa: PT017
    else:
        assert result.answer
        assert not any(r.request.prefill or r.request.logprobs for r in plain.requests)


@pytest.mark.parametrize("name", OURS)
async def test_the_same_seed_gives_the_same_run(name):
    async def sent() -> list[str]:
        scripted = model(each=0.1)
        weaver = Weaver(scripted, strategy=FAST.get(name, name), seed=7, new_id=lambda: "run")
        await weaver.run(HARD)
        return [repr(r.request) for r in scripted.requests]

    assert await sent() == await sent()


@pytest.mark.parametrize("name", OURS)
async def test_a_dead_endpoint_is_an_error_and_not_a_hang(name):
    from weaver.errors import ModelConnectionError

    dead = ScriptedModel([Scripted(error=ModelConnectionError("refused", model="m"))])
    with pytest.raises(WeaverError, match="refused") as caught:
        await Weaver(dead, strategy=FAST.get(name, name)).run(HARD)
    assert caught.value.result.status == "failed"


@pytest.mark.parametrize("name", OURS)
async def test_what_is_finished_is_not_paid_for_again(name):
    journal = MemoryJournal()
    weaver = Weaver(None, strategy=FAST.get(name, name), seed=7, journal=journal)
    first, second = model(each=0.1), model(each=0.1)
    answer = (await weaver.run(HARD, run_id="r", model=first)).answer
    result = await weaver.run(HARD, run_id="r", model=second)
    assert result.answer == answer
    cut = [r.request for r in first.requests if r.closed == "cancelled"]
    assert all(r.request in cut for r in second.requests)


@pytest.mark.parametrize("name", OURS)
async def test_a_run_that_died_in_the_middle_goes_on(name):
    """Killed after half of its calls, then resumed by a model that samples otherwise."""

    class Dying(MemoryJournal):
        left = 7

        async def append(self, run_id: str, epoch: int, entries: Sequence[Entry]) -> None:
            if self.left:
                self.left -= 1
                await super().append(run_id, epoch, entries)

    journal = Dying()
    weaver = Weaver(None, strategy=FAST.get(name, name), seed=7, journal=journal)
    await weaver.run(HARD, run_id="r", model=model(each=0.1))
    journal.left = 10**6
    other = ScriptedModel(
        [Scripted(lambda r: sense(r).replace("First", "Another"), logprobs=(-1.0,) * 20, each=0.1)]
    )
    result = await weaver.run(HARD, run_id="r", model=other)
    assert result.status in ("complete", "partial")
    assert result.error is None


SAMPLING = {
    "deep_prune": "deep_prune:samples=4",
    "explore_then_write": "explore_then_write:samples=4",
    "tool_mix": "tool_mix:agents=4,rounds=1",
    "self_consistency": "self_consistency:samples=4",
    "best_of_n": "best_of_n:samples=4",
    "deepconf": "deepconf:warmup=4,samples=4",
    "parallel_probe": "parallel_probe:samples=4,interval=1000",
    "mixture_of_agents": "mixture_of_agents:layers=2,agents=4",
    "debate": "debate:agents=4,rounds=1",
    "parathinker": "parathinker:samples=4,termination=last",
    "group_think": "group_think:agents=4",
    "hogwild": "hogwild:agents=4,tokens=4",
}


def numbered(request: Request) -> str:
    """Every sample says something else, so that no agreement makes the others needless."""
    if request.output is not None:
        return sense(request)
    return f"Answer: {crc32(repr(request).encode())}"


@pytest.mark.parametrize("loss", ["threads", "failure"])
@pytest.mark.parametrize("name", SAMPLING)
async def test_an_answer_of_fewer_samples_than_asked_for_says_so(name, loss):
    failing = [Scripted(error=ServerError("broken"), times=1)] if loss == "failure" else []
    scripted = ScriptedModel([*failing, Scripted(numbered, logprobs=(-1.0,) * 20)])
    limits = {"max_threads": 2} if loss == "threads" else {}
    result = await Weaver(scripted, strategy=SAMPLING[name], seed=1, **limits).run("q")
    assert result.status == "partial"
    why = {"threads": "Only 2 of 4 threads may be started", "failure": "Only 3 of 4 .* answered.*broken"}
    assert any(re.search(why[loss], note) for note in result.notes), result.notes


@pytest.mark.parametrize("name", SAMPLING)
async def test_an_answer_of_all_samples_is_complete(name):
    scripted = ScriptedModel([Scripted(numbered, logprobs=(-1.0,) * 20)])
    result = await Weaver(scripted, strategy=SAMPLING[name], seed=1).run("q")
    assert result.status == "complete", result.notes


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (
            "debate:same=bogus",
            "Option same of strategy 'debate': There is no equivalence named 'bogus'. Known:",
        ),
        ("deepconf:same=number(x)", "Option same of strategy 'deepconf': 'x' is not a tolerance"),
        ("parallel_probe:same=bogus", "There is no equivalence named 'bogus'"),
        ("hogwild:agents=12", "Option agents of strategy 'hogwild' is '12': .*less than or equal to 8"),
        ("self_consistency:samples=3,first_m=9", "do not go together: first_m is 9, of 3 samples"),
        ("adaptive:conflicts=bogus", "Option conflicts of strategy 'adaptive': .*'bogus'"),
        ("adaptive:max_subtasks=0", "Option max_subtasks .*greater than or equal to 1"),
    ],
)
def test_wrong_options_are_refused_when_the_strategy_is_named(wrong, why):
    with pytest.raises(ConfigurationError, match=why):
        registry.find(wrong)
    name, _, options = wrong.partition(":")
    given = dict(part.split("=") for part in options.split(","))
    with pytest.raises(ConfigurationError, match=why):
        registry.find(partial(registry.load(name).function, **given))


@pytest.mark.parametrize("name", OURS)
def test_defaults_can_be_typed_as_they_are_shown(name):
    found = registry.load(name)
    shown = {option: default for option, (_, default) in found.options.items()}
    typed = ",".join(f"{option}={default}" for option, default in shown.items())
    assert registry.find(f"{name}:{typed}")[1] == shown
