"""Siblings share a prefix: what all calls of a role have in common comes first, what differs comes last."""

from __future__ import annotations

from os.path import commonprefix

import pytest

from tests.strategies.sensible import FAST, HARD, OURS, model
from weaver import Weaver
from weaver._testing.scripted import text_of
from weaver.testing import virtual_time

SHARED = "Notes: " + "apples are red and pears are green, said the farmer of the valley. " * 60
LEAST_SHARE = 0.9
"""Of the shorter of two siblings' prompts, how much is common, where both hold the task's text."""
WITHOUT = {
    "map_reduce": "without documents it makes one call; tests/long_inputs has the rest",
    "explore": "without documents it makes one call",
    "sequential": "one call",
    "fixed": "its threads see their part of the plan, not the task",
    "organizer": "one line of thought; its workers see their question, not the task",
    "llm_compiler": "its calls see their part of the plan, not the task",
    "adaptive": "its threads see their part of the plan; only calls that hold the task are siblings",
}
"""Strategies whose threads need not hold the task's text, and why."""


@pytest.fixture
def anyio_backend():
    return virtual_time()


@pytest.mark.anyio
@pytest.mark.parametrize("name", OURS)
async def test_siblings_differ_in_the_tail_only(name):
    scripted = model(each=0.1)
    await Weaver(scripted, strategy=FAST.get(name, name), seed=1).run(f"{SHARED}\n\n{HARD}")
    roles: dict[tuple[int, str], list[str]] = {}
    for sent in scripted.requests:
        text = text_of(sent.request)
        if SHARED in text:
            messages = sent.request.messages
            first = messages[0].content[:60] if messages else ""
            roles.setdefault((len(messages), first), []).append(text)
    siblings = [texts for texts in roles.values() if len(texts) > 1]
    assert siblings or name in WITHOUT
    for first, *others in siblings:
        for other in others:
            common = commonprefix([first, other])  # noqa: RUF071 - of texts
            assert SHARED in common
            assert len(common) >= LEAST_SHARE * min(len(first), len(other))
