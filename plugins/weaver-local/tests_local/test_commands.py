"""``weaver local`` as a user types it."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from weaver._cli import main
from weaver_local.report import Bar, Lines

from .conftest import CONTENT, FileServer
from .test_engine import STAND_IN
from .test_source import BUILT_IN, manifest

WEAVER = [sys.executable, "-c", "import sys; from weaver._cli import main; sys.exit(main())"]


@pytest.fixture
def tiny(home: Path, files: FileServer) -> Path:
    """The models folder of a home that knows ``tiny``."""
    home.mkdir()
    (home / "models.toml").write_text(manifest(url=f"{files.url}/tiny.gguf"))
    return home / "models"


def test_pull_list_and_rm(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["local", "pull", "local/tiny"]) == 0
    pulled = capsys.readouterr()
    assert pulled.out == f"tiny is ready: {tiny / 'tiny.gguf'}\n"
    assert "tiny: 1 MB, licence MIT." in pulled.err

    assert main(["local", "pull", "tiny"]) == 0
    assert "is already there" in capsys.readouterr().out

    assert main(["local", "list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == [f"local/{BUILT_IN}", "local/tiny"]
    assert main(["local", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == str(tiny)
    assert [model["ready"] for model in told["models"]] == [False, True]

    assert main(["local", "rm", "tiny"]) == 0
    assert capsys.readouterr().out == "tiny: 1 MB freed.\n"
    assert main(["local", "rm", "tiny"]) == 0
    assert capsys.readouterr().out == "tiny was not there.\n"


def test_rm_also_takes_files_of_ones_own_but_no_paths(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.mkdir()
    (tiny / "mine.gguf").write_bytes(CONTENT)
    (tiny.parent / "outside.gguf").write_bytes(CONTENT)

    assert main(["local", "rm", "mine"]) == 0
    assert main(["local", "rm", "../outside"]) == 2
    assert main(["local", "rm", str(tiny.parent / "outside.gguf")]) == 2

    assert not (tiny / "mine.gguf").exists()
    assert (tiny.parent / "outside.gguf").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["pull", "tinny"], 2, "Did you mean 'tiny'?"),
        (["rm", "nope"], 2, "There is no local model named 'nope'"),
        (["serve", "./nope.gguf"], 2, "There is no file nope.gguf"),
        (["serve", "tiny"], 2, "nobody can be asked here"),
        (["serve", "tiny", "--host", "0.0.0.0"], 2, "there is no key"),
        (["serve", "--port", "70000"], 2, "--port"),
    ],
)
def test_bad_input_is_told_in_words(
    arguments: list[str], code: int, said: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["local", *arguments]) == code

    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_a_failed_pull_exits_1(tiny: Path, files: FileServer, capsys: pytest.CaptureFixture[str]) -> None:
    files.status = 500

    assert main(["local", "pull", "tiny"]) == 1
    assert "could not be fetched: the web address answers HTTP 500" in capsys.readouterr().err


def test_serve_announces_itself_wants_the_key_and_ends_on_ctrl_c(tiny: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": STAND_IN, "WEAVER_LOCAL_API_KEY": "secret-key"}
    served = subprocess.Popen(
        [*WEAVER, "local", "serve", "tiny", "--port", "0", "--slots", "2", "--yes"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert served.stdout is not None
    said = served.stdout.readline()
    match = re.match(
        r"tiny\.gguf is served at (http://127\.0\.0\.1:\d+/v1) with 2 slots of 4,096 tokens", said
    )
    assert match, said
    with urlopen(
        Request(f"{match[1]}/models", headers={"Authorization": "Bearer secret-key"}), timeout=5
    ) as answer:
        assert json.load(answer)["data"]
    with pytest.raises(HTTPError, match="401") as refused:
        urlopen(f"{match[1]}/models", timeout=5)
    refused.value.close()

    os.killpg(served.pid, signal.SIGINT)
    out, err = served.communicate(timeout=10)

    assert served.returncode == 0
    assert out == ""
    assert err.endswith("Stopped.\n")
    assert "secret-key" not in err


def test_serve_says_when_the_port_is_taken(
    tiny: Path, files: FileServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert main(["local", "serve", "tiny", "--yes", "--port", str(port)]) == 2

    assert f"Cannot listen on 127.0.0.1, port {port}" in capsys.readouterr().err


# ── progress ──────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_terminal_every_tenth_is_one_line() -> None:
    out = io.StringIO()
    with Lines("tiny", 10_000_000, out) as report:
        for done in range(0, 10_000_001, 250_000):
            report.at(done)

    lines = out.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[3] == "tiny: 3 of 10 MB (30 %)"


def test_on_a_terminal_there_is_a_bar(tiny: Path) -> None:
    ours, theirs = pty.openpty()
    pulling = subprocess.Popen([*WEAVER, "local", "pull", "tiny"], stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while block := os.read(ours, 4096):
            said += block
    except OSError:  # Linux: the other side is closed
        pass
    os.close(ours)

    assert pulling.wait(10) == 0
    assert b"1.0/1.0 MB" in said
    assert "━".encode() in said


def test_what_an_earlier_attempt_left_is_no_speed() -> None:
    out = io.StringIO()
    with Bar("tiny", 1000, out) as bar:
        bar.at(900)
        task: Any = bar._progress.tasks[0]
        assert task.completed == 900
        assert not task.speed
