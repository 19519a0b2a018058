"""How an answer ended is told apart: the model's own end, a limit, a filter, a shortage, a loss, an error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models.conftest import Heard, hear
from weaver import Weaver
from weaver._data.messages import user
from weaver._models.protocol import Refusal, Request
from weaver.errors import ModelRefusedError, StreamInterruptedError, WeaverError

from .conftest import ABORT, DONE, HANG, Answer, Raw, chunk, event, usage

pytestmark = pytest.mark.anyio
HELLO = Request((user("Name a river."),))


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("eos_token", "stop"),
        ("stop_sequence", "stop"),
        ("end_turn", "stop"),
        ("COMPLETE", "stop"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("token_limit", "length"),
        ("model_context_window_exceeded", "length"),
        ("content_filter", "content_filter"),
        ("SAFETY", "content_filter"),
        ("sensitive", "content_filter"),
        ("guardrail_intervened", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("refusal", "refusal"),
        ("insufficient_system_resource", "interrupted"),
        ("network_error", "interrupted"),
        ("cancelled", "interrupted"),
        ("time_limit", "interrupted"),
        ("OTHER", "interrupted"),
        ("tool_use", "tool_calls"),
    ],
)
async def test_the_words_for_an_end(raw: Raw, word: str, reason: str) -> None:
    _, model = await raw(chunk({"content": "The Rhine"}), chunk({}, word), DONE)
    heard = await hear(model, HELLO)
    assert heard.text == "The Rhine"
    assert heard.finish.reason == reason


async def ended(model: Any, task: str = "Name a river.", **options: Any) -> Any:
    async with Weaver(model, **{"strategy": "sequential", **options}) as weaver:
        try:
            return await weaver.run(task)
        except WeaverError as error:
            return error.result


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("content_filter", "content filter (finish reason 'content_filter')"),
        ("BLOCKLIST", "content filter (finish reason 'BLOCKLIST')"),
        ("insufficient_system_resource", "interrupted by its provider"),
        ("strange_word", "interrupted by its provider (finish reason 'strange_word')"),
    ],
)
async def test_what_ended_abnormally_is_partial_and_says_why(raw: Raw, word: str, said: str) -> None:
    _, model = await raw(chunk({"content": "The Rhi"}), chunk({}, word), usage(7, 3), DONE)
    result = await ended(model)
    assert result.status == "partial"
    assert result.answer == "The Rhi"
    assert said in " ".join(result.notes)


async def test_a_shortage_is_asked_again_once(raw: Raw) -> None:
    server, model = await raw(
        Answer([chunk({"content": "The"}), chunk({}, "insufficient_system_resource"), DONE]),
        Answer([chunk({"content": "The Rhine."}), chunk({}, "stop"), DONE]),
    )
    result = await ended(model)
    assert (result.status, result.answer, len(server.bodies)) == ("complete", "The Rhine.", 2)


@pytest.mark.parametrize(
    "parts",
    [
        [
            chunk({"refusal": ""}),
            chunk({"refusal": "I will not "}),
            chunk({"refusal": "say."}),
        ],
        [chunk({"content": [{"type": "refusal", "refusal": "I will not say."}]})],
        [event({"choices": [{"message": {"content": None, "refusal": "I will not say."}}]})],
    ],
)
async def test_a_refusal_is_shown_in_the_models_words(raw: Raw, parts: list[bytes]) -> None:
    server, model = await raw(*parts, chunk({}, "stop"), usage(7, 5), DONE)
    heard = await hear(model, HELLO)
    assert "".join(d.text for d in heard.deltas if isinstance(d, Refusal)) == "I will not say."
    result = await ended(model)
    assert result.status == "failed"
    assert result.error.type == "ModelRefusedError"
    assert "I will not say." in result.error.message
    assert "max_tokens" not in result.error.message
    assert (result.usage.input_tokens, result.usage.output_tokens) == (7, 5)
    assert len(server.bodies) == 2  # one for each, no second try


async def test_a_filter_before_any_text(raw: Raw) -> None:
    _, model = await raw(chunk({"role": "assistant", "content": ""}), chunk({}, "content_filter"), DONE)
    result = await ended(model)
    assert result.error.type == ModelRefusedError.__name__
    assert "content filter" in result.error.message
    assert "max_tokens" not in result.error.message


EVERY = [chunk({"content": word}, "stop") for word in ("The ", "Rhine ", "flows.")]


async def test_a_finish_reason_in_every_chunk_is_not_the_end(
    raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("weaver._models.openai.stream._GRACE", 0.05)
    _, model = await raw(EVERY[0], EVERY[1], 0.3, EVERY[2], usage(4, 3), DONE)
    heard = await hear(model, HELLO)
    assert heard.text == "The Rhine flows."
    assert heard.usage is not None
    assert heard.usage.output_tokens == 3


@pytest.mark.parametrize("parts", [EVERY[:1], EVERY[:2], [*EVERY[:1], chunk({"content": "Rhi"})]])
async def test_a_lost_connection_is_one_whatever_was_said_to_be_the_end(raw: Raw, parts: list[bytes]) -> None:
    _, model = await raw(*parts, ABORT)
    heard = Heard()
    with pytest.raises(StreamInterruptedError, match="closed the connection"):
        await hear(model, HELLO, heard)
    assert heard.text.startswith("The ")


async def test_a_lost_connection_after_the_real_end_is_none(raw: Raw) -> None:
    _, model = await raw(chunk({"content": "The Rhine."}), chunk({}, "stop"), ABORT)
    assert (await hear(model, HELLO)).text == "The Rhine."


async def test_silence_after_a_repeated_finish_reason(raw: Raw) -> None:
    _, model = await raw(*EVERY[:2], HANG, idle_timeout=0.2)
    with pytest.raises(StreamInterruptedError, match="went silent"):
        await hear(model, HELLO)


async def test_no_finish_reason_at_all(raw: Raw) -> None:
    _, model = await raw(chunk({"content": "The Rhine."}), DONE)
    result = await ended(model)
    assert (result.status, result.answer) == ("complete", "The Rhine.")


@pytest.mark.parametrize(
    "line",
    [
        b'error: {"code": 500, "message": "out of slots"}\n\n',
        b'event: error\ndata: {"message": "out of slots"}\n\n',
        b'{"error": {"message": "out of slots"}}\n\n',
        b'{\n  "error": {\n    "message": "out of slots"\n  }\n}\n\n',
        b'data: {"detail": "out of slots", "status": 500}\n\n',
        b"data: error: out of slots\n\n",
    ],
)
async def test_an_error_line_and_then_the_end_mark(raw: Raw, line: bytes) -> None:
    _, model = await raw(chunk({"content": "The "}), line, DONE)
    heard = Heard()
    with pytest.raises(StreamInterruptedError, match="out of slots"):
        await hear(model, HELLO, heard)
    assert heard.text == "The "


STRATEGIES = """adaptive self_consistency best_of_n skeleton_of_thought:router=False parathinker debate
tree_of_thoughts mixture_of_agents group_think hogwild parallel_probe llm_compiler graph_of_thoughts"""


@pytest.mark.parametrize("name", STRATEGIES.split())
async def test_no_strategy_takes_a_filtered_answer_for_a_complete_one(raw: Raw, name: str) -> None:
    text = chunk({"content": "1. The Rhine\n2. The Elbe"})
    _, model = await raw(text, chunk({}, "content_filter"), DONE)
    assert (await ended(model, "Name two rivers.", strategy=name, max_calls=40)).status != "complete"


@pytest.mark.parametrize("strategy", ["sequential", "adaptive"])
@pytest.mark.parametrize(
    ("broken", "said"),
    [(ABORT, "closed the connection"), (event({"error": {"message": "fan failed"}}), "fan failed")],
)
async def test_what_a_broken_answer_had_said_is_kept(raw: Raw, strategy: str, broken: Any, said: str) -> None:
    _, model = await raw(chunk({"content": "The Rhi"}), broken, DONE)
    result = await ended(model, strategy=strategy)
    assert (result.status, result.answer, result.error.type) == (
        "partial",
        "The Rhi",
        "StreamInterruptedError",
    )
    assert said in result.error.message
    assert said in " ".join(result.notes)
