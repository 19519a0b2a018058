"""Contradictions between the threads of a plan, and a synthesis that does not follow what was settled."""

from __future__ import annotations

import json
import re

import pytest

from tests.strategies.planned.plans import PLANNER, SURE, SYNTHESIZER, plan_text
from weaver import Weaver
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def claims(value: str, confidence: float) -> str:
    claim = {
        "subject": "Danube",
        "attribute": "length",
        "value": value,
        "unit": "km",
        "confidence": confidence,
    }
    return f"It is {value} km long.\n\n```claims\n[{json.dumps(claim)}]\n```"


async def test_contradictions_between_threads_are_settled_before_the_synthesis():
    model = ScriptedModel(
        [
            Scripted(plan_text("p one", "p two", "p three"), when=PLANNER),
            Scripted("The Danube is 2850 km long.", when=SYNTHESIZER),
            Scripted(claims("2850", 0.8), when=re.compile("p (one|two)")),
            Scripted(claims("1200", 0.9), when="p three"),
        ]
    )
    result = await Weaver(model, strategy="adaptive:conflicts=majority").run(SURE)
    (conflict,) = result.conflicts
    assert {v.value: len(v.threads) for v in conflict.values} == {"2850 km": 2, "1200 km": 1}
    assert conflict.resolution.policy == "majority"
    assert conflict.resolution.value == "2850 km"
    assert "claims" not in result.threads[0].answer
    told = model.requests[-1].request.messages[-1].content
    assert "Settled value: 2850 km" in told
    assert result.status == "complete"


async def test_a_contradiction_that_stays_open_is_in_the_answer_and_partial_when_strict():
    model = ScriptedModel(
        [
            Scripted(plan_text("p one", "p two"), when=PLANNER),
            Scripted("The Danube is long.", when=SYNTHESIZER),
            Scripted(claims("2850", 0.8), when="p one"),
            Scripted(claims("1200", 0.9), when="p two"),
        ]
    )
    result = await Weaver(model, strategy="adaptive:conflicts=keep,strict=true").run(SURE)
    assert result.conflicts[0].resolution is None
    assert result.status == "partial"
    assert "2850 km" in result.answer
    assert "1200 km" in result.answer


async def test_a_synthesis_that_contradicts_what_was_settled_is_asked_again():
    model = ScriptedModel(
        [
            Scripted(plan_text("p one", "p two", "p three"), when=PLANNER),
            Scripted("The Danube is 2850 km long.", when="got this wrong"),
            Scripted("The Danube is 1200 km long.", when=SYNTHESIZER),
            Scripted(claims("2850", 0.8), when=re.compile("p (one|two)")),
            Scripted(claims("1200", 0.9), when="p three"),
        ]
    )
    result = await Weaver(model, strategy="adaptive:conflicts=majority").run(SURE)
    assert result.answer == "The Danube is 2850 km long."
    assert any("asked again" in n for n in result.notes)


async def test_a_synthesis_that_will_not_listen_is_set_right():
    model = ScriptedModel(
        [
            Scripted(plan_text("p one", "p two", "p three"), when=PLANNER),
            Scripted("The Danube is 1200 km long.", when=SYNTHESIZER),
            Scripted(claims("2850", 0.8), when=re.compile("p (one|two)")),
            Scripted(claims("1200", 0.9), when="p three"),
        ]
    )
    result = await Weaver(model, strategy="adaptive:conflicts=majority").run(SURE)
    assert "was settled as: 2850 km" in result.answer
    assert any("this was added" in n for n in result.notes)
