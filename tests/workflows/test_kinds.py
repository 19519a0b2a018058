"""A kind of step that is added by a program, from its keys in the file to its work."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from weaver import Answer, Run, Task, Weaver
from weaver._workflows.execution.preparation.prepared import prepare
from weaver._workflows.format.extension import remove_kind
from weaver._workflows.format.json_schema import FILE, json_schema, schema_text
from weaver._workflows.kinds.registry import KINDS
from weaver._workflows.kinds.step_kind import StepKind as Base
from weaver._workflows.tools import diagram
from weaver._workflows.tools.cost_bound import worst_case
from weaver._workflows.tools.testing import run_case
from weaver._workflows.validation.loader import examine
from weaver._workflows.validation.registry import Surroundings
from weaver.errors import ConfigurationError, InvalidWorkflowError
from weaver.testing import ScriptedModel
from weaver.workflows import Step, StepCheck, StepKind, StepRun, Workflow, add_kind

pytestmark = pytest.mark.anyio
FILE_TEXT = """\
version: weaver/v1
name: shouts
inputs: {name: string}
steps:
  ask: {task: "Who is ${{ inputs.name }}?"}
  shout: {shout: "${{ steps.ask.output }}", times: 2}
  each: {for_each: [a, b], shout: "${{ item }}"}
outputs: {answer: "${{ steps.shout.output }}", all: "${{ steps.each.output }}"}
"""


class ShoutKeys(BaseModel):
    shout: str | None = Field(default=None, description="What to shout.", examples=["hello"])
    times: int | None = Field(default=None, description="How often.", examples=[2])


class Shout(StepKind):
    """Comes to a text in capitals."""

    key = "shout"
    keys = ShoutKeys
    texts = ("shout",)
    takes = ("retry", "output")

    def check(self, check: StepCheck) -> None:
        if not check.kinds["shout"].one_of("string"):
            check.wrong("shout", "only texts are shouted", "use text(x)")

    async def run(self, work: StepRun, run: Run, names: Mapping[str, Any], task: Task | None) -> Answer:
        return work.answer(run, self.value(names).upper() * (self.value(names, "times") or 1))


@pytest.fixture
def shout() -> Iterator[None]:
    add_kind(Shout)
    yield
    remove_kind("shout")


@pytest.mark.usefixtures("shout")
async def test_an_added_kind_runs() -> None:
    workflow = Workflow.from_yaml(FILE_TEXT)
    result = await workflow.run({"name": "Bo"}, weaver=Weaver(ScriptedModel("a cat")))

    assert result.status == "complete"
    assert result.output == {"answer": "A CATA CAT", "all": ["A", "B"]}
    assert Workflow.from_yaml(workflow.to_yaml()) == workflow


@pytest.mark.usefixtures("shout")
@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        (
            'shout: "${{ steps.ask.output }}"',
            "shout: 3",
            "6:18: steps.shout.shout: a text is expected",
        ),
        ("${{ item }}", "${{ [item] }}", "7:35: steps.each.shout: only texts are shouted; use text(x)"),
        ("${{ item }}", "${{ itm }}", "7:40: steps.each.shout: there is no name 'itm'"),
        (
            "{shout: ",
            "{shuot: ",
            "6:11: steps.shout.shuot: there is no key 'shuot' here; did you mean",
        ),
        (
            "times: 2",
            "timse: 2",
            "6:45: steps.shout.timse: there is no key 'timse' here; did you",
        ),
        ("{task:", "{times: 2, task:", "5:9: steps.ask.times: times means something only with shout"),
        (
            "times: 2",
            "task: x",
            "6:11: steps.shout.shout: a step does one thing, and this one has task",
        ),
        ("times: 2", "agent: x", "6:45: steps.shout.agent: agent means something only with task"),
        ("times: 2", "on_timeout: partial", "6:57: steps.shout.on_timeout: a step with shout has no partial"),
    ],
)
async def test_problems_of_an_added_kind_are_shown_where_they_are(
    before: str, after: str, problem: str
) -> None:
    assert before in FILE_TEXT
    _, problems = examine(FILE_TEXT.replace(before, after))

    assert problem in "\n".join(map(str, problems.found))


@pytest.mark.usefixtures("shout")
async def test_an_added_kind_is_drawn_bounded_and_tested() -> None:
    workflow = Workflow.from_yaml(
        FILE_TEXT
        + "tests: [{name: x, inputs: {name: Bo}, answers: {ask: b}, expect: outputs.answer == 'BB'}]\n"
    )
    prepared = prepare(workflow, Surroundings())
    worst = worst_case(prepared)

    assert worst.total.calls == 1
    assert "      shout, each item\n" in diagram.terminal(prepared, worst)
    assert 'step_shout["shout<br/>shout"]' in diagram.mermaid(prepared)
    assert "${{ steps.ask.output }}</title>" in diagram.svg(prepared, worst)
    outcome = await run_case(workflow, 0)
    assert outcome.passed


@pytest.mark.usefixtures("shout")
def test_an_added_kind_is_in_the_schema_and_in_python() -> None:
    properties = json_schema()["$defs"]["Step"]["properties"]
    assert properties["shout"] == {"description": "What to shout.", "examples": ["hello"], "type": "string"}

    step = Step.model_validate({"shout": "x", "times": 2})
    assert (step.does, step.model_dump(exclude_unset=True)) == ("shout", {"shout": "x", "times": 2})


def test_a_removed_kind_is_gone() -> None:
    add_kind(Shout)
    remove_kind("shout")

    assert schema_text() == FILE.read_text("utf-8")
    with pytest.raises(ValidationError):
        Step.model_validate({"shout": "x"})
    with pytest.raises(InvalidWorkflowError, match="there is no key 'shout' here"):
        Workflow.from_yaml(FILE_TEXT)


class TakenKeys(BaseModel):
    shout: str | None = None
    task: str | None = None


class Taken(Shout):
    keys = TakenKeys


class Keyless(Shout):
    key = "whisper"


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (Taken, r"has keys that steps have already: \['task'\]"),
        (Keyless, "no field 'whisper'"),
        (3, "not a kind"),
    ],
)
def test_kinds_that_cannot_be_added(kind: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        add_kind(kind)


def test_every_kind_of_weavers_own_is_one_class_with_its_keys() -> None:
    properties = json.loads(FILE.read_text("utf-8"))["$defs"]["Step"]["properties"]
    for key, kind in KINDS.items():
        assert issubclass(kind, Base)
        assert key in kind.own_keys()
        assert set(kind.own_keys()) <= set(properties)
        assert kind.__doc__
        assert not inspect.isabstract(kind)


async def test_outputs_of_functions_have_no_bound_of_tokens() -> None:
    workflow = Workflow.from_yaml(
        "version: weaver/v1\nname: bound\ndefaults: {max_tokens: 10}\nsteps:\n"
        "  ask: {approve: Go on?}\n  use: {task: '${{ steps.ask.output.comment }}'}\n  alone: {task: Hello}\n"
    )
    worst = worst_case(prepare(workflow, Surroundings()))

    assert worst.steps["use"].tokens is None
    assert worst.steps["alone"].tokens is not None


def test_a_used_workflow_may_be_partial(tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text("version: weaver/v1\nname: inner\nsteps: {a: {task: Hello}}\n")
    text = "version: weaver/v1\nname: outer\nsteps: {a: {uses: inner.yaml, on_timeout: partial}}\n"

    assert Workflow.from_yaml(text, root=tmp_path).steps["a"].on_timeout == "partial"
