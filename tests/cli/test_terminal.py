"""``weaver`` on a terminal: the live view, the question before a download, and Ctrl-C at it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from weaver._cli.support.facade import confirmation
from weaver.testing import Scripted, Server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

ASKS = """
import sys
from weaver._cli import main
from weaver._cli.support.facade import confirmation
from weaver._cli.support.guard import guarded
from weaver._cli.support.interrupt import run_until_interrupted
import click

async def choose():
    return confirmation(yes=False)("It is a download of 490 MB. Go on?")

@click.command()
def command():
    return 0 if run_until_interrupted(choose) else 7

sys.exit(guarded(command, []))
"""


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEAVER_HOME", str(tmp_path))


@contextmanager
def terminal(width: int = 100) -> Iterator[tuple[int, int]]:
    """(master, slave) of a pseudo-terminal."""
    import fcntl
    import struct
    import termios

    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))
    try:
        yield master, slave
    finally:
        os.close(master)
        os.close(slave)


def read_until(master: int, text: str, limit: float = 20.0) -> str:
    """What appears on the terminal, up to ``text``."""
    os.set_blocking(master, False)
    seen, end = "", time.monotonic() + limit
    while text not in seen:
        assert time.monotonic() < end, seen
        try:
            seen += os.read(master, 65536).decode("utf-8", "replace")
        except BlockingIOError:
            time.sleep(0.01)
    return seen


def interrupted(process: subprocess.Popen[bytes]) -> int:
    """The exit code after Ctrl-C at a question that blocks the process.

    Python sees a signal that comes just before it reads only once the read is over, so it is sent again then.
    """
    for _ in range(20):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(1)
    raise AssertionError("it does not end")


@pytest.mark.parametrize(("typed", "code"), [(b"\n", 0), (b"y\n", 0), (b"n\n", 7), (None, 130)])
def test_a_person_is_asked(typed: bytes | None, code: int) -> None:
    with (
        terminal() as (master, slave),
        subprocess.Popen([sys.executable, "-c", ASKS], stdin=slave, stdout=slave, stderr=slave) as process,
    ):
        assert "490 MB" in read_until(master, "[Y/n]")
        if typed is None:
            assert interrupted(process) == code
        else:
            os.write(master, typed)
            assert process.wait(20) == code


def test_nobody_can_be_asked_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: PTH123, SIM115
    assert confirmation(yes=False) is None
    sys.stdin.close()


def test_who_agreed_beforehand_is_told_what_to(capsys: pytest.CaptureFixture[str]) -> None:
    agreed = confirmation(yes=True)

    assert agreed is not None
    assert agreed("Download 490 MB?")
    assert "Download 490 MB? Yes (--yes)." in capsys.readouterr().err


def test_the_live_view_is_on_stderr_and_the_answer_alone_on_stdout() -> None:
    replies = [Scripted("Kyoto has gardens.", each=0.15)]
    environ = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "COLUMNS", "LINES"}}
    with terminal() as (master, slave), Server(replies).in_thread() as server:
        environ |= {"WEAVER_BASE_URL": server.url, "WEAVER_MODEL": "openai/x", "TERM": "xterm-256color"}
        command = [sys.executable, "-m", "weaver", "run", "Kyoto?"]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave, env=environ
        ) as process:
            shown = read_until(master, "1 call")
            assert process.wait(20) == 0
            assert process.stdout is not None
            assert process.stdout.read() == b"Kyoto has gardens.\n"
    assert re.search("openai/x · adaptive.*answering", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown))
    assert "\x1b[?25h" in shown


def test_a_dumb_terminal_gets_plain_lines() -> None:
    with terminal() as (master, slave), Server("Gardens.").in_thread() as server:
        environ = os.environ | {"WEAVER_BASE_URL": server.url, "WEAVER_MODEL": "openai/x", "TERM": "dumb"}
        command = [sys.executable, "-m", "weaver", "run", "Kyoto?"]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=slave, env=environ
        ) as process:
            shown = read_until(master, "1 call")
            assert process.wait(20) == 0
    assert "model openai/x, strategy adaptive" in shown
    assert "\x1b" not in shown
