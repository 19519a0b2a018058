"""The evaluation of conflict handling: that it measures what it says, on a few tasks."""

from __future__ import annotations

import random

import pytest
from click.testing import CliRunner

from weaver._evals.conflicts.__main__ import main
from weaver._evals.conflicts.cases import CONTRADICTIONS, CONTROLS, cases
from weaver._evals.conflicts.measuring import measure
from weaver._evals.conflicts.models import Competence

pytestmark = pytest.mark.anyio
PERFECT = Competence(1, 0, 1, 1, 1, 0, 1, 1, 1)
HOPELESS = Competence(0, 1, 0, 0, 0, 1, 0, 1, 1)


def test_cases_are_the_same_for_the_same_seed_and_cover_every_kind():
    assert cases(3, 1) == cases(3, 1)
    assert cases(3, 1) != cases(3, 2)
    assert {c.kind for c in cases(1, 0)} == {*CONTRADICTIONS, *CONTROLS}


def test_cases_are_what_they_say():
    for case in cases(10, 5):
        right = [t for t in case.threads if t.right]
        wrong = [t for t in case.threads if not t.right]
        assert right
        assert bool(wrong) is case.contradicts
        assert all(case.is_right(t.text) is t.right for t in case.threads)
        if case.kind == "correlated error":
            assert len(wrong) > len(right)
            assert len({t.text for t in wrong}) == 1


async def test_perfect_models_leave_nothing_wrong_and_nothing_open():
    for m in await measure(cases(4, 7), "clear_majority+verify+judge", competence=PERFECT):
        assert not m.alarm
        assert m.found is m.case.contradicts
        assert m.resolved == ("right" if m.case.contradicts else "open")
        assert m.answered == "right"


async def test_hopeless_models_cannot_be_believed_but_do_not_hide_the_conflict():
    measured = await measure(cases(4, 7), "verify+judge", competence=HOPELESS)
    assert all(m.found for m in measured if m.case.contradicts)
    assert not any(m.resolved == "right" for m in measured)


async def test_without_comparing_nothing_is_found_and_it_costs_least():
    tasks = cases(3, 7)
    off, found = [await measure(tasks, ladder) for ladder in ("off", "none")]
    assert not any(m.found or m.alarm for m in off)
    assert {m.answered for m in found if m.found} == {"open"}
    assert all(a.tokens < b.tokens and a.calls <= b.calls for a, b in zip(off, found, strict=True))


async def test_the_same_seed_gives_the_same_measurements():
    tasks = random.Random(3).sample(cases(3, 7), 6)
    assert await measure(tasks, "debate", seed=3) == await measure(tasks, "debate", seed=3)


@pytest.mark.heavy
def test_the_command_writes_the_report(tmp_path):
    out = tmp_path / "report.md"
    result = CliRunner().invoke(main, ["--per-kind", "1", "--seed", "4", "--out", str(out)])
    assert result.exit_code == 0, result.output
    text = out.read_text()
    assert "--per-kind 1 --seed 4" in text
    assert text.count("| clear_majority, verify, judge (default) |") == 2
