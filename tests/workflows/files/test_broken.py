"""Broken files: every problem at once, each at the right place and in words that help."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from weaver._workflows.validation.loader import examine
from weaver.errors import InvalidWorkflowError
from weaver.workflows import Workflow

FOLDER = Path(__file__).parent / "broken"
HEAD = "version: weaver/v1\nname: broken\n"


def expected() -> dict[str, list[str]]:
    """What is said about each file, by name; checked by eye, line by line."""
    found: dict[str, list[str]] = {}
    for line in (FOLDER / "expected.txt").read_text("utf-8").splitlines():
        if line.startswith("--- "):
            found[line.removeprefix("--- ")] = current = []
        else:
            current.append(line)
    return found


EXPECTED = expected()


def test_there_are_at_least_forty():
    assert sorted(EXPECTED) == sorted(path.name for path in FOLDER.glob("*.yaml"))
    assert len(EXPECTED) >= 40


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_problem_is_said_where_it_is(name, monkeypatch):
    monkeypatch.chdir(FOLDER)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    _, problems = examine(Path(name))
    assert [str(problem) for problem in sorted(problems.found)] == EXPECTED[name]
    with pytest.raises(InvalidWorkflowError) as caught:
        Workflow.from_yaml(name)
    assert caught.value.exit_code == 2
    assert [str(problem) for problem in caught.value.problems] == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_place_is_inside_the_file(name):
    lines = (FOLDER / name).read_text("utf-8").split("\n")
    for line in EXPECTED[name]:
        file, number, column = re.match(r"(.+?):(\d+):(\d+): ", line).groups()
        if file == name:
            assert int(column) <= len(lines[int(number) - 1]) + 1


def test_a_key_in_the_file_is_never_repeated():
    assert not any("sk-1234567890" in line for lines in EXPECTED.values() for line in lines)


def said(content: str | bytes, tmp_path: Path) -> list[str]:
    """What is said about a file with this content."""
    path = tmp_path / "flow.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    _, problems = examine(path)
    return [str(problem).removeprefix(str(path)) for problem in sorted(problems.found)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ":1:1: the file is empty; start with `weaver init`"),
        (b"# nothing\n", ":1:1: the file is empty; start with `weaver init`"),
        ("version: weaver/v1\n".encode("utf-16"), ":1:1: the file is UTF-16; save it as UTF-8"),
        ("version: weaver/v1\n".encode("utf-32"), ":1:1: the file is UTF-32; save it as UTF-8"),
        ("version: weaver/v1\n".encode("utf-32-be"), ":1:1: the file is UTF-32; save it as UTF-8"),
        ("version: weaver/v1\n".encode("utf-16-be"), ":1:1: the file is UTF-16; save it as UTF-8"),
        (HEAD.encode() + b"# caf\xe9\n", ":3:6: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (HEAD.encode() + b"# bell \x07\n", ":3:8: control character U+0007; remove it"),
        (HEAD.encode() + b"# nul \x00\n", ":3:7: control character U+0000; remove it"),
        (HEAD + "steps:\n\ta: {task: x}\n", ":4:1: a tab is used to indent; indent with spaces"),
        (HEAD + "steps:\n  a:\n\t  task: x\n", ":5:1: a tab is used to indent; indent with spaces"),
    ],
)
def test_encodings_and_tabs(content, message, tmp_path):
    assert said(content, tmp_path) == [message]


def test_every_tab_is_named(tmp_path):
    content = HEAD + "steps:\n\ta:\n\t\ttask: x\n"
    assert said(content, tmp_path) == [
        f":{line}:1: a tab is used to indent; indent with spaces" for line in (4, 5)
    ]


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path):
    content = (HEAD + "steps:\n  a: {task: x, tusk: y}\n").replace("\n", "\r\n")
    (message,) = said(b"\xef\xbb\xbf" + content.encode(), tmp_path)
    assert message.startswith(":4:16: steps.a.tusk: there is no key 'tusk' here")


def test_files_that_are_not_there(tmp_path):
    for path, what in [
        (tmp_path / "no.yaml", "there is no such file"),
        (tmp_path, "is a folder, not a file"),
    ]:
        _, problems = examine(path)
        assert [problem.what for problem in problems.found] == [what]


def bomb(levels: int) -> str:
    """Anchors that double at every level."""
    lines = ["x-0: &a0 [1, 2]"]
    lines += [f"x-{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, levels)]
    return HEAD + "\n".join(lines) + "\nsteps:\n  a: {task: x}\n"


@pytest.mark.timeout(30)  # far more than they take: a hang would be the failure
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEAD + "#" * 10_000_000, "the file is larger than 1 MB"),
        (bomb(40), "more than 100,000 values once the aliases are expanded"),
        (HEAD + "x-a: " + "[" * 100_000, "nested more than 50 deep"),
        (HEAD + "x-a: " + "{a: " * 60, "nested more than 50 deep"),
        (HEAD + "- " * 3_000, "this line does not line up"),
        (HEAD + "x-a: [" + "1," * 200_000 + "1]\n", "more than 100,000 values"),
        (HEAD + "x-a: &a [*a]\nsteps: {a: {task: x}}\n", "there is no finished anchor &a above"),
        (HEAD + "\n".join(f"k{n}: 1" for n in range(20_000)), "there is no key 'k0' here"),
    ],
)
def test_huge_and_hostile_files_are_refused(content, message, tmp_path):
    messages = said(content, tmp_path)
    assert any(message in line for line in messages), messages[:3]


def test_a_file_with_many_problems_says_the_first_hundred(tmp_path):
    path = tmp_path / "flow.yaml"
    path.write_text(HEAD + "steps: {a: {task: x}}\n" + "\n".join(f"k{n}: 1" for n in range(500)))
    with pytest.raises(InvalidWorkflowError) as caught:
        Workflow.from_yaml(path)
    assert len(caught.value.problems) == 500
    lines = str(caught.value).splitlines()
    assert len(lines) == 101
    assert lines[-1] == "... and 400 more."


@pytest.mark.parametrize(
    ("steps", "messages"),
    [
        (  # a mistake in one step hides none in the others
            'a: {task: x, bogus: 1}\n  b: {task: "${{ steps.a.outputs.x }}"}',
            [
                ":4:16: steps.a.bogus: there is no key 'bogus' here",
                ":5:26: steps.b.task: step 'a' has no field 'outputs'",
            ],
        ),
        (  # nor in the same step
            "a: {task: x, on_error: no, on_timeout: fallback, as: i}",
            [
                ":4:26: steps.a.on_error: 'no' is none of",
                ":4:42: steps.a.on_timeout: there is no fallback",
                ":4:52: steps.a.as: as means something only with for_each",
            ],
        ),
        (  # what may have been meant is not said to be missing
            'a: {foreach: [1], task: "${{ item }}", fallbak: 3, on_timeout: fallback, max_parallel: 2}',
            [
                ":4:7: steps.a.foreach: there is no key 'foreach' here",
                ":4:42: steps.a.fallbak: there is no key 'fallbak' here",
            ],
        ),
        (  # nor is anything said about an output that is not known
            'a: {task: x, outptu: {properties: {p: string}}}\n  b: {task: "${{ steps.a.output.q }}"}',
            [":4:16: steps.a.outptu: there is no key 'outptu' here"],
        ),
        (  # places and numbers are those of the file, also behind a bad entry of a list
            "a: {task: x, tools: [3, serch]}\n  b: {needs: [{x: y}, a, bb], task: x}",
            [
                ":4:24: steps.a.tools[0]: a text is expected, not 3",
                ":4:27: steps.a.tools[1]: there is no tool 'serch'",
                ":5:15: steps.b.needs[0]: a text is expected, not a mapping",
                ":5:26: steps.b.needs[2]: there is no step 'bb'",
            ],
        ),
        (
            (
                "a: {task: x}\n"
                "tests:\n  - name: t\n    expect:\n      - 3\n      - stat == 3\n  - 7\n  - {nme: u}"
            ),
            [
                ":8:9: tests[0].expect[0]: a text is expected, not 3",
                ":9:9: tests[0].expect[1]: there is no name 'stat'",
                ":10:5: tests[1]: a mapping is expected, not 7",
                ":11:6: tests[2].nme: there is no key 'nme' here",
            ],
        ),
        (  # what people of other tools write
            "a: {run: x}\n  b: {task: x, strategy: {matrix: {n: [1]}}}\n  c: {for_each: [1], if: item > 0}",
            [
                ":4:7: steps.a.run: there is no key 'run' here; known: task, agent, uses, function, approve",
                ":5:16: steps.b.strategy: the key 'name' is missing; a strategy has a name; a step runs",
                ":6:3: steps.c: the step does nothing",
                ":6:26: steps.c.if: there is no name 'item'; `if` is for the whole step; filter the list",
            ],
        ),
        (  # in our words, not in those of a library
            "a: {task: '', output: {enum: []}}\noutputs: {größe: x, a-é: x}\nagents: []",
            [
                ":4:13: steps.a.task: it should have at least 1 character, not ''",
                ":4:32: steps.a.output.enum: it should have at least 1 item",
                ":5:11: outputs.größe: 'größe' cannot be used in expressions: names have letters a-z, digits",
                ":5:21: outputs.a-é: 'a-é' cannot be used in expressions: names have letters a-z, digits and",
                ":6:9: agents: a mapping is expected, not a list; agents are keyed by name",
            ],
        ),
        (  # of an anchor that is not there nothing follows
            (
                "a: {task: *foo}\n  b: {<<: *foo}\n  c: {approve: {message: *foo}}\n"
                "  d: {needs: [*foo, e], task: x}"
            ),
            [
                *(f":{place}: there is no finished anchor &foo above" for place in ("4:13", "5:11", "6:26")),
                ":7:15: there is no finished anchor &foo above",
                ":7:21: steps.d.needs[1]: there is no step 'e'",
            ],
        ),
    ],
)
def test_every_true_problem_is_said_and_nothing_that_only_follows(steps, messages, tmp_path):
    found = said(f"{HEAD}steps:\n  {steps}\n", tmp_path)
    assert len(found) == len(messages), found
    for line, message in zip(found, messages, strict=True):
        assert line.startswith(message)


@pytest.mark.parametrize("content", [bomb(40).replace("x-0", "x-f"), "*foo\n", HEAD + "steps: *foo\n"])
def test_a_file_that_cannot_be_read_has_one_problem(content, tmp_path):
    assert len(said(content, tmp_path)) == 1
