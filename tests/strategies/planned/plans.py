"""Questions of which one is clear and one is not, and plans for them."""

from __future__ import annotations

import json

import pytest

from weaver import Plan
from weaver.testing import virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


PLANNER = "You decide how a task is worked on"
SYNTHESIZER = "Several workers"
UNSURE = "Explain how a bicycle stays upright and why it matters for the design of the front fork"
SURE = "Compare the sums 1+1 and 2+2."


def plan_text(*prompts: str, parallel: bool = True, **deps: list[str]) -> str:
    subtasks = [
        {"id": f"s{i}", "title": f"T{i}", "prompt": p, "depends_on": deps.get(f"s{i}", [])}
        for i, p in enumerate(prompts, 1)
    ]
    return json.dumps({"parallel": parallel, "reason": "because", "subtasks": subtasks})


def plan_given(*prompts: str, **deps: list[str]) -> Plan:
    return Plan.model_validate_json(plan_text(*prompts, **deps))
