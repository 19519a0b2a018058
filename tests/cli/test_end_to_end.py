"""``weaver`` as a user runs it, against a server on the loopback interface."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from weaver._cli import main
from weaver._models.protocol import Request
from weaver._testing.faults import Body, Fault, Page, Refusal, Truncate
from weaver.errors import AuthenticationError
from weaver.testing import Scripted, Server

PLAN = {
    "parallel": True,
    "reason": "two cities",
    "subtasks": [
        {"id": "kyoto", "title": "Kyoto", "prompt": "KYOTO in May?", "depends_on": [], "agent": None},
        {"id": "oslo", "title": "Oslo", "prompt": "OSLO in May?", "depends_on": [], "agent": None},
    ],
}
QUESTION = "Compare Kyoto and Oslo for a week in May."


def plans(request: Request) -> bool:
    """Whether the planner asks."""
    return request.output is not None and "subtasks" in json.dumps(request.output.schema)


def script(**slow: float) -> list[Scripted]:
    """A model that plans, answers both subtasks, and merges."""
    return [
        Scripted(json.dumps(PLAN), when=plans),
        Scripted("Gardens.", when="KYOTO"),
        Scripted("Fjords and long light evenings.", when="OSLO", **slow),
        Scripted("Kyoto has gardens, Oslo has fjords."),
    ]


class Shell:
    """Runs ``weaver`` with a clean environment: by a call in this process, by `start` in one of its own."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.patch = patch
        self.capture = capture
        for name in list(os.environ):
            if name.startswith(("WEAVER_", "OTEL_")) or name.endswith(("_API_KEY", "_BASE_URL")):
                patch.delenv(name)
        patch.setenv("WEAVER_HOME", str(folder / "home"))
        patch.chdir(folder)

    def use(self, server: Server) -> Self:
        self.patch.setenv("WEAVER_BASE_URL", server.url)
        self.patch.setenv("WEAVER_MODEL", "openai/scripted")
        return self

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "weaver", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, stdin: str = "", **environ: str) -> tuple[int, str, str]:
        with self.patch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            code = main(list(arguments))
        out, err = self.capture.readouterr()
        assert "Traceback" not in err, err
        return code, out, err


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(script()).in_thread() as running:
        yield running


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A shell that knows of no server."""
    return Shell(tmp_path, monkeypatch, capsys)


@pytest.fixture
def shell(alone: Shell, server: Server) -> Shell:
    """A shell whose model is the server's."""
    return alone.use(server)


def test_the_answer_alone_is_on_stdout(shell: Shell) -> None:
    with shell.start("run", QUESTION) as process:
        out, err = process.communicate(timeout=30)
    code = process.returncode

    assert (code, out) == (0, "Kyoto has gardens, Oslo has fjords.\n")
    assert "plan: 2 subtasks in 1 level" in err
    assert "[kyoto] succeeded" in err


def test_json_has_the_contract(shell: Shell) -> None:
    code, out, _ = shell("run", QUESTION, "--json")
    result = json.loads(out)

    assert code == 0
    assert out.count("\n") == 1
    assert result["status"] == "complete"
    assert result["decision"]["parallel"] is True
    assert [subtask["id"] for subtask in result["plan"]["subtasks"]] == ["kyoto", "oslo"]
    assert {thread["id"]: thread["state"] for thread in result["threads"]} == {
        "kyoto": "succeeded",
        "oslo": "succeeded",
    }
    assert result["usage"]["calls"] == 4
    assert result["metrics"]["threads"] == 2
    assert result["error"] is None


def test_events_are_lines_of_json(shell: Shell) -> None:
    code, out, _ = shell("run", "-", "--events", stdin=QUESTION)
    events = [json.loads(line) for line in out.splitlines()]

    assert code == 0
    assert events[0]["event"] == "RunStarted"
    assert events[-1]["event"] == "RunFinished"
    assert events[-1]["result"]["answer"] == "Kyoto has gardens, Oslo has fjords."
    said = "".join(event["text"] for event in events if event["event"] == "AnswerDelta")
    assert said == "Kyoto has gardens, Oslo has fjords."


def test_a_question_from_a_file(shell: Shell, server: Server) -> None:
    (shell.folder / "question.txt").write_text("What is 6 x 7?\n")
    code, _, _ = shell("run", "@question.txt", "--strategy", "sequential")

    assert code == 0
    assert "What is 6 x 7?" in json.dumps(server.requests[-1].body)


def test_flags_beat_environment_and_file(shell: Shell, server: Server) -> None:
    (shell.folder / "weaver.toml").write_text('strategy = "sequential"\ntemperature = 0.9\nseed = 1\n')
    code, out, _ = shell("run", QUESTION, "--json", "--seed", "3", WEAVER_SEED="2")

    assert code == 0
    assert json.loads(out)["strategy"] == "sequential"
    assert server.requests[-1].body["temperature"] == 0.9
    assert server.requests[-1].body["seed"] == 3


def test_prices_from_the_settings_file_give_the_cost(shell: Shell) -> None:
    (shell.folder / "weaver.toml").write_text('[prices."openai/scripted"]\ninput = 1\noutput = 10\n')
    _, out, _ = shell("run", QUESTION, "--json", "--max-cost", "0.50")
    usage = json.loads(out)["usage"]

    assert usage["cost_usd"] == pytest.approx((usage["input_tokens"] + 10 * usage["output_tokens"]) / 1e6)


def test_agents_are_offered_to_the_planner(shell: Shell, server: Server) -> None:
    (shell.folder / "agents.yaml").write_text("- name: historian\n  description: knows the dates\n")
    code, _, _ = shell("run", QUESTION, "--agents", "agents.yaml")

    assert code == 0
    assert "historian: knows the dates" in json.dumps(server.requests[0].body)


def test_plan_runs_nothing_but_the_planner(shell: Shell, server: Server) -> None:
    code, out, _ = shell("plan", QUESTION)

    assert code == 0
    assert "2 subtasks in 1 level (two cities)" in out
    assert "cost unknown" in out
    assert len(server.requests) == 1

    code, out, _ = shell("plan", QUESTION, "--json")
    assert json.loads(out)["levels"] == [["kyoto", "oslo"]]
    assert json.loads(out)["estimate"]["calls"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--strategy", "adaptve"], "Did you mean 'adaptive'?"),
        (["--strategy", "adaptive:with=3"], "max_subtasks"),
        (["--strategy", "adaptive:max_subtasks=many"], "max_subtasks"),
        (["--base-url", "localhost"], "--base-url: must start with http://"),
        (["--model", "nonsense"], "There is no model named 'nonsense'"),
    ],
)
def test_wrong_configuration_exits_2(shell: Shell, arguments: list[str], said: str) -> None:
    base = {} if "--model" not in arguments else {"WEAVER_BASE_URL": ""}
    code, out, err = shell("run", QUESTION, *arguments, **base)

    assert (code, out) == (2, "")
    assert said in err


def test_a_server_that_is_not_there(shell: Shell) -> None:
    code, out, err = shell(
        "run", QUESTION, "--json", "--deadline", "1", WEAVER_BASE_URL="http://127.0.0.1:9/v1"
    )
    error = json.loads(out)["error"]

    assert code == 1
    assert error["type"] in {"ModelConnectionError", "DeadlineExceededError"}
    assert "127.0.0.1:9" in err or "deadline" in err


CYCLE = {
    "parallel": True,
    "subtasks": [
        {"id": "a", "prompt": "KYOTO", "depends_on": ["b"]},
        {"id": "b", "prompt": "OSLO", "depends_on": ["a"]},
    ],
}
HUGE = {"parallel": True, "subtasks": [{"id": f"s{i}", "prompt": "KYOTO?"} for i in range(10_000)]}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Page(), "ModelProtocolError"),
        (Body(b'{"choices": ['), "ModelProtocolError"),
        (Truncate(after=1), "StreamInterruptedError"),
        (Refusal(400, message="no such field"), "BadRequestError"),
        (Refusal(404, message="no such model"), "BadRequestError"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_server_that_misbehaves(alone: Shell, fault: Fault, error: str) -> None:
    with Server("Gardens and fjords and more.", faults=[fault]).in_thread() as server:
        code, out, err = alone.use(server)("run", "Kyoto?", "--json", "--strategy", "sequential")
    result = json.loads(out)

    # After some text has come, that text is the answer, and partial.
    ending = (3, "partial") if error == "StreamInterruptedError" else (1, "failed")
    assert (code, result["status"], result["error"]["type"]) == (*ending, error)
    assert ("Error: " in err) == (code == 1)


def test_a_model_that_says_nothing(alone: Shell) -> None:
    with Server("").in_thread() as server:
        code, out, _ = alone.use(server)("run", "Kyoto?", "--json", "--strategy", "sequential")

    assert (code, json.loads(out)["error"]["type"]) == (1, "EmptyReplyError")


@pytest.mark.parametrize(("plan", "noted"), [(CYCLE, "cycle"), (HUGE, "more than")], ids=["cycle", "huge"])
def test_plans_that_cannot_be_run_as_they_are(alone: Shell, plan: Any, noted: str) -> None:
    with Server([Scripted(json.dumps(plan), when=plans), Scripted("Gardens.")]).in_thread() as server:
        code, out, _ = alone.use(server)("run", QUESTION, "--json")
    result = json.loads(out)

    assert (code, result["status"]) == (0, "complete")
    assert len(result["threads"]) <= 10
    assert any(noted in note for note in result["notes"])


def test_a_wrong_key(alone: Shell) -> None:
    with Server("ok", api_key="right").in_thread() as server:
        code, out, err = alone.use(server)(
            "run", "What is 6 x 7?", "--json", WEAVER_API_KEY="sk-wrong-secret"
        )

    assert code == 1
    assert json.loads(out)["error"]["type"] == AuthenticationError.__name__
    assert "sk-wrong-secret" not in out + err


def test_a_deadline_gives_a_partial_answer(alone: Shell) -> None:
    with Server(script(first=60.0)).in_thread() as server:
        began = time.monotonic()
        code, out, _ = alone.use(server)("run", QUESTION, "--json", "--deadline", "1")

    assert code == 3
    assert time.monotonic() - began < 10
    result = json.loads(out)
    assert result["status"] == "partial"
    ended = {t["id"]: (t["state"], t["cancel_reason"]) for t in result["threads"]}
    assert ended["kyoto"] == ("succeeded", None)
    assert ended["oslo"] == ("cancelled", "deadline")


def interrupted(shell: Shell, server: Server, *arguments: str) -> tuple[int, str, str]:
    """Start a run, press Ctrl-C once both threads work and one is done, and see how it ends."""
    process = shell.start("run", QUESTION, *arguments)
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        err = ""
        while "[kyoto] succeeded" not in err:
            line = process.stderr.readline()
            assert line, err
            err += line
        while len(server.requests) < 3:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        err += process.stderr.read()
        out = process.stdout.read()
    assert "Traceback" not in err, err
    return process.returncode, out, err


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process")
def test_ctrl_c_keeps_what_was_finished_and_frees_the_server(alone: Shell) -> None:
    with Server(script(first=60.0)).in_thread() as server:
        code, out, err = interrupted(alone.use(server), server)
        limit = time.monotonic() + 2
        while server.in_flight and time.monotonic() < limit:
            time.sleep(0.01)

        assert server.in_flight == 0
        assert [r.closed for r in server.requests].count("disconnected") == 1
    assert code == 130
    assert "Gardens." in out + err
    assert "Interrupted." in err


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process")
def test_ctrl_c_with_json_still_prints_its_object(alone: Shell) -> None:
    with Server(script(first=60.0)).in_thread() as server:
        code, out, _ = interrupted(alone.use(server), server, "--json")
    result: dict[str, Any] = json.loads(out)

    assert code == 130
    assert {t["id"]: (t["state"], t["cancel_reason"]) for t in result["threads"]} == {
        "kyoto": ("succeeded", None),
        "oslo": ("cancelled", "user"),
    }


def test_a_run_without_a_usable_model_says_which_key_is_missing(alone: Shell) -> None:
    code, out, err = alone("run", "What is 6 x 7?", "--json", "--model", "openai/gpt-5-mini")

    assert code == 2
    assert json.loads(out)["error"]["type"] == "ConfigurationError"
    assert "OPENAI_API_KEY" in err
