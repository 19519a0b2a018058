"""What each check says about an answer."""

from __future__ import annotations

import pytest

from weaver._data.result import Answer
from weaver._verification.named import check_of, verification_of
from weaver._verification.protocol import Verdict, verdict_of
from weaver.errors import ConfigurationError, ToolError, UnknownNameError
from weaver.verifiers import Schema, arithmetic, code_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("12 * 7 = 84, so 84.", True),
        ("12 * 7 = 85", False),
        ("First 3 + 4 = 7, then 7 \u00d7 2 = 15.", False),
        ("(3 + 4) * 2 = 14", True),
        ("1,200 - 200 = 1000", True),
        ("10 / 3 = 3.33", True),
        ("10 / 3 = 3", False),
        ("10 / 3 ≈ 3", True),
        ("5 - -2 = 7", True),
        ("0.1 + 0.2 = 0.3", True),
        ("1 / 0 = 7", None),
        ("Nothing to check in 2026.", None),
        ("x = 5 and y = 7", None),
        ("2 + 2 = $4", True),
        ("1+" * 100_000, None),
        ("1,111" * 50_000, None),
    ],
)
def test_arithmetic(text, passed):
    assert arithmetic(Answer(text)).passed is passed


def test_arithmetic_says_what_is_right():
    assert arithmetic(Answer("12 * 7 = 85")).reason == "12 * 7 = 85 is wrong: it is 84."


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize(
    ("text", "passed"), [('Here: {"n": 3}', True), ('{"n": "three"}', False), ("none", False), ("[1]", False)]
)
def test_schemas(text, passed):
    assert Schema(SCHEMA)(Answer(text)).passed is passed


@pytest.mark.parametrize("schema", [{"type": 7}, {"$ref": "http://example.com/schema.json"}])
def test_a_schema_that_is_none_is_refused(schema):
    with pytest.raises(ConfigurationError, match="JSON Schema"):
        Schema(schema)


async def test_functions_may_be_async_and_return_what_they_like():
    async def later(answer):
        return answer.text == "a"

    assert await verdict_of(later, Answer("a")) == Verdict(True)
    assert await verdict_of(lambda answer: 0.5, Answer("a")) == Verdict(False, "It scored 0.5.", 0.5)
    assert await verdict_of(lambda answer: later(Answer("b")), Answer("a")) == Verdict(False)
    for broken in (lambda answer: 1 / 0, lambda answer: "yes", lambda answer: float("nan")):
        with pytest.raises(ToolError):
            await verdict_of(broken, Answer("a"))


def test_what_is_no_check_is_refused():
    assert verification_of(None) is None
    with pytest.raises(UnknownNameError, match="arithmatic"):
        check_of("arithmatic")
    with pytest.raises(ConfigurationError, match="verify= is a int"):
        verification_of(7)


def test_the_code_of_an_answer_is_its_last_block():
    assert code_of("Try:\n```python\na = 1\n```\nor\n```python\nb = 2\n```\nDone.") == "b = 2\n"
    assert code_of("```\ncut = 1\n") == "cut = 1\n"
    assert code_of("c = 3") == "c = 3\n"
