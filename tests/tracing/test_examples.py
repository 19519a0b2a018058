"""The files under examples/tracing fit each other, and the program runs."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from tests.tracing.export.collector import Collector
from weaver._testing.server import Server
from weaver.testing import Scripted

FOLDER = Path(__file__).parents[2] / "examples" / "tracing"


def test_the_compose_file_and_the_collector_agree() -> None:
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    config = yaml.safe_load((FOLDER / "collector.yaml").read_text())

    takes = {p["endpoint"].rsplit(":", 1)[1] for p in config["receivers"]["otlp"]["protocols"].values()}
    assert {port.split(":")[-1] for port in services["collector"]["ports"]} == takes
    given = services["collector"]["environment"]
    for name in ("jaeger", "phoenix", "langfuse"):
        variable = f"{name.upper()}_ENDPOINT"
        assert config["exporters"][f"otlp_http/{name}"]["endpoint"] == f"${{env:{variable}}}"
        assert urlsplit(given[variable]).hostname == name
        assert name in services
    keys = services["langfuse"]["environment"]
    pair = f"{keys['LANGFUSE_INIT_PROJECT_PUBLIC_KEY']}:{keys['LANGFUSE_INIT_PROJECT_SECRET_KEY']}"
    assert given["LANGFUSE_AUTHORIZATION"] == f"Basic {base64.b64encode(pair.encode()).decode()}"
    assert all(port.startswith("127.0.0.1:") for s in services.values() for port in s.get("ports", ()))
    assert {name for s in services.values() for name in s.get("depends_on", ())} <= set(services)
    for volume in services["collector"]["volumes"]:
        assert (FOLDER / volume.split(":")[0]).is_file()
    for pipeline in config["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(config[kind])


def test_a_program_with_a_trace_of_its_own(tmp_path: Path) -> None:
    with Collector() as collector, Server([Scripted("Four.")]).in_thread() as server:
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "WEAVER_"))} | {
            "WEAVER_MODEL": "openai/m",
            "WEAVER_BASE_URL": server.url,
            "WEAVER_STRATEGY": "sequential",
            "WEAVER_HOME": str(tmp_path),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        program = [sys.executable, "-W", "error", str(FOLDER / "own_provider.py"), "What is 2 + 2?"]
        done = subprocess.run(program, env=environ, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stdout) == (0, "Four.\n"), done.stderr
    names = {s.span_id: s.name for s in collector.spans}
    [root] = [s for s in collector.spans if s.name == "invoke_workflow sequential"]
    assert names[root.parent_span_id] == "answer a customer"
    assert f"trace {root.trace_id.hex()}" in done.stderr
    assert collector.resource["service.name"] == "my-program"
