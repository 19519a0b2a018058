"""The cache of replies."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from weaver import Weaver, tool
from weaver._data.messages import user
from weaver._data.usage import Usage
from weaver._environment.paths import home
from weaver._models.layers.call_log import CallLog, current_call
from weaver._models.protocol import Delta, Request, Text, UsageReport
from weaver._models.reply import Reply
from weaver._models.reply_cache.layer import Cached
from weaver._models.reply_cache.store import ReplyStore
from weaver._tracing.export import local
from weaver._tracing.record import semconv as sc
from weaver._tracing.store.sqlite import Store
from weaver.errors import ServerError, StreamInterruptedError
from weaver.testing import Scripted, ScriptedModel, Server

pytestmark = pytest.mark.anyio
ASK = Request(messages=(user("Well?"),), temperature=0.5)


async def deltas(model: Any, request: Request = ASK, run: str = "") -> tuple[list[Delta], bool]:
    """What the model streams, and whether it came from the store."""
    log = CallLog(run=run)
    token = current_call.set(log)
    try:
        async with model.stream(request) as stream:
            return [delta async for delta in stream], log.is_cached
    finally:
        current_call.reset(token)


def text(found: tuple[list[Delta], bool]) -> tuple[str, bool]:
    return "".join(d.text for d in found[0] if isinstance(d, Text)), found[1]


def cached(model: ScriptedModel, **options: Any) -> Cached:
    return Cached(model, ReplyStore(), **options)


async def test_the_same_request_is_asked_once_also_by_another_process() -> None:
    model = ScriptedModel([Scripted("one answer", times=1), Scripted("another")])
    assert text(await deltas(cached(model))) == ("one answer", False)
    found = await deltas(cached(model))
    assert text(found) == ("one answer", True)
    assert found[0][-1] == UsageReport(Usage())
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (user("Well!"),)},
        {"temperature": 0.6},
        {"max_tokens": 5},
        {"seed": 1},
        {"stop": ("x",)},
        {"reasoning_effort": "low"},
        {"extra": {"top_k": 1}},
        {"json_object": True},
    ],
)
async def test_another_request_is_another_call(change: dict[str, Any]) -> None:
    model = cached(ScriptedModel("fine"))
    await deltas(model)
    assert not (await deltas(model, replace(ASK, **change)))[1]


async def test_headers_and_the_providers_cache_key_do_not_count() -> None:
    model = cached(ScriptedModel("fine"))
    await deltas(model)
    assert (await deltas(model, replace(ASK, headers={"a": "b"}, extra={"prompt_cache_key": "run-1"})))[1]


async def test_another_setting_or_model_is_another_call() -> None:
    await deltas(cached(ScriptedModel("fine"), settings={"effort": "low"}))
    assert not (await deltas(cached(ScriptedModel("fine"), settings={"effort": "high"})))[1]
    assert not (await deltas(cached(ScriptedModel("fine", name="other"), settings={"effort": "low"})))[1]


async def test_equal_requests_of_a_run_stay_different_and_a_second_run_gets_them_all() -> None:
    model = cached(ScriptedModel(["a", "b", "c"]))
    first = [text(await deltas(model, run="r1")) for _ in range(3)]
    second = [text(await deltas(model, run="r2")) for _ in range(3)]
    assert first == [("a", False), ("b", False), ("c", False)]
    assert second == [("a", True), ("b", True), ("c", True)]


async def test_only_temperature_0_where_that_is_asked_for() -> None:
    model = cached(ScriptedModel("fine"), which="temperature-0")
    cold = replace(ASK, temperature=0.0)
    for request, expected in ((ASK, False), (ASK, False), (cold, False), (cold, True)):
        assert (await deltas(model, request))[1] is expected


@pytest.mark.parametrize(
    "reply",
    [
        Scripted("cut", finish="length"),
        Scripted("filtered", finish="content_filter"),
        Scripted("interrupted", finish="interrupted"),
        Scripted("who knows", finish="unknown"),
        Scripted(""),
        Scripted("begun and broken", error=StreamInterruptedError("gone"), error_after=1),
        Scripted(error=ServerError("no")),
    ],
)
async def test_what_a_model_did_not_end_by_itself_is_not_kept(reply: Scripted) -> None:
    model = cached(ScriptedModel([replace(reply, times=1), Scripted("fine")]))
    with contextlib.suppress(StreamInterruptedError, ServerError):
        await deltas(model)
    assert text(await deltas(model)) == ("fine", False)


async def test_what_is_left_early_is_not_kept() -> None:
    model = cached(ScriptedModel("one two three"))
    async with model.stream(ASK) as stream:
        async for _ in stream:
            break
    assert not (await deltas(model))[1]


async def test_tool_calls_reasoning_and_logprobs_come_back() -> None:
    script = Scripted("it is", reasoning="hm", tool_calls=(("look", '{"a": 1}'),), logprobs=(-0.1, -0.2))
    request = replace(ASK, logprobs=0)
    model = cached(ScriptedModel([script]))
    first, _ = await deltas(model, request)
    second, was_cached = await deltas(model, request)
    assert was_cached

    def kinds(found: list[Delta]) -> set[str]:
        return {type(delta).__name__ for delta in found}

    assert kinds(second) == kinds(first)


async def test_the_store_is_bounded_in_size_and_age(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weaver._models.reply_cache.store.SWEEP_EVERY", 2)
    store = ReplyStore(megabytes=0.01)
    for i in range(201):
        text = "".join(f"{i * 7919 + n * 104729:x}" for n in range(40))
        store.put(i.to_bytes(4, "big"), Reply("", "", "m", "", "", text=text, finish="stop"))
    assert store.get((200).to_bytes(4, "big"), Reply("", "", "m", "", ""))
    assert not store.get((0).to_bytes(4, "big"), Reply("", "", "m", "", ""))
    assert not ReplyStore(days=0).get((200).to_bytes(4, "big"), Reply("", "", "m", "", ""))
    assert store.path.stat().st_mode & 0o777 == 0o600
    store.close()


@pytest.mark.parametrize("damage", ["a folder", "no database"])
async def test_a_file_that_cannot_be_used_costs_calls_and_no_run(damage: str) -> None:
    home().mkdir(parents=True)
    if damage == "a folder":
        (home() / "replies.sqlite").mkdir()
    else:
        (home() / "replies.sqlite").write_bytes(b"not a database" * 100)
    model = cached(ScriptedModel("fine"))
    assert text(await deltas(model)) == ("fine", False)
    assert text(await deltas(model)) == ("fine", False)


async def test_a_second_run_is_free_and_its_trace_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAVER_TRACE_STORE", "on")

    @tool
    def look(at: str) -> str:
        """Look."""
        return f"{at} is green"

    script = [
        Scripted(tool_calls=(("look", json.dumps({"at": "tea"})),), when=lambda r: len(r.messages) == 1),
        Scripted("Tea is green."),
    ]
    with Server(script, model="m").in_thread() as server:
        results = []
        for _ in range(2):
            models = {"openai/m": {"cache": True}}
            async with Weaver(
                "openai/m",
                base_url=server.url,
                api_key="none",
                models=models,
                prices={"openai/m": {"input": 1, "output": 2}},
                strategy="sequential",
                tools=[look],
            ) as weaver:
                results.append(await weaver.run("What colour has tea?"))
        assert len([r for r in server.requests if r.request.messages]) == 2
    first, second = results
    assert first.answer == second.answer == "Tea is green."
    assert first.usage.cost_usd
    assert (second.usage.calls, second.usage.total_tokens, second.usage.cost_usd) == (2, 0, 0.0)
    assert local.flush()
    calls = [span for span in Store().spans(Store().find()) if span.operation == "chat"]
    assert [span.attributes.get(sc.CALL_CACHED) for span in calls] == [True, True]


def test_settings_take_it(tmp_path: Path) -> None:
    from weaver._settings.settings import Settings
    from weaver.errors import ConfigurationError

    for value in ("true", '"temperature-0"', "false"):
        (tmp_path / "weaver.toml").write_text(f'[models."openai/m"]\ncache = {value}\n')
        Settings.load({}, tmp_path)
    (tmp_path / "weaver.toml").write_text('[models."openai/m"]\ncache = "sometimes"\n')
    with pytest.raises(ConfigurationError, match=r"models\.openai/m\.cache"):
        Settings.load({}, tmp_path)
