"""The evidence of long inputs on a simulated model: the tasks, the grades and the table hold."""

from __future__ import annotations

import pytest

from tests.benchmarks.evidence import report
from tests.benchmarks.evidence.__main__ import measured, parsed
from tests.benchmarks.evidence.long_tasks import long_tasks
from weaver._documents.sizes import tokens_in
from weaver.testing import virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def test_tasks_are_the_same_for_the_same_seed_and_as_long_as_they_say():
    tasks = list(long_tasks(1, 1000, [1, 20], 2))
    assert tasks == list(long_tasks(1, 1000, [1, 20], 2))
    assert len(tasks) == 12
    for task in tasks:
        tokens = sum(tokens_in(text.encode()) for _, text in task.documents)
        assert 0.7 < tokens / (1000 * task.size) < 1.2


@pytest.mark.parametrize("number", range(3))
def test_grades_tell_right_from_wrong(number):
    task = list(long_tasks(1, 500, [1], 1))[number]
    assert task.grade(" and ".join(task.values)) == 1
    assert task.grade("I do not know.") == 0
    assert task.grade(f"{task.values[0]}9") < 1


async def test_a_model_that_reads_well_profits_at_twenty_windows():
    rows = await measured(parsed(["--simulated", "--sizes", "1,20", "--window", "1500"]))
    assert len(rows) == 2 * 3 * 4
    by = {(r.kind, r.size, r.strategy): r for r in rows}
    assert all(r.is_right for r in rows if r.strategy in {"map_reduce", "explore"})
    assert not by["count", 20, "truncation"].is_right
    assert by["count", 20, "part_by_part"].seconds <= by["count", 20, "map_reduce"].seconds + 3
    table = report.markdown(rows)
    assert "| right answers at 20 x the window, map_reduce against truncation |" in table
    assert "| long | contradiction | 20 x | map_reduce | 1 | 1 |" in table
