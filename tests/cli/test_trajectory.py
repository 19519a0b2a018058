"""``weaver trajectory check``."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.native.trained import TRAINED, Trained
from weaver._cli import main
from weaver._strategies.native import FORMATS, statistics

GOOD = next(t.trajectory for t in TRAINED if t.name == "threadweaver")


@pytest.mark.parametrize("trained", TRAINED, ids=[t.name for t in TRAINED])
def test_a_good_one_is_measured(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "said.txt"
    file.write_text(trained.trajectory)
    assert main(["trajectory", "check", str(file), "--format", trained.name]) == 0
    first, *table = capsys.readouterr().out.splitlines()

    assert first == f"{file} is fine ({trained.name})"
    shown = dict(line.split() for line in table)
    found = statistics(trained.trajectory, trained.name)
    assert shown["critical_path"] == str(found.critical_path)
    assert shown["acceleration_ratio"] == f"{found.acceleration_ratio:.3f}"
    assert (shown["threads_per_block"], shown["unclosed"]) == ("2.000", "0")


def test_problems_have_their_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "said.txt"
    file.write_text(
        GOOD.replace("</Thread><Thread>", "</Thread> <Thread>").replace("take</", "take\x1b[2J</")
    )
    assert main(["trajectory", "check", str(file), "--format", "threadweaver"]) == 1
    out = capsys.readouterr().out

    line = GOOD[: GOOD.index("</Thread>")].count("\n") + 1
    column = len("1: one is 1</Thread>") + 1
    assert out.startswith(f"{file}:{line}:{column}: Something stands between two <Thread>.\n")
    assert f"{file}: 1 problem\n" in out
    assert "total" in out


def test_json_from_stdin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    said = "x <Parallel>\ny</Thread>"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(said.encode())))
    assert main(["trajectory", "check", "-", "--format", "threadweaver", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)

    assert (told["file"], told["format"]) == ("-", "threadweaver")
    assert {"line": 2, "column": 2, "rule": "unclosed", "what": "</Thread> closes nothing."} in told[
        "problems"
    ]
    assert told["statistics"]["total"] == statistics(said, "threadweaver").total
    assert told["statistics"]["unclosed"] == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["{file}", "--format", "threadweever"], "Did you mean 'threadweaver'?"),
        (["{file}x", "--format", "npr"], "cannot be read: No such file"),
        (["{file}", "--format", "npr"], "The trajectory from {file} is not UTF-8 text."),
        (["{file}"], "Missing option '--format'"),
    ],
)
def test_wrong_usage(given: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "said.txt")
    Path(file).write_bytes(b"\xff")
    assert main(["trajectory", "check", *(one.replace("{file}", file) for one in given)]) == 2
    assert said.replace("{file}", file) in capsys.readouterr().err


def test_help_names_the_formats(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trajectory", "check", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert ", ".join(FORMATS) in out
