"""A sample of the matrix in `tests.deadlines`: the deadline holds whatever the endpoint does."""

from __future__ import annotations

import pytest

from tests.bad_server import KINDS
from tests.deadlines import matrix
from weaver._strategies.common import registry

pytestmark = pytest.mark.anyio


async def test_every_kind_of_bad_server_is_left_in_time():
    timings = await matrix(["sequential"], list(KINDS), [0], at_once=6)
    assert len(timings) == len(KINDS)
    assert [t for t in timings if t.seconds > 1.5] == []


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["models_stall", "flood", "brackets", "silent_after_text"])
async def test_every_strategy_ends_in_time(kind: str):
    timings = await matrix(registry.names(), [kind], [0, 1])
    assert [t for t in timings if t.seconds > 1.5 or t.lag > 0.5] == []
