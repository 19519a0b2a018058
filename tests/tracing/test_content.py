"""Content capture: off by default, on by the conventions' variable, capped, redacted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from opentelemetry.trace import SpanContext

from tests.tracing.stories import MARK, SECRET, Spans, about, planning_model
from weaver import Answer, Weaver
from weaver._data.messages import Message, ToolCall, system, user
from weaver._data.result import Conflict, ConflictValue, Resolution
from weaver._data.usage import Usage
from weaver._models.protocol import Request
from weaver._models.reply import Reply
from weaver._tracing.record import semconv as sc
from weaver._tracing.record.content import Capture, capture_mode
from weaver._tracing.spans.call import of_reply
from weaver._tracing.tracer import Tracing
from weaver.testing import Scripted, ScriptedModel, virtual_time
from weaver.verifiers import Verdict


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_time()


class Kept:
    """A store for full texts."""

    def __init__(self) -> None:
        self.texts: dict[tuple[str, str], str] = {}

    def keep(self, context: SpanContext, texts: Callable[[], Mapping[str, str]]) -> None:
        reference = f"{context.trace_id:032x}/{context.span_id:016x}"
        self.texts.update({(reference, name): text for name, text in texts().items()})


def call(
    spans: Spans, request: Request, *, text: str = "fine", capture: Any = True, texts: Any = None
) -> Any:
    """The one chat span of a call."""
    tracing = Tracing(spans.provider, capture=capture, texts=texts)
    root = tracing.runs.start(run_id="r", strategy="s", model="m", question="q")
    span = tracing.calls.start(root, model="m", provider="p", endpoint="", role="thread", request=request)
    reply = Reply("call/0", "thread", "m", "p", "", text=text, state="succeeded", finish="stop")
    tracing.calls.end(span, reply, request)
    return spans.all[-1]


@pytest.mark.parametrize(
    ("value", "mode"),
    [
        ("", Capture.NONE),
        ("NO_CONTENT", Capture.NONE),
        ("nonsense", Capture.NONE),
        ("SPAN_ONLY", Capture.SPAN),
        ("true", Capture.SPAN),
        ("event_only", Capture.EVENT),
        ("SPAN_AND_EVENT", Capture.SPAN | Capture.EVENT),
    ],
)
def test_the_conventions_variable_decides(value: str, mode: Capture) -> None:
    assert capture_mode(None, {sc.CAPTURE_ENV: value}) is mode
    assert capture_mode(False, {sc.CAPTURE_ENV: value}) is Capture.NONE


@pytest.mark.anyio
async def test_a_run_by_the_variable(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sc.CAPTURE_ENV, "SPAN_ONLY")
    await Weaver(planning_model(), tracer_provider=spans.provider).run(f"Compare. {MARK} {SECRET}")

    root = about(spans.one("invoke_workflow"))
    assert root[sc.RUN_QUESTION] == f"Compare. {MARK} [redacted]"
    assert MARK in root[sc.RUN_ANSWER]
    thread = about(spans.one("invoke_agent", TASK_ID="a"))
    assert MARK in thread[sc.TASK_ANSWER]
    for span, answer in ((root, root[sc.RUN_ANSWER]), (thread, thread[sc.TASK_ANSWER])):
        (asked,) = json.loads(span[sc.INPUT_MESSAGES])
        assert (asked["role"], asked["parts"][0]["type"]) == ("user", "text")
        (given,) = json.loads(span[sc.OUTPUT_MESSAGES])
        assert given["parts"] == [{"type": "text", "content": answer}]
        assert sc.SPAN_KIND not in span
    assert SECRET not in spans.text()


@pytest.mark.anyio
async def test_openinference_and_conversations(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sc.OPENINFERENCE_ENV, "on")
    weaver = Weaver(ScriptedModel("Kyoto."), tracer_provider=spans.provider, strategy="sequential")
    await weaver.run("Kyoto or Oslo?", session="zoe")

    root = about(spans.one("invoke_workflow"))
    assert (root[sc.CONVERSATION], root[sc.SESSION_ID]) == ("zoe", "zoe")
    assert root[sc.SPAN_KIND] == "CHAIN"
    assert about(spans.one("chat"))[sc.SPAN_KIND] == "LLM"
    assert sc.INPUT_VALUE not in root  # content is not captured


@pytest.mark.anyio
async def test_openinference_has_input_and_output(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sc.OPENINFERENCE_ENV, "on")
    monkeypatch.setenv(sc.CAPTURE_ENV, "SPAN_ONLY")
    weaver = Weaver(ScriptedModel("Kyoto."), tracer_provider=spans.provider, strategy="sequential")
    await weaver.run("Kyoto or Oslo?")
    root = about(spans.one("invoke_workflow"))
    assert (root[sc.INPUT_VALUE], root[sc.OUTPUT_VALUE]) == ("Kyoto or Oslo?", "Kyoto.")
    assert sc.CONVERSATION not in root


@pytest.mark.anyio
async def test_langfuse_gets_tokens_and_cost_in_its_own_form(
    spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = Usage(
        calls=1, input_tokens=90, output_tokens=20, reasoning_tokens=5, cached_tokens=60, cost_usd=0.25
    )
    for switch in ("", "on"):
        monkeypatch.setenv(sc.LANGFUSE_ENV, switch)
        model = ScriptedModel(Scripted("Kyoto.", usage=usage))
        await Weaver(model, tracer_provider=spans.provider, strategy="sequential").run("Kyoto or Oslo?")
    without, with_it = (about(span) for span in spans.of("chat"))
    assert not [name for name in without if name.startswith("langfuse")]
    tokens = json.loads(with_it[sc.LANGFUSE_USAGE])
    assert tokens == {
        "input": 30, "input_cached_tokens": 60, "output": 15, "output_reasoning_tokens": 5, "total": 110
    }  # fmt: skip
    assert json.loads(with_it[sc.LANGFUSE_COST]) == {"total": 0.25}


@pytest.mark.parametrize(
    ("opted", "name"),
    [("", sc.USAGE_CACHE_CREATION), ("gen_ai_latest_experimental", sc.USAGE_CACHE_WRITE)],
)
def test_tokens_written_to_a_cache_have_the_name_that_was_opted_in_to(
    opted: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sc.STABILITY_ENV, opted)
    usage = Usage(calls=1, input_tokens=9, output_tokens=1, cache_written_tokens=7)
    attributes = of_reply(Reply("call/0", "thread", "m", "p", "", text="a", state="succeeded", usage=usage))
    assert {k: v for k, v in attributes.items() if "cache" in k} == {name: 7}


def test_messages_are_in_the_conventions_form(spans: Spans) -> None:
    request = Request(
        messages=(
            system("Be brief."),
            user("What is it?"),
            Message("assistant", "", tool_calls=(ToolCall("c1", "look", '{"at": "it"}'),)),
            Message("tool", "a cat", tool_call_id="c1"),
        )
    )
    found = about(call(spans, request))

    assert json.loads(found[sc.SYSTEM_INSTRUCTIONS]) == [{"type": "text", "content": "Be brief."}]
    assert json.loads(found[sc.INPUT_MESSAGES]) == [
        {"role": "user", "parts": [{"type": "text", "content": "What is it?"}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "c1", "name": "look", "arguments": '{"at": "it"}'}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "a cat"}]},
    ]
    assert json.loads(found[sc.OUTPUT_MESSAGES]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "fine"}], "finish_reason": "stop"}
    ]


def test_events_instead_of_attributes(spans: Spans) -> None:
    span = call(spans, Request(messages=(user("hello"),)), capture=Capture.EVENT)

    assert sc.INPUT_MESSAGES not in about(span)
    [event] = span.events
    assert event.name == "gen_ai.client.inference.operation.details"
    assert "hello" in event.attributes[sc.INPUT_MESSAGES]


@pytest.mark.parametrize("count", [1, 400])
def test_long_content_is_capped_and_referred_to(spans: Spans, count: int) -> None:
    kept = Kept()
    request = Request(messages=tuple(user(f"{i} " + "long words " * 2000) for i in range(count)))
    found = about(span := call(spans, request, texts=kept))

    shown = found[sc.INPUT_MESSAGES]
    assert len(shown) <= 4096
    assert json.loads(shown)[0]["role"] == "user"
    assert found[sc.CONTENT_CUT] is True
    reference = found[sc.CONTENT_REF]
    assert reference == f"{span.context.trace_id:032x}/{span.context.span_id:016x}"
    assert len(json.loads(kept.texts[reference, sc.INPUT_MESSAGES])) == count
    assert "fine" in kept.texts[reference, sc.OUTPUT_MESSAGES]


def test_without_a_store_there_is_no_reference(spans: Spans) -> None:
    found = about(call(spans, Request(messages=(user("x" * 9000),))))

    assert found[sc.CONTENT_CUT] is True
    assert sc.CONTENT_REF not in found


def test_secrets_are_gone_from_the_full_text_too(spans: Spans) -> None:
    kept = Kept()
    span = call(
        spans, Request(messages=(user("x" * 9000 + f" {SECRET}"),)), text=f"{SECRET} it is", texts=kept
    )

    assert SECRET not in span.to_json()
    assert all(SECRET not in text for text in kept.texts.values())


def test_a_secret_at_the_cut_is_not_shown_in_part(spans: Spans) -> None:
    for before in range(3950, 4110, 7):
        call(spans, Request(messages=(user("x" * before + f" {SECRET} and more " * 200),)))

    assert "abcdefgh" not in spans.text()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("The output has no JSON: 'Kyoto has gardens'.", "The output has no JSON: '…'."),
        ("It said \"two words\" and 'more of them', then stopped", "It said '…' and '…', then stopped"),
        ("cut off: 'it goes on and o", "cut off: '…'"),
        ("There is no tool 'weigh'; the server's tools' names differ", None),
        ("openai/gpt-5-mini: HTTP 500, it's down; don't ask", None),
    ],
)
def test_errors_do_not_quote_what_models_said(spans: Spans, said: str, shown: str | None) -> None:
    for capture, expected in ((False, shown or said), (True, said)):
        tracing = Tracing(spans.provider, capture=capture)
        root = tracing.runs.start(run_id="r", strategy="s", model="m", question="q")
        tracing.steps.end(root, ValueError(said))
        assert spans.all[-1].status.description == expected


@pytest.mark.anyio
@pytest.mark.parametrize(
    "message",
    [
        f"{MARK} is wrong",
        f"it's {MARK}, isn't it",
        f'he wrote "{MARK}" and "{MARK} again"',
        f"\"{MARK}' \"\n'{MARK}",
        f"{MARK} and so on, " * 40,
    ],
)
async def test_messages_of_checks_are_content(spans: Spans, message: str) -> None:
    def check(answer: Answer) -> Verdict:
        return Verdict(False, message)

    weaver = Weaver(ScriptedModel(["no", "no again"]), strategy="sequential", tracer_provider=spans.provider)
    result = await weaver.run("q", verify=check)
    assert len(result.notes) == 2
    assert all(MARK in note for note in result.notes)
    assert MARK not in spans.text()


def test_broken_text_of_a_model_does_no_harm(spans: Spans) -> None:
    found = about(call(spans, Request(messages=(user("half \ud83d"),)), text="\udc00"))

    assert json.loads(found[sc.INPUT_MESSAGES])[0]["parts"][0]["content"] == "half ?"
    found[sc.OUTPUT_MESSAGES].encode("utf-8")


def conflict(spans: Spans, **options: Any) -> dict[str, Any]:
    tracing = Tracing(spans.provider, **options)
    root = tracing.runs.start(run_id="r", strategy="s", model="m", question="q")
    span = tracing.conflicts.start(root, subject="Paris", attribute="people", threads=("a", "b", "c"))
    values = (ConflictValue(f"2.1 {MARK}", ("a", "c"), 0.9), ConflictValue("9", ("b",)))
    tracing.conflicts.end(
        span, Conflict("Paris", "people", values, Resolution("evidence", f"2.1 {MARK}", "a census"))
    )
    return about(spans.all[-1])


def test_a_conflict_tells_who_won_without_telling_the_values(spans: Spans) -> None:
    found = conflict(spans, capture=False)

    assert found[sc.CONFLICT_SUBJECT] == "Paris"
    assert found[sc.CONFLICT_THREADS] == ("a", "c", "b")
    assert found[sc.CONFLICT_WINNERS] == ("a", "c")
    assert found[sc.CONFLICT_STRATEGY] == "evidence"
    assert MARK not in spans.text()


def test_a_conflict_with_content(spans: Spans) -> None:
    found = conflict(spans, capture=True)

    assert json.loads(found[sc.CONFLICT_VALUES])[0] == {
        "value": f"2.1 {MARK}", "threads": ["a", "c"], "confidence": 0.9,
    }  # fmt: skip
    assert found[sc.CONFLICT_EVIDENCE] == "a census"


def test_labels_can_be_left_out(spans: Spans) -> None:
    assert sc.CONFLICT_SUBJECT not in conflict(spans, labels=False)
