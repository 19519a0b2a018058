"""The expression language: what it says, what it refuses, and that it stays within bounds."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from weaver._workflows.expressions.evaluator import evaluate
from weaver._workflows.expressions.functions import FUNCTIONS
from weaver._workflows.expressions.parser import ExpressionError, parse_expression
from weaver._workflows.expressions.typecheck import Inference
from weaver._workflows.expressions.types import ANY, Kind, accepts, array, either, of_value, record
from weaver._workflows.schema.types import ValueSpec

NAMES = {
    "inputs": {"n": 3, "name": "tea", "deep": True, "café": 1, "items": [1]},
    "steps": {
        "plan": {"output": {"parts": [{"title": "x", "ok": True}, {"title": "y", "ok": False}], "keys": 7}},
        "skipped": {"output": None},
    },
    "item": "x",
}


def value(text: str):
    return evaluate(parse_expression(text), NAMES)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("inputs.n", 3),
        ("  inputs.n\n  + 1", 4),
        ("inputs.café", 1),
        ("inputs['n'] * 2 - 1", 5),
        ("7 // 2 + 7 % 2 + 6 / 4", 5.5),
        ("-inputs.n", -3),
        ("inputs.n > 2 and not (inputs.n == 4 or false)", True),
        ("1 < inputs.n <= 3", True),
        ("true == 1", False),
        ("1 == 1.0", True),
        ("null == steps.skipped.output", True),
        ("'a' + \"b\" + 'c'", "abc"),
        ("[1, 2] + [3]", [1, 2, 3]),
        ("{'a': inputs.n, 'b': [null]}", {"a": 3, "b": [None]}),
        ("{'a': 1}.a", 1),
        ("'x' if inputs.deep else 'y'", "x"),
        ("'e' in inputs.name and 'z' not in inputs.name", True),
        ("2 in [1, 2]", True),
        ("'plan' in steps", True),
        ("steps.plan.output.parts[0].title", "x"),
        ("steps.plan.output.parts[-1]['title']", "y"),
        ("steps.plan.output.parts[1:]", [{"title": "y", "ok": False}]),
        ("inputs.name[0:2]", "te"),
        ("[p.title for p in steps.plan.output.parts if p.ok]", ["x"]),
        ("[a + b for a in ['1', '2'] for b in ['x', 'y']]", ["1x", "1y", "2x", "2y"]),
        ("any(p.ok for p in steps.plan.output.parts)", True),
        ("steps.skipped.output.anything.at['all'][0]", None),
        ("steps.plan.output.keys + inputs.items[0]", 8),  # fields, not methods of Python's dict
    ],
)
def test_values(text, result):
    assert value(text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("len('abc') + len([1]) + len({'a': 1})", 5),
        ("lower('A') + upper('b') + strip(' c ')", "aBc"),
        ("startswith('abc', 'ab') and endswith('abc', 'bc')", True),
        ("split('a\\n\\n b ')", ["a", "b"]),
        ("split('a,b', ',')", ["a", "b"]),
        ("join(['a', 1, null], '-')", "a-1-"),
        ("text(1.5) + text(true) + text([1])", "1.5true[1]"),
        ("number('1,200') + number(' 2.5 ')", 1202.5),
        ("json({'a': 'é'})", '{"a": "é"}'),
        ("abs(-2) + round(2.6) + round(2.345, 2)", 7.35),
        ("sum([1, 2.5]) + min([3, 1]) + max([1, 4])", 8.5),
        ("min([])", None),
        ("sorted(['b', 'a'])", ["a", "b"]),
        ("unique([1, 2, 1, '1'])", [1, 2, "1"]),
        ("flatten([[1], 2, [3, [4]]])", [1, 2, 3, [4]]),
        ("[first([1, 2]), last([1, 2]), first([])]", [1, 2, None]),
        ("all([]) and not any([])", True),
        ("keys({'a': 1}) + values({'b': 'c'})", ["a", "c"]),
        ("default(null, 1) + default(2, 1)", 3),
        ("range(3)", [0, 1, 2]),
    ],
)
def test_functions(text, result):
    assert value(text) == pytest.approx(result) if isinstance(result, float) else value(text) == result


def test_every_function_has_a_test():
    tested = " ".join(text for text, _ in test_functions.pytestmark[0].args[1])
    assert [name for name in FUNCTIONS if f"{name}(" not in tested] == []


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("", 0, "the expression is empty"),
        ("a && b", 2, "&& is not known; write `and`"),
        ("a || b", 2, "|| is not known; write `or`"),
        ("!a", 0, "! is not known; write `not`"),
        ("a = 1", 2, "= compares nothing; write =="),
        ("a === 1", 2, "=== is not known; write =="),
        ("a ? 1 : 2", 2, "? is not known; write `a if condition else b`"),
        ("a | upper", 2, "| is not known; functions are called: join(list)"),
        ("${{ a }}", 0, "an expression has no ${ } inside; write the name alone"),
        ("f(a=1)", 0, "arguments have no names; write f(a, b)"),
        ("'é' + x.y()", 6, "values have no methods; write y(...)"),
        ("a[0](1)", 0, "only functions can be called"),
        ("f'{a}'", 0, "f'...' texts are not known; join texts with +"),
        ("lambda: 1", 0, "lambda is not known"),
        ("(a := 1)", 3, ":= is not known"),
        ("(1, 2)", 0, "(a, b) is not known; write a list: [a, b]"),
        ("{1, 2}", 0, "{a, b} is not known; write a list: [a, b]"),
        ("{a: 1}", 0, "the names of fields are quoted texts"),
        ("{**a}", 0, "the names of fields are quoted texts"),
        ("[*a]", 1, "* is not known here"),
        ("{a: 1 for a in b}", 0, "{... for ...} is not known; write [... for ...]"),
        ("[a for a, b in c]", 7, "`for` takes one name"),
        ("a is null", 0, "`is` is not known; write == or !="),
        ("2 ** 3", 0, "this is not part of the expression language"),
        ("a << 3", 0, "this is not part of the expression language"),
        ("a @ b", 0, "this is not part of the expression language"),
        ("a[::2]", 0, "slices have no step; write x[from:to]"),
        ("1j", 0, "only texts, numbers, true, false and null can be written out"),
        ("b'x'", 0, "only texts, numbers, true, false and null can be written out"),
        ("1e999", 0, "only texts, numbers, true, false and null can be written out"),
        ("...", 0, "only texts, numbers, true, false and null can be written out"),
        ("_x", 0, "names do not begin with _"),
        ("a; b", 1, "this is not an expression"),
        ("import os", 7, "this is not an expression"),
        ("await a", 0, "await is not known"),
        ("(a", 0, "a bracket is opened and never closed"),
        ("a)", 1, "a bracket is closed and never opened"),
        ("'a", 0, "a quote is opened and never closed"),
        ("not " * 40 + "a", 124, "nested more than 30 deep"),
        ("(" * 300 + "a" + ")" * 300, None, None),
        ("a" * 2001, 0, "an expression has at most 2,000 characters; split the step"),
    ],
)
def test_what_is_refused_when_read(text, offset, message):
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    if message is not None:
        assert (str(caught.value), caught.value.offset) == (message, offset)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inputs.zz", "there is no field 'zz'; there is: n, name, deep, café, items"),
        ("inputs.__class__", "there is no field '__class__'"),
        ("inputs.name.upper", "a text has no field 'upper'"),
        ("inputs.n.real", "a whole number has no field 'real'"),
        ("nobody", "there is no name 'nobody'"),
        ("eval('1')", "there is no function 'eval'"),
        ("[1][3]", "there is no item 3; it has 1"),
        ("[1]['a']", "a list cannot be indexed by a text"),
        ("1 / 0", "division by zero"),
        ("'a' + 1", "a text and a whole number cannot be added; use text(x)"),
        ("'a' * 1000", "a text is not a number"),
        ("[0] * 1000", "a list is not a number"),
        ("true + 1", "true or false is not a number"),
        ("null < 1", "null is not a number"),
        ("'a' < 1", "a text is not a number"),
        ("1 in 'abc'", "a whole number cannot be in a text; use text(x)"),
        ("1 in 2", "nothing can be in a whole number"),
        ("len(1)", "len() takes a text or a list or an object, not a whole number"),
        ("len()", "len(x) cannot take 0 arguments"),
        ("number('x')", "number() cannot read 'x'"),
        ("sorted([1, 'a'])", "only numbers, or only texts, can be put in order"),
        ("sum(['a'])", "sum() adds numbers only"),
        ("range(100000)", "range() takes a whole number from 0 to 10,000"),
        ("[1 for a in range(9999) for b in range(9999)]", "it would make too long a list"),
    ],
)
def test_what_has_no_value(text, message):
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert message in str(caught.value)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        " * ".join(["9" * 300] * 6),
        "[join(range(9999)) for a in range(9999)]",
        "[sorted(range(9999)) for a in range(9999)]",
        "[[b for b in range(999)] for a in range(9999)]",
        " + ".join(["join(range(9999), 'xxxxxxxxxxxxxxxxxxxx')"] * 40),
    ],
)
def test_time_and_size_are_bounded(text):
    with pytest.raises(ExpressionError):
        value(text)


@pytest.mark.parametrize("word", ["class", "from", "import", "with", "def", "as"])
def test_words_of_python_that_are_none_of_ours_are_names(word):
    names = {"inputs": {word: "é"}, word: 3}
    text = f"[{word} + 1 for {word} in [{word}]][0] + len(inputs.{word} + '{word}' + inputs['{word}'])"
    expression = parse_expression(text)
    assert evaluate(expression, names) == 4 + len(word) + 2
    assert expression.text == text
    (found,) = kind_of(f"inputs.{word} + inputs.x", inputs=record({word: of_value("x")}))[1]
    assert found.startswith(f"{len(f'inputs.{word} + inputs.')}: inputs has no field 'x'")


def test_no_python_object_ever_gets_in():
    class Sly:
        secret = 1

    with pytest.raises(ExpressionError, match="Sly is not a JSON value"):
        evaluate(parse_expression("item.secret"), {"item": Sly()})
    with pytest.raises(ExpressionError, match="is not a JSON value"):
        evaluate(parse_expression("len"), {})


ATOMS = st.sampled_from(
    [
        *("inputs", "steps", "item", ".n", ".name", "[0]", "['a']", "(", ")", "[", "]", "{", "}", "'x'"),
        *("1", "2.5", ",", ":", "len(", "join(", "range(", "__class__", ".__init__", "${{", "}}"),
        *("lambda", "é", '"', "null", "true", " + ", " - ", " * ", " / ", " in ", " and ", " or ", "not "),
        *(" if ", " else ", " for ", " == ", " < ", "\n"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(ATOMS, max_size=14).map("".join) | st.text(string.printable, max_size=40))
def test_any_text_has_a_value_or_a_message(text):
    result, error = attempted(lambda: value(text))
    if error is not None:
        assert error.what
        assert 0 <= error.offset <= len(text) + 1
    else:
        assert type(result) in (dict, list, str, int, float, bool, type(None))


def attempted(work):
    """(value, None), or (None, the error of the language)."""
    try:
        return work(), None
    except ExpressionError as error:
        return None, error


@settings(max_examples=300, deadline=None)
@example("inputs in inputs")
@given(st.lists(ATOMS, max_size=12).map("".join))
def test_what_the_types_allow_does_not_fail_by_its_types(text):
    """An expression over known kinds without complaints has a value, or lacks one for its values alone."""
    try:
        expression = parse_expression(text)
    except ExpressionError:
        return
    kinds = {"inputs": of_value(NAMES["inputs"]), "steps": of_value(NAMES["steps"]), "item": of_value("x")}
    problems: list[str] = []
    kind = Inference(expression, kinds, lambda *what: problems.append(str(what))).kind
    if problems:
        return
    result, error = attempted(lambda: evaluate(expression, NAMES))
    if error is not None:
        assert any(word in str(error) for word in FAULTS_OF_VALUES), error
    elif kind.name != "any" and result is not None:
        assert of_value(result).one_of(kind.name) or (kind.name == "integer" and isinstance(result, float))
        assert kind.enum is None or result in kind.enum


FAULTS_OF_VALUES = [
    *("no item", "no field", "division", "more than", "too large", "too long", "null", "number()", "range()"),
    *("only numbers", "needs a separator", "cannot be indexed"),
]


# ---- types


def kind_of(text: str, **names: Kind) -> tuple[Kind, list[str]]:
    found: list[str] = []
    expression = parse_expression(text)
    inferred = Inference(
        expression, names, lambda offset, what, hint: found.append(f"{offset}: {what}; {hint}")
    )
    return inferred.kind, found


def test_kinds_follow_the_values():
    plan = record({"parts": array(record({"title": of_value("t")})), "n": of_value(1)}, data=True)
    assert kind_of("[p.title for p in plan.parts][0]", plan=plan)[0].name == "string"
    assert kind_of("[p.title for p in plan.parts][0]", plan=plan)[0].data
    assert kind_of("len(plan.parts) / 2", plan=plan)[0].name == "number"
    assert kind_of("plan.n + 1.5", plan=plan)[0].name == "number"
    assert kind_of("default(null, 'x')", plan=plan)[0].name == "string"
    assert kind_of("'a' if plan.n > 1 else 'b'", plan=plan)[0].enum == ("a", "b")
    assert kind_of("plan.parts + [1]", plan=plan)[0].each.name == "any"
    assert not kind_of("1 + 2", plan=plan)[0].data
    assert kind_of("text(plan.n)", plan=plan)[0].data


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("score == 3", True),
        ("score in [3, 4]", True),
        ("score == 2.0", False),
        ("score + 1 == 3", False),
        ("abs(score) == 3", False),
        ("sum([1, 2]) == 3", False),
        ("sum([score]) == 3", False),
        ("max([1, 2]) == 3", True),
        ("default(score, 3) == 3", False),
        ("3 in [i for i in range(9)]", False),
    ],
)
def test_a_comparison_of_numbers_that_can_never_be_true(text, never):
    _, found = kind_of(text, score=Kind("integer", enum=(1, 2)))
    assert ["is none of the possible values" in what for what in found] == [True] * never


def test_the_path_of_what_is_read_is_known():
    expression = parse_expression("steps.a.output.x + inputs['b'] + [i.c for i in steps.d.items][0]")
    used = Inference(expression, {}, lambda *_: None).used
    assert {("steps", "a", "output", "x"), ("inputs", "b"), ("steps", "d", "items")} <= set(used)


@pytest.mark.parametrize(
    ("wanted", "given", "why"),
    [
        ("string", of_value("x"), None),
        ("string", of_value(1), "a text is expected, a whole number is given"),
        ("number", of_value(1), None),
        ("integer", of_value(1.5), "a whole number is expected, a number is given"),
        ("any", of_value([1]), None),
        ("string", ANY, None),
        ({"enum": ["a", "b"]}, of_value("c"), "'c' is none of 'a', 'b'"),
        (["string"], of_value(["a", 1]), None),  # of several kinds: not known
        (["string"], of_value([1, 2]), "a text is expected, a whole number is given"),
        ({"properties": {"a": "string"}}, of_value({"b": 1}), "the field 'a' is missing"),
        (
            {"properties": {"a": "string"}},
            of_value({"a": 1}),
            "a: a text is expected, a whole number is given",
        ),
        ({"type": "string", "nullable": True}, of_value(None), None),
        ("string", of_value(None), "a text is expected, null is given"),
    ],
)
def test_what_fits_a_type(wanted, given, why):
    from pydantic import TypeAdapter

    from weaver._workflows.schema.types import Value

    spec: ValueSpec = TypeAdapter(Value).validate_python(wanted)
    assert accepts(spec, given) == why


def test_either_covers_both():
    assert either([of_value(1), of_value(None)]).nullable
    assert either([of_value(1), of_value(2.5)]).name == "number"
    assert either([of_value("a"), of_value(1)]).name == "any"
    assert either([]).name == "any"
