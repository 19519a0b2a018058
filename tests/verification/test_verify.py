"""verify=: checked after the merge, repaired once, and said in the result."""

from __future__ import annotations

import json

import pytest

from weaver import Answer, Weaver
from weaver._cli.support.verifying import check_from
from weaver._runtime.verifying import REPAIR
from weaver._testing.scripted import text_of
from weaver.errors import ConfigurationError, ServerError
from weaver.testing import Scripted, ScriptedModel, virtual_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def weaver(model, strategy="sequential", **options) -> Weaver:
    return Weaver(model, strategy=strategy, trace=False, **options)


def is_good(answer: Answer) -> bool:
    return answer.text == "good"


async def test_an_answer_that_passes_is_left_alone():
    model = ScriptedModel("2 + 2 = 4")
    result = await weaver(model).run("q", verify="arithmetic")
    assert (result.status, result.verified, len(model.requests)) == ("complete", True, 1)
    assert [(r.value, r.source) for r in result.rewards] == [(1.0, "verifier")]
    assert result.as_dict()["verified"] is True


async def test_one_that_does_not_is_repaired_once():
    model = ScriptedModel(["2 + 2 = 5", "2 + 2 = 4"])
    result = await weaver(model).run("What is 2 + 2?", verify="arithmetic")
    assert (result.status, result.answer, result.verified) == ("complete", "2 + 2 = 4", True)
    sent = text_of(model.requests[1].request)
    assert REPAIR in sent
    assert "```check\n2 + 2 = 5 is wrong: it is 4.\n```" in sent


async def test_one_that_cannot_be_repaired_is_partial():
    model = ScriptedModel(["bad", "worse"])
    result = await weaver(model).run("q", verify=is_good)
    assert (result.status, result.answer, result.verified) == ("partial", "bad", False)
    assert result.rewards[-1].value == 0.0
    assert any("did not pass either" in note for note in result.notes)


async def test_nothing_to_check_is_none():
    result = await weaver(ScriptedModel("hello")).run("q", verify="arithmetic")
    assert (result.status, result.verified) == ("complete", None)
    assert (await weaver(ScriptedModel("hello")).run("q")).verified is None


async def test_a_check_that_fails_is_noted_and_the_answer_stays():
    result = await weaver(ScriptedModel("hello")).run("q", verify=lambda answer: 1 / 0)
    assert (result.status, result.answer, result.verified) == ("complete", "hello", None)
    assert any("ZeroDivisionError" in note for note in result.notes)


async def test_a_repair_that_fails_leaves_the_answer():
    model = ScriptedModel([Scripted("bad", times=1), Scripted(error=ServerError("down"))])
    result = await weaver(model).run("q", verify=is_good)
    assert (result.status, result.answer, result.verified) == ("partial", "bad", False)
    out = await weaver(ScriptedModel("bad"), max_calls=1).run("q", verify=is_good)
    assert (out.status, out.answer, out.verified) == ("partial", "bad", False)


async def test_it_works_after_any_strategy_and_with_a_type():
    model = ScriptedModel([Scripted('{"value": 3}', times=1), Scripted('{"value": 4}')])
    result = await weaver(model).run("q", output=int, verify=lambda answer: answer.output == 4)
    assert (result.output, result.verified) == (4, True)


async def test_best_of_n_uses_it_and_the_first_pass_cancels_the_rest():
    model = ScriptedModel(
        [Scripted("bad", times=1), Scripted("good", times=1, first=1), Scripted("late", first=60)]
    )

    async def is_good_at_once(
        answer: Answer,
    ) -> bool:  # a function would run in a thread, beside virtual time
        return is_good(answer)

    result = await weaver(model, "best_of_n:samples=4").run("q", verify=is_good_at_once)
    assert (result.status, result.answer, result.verified) == ("complete", "good", True)
    assert [r.closed for r in model.requests] == ["finished", "finished", "cancelled", "cancelled"]


async def test_best_of_n_takes_a_verifier_by_name():
    model = ScriptedModel(["1 + 1 = 3", "1 + 1 = 2", "1 + 1 = 4"])
    result = await weaver(model, "best_of_n:samples=3,verifier=arithmetic").run("q")
    assert result.answer == "1 + 1 = 2"


async def test_what_is_no_check_is_an_error_before_any_call():
    model = ScriptedModel("a")
    with pytest.raises(ConfigurationError, match="verify= is a int"):
        await weaver(model).run("q", verify=3)
    assert model.requests == []


def test_the_flag_takes_schemas_functions_commands_and_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "schema.json").write_text('{"type": "object"}', encoding="utf-8")
    (tmp_path / "checks.py").write_text("def ok(answer):\n    return True\n", encoding="utf-8")
    assert check_from(None) is None
    assert check_from("schema.json") == json.loads('{"type": "object"}')
    assert check_from("python:checks.py:ok")(Answer("a")) is True
    assert check_from("command: python -m pytest").command == ["python", "-m", "pytest"]
    assert check_from("arithmetic")(Answer("1 + 1 = 2")).passed
    for wrong in ("nothing.json", "python:checks:ok", "python:none.py:ok", "nonsense", "command: "):
        with pytest.raises(ConfigurationError):
            check_from(wrong)
