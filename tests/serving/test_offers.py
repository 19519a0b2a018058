"""What is offered: strategies, workflows, teams, other models; and the command itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml

from tests.serving.asking import client, user
from tests.serving.conftest import Start
from weaver._cli import main
from weaver._serving.client_config import CLIENTS
from weaver._serving.http.listener import listen
from weaver.errors import ConfigurationError
from weaver.testing import Scripted, Server

ONE_INPUT = """\
version: weaver/v1
name: shout
description: Writes in capitals.
inputs: {topic: string, tone: {type: string, default: loud}}
steps:
  write: {task: "Shout about ${{ inputs.topic }} in a ${{ inputs.tone }} tone."}
outputs: ${{ steps.write.output }}
"""
TWO_INPUTS = """\
version: weaver/v1
name: pair
inputs: {left: string, right: integer}
steps:
  write: {task: "Pair ${{ inputs.left }} with ${{ inputs.right }}."}
outputs: ${{ steps.write.output }}
"""
TEAM = """\
- {name: chemist, description: Knows chemistry., instructions: You are a chemist.}
- {name: cook, description: Knows food., instructions: You are a cook.}
"""
PLAN = json.dumps(
    {
        "parallel": True,
        "reason": "two views",
        "subtasks": [
            {"id": "a", "title": "A", "prompt": "Chemistry of salt.", "agent": "chemist"},
            {"id": "b", "title": "B", "prompt": "Taste of salt.", "agent": "cook"},
        ],
    }
)


def ask(url: str, model: str, text: str, **options: Any) -> Any:
    with client(url) as api:
        answer: Any = api.chat.completions.create(model=model, messages=user(text), **options)
        return list(answer) if options.get("stream") else answer


def test_workflows_are_models_that_take_a_message_or_inputs_by_name(start: Start, tmp_path: Path):
    (tmp_path / "shout.yaml").write_text(ONE_INPUT)
    (tmp_path / "pair.yaml").write_text(TWO_INPUTS)
    server = start(
        [Scripted(lambda request: request.messages[-1].content.upper())],
        workflows=["shout.yaml"],
        models={"pairs": {"workflow": "pair.yaml", "deadline": 20}},
    )
    with client(server.url) as api:
        assert {"workflow/shout", "pairs"} <= {m.id for m in api.models.list()}
        assert api.models.retrieve("workflow/shout").model_extra == {"description": "Writes in capitals."}

    def text(*arguments: Any, **options: Any) -> Any:
        return ask(server.url, *arguments, **options).choices[0].message.content

    assert "SHOUT ABOUT TEA IN A LOUD TONE" in text("workflow/shout", "tea")
    assert "ABOUT TEA IN A CALM TONE" in text("workflow/shout", '{"topic": "tea", "tone": "calm"}')
    assert "PAIR X WITH 3" in text("pairs", '{"left": "x", "right": 3}')
    inputs = {"weaver": {"inputs": {"left": "y", "right": 4}}}
    assert "PAIR Y WITH 4" in text("pairs", "please", extra_body=inputs)
    with pytest.raises(openai.BadRequestError, match="has the inputs left, right"):
        text("pairs", "please")
    with pytest.raises(openai.BadRequestError, match="right"):
        text("pairs", '{"left": "x", "right": "three"}')
    tool: Any = {"type": "function", "function": {"name": "f"}}
    with pytest.raises(openai.BadRequestError, match="cannot call the client's tools"):
        text("workflow/shout", "tea", tools=[tool])
    chunks = ask(server.url, "workflow/shout", "tea", stream=True)
    assert "SHOUT ABOUT TEA" in "".join(c.choices[0].delta.content or "" for c in chunks)


def test_a_model_of_ones_own_has_a_strategy_a_team_and_limits(start: Start, tmp_path: Path):
    (tmp_path / "team.yaml").write_text(TEAM)
    server = start(
        [
            Scripted(PLAN, when="subtasks"),
            Scripted("sodium", when="a chemist"),
            Scripted("salty", when="a cook"),
            Scripted("both"),
        ],
        models={
            "kitchen": {"strategy": "adaptive:gate=off", "agents": "team.yaml", "max_calls": 10},
            "votes": {"strategy": "self_consistency:samples=3"},
        },
    )
    question = "Compare the chemistry of salt and the taste of salt."
    answer = ask(server.url, "kitchen", question)
    assert [t["state"] for t in answer.model_extra["weaver"]["threads"]] == ["succeeded", "succeeded"]
    asked = ["\n".join(m.content for m in r.request.messages) for r in server.models.requests]
    assert any("You are a chemist." in text for text in asked)
    assert any("You are a cook." in text for text in asked)
    assert "Knows chemistry." in asked[0]

    server.models.requests.clear()
    with pytest.raises(openai.BadRequestError, match="no agent 'pilot'"):
        ask(server.url, "kitchen", question, extra_body={"weaver": {"agents": ["pilot"]}})
    ask(server.url, "votes", "a question")
    assert 2 <= len(server.models.requests) <= 3


def test_another_language_model_can_be_chosen_only_where_it_is_allowed(start: Start):
    server = start("two", upstream=["openai/other*"])
    for name in ("openai/other-7b", "self_consistency/openai/other-7b", "moa-openai/other-7b"):
        server.models.requests.clear()
        answer = ask(server.url, name, "hello?")
        assert answer.model == name
        assert {r.body["model"] for r in server.models.requests} == {"other-7b"}
    server.models.requests.clear()
    ask(server.url, "openai/other-7b", "hello?", extra_body={"optillm_approach": "self_consistency"})
    assert len(server.models.requests) > 1
    for name in ("openai/secret", "adaptive/openai/secret", "ollama/x"):
        with pytest.raises(openai.NotFoundError):
            ask(server.url, name, "hello?")


def test_only_strategies_that_work_here_are_offered(start: Start):
    server = start()
    with client(server.url) as api:
        ids = [m.id for m in api.models.list()]
    assert ids[:2] == ["weaver/direct", "weaver/adaptive"]
    assert "weaver/fixed" not in ids
    assert "weaver/sequential" not in ids
    few = start(strategies=["self_consistency"])
    with client(few.url) as api:
        assert [m.id for m in api.models.list()] == ["weaver/direct", "weaver/self_consistency"]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('strategies = ["adaptve"]', "adaptve"),
        ('workflows = ["gone.yaml"]', r"gone\.yaml"),
        ('[serve.models.x]\nstrategy = "self_consistency:smaples=3"', "smaples"),
        ('[serve.models.x]\nagents = "gone.yaml"', r"gone\.yaml"),
        ('[serve.models.x]\nworkflow = "a.yaml"\nstrategy = "debate"', "Leave strategy"),
        ('[serve.models."weaver/direct"]\nstrategy = "debate"', "two models have the name"),
        ("max_body = 0", r"serve\.max_body"),
        ('progress = "loud"', r"serve\.progress"),
    ],
)
def test_what_cannot_be_served_is_said_before_anything_listens(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    table: str,
    problem: str,
):
    import re

    (tmp_path / "weaver.toml").write_text(f"[serve]\n{table}\n")
    monkeypatch.chdir(tmp_path)
    with Server().in_thread() as models:
        code = main(["serve", "--port", "0", "--model", "openai/x", "--base-url", models.url])
    assert code == 2
    error = capsys.readouterr().err
    assert re.search(problem, error), error
    assert "Traceback" not in error


@pytest.mark.parametrize("name", [*CLIENTS, "Open WebUI"])
def test_print_config_names_the_address_and_no_key(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEAVER_SERVE_KEYS", "alice:a-very-secret-key-of-alice")
    assert main(["serve", "--print-config", name, "--port", "9000"]) == 0
    text = capsys.readouterr().out
    if name == "claude":
        config = json.loads(text.splitlines()[-1])
        assert main([*config["mcpServers"]["weaver"]["args"], "--help"]) == 0
        return
    assert "http://localhost:9000/v1" in text
    assert "YOUR-KEY" in text
    assert "secret-key" not in text
    if name in ("librechat", "continue"):
        assert yaml.safe_load(text)


def test_print_config_of_an_unknown_client_names_those_that_are_known(capsys: pytest.CaptureFixture[str]):
    assert main(["serve", "--print-config", "emacs"]) == 2
    assert "aider" in capsys.readouterr().err


def test_a_taken_port_is_a_clear_error(start: Start):
    server = start()
    port = int(server.url.split(":")[2].split("/")[0])
    with pytest.raises(ConfigurationError, match="cannot be listened on"):
        listen("127.0.0.1", port)


@pytest.mark.parametrize("drain", [5.0, 0.3])
def test_sigterm_lets_runs_end_and_after_the_drain_cuts_them(tmp_path: Path, drain: float):
    (tmp_path / "weaver.toml").write_text(f"[serve]\ndrain = {drain}\n")
    replies = [Scripted("word " * (20 if drain > 1 else 400), each=0.02)]
    environ = {**os.environ, "WEAVER_HOME": str(tmp_path / "home"), "PYTHONUNBUFFERED": "1"}
    with Server(replies).in_thread() as models:
        command = [sys.executable, "-m", "weaver", "serve", "--port", "0", "--model", "openai/x"]
        process = subprocess.Popen(
            [*command, "--base-url", models.url], cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            url = line.split(" at ")[1].split()[0]
            body = {"model": "weaver/direct", "stream": True, "messages": user("hi")}
            with httpx.stream("POST", f"{url}/chat/completions", json=body, timeout=20) as answer:
                lines = answer.iter_lines()
                while '"content":"word' not in next(lines):
                    pass
                process.send_signal(signal.SIGTERM)
                rest = list(lines)
            assert rest[-2:] == ["data: [DONE]", ""]
            last = [json.loads(one[6:]) for one in rest if one.startswith("data: {")][-1]
            assert last["choices"][0]["finish_reason"] == ("stop" if drain > 1 else "length")
            assert process.wait(10) == 0
            assert process.stderr.read().count("\n") == 1
        finally:
            process.kill()
            process.stderr.close()
            process.wait()
