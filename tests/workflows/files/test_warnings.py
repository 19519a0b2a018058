"""What is probably a mistake in a workflow file is warned about, and runs all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from weaver import Weaver
from weaver._cli import main
from weaver._workflows.validation.loader import examine
from weaver.testing import ScriptedModel
from weaver.workflows import Workflow

FLOW = """\
version: weaver/v1
name: flow
inputs:
  topic: string
  things: {type: array, items: string, default: [tea]}
  unread: {type: integer, default: 1}
steps:
  plan: {task: 'plan TEXT about ${{ inputs.topic }}'}
  work: {for_each: '${{ inputs.things }}', task: 'work on ${{ item }}'}
"""


def warnings(text: str) -> list[str]:
    workflow, problems = examine(text)
    assert workflow is not None, problems.found
    return [f"{w.place.line}:{w.place.column}: {w.where}: {w.what}; {w.hint}" for w in problems.warnings]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("{{ topic }}", "inputs.topic"),
        ("{{topic}}", "inputs.topic"),
        ("{{ inputs.topic }}", "inputs.topic"),
        ("{{ work }}", "steps.work.output"),
        ("{{ work.x }}", "steps.work.output.x"),
        ("{{ steps.work.output[0] }}", "steps.work.output[0]"),
        ("{{ other }}", "other"),
        ("${topic}", "inputs.topic"),
        ("${ inputs.topic }", "inputs.topic"),
    ],
)
def test_what_looks_like_an_expression_is_warned_about(text: str, meant: str) -> None:
    (warning,) = warnings(FLOW.replace("TEXT", text).replace("  unread: {type: integer, default: 1}\n", ""))
    assert warning == (
        f"7:22: steps.plan.task: {text} is no expression and stays as it is; "
        f"write ${{{{ {meant} }}}} for the value"
    )


@pytest.mark.parametrize(
    "text",
    [
        "${{ inputs.topic }}",
        "$${{ inputs.topic }}",
        '{{ "a": 1 }}',
        "{{}}",
        "{ x }",
        "$x",
        "${}",
        "a }} b {{",
    ],
)
def test_other_braces_are_not(text: str) -> None:
    doubled = text.replace('"', '\\"') if "'" in text else text
    plain = FLOW.replace("TEXT", doubled).replace("  unread: {type: integer, default: 1}\n", "")
    assert warnings(plain) == []


def test_an_input_that_nothing_reads_is_warned_about() -> None:
    assert warnings(FLOW) == [
        "6:3: inputs.unread: nothing reads this input; read it as ${{ inputs.unread }}, or remove it"
    ]


@pytest.mark.parametrize(
    "step",
    [
        "{if: 'inputs.unread > 1', task: x}",
        "{for_each: '[x for x in inputs.things if inputs.unread]', task: x}",
        '{task: x, agent: \'${{ inputs.unread == 1 ? "a" : "a" }}\'}',
        "{approve: 'spend ${{ inputs.unread }}?'}",
        "{function: text, with: {value: {deep: ['${{ inputs.unread }}']}}}",
        "{task: '${{ inputs }}'}",
    ],
)
def test_every_place_counts_as_reading(step: str) -> None:
    text = FLOW + f"  more: {step}\n" + "agents: {a: {instructions: Be brief.}}\n"
    _, problems = examine(text)
    assert not any("nothing reads" in warning.what for warning in problems.warnings)


def test_placeholders_in_outputs_and_instructions_are_warned_about() -> None:
    text = FLOW.replace("unread", "n") + (
        "agents: {a: {instructions: 'About ${{ inputs.n }}.'}}\n"
        "outputs: {answer: '{{ steps.plan.output }} ${{ inputs.n }}'}\n"
    )
    assert [w.partition("; ")[0] for w in warnings(text)] == [
        "11:20: outputs.answer: {{ steps.plan.output }} is no expression and stays as it is",
        "10:35: agents.a.instructions: ${{ inputs.n }} stays as it is: instructions hold no values",
    ]


def test_validate_prints_warnings_and_is_content(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text(FLOW)
    assert main(["validate", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"warning: {path}:6:3: inputs.unread: nothing reads this input" in out
    assert "flow is fine" in out
    assert main(["validate", "--json", str(path)]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["severity"], entry["line"]) == ("warning", 6)


@pytest.mark.anyio
async def test_a_run_notes_them() -> None:
    workflow = Workflow.from_yaml(FLOW)
    result = await workflow.run({"topic": "tea"}, weaver=Weaver(ScriptedModel("fine")))
    assert result.status == "complete"
    assert [n for n in result.notes if "nothing reads this input" in n]


def test_a_model_on_a_step_is_sent_to_the_agents() -> None:
    _, problems = examine(FLOW.replace("{task: 'plan", "{model: openai/x, task: 'plan"))
    (problem,) = problems.found
    assert str(problem).endswith(
        "steps.plan.model: there is no key 'model' here; it belongs to an agent: "
        "`agents: {critic: {model: ...}}`, and `agent: critic` in the step"
    )


@pytest.mark.anyio
async def test_items_carry_their_names_into_titles() -> None:
    text = (
        "version: weaver/v1\nname: flow\ninputs: {things: {type: array}}\n"
        "steps:\n  work: {for_each: '${{ inputs.things }}', task: 'work on ${{ item }}'}\n"
    )
    things = ["tea", {"name": "green\ntea"}, {"id": 7}, {"x": 1}, "long " * 30, True, 2.5]
    result = await Workflow.from_yaml(text).run({"things": things}, weaver=Weaver(ScriptedModel("fine")))
    titles = [thread.title for thread in result.threads if thread.id.startswith("work/")]
    assert titles == [
        "work 1: tea",
        "work 2: green tea",
        "work 3: 7",
        "work 4",
        "work 5: " + ("long " * 30)[:39] + "…",
        "work 6",
        "work 7: 2.5",
    ]
