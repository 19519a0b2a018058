"""The tables of the evidence: puzzles are graded by arithmetic, arms by utility, and rows become a page."""

from __future__ import annotations

import json
import sys
from fractions import Fraction

import pytest

from tests.benchmarks.evidence import __main__ as command
from tests.benchmarks.evidence import mix, report
from tests.benchmarks.evidence.measuring import Row
from tests.benchmarks.evidence.puzzles import Puzzle, is_solvable, puzzles
from weaver import Answer


def test_puzzles_can_be_solved_and_are_the_same_for_the_same_seed():
    some = list(puzzles(3, 20))
    assert some == list(puzzles(3, 20))
    assert all(is_solvable([Fraction(n) for n in puzzle.numbers]) for puzzle in some)
    assert not is_solvable([Fraction(1)] * 4)


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("8 / (3 - 8 / 3)", 1),
        ("Let me think.\nSo it is:\n**8 \u00f7 (3 \u2212 8 \u00f7 3) = 24**", 1),
        ("8 * 3", 0),
        ("8 + 8 + 3 + 3 = 24", 0),
        ("8 / (3 - 3) * 8", 0),
        ("((((", 0),
        ("24", 0),
        ("__import__('os')", 0),
    ],
)
def test_a_puzzle_is_graded_by_the_rules_of_the_game(answer, score):
    assert Puzzle((3, 3, 8, 8)).grade(answer) == score


@pytest.mark.anyio
async def test_the_rules_of_the_game_verify_samples():
    puzzle = Puzzle((3, 3, 8, 8))
    check = puzzle.task.metadata["verifier"]
    assert (await check(Answer("8 / (3 - 8 / 3)"))).passed
    assert not (await check(Answer("8 + 8 + 3 + 3"))).passed


def _rows(name: str, *, forks: bool, direct: float, imposed: float, own: float, tokens: int) -> list[Row]:
    common = {"question": name, "should_fork": forks, "status": "complete"}
    chosen = Row("mix", "k", mix.CHOSEN, score=own, critical_tokens=tokens, forked=forks, **common)
    return [
        Row("mix", "k", mix.DIRECT, score=direct, critical_tokens=100, **common),
        Row("mix", "k", mix.FORKED, score=imposed, critical_tokens=200, **common),
        chosen,
    ]


def test_the_best_arm_and_the_regret_follow_from_utilities():
    rows = [
        *_rows("parts", forks=True, direct=0.5, imposed=0.5, own=1.0, tokens=50),
        *_rows("none", forks=False, direct=1.0, imposed=0.0, own=1.0, tokens=100),
    ]
    lines = mix.figures(rows)
    assert "| forks where the task has parts, 2 items | 100% | >= 90 % | met |" in lines
    assert "| by length: items in the arm that came out best | 100% | >= 90 % | met |" in lines
    assert any("0.000 of" in line and "| met |" in line for line in lines)
    rows[2].score = 0.0
    assert "| by length: items in the arm that came out best | 50% | >= 90 % | NOT met |" in mix.figures(rows)


def test_an_arm_that_is_missing_leaves_its_question_out():
    assert mix.figures(_rows("q", forks=True, direct=1, imposed=1, own=1, tokens=9)[:2]) == []


def test_rows_of_two_machines_become_one_page(tmp_path, monkeypatch, capsys):
    files = []
    for machine in ("Two cores", "NVIDIA H200"):
        row = Row("code", "human_eval", "sequential", score=1.0, status="complete", machine=machine)
        best = Row(
            "code",
            "human_eval",
            "best_of_n:samples=4",
            score=1.0,
            status="complete",
            cancelled=2,
            machine=machine,
        )
        files.append(tmp_path / f"{machine}.jsonl")
        files[-1].write_text("".join(json.dumps(r.as_dict()) + "\n" for r in (row, best)))
    page = tmp_path / "page.md"
    monkeypatch.setattr(sys, "argv", ["evidence", "--from", ",".join(map(str, files)), "--page", str(page)])
    command.main()
    text = page.read_text()
    assert text.index("## Two cores") < text.index("## NVIDIA H200")
    assert text.count("| samples that a pass cancelled | 2 | > 0 | met |") == 2
    assert "HumanEval" in capsys.readouterr().out


def test_shares_of_right_answers_are_in_the_table():
    table = report.runs([Row("code", "human_eval", "sequential", score=float(i < 3)) for i in range(4)])
    assert "| code | human_eval | - | sequential | 4 | 3 | 0.75 |" in table
