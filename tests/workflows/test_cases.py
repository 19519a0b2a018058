"""Test cases inside workflow files, the stand-in answers of dry runs, and the examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from weaver import Weaver
from weaver._cli import main
from weaver._workflows.tools.testing import dry, run_case, smallest, virtual
from weaver.testing import virtual_time
from weaver.workflows import Workflow, run_workflow

pytestmark = pytest.mark.anyio
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.fixture
def anyio_backend():
    return virtual_time()


def flow(
    case: str, *, steps: str = "a: {task: 'say ${{ inputs.x }}'}\n  b: {task: 'end ${{ steps.a.output }}'}"
) -> Workflow:
    return Workflow.from_yaml(
        f"version: weaver/v1\nname: t\ninputs: {{x: {{type: string, default: hi}}}}\nsteps:\n  {steps}\n"
        f"outputs: {{answer: '${{{{ steps.b.output }}}}'}}\ntests:\n  - name: case\n{case}"
    )


async def problems(case: str, **more: str) -> tuple[str, ...]:
    return (await run_case(flow(case, **more), 0)).problems


async def test_a_case_that_passes():
    expected = "[answer == 'bye', steps.a.output == 'hello', calls == 2, len(notes) == 0]"
    case = f"    answers: {{a: hello, b: bye}}\n    expect: {expected}\n"
    assert await problems(case) == ()


async def test_a_case_that_fails_says_what_there_was_instead():
    case = "    answers: {a: hello, b: bye}\n    expect: [answer == 'hello', calls == 3]\n"
    assert await problems(case) == (
        "not true: answer == 'hello' (answer = 'bye')",
        "not true: calls == 3 (calls = 2)",
    )


async def test_fail_fast_is_a_failed_case_also_when_something_was_finished():
    steps = "b: {task: end}\n  a: {needs: b, task: x, on_error: fail_fast}"
    case = "    answers: {a: {error: down}}\n    status: failed\n    expect: [\"'down' in error\"]\n"
    assert await problems(case, steps=steps) == ()


async def test_a_status_that_was_not_expected_says_why():
    assert await problems("    answers: {a: {error: down}}\n    status: complete\n") == (
        ("it ended as failed, not complete: Nothing came out of the workflow. Step a failed: down."),
    )
    assert (
        await problems(
            "    answers: {a: {error: down}}\n    status: failed\n    expect: \"'down' in error\"\n"
        )
        == ()
    )


async def test_answers_that_nobody_asked_for_are_told():
    assert await problems("    answers: {a: [one, two, three]}\n") == (
        "1 of the 3 answers of 'a' were asked for",
    )


async def test_delays_are_on_the_clock_of_the_case():
    steps = "a: {task: x, timeout: 5s, on_timeout: fallback, fallback: late}"
    steps += "\n  b: {task: 'end ${{ steps.a.output }}'}"
    outcome = await run_case(
        flow("    answers: {a: {after: 10s, say: x}}\n    expect: steps.a.output == 'late'\n", steps=steps), 0
    )
    assert outcome.problems == ()
    assert outcome.seconds == pytest.approx(5)


async def test_lists_go_to_items_by_place_and_whole_to_steps_that_answer_with_a_list():
    steps = "a: {task: x, output: [string]}"
    steps += "\n  b: {for_each: steps.a.output, max_parallel: 1, task: 'do ${{ item }}'}"
    case = "    answers: {a: [p, q], b: [first, second]}\n    expect: steps.b.output == ['first', 'second']\n"
    workflow = flow(case, steps=steps)
    assert (await run_case(workflow, 0)).problems == ()


async def test_inputs_of_a_case_that_do_not_fit():
    assert (await run_case(flow("    inputs: {x: 3}\n"), 0)).problems == (
        "Workflow t: the input 'x' does not fit: it should be a valid string. They are `inputs` of the case.",
    )


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "ok"),
        ({"type": "string", "minLength": 4}, "oooo"),
        ({"enum": ["a", "b"]}, "a"),
        ({"const": 3}, 3),
        ({"type": "integer", "minimum": 2, "maximum": 5}, 2),
        ({"type": "number", "maximum": -1, "minimum": -3}, -3),
        ({"type": "boolean"}, False),
        ({"type": "null"}, None),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 0),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [0, 0]),
        (
            {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"type": "string"}},
                "required": ["a"],
                "$defs": {"A": {"type": "array"}},
            },
            {"a": []},
        ),
    ],
)
def test_the_smallest_value_that_fits(schema, value):
    assert smallest(schema) == value


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_every_example_can_be_run_dry(path):
    workflow = Workflow.from_yaml(path)
    given = dry(workflow)
    inputs = {
        name: smallest(spec.json_schema()) for name, spec in workflow.inputs.items() if not spec.optional
    }
    result = await run_workflow(workflow, inputs, weaver=Weaver(given.only_model), approve=given.approve)
    assert result.status == "complete"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_every_case_of_every_example_passes(path):
    workflow = Workflow.from_yaml(path)
    assert workflow.tests
    for number, case in enumerate(workflow.tests):
        assert virtual(workflow, case)
        outcome = await run_case(workflow, number)
        assert outcome.problems == (), case.name


def test_every_example_has_its_line_in_the_readme():
    readme = (EXAMPLES[0].parent / "README.md").read_text("utf-8")
    assert len(EXAMPLES) >= 7
    for path in EXAMPLES:
        line = next((line for line in readme.splitlines() if f"]({path.name})" in line), "")
        assert len(line) > len(path.name) + 30, path.name
        first = path.read_text("utf-8").splitlines()[0]
        assert first == "# yaml-language-server: $schema=../weaver/_workflows/weaver-v1.schema.json"


def test_the_command_runs_the_cases(capsys, tmp_path):
    path = tmp_path / "flow.yaml"
    path.write_text(
        flow(
            "    answers: {b: bye}\n    expect: answer == 'bye'\n  - name: wrong\n    expect: answer == 'x'\n"
        ).to_yaml()
    )
    assert main(["test", str(path)]) == 1
    out = capsys.readouterr().out
    assert f"passed  {path}: case" in out
    assert f"FAILED  {path}: wrong" in out
    assert "not true: answer == 'x' (answer = 'ok')" in out
    assert "2 cases, 1 failed" in out
    assert main(["test", str(path), "-k", "CAS"]) == 0
    assert main(["test", str(path), "-k", "nothing"]) == 2
    path.write_text(flow("    answers: {a: {error: down}}\n").to_yaml())
    assert main(["test", str(path)]) == 1
    out = capsys.readouterr().out
    assert "        step a: failed: down\n" in out
    assert "        step b: skipped: It needs 'a', which ended as failed.\n" in out
