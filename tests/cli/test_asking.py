"""Approvals asked at a real pseudo-terminal: one at a time, and the run can be stopped while one waits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from weaver._cli import main
from weaver._cli.display.progress import Lines
from weaver._cli.support.asking import Keyboard
from weaver.events import Noted
from weaver.testing import Scripted, Server

from .test_terminal import interrupted, read_until, terminal

needs_terminal = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

HEAD = "version: weaver/v1\nname: gate\n"
TWO = HEAD + (
    "steps:\n  delete_db: {approve: 'DELETE the [red]production[/red] database?'}\n"
    "  send_mail: {approve: 'Send the newsletter?'}\n"
)
ONE = HEAD + "steps:\n  other: {task: hello}\n  ok: {approve: Fine?, task: hi}\n"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEAVER_HOME", str(tmp_path))
    for name in ("OPENAI_BASE_URL", "WEAVER_MODEL", "WEAVER_BASE_URL", "NO_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server([Scripted("Tokyo.")]).in_thread() as running:
        yield running


@contextmanager
def asked(
    server: Server, flow: str, tmp_path: Path, *flags: str
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """`weaver run` at a terminal; its stdout goes to a pipe."""
    path = tmp_path / "flow.yaml"
    path.write_text(flow)
    command = [sys.executable, "-m", "weaver", "run", str(path), "--base-url", server.url, "--model", "m"]
    environ = os.environ | {"TERM": "xterm-256color"}
    with (
        terminal() as (master, slave),
        subprocess.Popen(
            [*command, *flags], stdin=slave, stdout=subprocess.PIPE, stderr=slave, env=environ
        ) as process,
    ):
        try:
            yield master, process
        finally:
            process.kill()


def answer(process: subprocess.Popen[bytes]) -> dict[str, object]:
    assert process.stdout is not None
    said = json.loads(process.stdout.read())
    return said.get("output", said)


@needs_terminal
@pytest.mark.parametrize("flags", [(), ("-q",), ("--no-live",)])
def test_two_questions_are_asked_one_after_the_other(server: Server, tmp_path: Path, flags: tuple[str, ...]):
    with asked(server, TWO, tmp_path, *flags) as (master, process):
        first = read_until(master, "Go on? [y/N]: ")
        time.sleep(0.2)
        os.set_blocking(master, False)
        with pytest.raises(BlockingIOError):  # nothing is drawn over the question, and no second one shown
            os.read(master, 1000)
        assert "DELETE the [red]production[/red] database?" in first
        assert "newsletter" not in first
        os.write(master, b"y\n")
        assert "Send the newsletter?" in read_until(master, "Go on? [y/N]: ")
        os.write(master, b"maybe\n")
        assert "Please answer y or n." in read_until(master, "Go on? [y/N]: ")
        os.write(master, b"n\n")
        assert process.wait(20) == 0
        assert answer(process) == {"delete_db": {"approved": True, "comment": ""}, "send_mail": None}


@needs_terminal
def test_ctrl_c_at_a_question_ends_the_run(server: Server, tmp_path: Path):
    with asked(server, ONE, tmp_path) as (master, process):
        read_until(master, "[y/N]")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        shown = read_until(master, "Interrupted.")
        assert "Fatal" not in shown


@needs_terminal
@pytest.mark.parametrize(
    ("said", "instead", "flags", "code"),
    [
        ("", "", ("--deadline", "1.3"), 3),
        ("steps:", "defaults: {deadline: 1.3s}\nsteps:", (), 3),
        ("task: hi", "task: hi, deadline: 0.5s", (), 3),
        ("Fine?", "{message: Fine?, timeout: 0.3s}", (), 0),
    ],
)
def test_time_limits_hold_while_a_question_waits(
    server: Server, tmp_path: Path, said: str, instead: str, flags: tuple[str, ...], code: int
):
    with asked(server, ONE.replace(said, instead) if said else ONE, tmp_path, "--json", *flags) as (
        master,
        process,
    ):
        read_until(master, "[y/N]")
        assert process.wait(20) == code
        assert answer(process) == {"other": "Tokyo.", "ok": None}


@needs_terminal
def test_ctrl_d_is_a_no(server: Server, tmp_path: Path):
    with asked(server, ONE, tmp_path, "--json") as (master, process):
        read_until(master, "[y/N]")
        os.write(master, b"\x04")
        assert process.wait(20) == 0
        assert answer(process) == {"other": "Tokyo.", "ok": None}


@needs_terminal
def test_ctrl_c_at_the_question_for_an_input_is_an_interrupted_run(server: Server, tmp_path: Path):
    flow = HEAD + "inputs: {n: integer}\nsteps: {a: {task: '${{ inputs.n }}'}}\n"
    with asked(server, flow, tmp_path, "--json") as (master, process):
        read_until(master, "n:")
        assert interrupted(process) == 130
        assert process.stdout is not None
        assert json.loads(process.stdout.read())["error"]["type"] == "RunCancelled"


# ---- without a terminal


def run(flow: str, tmp_path: Path, server: Server, *flags: str) -> int:
    path = tmp_path / "flow.yaml"
    path.write_text(flow)
    return main(["run", str(path), "--base-url", server.url, "--model", "m", "--json", "-q", *flags])


def test_steps_are_approved_beforehand(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    yes = {"approved": True, "comment": ""}
    for flags, output in (
        (("--approve", "send_mail"), {"delete_db": None, "send_mail": yes}),
        (("--approve", "send_mail", "--approve", "delete_db"), {"delete_db": yes, "send_mail": yes}),
        (("--approve", "all"), {"delete_db": yes, "send_mail": yes}),
    ):
        assert run(TWO, tmp_path, server, *flags) == 0
        result = json.loads(capsys.readouterr().out)
        assert result["output"] == output
        asked_nobody = "Step delete_db: nobody could be asked, so it counts as not approved"
        assert any(asked_nobody in note for note in result["notes"]) == (output["delete_db"] is None)


def test_a_step_of_a_used_workflow_is_approved_by_its_path(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "inner.yaml").write_text(ONE.replace("gate", "inner"))
    outer = HEAD + "steps: {part: {uses: ./inner.yaml}}\n"
    assert run(outer, tmp_path, server, "--approve", "part/ok") == 0
    assert json.loads(capsys.readouterr().out)["output"]["part"]["ok"] == "Tokyo."


def test_only_steps_that_ask_can_be_approved(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(TWO, tmp_path, server, "--approve", "send_mial") == 2
    said = capsys.readouterr().err
    assert "There is no step that asks for approval named 'send_mial'" in said
    assert "Did you mean 'send_mail'?" in said
    assert main(["run", "A question?", "--approve", "all"]) == 2


# ---- the parts


@pytest.mark.anyio
async def test_a_line_is_for_the_question_that_waits_when_it_is_typed():
    reading, writing = os.pipe()
    keyboard = Keyboard(reading)
    try:
        with anyio.move_on_after(0.05):
            await keyboard.line()
        os.write(writing, b"late\n")  # typed after the question was gone
        await anyio.sleep(0.2)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(_type, writing, b"yes\n")
                assert await keyboard.line() == "yes\n"
        os.close(writing)
        with anyio.fail_after(5):
            assert await keyboard.line() == ""
    finally:
        os.close(reading)


async def _type(descriptor: int, text: bytes) -> None:
    await anyio.sleep(0.05)
    os.write(descriptor, text)


def test_lines_are_held_back_while_somebody_is_asked(capsys: pytest.CaptureFixture[str]):
    lines = Lines()
    with lines.paused():
        lines.show(Noted("meanwhile"))
        assert capsys.readouterr().err == ""
    assert capsys.readouterr().err == "note: meanwhile\n"
