"""Runs of Python programs are kept on this machine."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tracing.stories import MARK, SECRET, Spans, planning_model
from weaver import Weaver
from weaver._cli import main
from weaver._environment.paths import home
from weaver._models.compose import layered
from weaver._tracing.export import local, store_writer
from weaver._tracing.record import semconv as sc
from weaver._tracing.store.retention import Retention
from weaver._tracing.store.sqlite import Store
from weaver.errors import ServerError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return virtual_time()


def texts(store: Store) -> str:
    return str(store.texts(store.find()))


async def test_a_run_is_kept_with_its_texts_for_its_owner_only() -> None:
    model = planning_model()
    result = await Weaver(model).run(f"Compare. {MARK} {SECRET}")
    assert local.flush()

    store = Store()
    row = store.find()
    assert (row.run_id, row.trace_id, row.status) == (result.run_id, result.trace_id, "complete")
    assert row.question == f"Compare. {MARK} [redacted]"
    assert MARK in texts(store)
    assert SECRET not in texts(store)
    assert MARK not in str([span.attributes for span in store.spans(row)])
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert {span.operation for span in store.spans(row)} >= {"invoke_workflow", "chat", "invoke_agent"}
    assert all("traceparent" not in r.request.headers for r in model.requests)


@pytest.mark.parametrize("how", ["argument", "variable", "sdk"])
async def test_nothing_is_kept_where_nothing_is_wanted(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how != "argument":
        name = "WEAVER_TRACE_STORE" if how == "variable" else "OTEL_SDK_DISABLED"
        monkeypatch.setenv(name, "off" if how == "variable" else "true")
    await Weaver(ScriptedModel("fine"), trace=how != "argument").run("Well?")
    assert local.flush()
    assert not (home() / "traces.sqlite").exists()


async def test_a_run_is_kept_without_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAVER_TRACE_TEXTS", "off")
    await Weaver(ScriptedModel("fine")).run("Well?")
    assert local.flush()
    store = Store()
    assert store.texts(store.find()) == {}
    assert store.find().question == "Well?"


async def test_a_programs_own_spans_are_as_before_and_share_their_ids(spans: Spans) -> None:
    result = await Weaver(planning_model(), tracer_provider=spans.provider).run(f"Compare. {MARK}")
    assert local.flush()

    store = Store()
    kept = {span.span_id: span for span in store.spans(store.find())}
    own = {f"{span.context.span_id:016x}": span for span in spans.all}
    assert set(kept) == set(own)
    assert result.trace_id == store.find().trace_id
    assert MARK not in spans.text()
    for span_id, span in own.items():
        assert (kept[span_id].name, kept[span_id].parent_id) == (
            span.name,
            f"{span.parent.span_id:016x}" if span.parent else None,
        )
        assert kept[span_id].attributes.keys() == span.attributes.keys()
    assert MARK in texts(store)


async def test_what_is_exported_is_bare_unless_texts_are_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    await Weaver(planning_model()).run(f"Compare. {MARK}")
    assert local.flush()
    for form in ("otlp", "html"):
        assert main(["trace", "export", "--format", form]) == 0
        assert MARK not in capsys.readouterr().out
        assert main(["trace", "export", "--format", form, "--texts"]) == 0
        assert MARK in capsys.readouterr().out


def test_a_script_that_ends_at_once_has_its_run_kept(tmp_path: Path) -> None:
    script = (
        "from weaver import Weaver\n"
        "from weaver.testing import ScriptedModel\n"
        "Weaver(ScriptedModel('fine')).run_sync('Well?')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    store = Store()
    assert (store.find().question, store.find().status) == ("Well?", "complete")
    assert "fine" in texts(store)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_the_last_run_of_a_process_is_kept_whole() -> None:
    """The store is open already when the process ends, with spans that are not written yet."""
    script = (
        "from weaver import Weaver\n"
        "from weaver._tracing.export.local import flush\n"
        "from weaver.testing import ScriptedModel\n"
        "weaver = Weaver(ScriptedModel('fine'))\n"
        "weaver.run_sync('First?')\n"
        "assert flush()\n"
        "weaver.run_sync('Last?')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert [(row.question, row.status) for row in Store().runs()] == [
        ("Last?", "complete"), ("First?", "complete"),
    ]  # fmt: skip


def test_the_runs_of_a_forked_process_are_kept(tmp_path: Path) -> None:
    script = (
        "import os\n"
        "from weaver import Weaver\n"
        "from weaver.testing import ScriptedModel\n"
        "Weaver(ScriptedModel('fine')).run_sync('Parent?')\n"
        "if os.fork() == 0:\n"
        "    Weaver(ScriptedModel('fine')).run_sync('Child?')\n"
        "else:\n"
        "    os.wait()\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True)
    assert {row.question for row in Store().runs()} == {"Parent?", "Child?"}


async def test_a_store_that_cannot_be_written_costs_no_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WEAVER_HOME", "/dev/null/weaver")
    result = await Weaver(ScriptedModel("fine")).run("Well?")
    assert result.answer == "fine"
    assert local.flush()
    assert "runs are not kept on this machine" in caplog.text


async def test_a_process_that_goes_on_forgets_old_runs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_writer, "SWEEP_EVERY", 0.0)
    monkeypatch.setenv("WEAVER_TRACE_RUNS", "2")
    weaver = Weaver(ScriptedModel("fine"))
    for i in range(5):
        await weaver.run(f"Number {i}?")
        assert local.flush()
    assert local.flush()
    assert Retention.from_environment().runs == 2
    assert [row.question for row in Store().runs()] == ["Number 4?", "Number 3?"]


async def test_the_log_tells_retries_fallbacks_notes_and_errors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="weaver")
    broken = ScriptedModel([Scripted(error=ServerError(f"no answer for {SECRET}"))], name="broken")
    model = layered(broken, retries=1, fallbacks=[ScriptedModel("fine", name="spare")])
    result = await Weaver(model, strategy="sequential").run("Well?")
    with pytest.raises(ServerError):
        await Weaver(broken, strategy="sequential").run("Well?")

    lines = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "weaver"]
    assert any(level == "INFO" and "tried again" in line for level, line in lines)
    assert any(level == "WARNING" and "spare is asked instead" in line for level, line in lines)
    assert any(level == "INFO" and "spare answered instead" in line for level, line in lines)
    assert any(level == "ERROR" and "failed: ServerError" in line for level, line in lines)
    assert SECRET not in caplog.text
    assert caplog.records[0].run_id == result.run_id
    handlers = logging.getLogger("weaver").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)


async def test_the_text_of_a_span_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    await Weaver(ScriptedModel("fine")).run("Well?")
    assert local.flush()
    store = Store()
    call = next(span for span in store.spans(store.find()) if span.operation == "chat")
    assert main(["trace", "show", "--text", call.span_id]) == 0
    assert "fine" in capsys.readouterr().out
    assert sc.OUTPUT_MESSAGES not in call.attributes
