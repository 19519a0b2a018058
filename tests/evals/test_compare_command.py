"""``weaver compare`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from weaver.cli import main
from weaver.cli.compare import split_names

SIMULATE = ["compare", "--simulate", "--task", "independent:parts=4", "--strategies", "sequential,adaptive"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_simulation_writes_all_reports_and_can_be_gone_on_with(capsys, tmp_path: Path) -> None:
    assert main([*SIMULATE, "-n", "3", "--out", "out"]) == 0
    captured = capsys.readouterr()
    assert "SIMULATION" in captured.out
    assert "adaptive" in captured.out
    assert "[6/6]" in captured.err
    made = {p.name for p in (tmp_path / "out").iterdir()}
    assert made == {
        "runs.jsonl", "report.json", "report.md", "runs.csv", "summary.csv", "plot.svg", "plot.png",
    }  # fmt: skip
    assert main([*SIMULATE, "-n", "3", "--out", "out", "--json"]) == 0
    captured = capsys.readouterr()
    assert "6 of 6 runs are done" in captured.err
    assert json.loads(captured.out)["simulated"] is True
    assert main(["compare", "--report-only", "--out", "out", "--baseline", "adaptive", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["summaries"]
    assert found[0]["against"]["baseline"] == "adaptive"


def test_without_out_a_fresh_folder_is_made(capsys, tmp_path: Path) -> None:
    assert main([*SIMULATE, "-n", "1"]) == 0
    assert main([*SIMULATE, "-n", "1"]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"comparison-1", "comparison-2"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Give at least one --task"),
        (["--report-only"], "needs --out"),
        (["--report-only", "--out", "nowhere"], "not a file of"),
        (["--task", "tree_sums", "--strategies", "sequential", "--simulate"], "Did you mean 'tree_sum'"),
        (["--task", "tree_sum", "--strategies", "sequentiel", "--simulate"], "Did you mean 'sequential'"),
        (["--task", "tree_sum", "--strategies", "sequential", "-n", "0"], "-n"),
        (
            ["--task", "tree_sum", "--strategies", "sequential", "--simulate", "--max-calls", "x"],
            "--max-calls",
        ),
    ],
)
def test_wrong_use_is_explained_without_a_traceback(arguments: list[str], said: str, capsys) -> None:
    assert main(["compare", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.heavy  # it is tried again several times, in real seconds
def test_an_unreachable_server_ends_it_with_an_error(capsys) -> None:
    where = ["--base-url", "http://127.0.0.1:1/v1", "--models", "m"]
    assert main(["compare", "--task", "tree_sum", "--strategies", "sequential", *where]) == 1
    assert "Error: " in capsys.readouterr().err


def test_options_of_strategies_do_not_split_names() -> None:
    assert split_names("a, b:x=1,y=2 ,c") == ["a", "b:x=1,y=2", "c"]
    assert split_names("") == []
