"""What has no parts costs what a direct call costs, whatever a program adds to the question."""

from __future__ import annotations

import pytest

from tests.planning.questions import NOT, NOT_LATER
from weaver import Task, Weaver
from weaver._evals.items import INSTRUCTION
from weaver._planning.policy import Rules
from weaver.testing import ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio
SIMPLE = [q for q in (*NOT, *NOT_LATER) if Rules().judge(Task(q)).lean == "direct"]
LINES = [
    INSTRUCTION,
    "Answer for each of the following:\n- the result\n- the unit",
    "Compare your answer with the examples? Are you sure? Is it right?",
]


@pytest.fixture
def anyio_backend():
    return virtual_time()


def test_most_questions_without_parts_are_known_to_have_none():
    assert len(SIMPLE) >= 0.85 * len([*NOT, *NOT_LATER])


@pytest.mark.parametrize("question", SIMPLE)
async def test_calls_and_tokens_are_those_of_sequential(question):
    tasks = [Task(question), *(Task(f"{question}\n\n{lines}", user_question=question) for lines in LINES)]
    model = ScriptedModel("some answer")
    for task in tasks:
        base = await Weaver(model, strategy="sequential").run(task)
        result = await Weaver(model).run(task)
        assert not result.decision.parallel
        assert (result.usage.calls, base.usage.calls) == (1, 1)
        assert result.usage.input_tokens == base.usage.input_tokens
        assert result.usage.output_tokens == base.usage.output_tokens


@pytest.mark.parametrize("lines", LINES)
@pytest.mark.parametrize(
    "question", ["What is 6 times 7?", "Compare tea and coffee: taste, price.", "1. 2+2\n2. 3+3"]
)
def test_added_lines_never_change_the_judgement(question, lines):
    judge = Rules().judge
    assert judge(Task(f"{question}\n\n{lines}", user_question=question)) == judge(Task(question))
