"""A real Phoenix receives a run and shows model, tokens, input and output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tracing.export.phoenix import PROGRAM, phoenix
from weaver.testing import Scripted, Server

PLAN = {
    "parallel": True,
    "reason": "two look-ups",
    "subtasks": [
        {"id": "a", "title": "Alpha", "prompt": "What is alpha?", "depends_on": []},
        {"id": "b", "title": "Beta", "prompt": "What is beta?", "depends_on": []},
    ],
}
REPLIES = [
    Scripted(json.dumps(PLAN), when="subtasks"),
    Scripted("Alpha is 17.", when=lambda r: r.messages[-1].text == "What is alpha?"),
    Scripted("Beta is 23.", when=lambda r: r.messages[-1].text == "What is beta?"),
    Scripted("Alpha is 17 and beta is 23."),
]


@pytest.mark.heavy
@pytest.mark.timeout(420)
def test_phoenix_shows_model_tokens_input_and_output(tmp_path: Path):
    if not PROGRAM.exists():
        pytest.skip(f"MISSING: Phoenix ({PROGRAM}); .ci/run installs it")
    question = "Compare alpha and beta: what are they?"
    with phoenix(tmp_path) as server, Server(REPLIES, model="mock").in_thread() as models:
        environ = os.environ | {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{server.url}/v1/traces",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
            "WEAVER_TRACE_OPENINFERENCE": "on",
            "WEAVER_HOME": str(tmp_path / "home"),
            "OPENAI_API_KEY": "a-key-for-nobody",
        }
        command = ["run", "--no-live", "--strategy", "adaptive:gate=off,merge=write", question]
        endpoint = ["--model", "openai/mock", "--base-url", models.url]
        done = subprocess.run(
            [sys.executable, "-m", "weaver", *command, *endpoint],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        spans = server.spans(9)
    kinds = {(span["name"].split()[0], span["span_kind"]) for span in spans}
    assert kinds == {
        ("invoke_workflow", "CHAIN"),
        ("plan", "AGENT"),
        ("invoke_agent", "AGENT"),
        ("chat", "LLM"),
        ("join", "CHAIN"),
        ("synthesis", "CHAIN"),
    }
    root = next(span for span in spans if span["name"].startswith("invoke_workflow"))
    assert root["parent_id"] is None
    assert root["attributes"]["input.value"] == question
    assert root["attributes"]["output.value"] == "Alpha is 17 and beta is 23."
    calls = [span["attributes"] for span in spans if span["span_kind"] == "LLM"]
    assert len(calls) == 4
    for call in calls:
        assert call["llm.model_name"] == "openai/mock"
        assert call["llm.provider"] == "openai"
        assert call["llm.token_count.prompt"] > 0
        assert call["llm.token_count.completion"] > 0
        assert call["llm.input_messages.0.message.content"]
    answers = {call["llm.output_messages.0.message.content"] for call in calls}
    assert {"Alpha is 17.", "Beta is 23.", "Alpha is 17 and beta is 23."} <= answers
