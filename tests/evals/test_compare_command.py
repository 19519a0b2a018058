"""``weaver compare`` as a user types it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from weaver._cli import main
from weaver._cli.running.compare import split_names
from weaver._evals.comparing import Comparison
from weaver._evals.records import RecordFile
from weaver._evals.tasks import load
from weaver.testing import Server

SUM = ["--task", "tree_sum", "--simulate", "--strategies", "sequential"]
SIMULATE = ["compare", "--simulate", "--task", "independent:parts=4", "--strategies", "sequential,adaptive"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("WEAVER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, which takes half a second: the tests of what a simulation writes draw."""

    def draw(_: object, paths: Sequence[Path], **__: object) -> None:
        for path in paths:
            path.touch()

    monkeypatch.setattr("weaver._evals.plot.draw", draw)


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


@pytest.mark.usefixtures("without_figures")
def test_compare_makes_a_new_folder_where_out_is_not_given(capsys, tmp_path: Path) -> None:
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
        (["--task", "tree_sum", "--strategies", ","], "Give at least one --task and --strategies"),
        (["--task", "tree_sum", "--strategies", "sequential", "--models", ","], "names no model"),
        ([*SUM, "--baseline", "sequentail"], "Did you mean 'sequential'"),
        ([*SUM, "--task", "tree_sum"], "'tree_sum' is given twice"),
        ([*SUM, "--strategies", "sequential,adaptive:speculat=1"], "Did you mean 'speculate'"),
        ([*SUM, "--strategies", "sequential,no.py:f"], "no.py cannot be read"),
        ([*SUM, "--max-cost", "1"], "prices of simulation are unknown"),
        ([*SUM, "--out", "afile/x"], "cannot be written"),
        ([*SUM, "--strategy", "sequential"], "--strategies"),
        ([*SUM, "--model", "m"], "--models"),
        (
            ["--task", "tree_sum", "--strategies", "sequential", "--simulate", "--max-calls", "x"],
            "--max-calls",
        ),
    ],
)
def test_wrong_use_is_explained_without_a_traceback(
    arguments: list[str], said: str, capsys, tmp_path: Path
) -> None:
    (tmp_path / "afile").write_text("", encoding="utf-8")
    assert main(["compare", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert [p.name for p in tmp_path.iterdir()] == ["afile"]  # nothing was begun


@pytest.mark.usefixtures("without_figures")
def test_a_baseline_of_an_earlier_time_may_be_named(capsys) -> None:
    assert main(["compare", *SUM, "-n", "1", "--out", "out"]) == 0
    adaptive = ["compare", "--task", "tree_sum", "--simulate", "--strategies", "adaptive", "-n", "1"]
    assert main([*adaptive, "--out", "out", "--baseline", "sequential"]) == 0
    capsys.readouterr()
    assert main(["compare", "--report-only", "--out", "out", "--baseline", "adaptiv"]) == 2
    assert "Did you mean 'adaptive'" in capsys.readouterr().err


@pytest.mark.usefixtures("without_figures")
def test_a_strategy_of_a_file_stands_beside_ours(capsys, tmp_path: Path) -> None:
    (tmp_path / "checked.py").write_text(
        "async def checked(run, task, *, tries: int = 1):\n"
        "    for _ in range(tries):\n"
        "        answer = await run.reason(task)\n"
        "    return answer\n",
        encoding="utf-8",
    )
    named = "sequential,checked.py:checked:tries=2"
    arguments = ["compare", "--task", "tree_sum", "--simulate", "--strategies", named, "-n", "1", "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)["summaries"]
    assert [(s["strategy"], s["calls"]) for s in found] == [("sequential", 1), (named.partition(",")[2], 2)]


def test_ungraded_runs_are_told_and_graded_by_the_same_command(capsys, tmp_path: Path) -> None:
    grader = tmp_path / "mine.py"
    grader.write_text("def f(answer, item):\n    return 1 / 0\n", encoding="utf-8")
    arguments = ["compare", *SUM[2:], "--task", f"tree_sum:grader=python:{grader}:f", "-n", "2", "--out", "o"]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "2 runs could not be graded (not graded: The grader f raised ZeroDivisionError" in captured.err
    assert "not graded" in captured.out
    grader.write_text("def f(answer, item):\n    return True\n\n", encoding="utf-8")
    os.utime(grader, (1, 1))
    assert main([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert "could not be graded" not in captured.err
    assert json.loads(captured.out)["summaries"][0]["accuracy"] == 1.0


def test_the_help_has_no_flags_that_do_nothing(capsys) -> None:
    assert main(["compare", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--strategies" in shown
    assert "--strategy " not in shown
    assert "--model " not in shown


def test_prices_that_are_unknown_are_refused_once_before_anything_is_asked(capsys) -> None:
    with Server().in_thread() as server:
        where = ["--base-url", server.url, "--max-cost", "1"]
        compared = ["--task", "tree_sum", "--strategies", "self_consistency", "--models", "m"]
        asked = ["hello", "--strategy", "self_consistency", "--model", "m"]
        for command in (["compare", *compared], ["run", *asked]):
            assert main([*command, *where]) == 2
            assert capsys.readouterr().err.count("prices of m are unknown") == 1
        assert server.requests == []


def test_a_second_comparison_into_the_same_folder_is_refused(capsys, tmp_path: Path) -> None:
    comparison = Comparison(tasks=[load("tree_sum", n=1, seed=0)], strategies=["sequential"], models=[])
    with RecordFile(tmp_path / "out" / "runs.jsonl", comparison.header):
        assert main(["compare", *SUM, "--out", "out"]) == 2
    assert "Another `weaver compare` is writing" in capsys.readouterr().err


@pytest.mark.heavy  # it is tried again several times, in real seconds
def test_an_unreachable_server_ends_it_with_an_error(capsys) -> None:
    where = ["--base-url", "http://127.0.0.1:1/v1", "--models", "m"]
    assert main(["compare", "--task", "tree_sum", "--strategies", "sequential", *where]) == 1
    assert "Error: " in capsys.readouterr().err


def test_options_of_strategies_do_not_split_names() -> None:
    assert split_names("a, b:x=1,y=2 ,c") == ["a", "b:x=1,y=2", "c"]
    assert split_names("") == []
