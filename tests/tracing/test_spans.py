"""The tree of spans that real runs leave."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import sampling
from opentelemetry.trace import SpanKind, StatusCode

from tests.tracing.stories import MARK, SECRET, Spans, about, assert_one_tree, planning_model, racing
from weaver import Answer, Task, Weaver
from weaver._data.messages import user
from weaver._data.usage import Usage
from weaver._models.layers.call_log import Fallback, Retry
from weaver._models.protocol import Request
from weaver._models.reply import Reply
from weaver._tracing.record import semconv as sc
from weaver._tracing.tracer import Tracing
from weaver.errors import ServerError, ToolError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    return virtual_time()


async def test_a_planned_run_is_one_tree_named_by_the_conventions(spans: Spans) -> None:
    result = await Weaver(planning_model(), tracer_provider=spans.provider).run("Compare. " + MARK)

    assert result.status == "complete"
    assert_one_tree(spans.all)
    assert {s.name for s in spans.all if not s.name.startswith("invoke_agent ")} == {
        "invoke_workflow adaptive",
        "plan planner",
        "chat openai/gpt-test",
        "join all",
        "synthesis",
    }
    assert len({s.name for s in spans.of("invoke_agent")}) == 1
    assert all(sc.OPERATION in about(s) for s in spans.all)
    assert {s.kind for s in spans.of("chat")} == {SpanKind.CLIENT}
    root, plan = spans.one("invoke_workflow"), spans.one("plan")
    assert about(root)[sc.RUN_ID] == result.run_id
    assert result.trace_id == f"{root.context.trace_id:032x}"
    assert {s.parent.span_id for s in spans.of("invoke_agent")} == {root.context.span_id}
    roles = {about(s)[sc.CALL_ROLE]: s.parent.span_id for s in spans.of("chat")}
    assert roles["planner"] == plan.context.span_id
    assert roles["synthesizer"] == spans.one("synthesis").context.span_id
    assert about(plan)[sc.PLAN_IDS] == ("a", "b", "c")
    assert about(plan)[sc.PLAN_EDGES] == ("a->c", "b->c")
    assert about(spans.one("invoke_agent", TASK_ID="c"))[sc.DEPENDS_ON] == ("a", "b")


async def test_calls_tell_what_samplers_and_bills_need(spans: Spans) -> None:
    result = await Weaver(planning_model(), tracer_provider=spans.provider, max_total_tokens=50_000).run(
        "Compare."
    )

    chats = [about(s) for s in spans.of("chat")]
    for chat in chats:
        assert chat[sc.PROVIDER] == "openai"
        assert (chat[sc.SERVER_ADDRESS], chat[sc.SERVER_PORT]) == ("localhost", 8080)
        assert chat[sc.BUDGET_LIMIT] == 50_000
        assert chat[sc.BUDGET_RESERVED] > 0
    assert sum(c[sc.USAGE_INPUT] for c in chats) == result.usage.input_tokens
    assert sum(c[sc.USAGE_OUTPUT] for c in chats) == result.usage.output_tokens
    assert sum(c[sc.COST_AMOUNT] for c in chats) == pytest.approx(result.usage.cost_usd)
    # Nobody who adds up gen_ai.usage.* over all spans counts anything twice.
    assert not any(sc.USAGE_OUTPUT in about(s) for s in spans.all if s not in spans.of("chat"))
    root = about(spans.one("invoke_workflow"))
    assert root[sc.SUM_OUTPUT] == result.usage.output_tokens
    assert root[sc.CRITICAL_TOKENS] == result.metrics.critical_path_tokens
    assert root[sc.CRITICAL_PATH] == ("b", "c")


async def test_a_join_hangs_under_the_run_and_links_to_every_thread(spans: Spans) -> None:
    await Weaver(planning_model(), tracer_provider=spans.provider).run("Compare.")

    join = spans.one("join")
    threads = {about(s)[sc.TASK_ID]: s.context.span_id for s in spans.of("invoke_agent")}
    assert join.parent.span_id == spans.one("invoke_workflow").context.span_id
    assert {k.attributes[sc.TASK_ID]: k.context.span_id for k in join.links} == threads
    assert sorted(about(join)[sc.DEPENDS_ON]) == ["a", "b", "c"]
    assert about(join)[sc.JOIN_POLICY] == "all"
    assert about(join)[sc.JOIN_RECEIVED] == 3


async def test_a_race_is_not_painted_red(spans: Spans) -> None:
    model = ScriptedModel(
        [
            Scripted("fast", when="quick", first=1.0),
            Scripted("late", when="slow", first=9.0),
            Scripted(when="broken", error=ServerError(f"HTTP 500 with {SECRET}"), first=0.5),
        ]
    )
    await Weaver(model, strategy=racing, tracer_provider=spans.provider).run("Race.")

    quick, slow, broken = (spans.one("invoke_agent", TASK_ID=f"s{i}") for i in (1, 2, 3))
    assert about(quick)[sc.TASK_STATE] == "succeeded"
    assert about(slow)[sc.TASK_STATE] == "cancelled"
    assert about(slow)[sc.CANCEL_REASON] == "lost_race"
    assert slow.status.status_code is StatusCode.UNSET
    [call] = [s for s in spans.of("chat") if s.parent.span_id == slow.context.span_id]
    assert (about(call)[sc.TASK_STATE], call.status.status_code) == ("cancelled", StatusCode.UNSET)
    assert about(call)[sc.CANCEL_REASON] in {"lost_race", "parent"}
    assert about(broken)[sc.ERROR_TYPE] == "ServerError"
    assert broken.status.status_code is StatusCode.ERROR
    assert "HTTP 500" in (broken.status.description or "")
    assert SECRET not in spans.text()


async def test_content_stays_out_by_default(spans: Spans) -> None:
    await Weaver(planning_model(), tracer_provider=spans.provider).run(f"Compare. {MARK}")

    assert MARK not in spans.text()


async def test_prompts_do_not_get_in_as_titles(spans: Spans) -> None:
    async def forks(run: Any, task: Task, **_: Any) -> Answer:
        async with run.fork([Task(prompt=f"{MARK} {i}") for i in range(2)]) as threads:
            await threads.join()
        return Answer("done")

    await Weaver(ScriptedModel("ok"), strategy=forks, tracer_provider=spans.provider).run("q")

    assert len(spans.of("invoke_agent")) == 2
    assert MARK not in spans.text()


async def test_the_trace_hangs_under_the_callers_own_span(spans: Spans) -> None:
    tracer = spans.provider.get_tracer("user")
    with tracer.start_as_current_span("mine") as mine:
        result = await Weaver(planning_model(), tracer_provider=spans.provider).run("Compare.")

    root = spans.one("invoke_workflow")
    assert root.parent.span_id == mine.get_span_context().span_id
    assert result.trace_id == f"{mine.get_span_context().trace_id:032x}"
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_model_requests_carry_the_context_of_their_call(spans: Spans) -> None:
    model = planning_model()
    await Weaver(model, tracer_provider=spans.provider).run("Compare.")

    sent = {r.request.headers["traceparent"].split("-")[2] for r in model.requests}
    assert sent == {f"{s.context.span_id:016x}" for s in spans.of("chat")}


async def test_what_the_sampler_declined_costs_one_question() -> None:
    asked: list[str] = []

    class Declining(sampling.Sampler):
        def should_sample(
            self, parent_context: Any, trace_id: int, name: str, *rest: Any, **more: Any
        ) -> Any:
            asked.append(name)
            return sampling.SamplingResult(sampling.Decision.DROP)

        def get_description(self) -> str:
            return "no"

    spans = Spans(sampler=Declining())
    model = planning_model()
    result = await Weaver(model, tracer_provider=spans.provider).run("Compare.")

    assert asked == ["invoke_workflow adaptive"]
    assert not spans.all
    assert result.trace_id is None
    # The decision travels on: nobody further down records a trace without its beginning.
    assert {r.request.headers["traceparent"][-2:] for r in model.requests} <= {"00", "02"}


async def test_without_an_sdk_there_is_nothing() -> None:
    model = planning_model()
    result = await Weaver(model, trace=False).run("Compare.")

    assert result.status == "complete"
    assert result.trace_id is None
    assert all("traceparent" not in r.request.headers for r in model.requests)


async def test_calls_can_be_left_to_another_instrumentation(spans: Spans) -> None:
    tracing = Tracing(spans.provider, model_spans=False)
    model = planning_model()
    await Weaver(model, tracing=tracing).run("Compare.")

    assert spans.of("chat") == []
    assert_one_tree(spans.all)
    parents = {r.request.headers["traceparent"].split("-")[2] for r in model.requests}
    assert parents <= {f"{s.context.span_id:016x}" for s in spans.all}


async def test_a_cancelled_run_and_its_plan_are_no_errors(spans: Spans) -> None:
    with anyio.move_on_after(0.5):
        await Weaver(planning_model(), tracer_provider=spans.provider).run("Compare.")

    assert_one_tree(spans.all)
    root, plan = spans.one("invoke_workflow"), spans.one("plan")
    assert about(root)[sc.TASK_STATE] == "cancelled"
    assert about(plan)[sc.TASK_STATE] == "cancelled"
    assert sc.CANCEL_REASON in about(plan)
    assert {s.status.status_code for s in spans.all} == {StatusCode.UNSET}


async def test_a_failed_run_says_why(spans: Spans) -> None:
    model = ScriptedModel([Scripted(error=ServerError("the server is on fire"))])
    with pytest.raises(ServerError) as raised:
        await Weaver(model, strategy="sequential", tracer_provider=spans.provider).run("q")

    root = spans.one("invoke_workflow")
    assert root.status.status_code is StatusCode.ERROR
    assert about(root)[sc.ERROR_TYPE] == "ServerError"
    assert about(root)[sc.RUN_STATUS] == raised.value.result.status == "failed"
    [event] = [e for e in root.events if e.name == "exception"]
    assert "on fire" in event.attributes["exception.message"]


async def test_tools_have_spans(spans: Spans) -> None:
    def weigh(what: str) -> str:
        """Weigh a thing."""
        if what == "ghost":
            raise ToolError("it has no weight")
        return f"3 kg of {MARK}"

    calls = (("weigh", '{"what": "cat"}'), ("weigh", '{"what": "ghost"}'))
    model = ScriptedModel([Scripted(tool_calls=calls, times=1), Scripted("3 kg")])
    await Weaver(model, strategy="sequential", tracer_provider=spans.provider).run("q", tools=[weigh])

    good, bad = sorted(spans.of("execute_tool"), key=lambda s: s.status.status_code.value)
    assert good.name == "execute_tool weigh"
    assert bad.status.status_code is StatusCode.ERROR
    assert about(bad)[sc.ERROR_TYPE] == "ToolError"
    assert MARK not in spans.text()


def _reply(**fields: Any) -> Reply:
    given = {"state": "succeeded", "usage": Usage(1, 10, 2, cost_usd=None), "finish": "stop", **fields}
    return Reply("call/0", "thread", "m", "openai", "https://api.example.com/v1", **given)


async def test_retries_and_fallbacks_are_events_at_their_own_time(spans: Spans) -> None:
    tracing = Tracing(spans.provider)
    root = tracing.runs.start(run_id="r", strategy="s", model="m", question="q")
    request = Request(messages=(user("hi"),), temperature=0.5, stop=("END",), seed=7, max_tokens=9)
    call = tracing.calls.start(
        root,
        model="m",
        provider="openai",
        endpoint="https://api.example.com/v1",
        role="thread",
        request=request,
    )
    reply = _reply(queue_seconds=0.25, first_delta=0.5)
    reply.retries.append(Retry(1, f"429 for Bearer {SECRET}", 2.0, at_ns=123))
    reply.fallbacks.append(Fallback("m", "gone", "m2", at_ns=456))
    tracing.calls.end(call, reply, request)

    [span] = spans.of("chat")
    assert [(e.name, e.timestamp) for e in span.events] == [("weaver.retry", 123), ("weaver.fallback", 456)]
    assert span.events[0].attributes["exception.message"] == "429 for Bearer [redacted]"
    found = about(span)
    assert (found[sc.SERVER_ADDRESS], found[sc.SERVER_PORT]) == ("api.example.com", 443)
    assert (found[sc.QUEUE_WAIT_MS], found[sc.RESPONSE_FIRST_CHUNK]) == (250.0, 0.5)
    assert (found[sc.REQUEST_SEED], found[sc.REQUEST_STOP]) == (7, ("END",))
    assert (found[sc.CALL_RETRIES], found[sc.CALL_FALLBACKS]) == (1, 1)
    assert sc.COST_AMOUNT not in found


async def test_a_raw_prompt_is_a_text_completion(spans: Spans) -> None:
    tracing = Tracing(spans.provider)
    root = tracing.runs.start(run_id="r", strategy="s", model="m", question="q")
    request = Request(prompt="Once upon")
    call = tracing.calls.start(root, model="m", provider="p", endpoint="", role="thread", request=request)
    tracing.calls.end(call, _reply(), request)

    assert [s.name for s in spans.of("text_completion")] == ["text_completion m"]


async def test_names_are_of_low_cardinality(spans: Spans) -> None:
    tracing = Tracing(spans.provider)
    root = tracing.runs.start(run_id="r", strategy="s", model="m", question="q")
    for number in range(3):
        tracing.joins.end(
            tracing.joins.start(root, rule=f"quorum({number})", threads=[], needed=number), received=number
        )
        tracing.steps.end(tracing.steps.start(root, f"vote/{number}"))
    tracing.steps.end(root)

    assert {s.name for s in spans.all} == {"invoke_workflow s", "join quorum", "step vote"}


async def test_a_context_left_in_another_task_is_left_quietly(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    """The classic way to 'Failed to detach context': a generator that is closed somewhere else."""
    tracing = Tracing(spans.provider)
    root = tracing.runs.start(run_id="r", strategy="s", model="m", question="q")

    async def generator() -> Any:
        with tracing.attached(root):
            yield 1
            yield 2

    running = generator()

    async def first() -> None:
        await running.__anext__()

    with caplog.at_level(logging.DEBUG, "opentelemetry"):
        async with anyio.create_task_group() as group:
            group.start_soon(first)
        await running.aclose()
    assert caplog.records == []
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_an_ended_parent_still_has_children(spans: Spans) -> None:
    tracing = Tracing(spans.provider)
    root = tracing.runs.start(run_id="r", strategy="s", model="m", question="q")
    tracing.steps.end(root)
    tracing.steps.end(tracing.steps.start(root, "late"))

    assert {s.name for s in spans.all} == {"invoke_workflow s", "step late"}


@pytest.mark.heavy
async def test_ten_thousand_threads_leave_one_whole_tree(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    count = 10_000

    async def wide(run: Any, task: Task, **_: Any) -> Answer:
        async with run.fork([Task(prompt=str(i)) for i in range(count)]) as threads:
            done = await threads.join()
        return Answer(str(len(done)))

    weaver = Weaver(ScriptedModel("ok"), strategy=wide, tracer_provider=spans.provider, max_threads=count)
    with caplog.at_level(logging.WARNING, "opentelemetry"):
        result = await weaver.run("q")

    assert result.answer == str(count)
    assert len(spans.all) == 2 * count + 2
    assert_one_tree(spans.all)
    # Exporters are not part of this; those of other tests may still be shutting down in their threads.
    assert [r for r in caplog.records if ".exporter." not in r.name] == []
