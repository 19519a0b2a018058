"""``weaver run`` and then ``weaver trace``, as a shell sees them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracing.export.collector import Collector, nobody
from weaver._testing.server import Server
from weaver.testing import Scripted


@pytest.fixture
def weaver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the command against a model server; returns exit code, stdout and stderr."""
    with Server([Scripted("Four.")]).in_thread() as server:
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "WEAVER_"))} | {
            "WEAVER_MODEL": "openai/m",
            "WEAVER_BASE_URL": server.url,
            "WEAVER_STRATEGY": "sequential",
            "WEAVER_HOME": str(tmp_path / "home"),
            "PYTHONWARNINGS": "error",
        }

        def call(*arguments: str, **more: str) -> tuple[int, str, str]:
            done = subprocess.run(
                [sys.executable, "-m", "weaver", *arguments],
                env=environ | more, capture_output=True, text=True, check=False, timeout=50,
            )  # fmt: skip
            return done.returncode, done.stdout, done.stderr

        yield call


def test_a_run_is_found_by_the_id_it_printed(weaver) -> None:
    code, out, err = weaver("run", "What is 2 + 2?", "--live")
    assert (code, out) == (0, "Four.\n"), err
    trace_id = re.search(r"^trace ([0-9a-f]{32})$", err, re.MULTILINE).group(1)
    assert re.search(r"^live view: http://127\.0\.0\.1:\d+/", err, re.MULTILINE)

    code, out, err = weaver("trace", "show", trace_id)
    assert (code, err) == (0, "")
    assert f"trace {trace_id}" in out
    assert "What is 2 + 2?" in out
    assert "Critical path" in out


def test_spans_go_where_the_environment_says_and_losses_are_told(weaver) -> None:
    with Collector() as collector:
        code, _, err = weaver("run", "What is 2 + 2?", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        assert code == 0, err
        assert sorted(s.name for s in collector.spans) == ["chat openai/m", "invoke_workflow sequential"]
    with nobody() as url:
        code, out, err = weaver("run", "What is 2 + 2?", OTEL_EXPORTER_OTLP_ENDPOINT=url)
    assert (code, out) == (0, "Four.\n")
    assert err.count("not sent") == 1
    assert f"note: 2 of 2 spans were not sent to {url}/v1/traces: nothing answers there." in err


def test_the_store_can_be_off(weaver, tmp_path: Path) -> None:
    code, _, err = weaver("run", "What is 2 + 2?", WEAVER_TRACE_STORE="off")

    assert code == 0, err
    assert "trace " not in err
    assert not (tmp_path / "home" / "traces.sqlite").exists()
