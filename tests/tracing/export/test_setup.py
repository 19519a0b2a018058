"""Tracing as the command line sets it up: by the environment, and never in the way."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import metrics, trace

from tests.tracing.export.collector import Collector, nobody
from weaver import Answer, Task, Weaver
from weaver._tracing.export import otlp_exporter, store_writer
from weaver._tracing.export.setup import Telemetry, configure
from weaver._tracing.record import semconv as sc
from weaver._tracing.store.sqlite import Store
from weaver.errors import ConfigurationError
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio


async def two_threads(run: Any, task: Task, **_: Any) -> Answer:
    async with run.fork([Task(prompt="one", title="First"), Task(prompt="two", title="Second")]) as threads:
        await threads.join()
    return Answer("done")


async def run(telemetry: Telemetry) -> str:
    """A run of six spans: itself, two threads with a call each, and their join."""
    with telemetry:
        weaver = Weaver(ScriptedModel("ok"), strategy=two_threads, tracing=telemetry.tracing)
        result = await weaver.run("Compare.")
    assert result.status == "complete"
    return result.run_id


async def test_runs_are_kept_by_default(tmp_path: Path) -> None:
    run_id = await run(configure())

    row = Store(tmp_path / "home" / "traces.sqlite").find(run_id)
    assert (row.status, row.threads, row.question) == ("complete", 2, "Compare.")
    assert len(Store().spans(row)) == 6


async def test_nothing_global_is_set() -> None:
    await run(configure())

    assert type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider"
    assert type(metrics.get_meter_provider()).__name__ == "_ProxyMeterProvider"


async def test_one_switch_turns_the_store_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAVER_TRACE_STORE", "off")
    telemetry = configure()
    await run(telemetry)

    assert telemetry.store is None
    assert not (tmp_path / "home").exists()


async def test_the_sdks_own_switch_turns_everything_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    await run(configure())

    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
async def test_spans_are_sent_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with Collector() as collector:
        own = variable.endswith("TRACES_ENDPOINT")
        monkeypatch.setenv(variable, collector.url + ("/v1/traces" if own else ""))
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=blue")
        telemetry = configure()
        await run(telemetry)

    assert len(collector.spans) == 6
    assert collector.resource["service.name"] == "weaver"
    assert collector.resource["team"] == "blue"
    assert telemetry.notes == []


async def test_the_service_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "my-agents")
        await run(configure())

    assert collector.resource["service.name"] == "my-agents"


async def test_the_run_hangs_under_the_program_that_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("TRACEPARENT", f"00-{'ab' * 16}-{'cd' * 8}-01")
        await run(configure())

    assert {s.trace_id.hex() for s in collector.spans} == {"ab" * 16}
    [root] = [s for s in collector.spans if s.name.startswith("invoke_workflow")]
    assert root.parent_span_id.hex() == "cd" * 8


async def test_a_dead_collector_costs_its_spans_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with nobody() as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        telemetry = configure()
        await run(telemetry)
        telemetry.shutdown()

    assert telemetry.notes == [f"6 of 6 spans were not sent to {url}/v1/traces: nothing answers there."]
    assert capfd.readouterr() == ("", "")


async def test_a_stalled_collector_is_given_up(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(otlp_exporter, "STALLED_SECONDS", 0.05)
    with Collector(stall=True) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        telemetry = configure()
        await run(telemetry)

        assert telemetry.notes == [
            f"6 of 6 spans were not sent to {collector.url}/v1/traces: it does not answer in time."
        ]
    assert capfd.readouterr() == ("", "")


async def test_a_collector_that_refuses_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_exporter, "STALLED_SECONDS", 20)  # a busy machine is no stalled collector
    with Collector(status=401) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        telemetry = configure()
        await run(telemetry)

    [note] = telemetry.notes
    assert note.startswith("6 of 6 spans were not sent")
    assert "401" in note


async def test_a_full_queue_drops_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_exporter, "STALLED_SECONDS", 0.05)
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    with Collector(stall=True) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        telemetry = configure()
        await run(telemetry)

    assert "6 of 6 spans" in telemetry.notes[0]


async def test_a_missing_exporter_is_named_with_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from weaver._tracing.export import setup

    monkeypatch.setattr(setup, "find_spec", lambda _: None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    telemetry = configure()
    await run(telemetry)

    [note] = telemetry.notes
    assert note.startswith("No traces are sent: the OTLP exporter is not installed.")
    assert note.endswith('pip install "weaver-reasoning[otlp]"')


async def test_metrics_are_sent_when_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp")
        await run(configure())

    [body] = [body for path, body in collector.bodies if path == "/v1/metrics"]
    assert b"gen_ai.client.operation.duration" in body
    assert b"weaver.threads" in body


async def test_metrics_of_a_dead_collector_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with nobody() as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{url}/v1/metrics")
        telemetry = configure()
        await run(telemetry)

    assert telemetry.notes == [f"Metrics were not sent to {url}/v1/metrics: nothing answers there."]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "there is no exporter 'zipkin' here"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "'grpc' is not supported"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}, "over HTTP it is 4318"),
        ({"OTEL_TRACES_EXPORTER": "none"}, ""),
    ],
)
def test_settings_that_are_not_understood_are_told(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
) -> None:
    for name, value in {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", **variables}.items():
        monkeypatch.setenv(name, value)
    with configure() as telemetry:
        assert said in " ".join(telemetry.notes)
        assert bool(said) == bool(telemetry.notes)


def test_a_wrong_retention_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAVER_TRACE_DAYS", "soon")
    with pytest.raises(ConfigurationError, match="WEAVER_TRACE_DAYS"):
        configure()


async def test_a_store_that_cannot_be_written_costs_no_run(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    telemetry = configure()
    await run(telemetry)

    [note] = telemetry.notes
    assert note.startswith("6 spans were not kept locally: The local trace store")


async def test_a_slow_disk_drops_and_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    held = threading.Event()
    monkeypatch.setattr(store_writer, "MAX_WAITING", 3)
    monkeypatch.setattr(Store, "add", lambda *_, **__: held.wait(10))
    telemetry = configure()
    assert telemetry.store is not None
    monkeypatch.setattr(telemetry.store, "_thread", threading.Thread(target=lambda: None))
    telemetry.store._thread.start()
    await run(telemetry)
    held.set()

    assert "not kept locally: the disk is too slow" in telemetry.notes[0]


async def test_labels_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAVER_TRACE_LABELS", "off")
    run_id = await run(configure())

    row = Store().find(run_id)
    assert row.question == ""
    assert not any(sc.TASK_TITLE in s.attributes for s in Store().spans(row))


async def test_full_texts_are_kept_beside_the_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sc.CAPTURE_ENV, "SPAN_ONLY")
    long = " ".join(f"word {number}" for number in range(2000))
    with configure() as telemetry:
        quick = ScriptedModel([Scripted(long)])
        await Weaver(quick, strategy="sequential", tracing=telemetry.tracing).run("Go on.")
    store = Store()
    row = store.find()
    [call] = [s for s in store.spans(row) if s.operation == "chat"]

    assert call.attributes[sc.CONTENT_REF] == f"{row.trace_id}/{call.span_id}"
    assert len(call.attributes[sc.OUTPUT_MESSAGES]) <= 4096
    assert long.strip() in store.texts(row)[call.span_id, sc.OUTPUT_MESSAGES]


def test_a_killed_process_leaves_its_run_in_the_list(tmp_path: Path) -> None:
    script = (
        "import os, time\n"
        "from weaver._tracing.export.setup import configure\n"
        "telemetry = configure()\n"
        "root = telemetry.tracing.runs.start(run_id='r9', strategy='s', model='m', question='What now?')\n"
        "telemetry.tracing.steps.end(telemetry.tracing.steps.start(root, 'done'))\n"
        "telemetry.store.flush(10)\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    row = Store().find("r9")

    assert (row.status, row.question) == ("running", "What now?")
    assert [s.name for s in Store().spans(row)] == ["step done"]


def test_the_sdks_logger_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    logger = logging.getLogger("opentelemetry")
    before = (list(logger.handlers), logger.propagate)
    with configure():
        assert (list(logger.handlers), logger.propagate) != before

    assert (list(logger.handlers), logger.propagate) == before
