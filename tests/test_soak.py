"""The small soak; the full one is ``python tests/soak.py --runs 1000``."""

from __future__ import annotations

import pytest

from tests.soak import soak

pytestmark = pytest.mark.anyio


@pytest.mark.timeout(120)
async def test_runs_of_mixed_strategies_end_in_time_and_leave_nothing_behind():
    outcome = await soak(60, seed=1, at_once=48, deadline=5.0)
    assert outcome.problems == []
    assert outcome.runs == 60
    assert outcome.statuses["complete"] > 0
    assert outcome.errors, "the weather was not bad at all"
