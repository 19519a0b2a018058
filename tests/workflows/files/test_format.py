"""The format: the same objects in YAML and Python, the schema, what is kept and what is never written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weaver._workflows.execution.runner import resolved
from weaver._workflows.format.json_schema import FILE, json_schema, schema_text
from weaver._workflows.source.starter import starter
from weaver.errors import ConfigurationError, InvalidWorkflowError
from weaver.workflows import (
    AgentSpec,
    Budget,
    Case,
    Defaults,
    Input,
    ModelRef,
    Models,
    Retry,
    Step,
    StrategyRef,
    ValueSpec,
    Workflow,
)

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
FULL = """\
version: weaver/v1
name: everything
description: Uses every key of the format.
inputs:
  topic: string
  many:
    type: array
    items: string
    maxItems: 5
    default: [a, b]
    fence: true
  level: {enum: [low, high], default: low, description: How much.}
models:
  default: openai/gpt-5-mini
  judge:
    name: openai/gpt-5
    base_url: http://localhost:8080/v1
    api_key: ${env:MY_KEY}
agents:
  critic: {description: Finds faults., instructions: Be strict., model: openai/gpt-5}
defaults:
  deadline: 1m30s
  budget: {cost: $0.50, tokens: 20k, calls: 40, threads: 64, depth: 2}
  strategy: {name: sequential, wait: 0}
  timeout: 45s
  max_parallel: 8
  retry: 1
  on_error: keep
  on_timeout: partial
  max_tokens: 2k
  temperature: 0.2
steps:
  plan:
    title: Make a plan
    task: |
      Plan ${{ inputs.topic }}.

      In two paragraphs.
    output:
      properties: {parts: [string], score: {type: number, minimum: 0, maximum: 1}}
  work:
    needs: plan
    if: inputs.level == 'high' and steps.plan.output.score > 0.5
    for_each: ${{ steps.plan.output.parts }}
    as: part
    max_parallel: 2
    max_items: 10
    task: Work on ${{ part }}
    agent: critic
    strategy: sequential
    max_tokens: 500
    temperature: 0
    join: quorum(2) | until(len(done) > 3)
    timeout: 30s
    deadline: 2m
    budget: $0.10
    retry: {times: 2, delay: 500ms, backoff: 1.5}
    on_error: skip
    on_timeout: fallback
    fallback: nothing
    conflicts: [majority, judge]
  gate:
    approve: {message: 'Go on with ${{ steps.work.output }}?', timeout: 10m, otherwise: approve}
outputs:
  answer: ${{ steps.work.output }}
  fixed: {a: [1, '${{ inputs.level }}']}
tests:
  - name: works
    inputs: {topic: tea}
    answers: {plan: {parts: [x], score: 1}}
    approvals: {gate: false}
    status: complete
    expect: outputs.fixed.a[0] == 1
x-notes: &notes
  anything: [1, 2]
"""


def test_a_file_with_everything_round_trips():
    workflow = Workflow.from_yaml(FULL)
    text = workflow.to_yaml()
    again = Workflow.from_yaml(text)
    assert again == workflow
    assert again.to_yaml() == text
    assert again.model_dump(exclude_unset=True) == workflow.model_dump(exclude_unset=True)
    assert workflow.defaults.budget == Budget(cost=0.5, tokens=20_000, calls=40, threads=64, depth=2)
    assert workflow.steps["work"].retry == Retry(times=2, delay=0.5, backoff=1.5)
    assert workflow.extensions == {"x-notes": {"anything": [1, 2]}}
    for short in [
        "deadline: 90s",
        "budget: $0.10",
        "tokens: 20k",
        "retry: 1",
        "topic: string",
        "needs: plan",
    ]:
        assert short in text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_round_trip(path):
    workflow = Workflow.from_yaml(path)
    text = workflow.to_yaml()
    assert Workflow.from_yaml(text, root=path.parent) == workflow


def test_the_starter_is_a_good_workflow():
    workflow = Workflow.from_yaml(starter("my-flow", "flow.yaml", "./schema.json"))
    assert workflow.name == "my-flow"
    assert Workflow.from_yaml(workflow.to_yaml()) == workflow


def built() -> Workflow:
    return Workflow(
        version="weaver/v1",
        name="built",
        inputs={"topic": Input(type="string"), "n": Input(type="integer", default=2)},
        models=Models(default=ModelRef(name="openai/gpt-5-mini")),
        agents={"critic": AgentSpec(instructions="Be strict.")},
        defaults=Defaults(deadline=90.0, budget=Budget(cost=0.25)),
        steps={
            "plan": Step(
                task="Plan ${{ inputs.topic }}.",
                output=ValueSpec(
                    type="object",
                    properties={"parts": ValueSpec(type="array", items=ValueSpec(type="string"))},
                ),
            ),
            "work": Step(
                for_each="steps.plan.output.parts",
                task="Do ${{ item }}",
                agent="critic",
                if_="inputs.n > 1",
                strategy=StrategyRef(name="sequential", wait=0),
            ),
        },
        outputs={"all": "${{ steps.work.output }}"},
        tests=(Case(name="one", inputs={"topic": "tea"}),),
    )


def test_a_workflow_built_in_python_is_the_same_as_its_yaml():
    workflow = built().check()
    assert Workflow.from_yaml(workflow.to_yaml()) == workflow
    assert "if: inputs.n > 1" in workflow.to_yaml()
    assert workflow.compiled.steps["work"].waits_for == ("plan",)


def test_a_wrong_workflow_built_in_python_says_where_in_its_yaml():
    workflow = built()
    wrong = workflow.model_copy(
        update={"steps": {"work": Step(task="Do ${{ inputs.topik }}")}, "outputs": {}}
    )
    with pytest.raises(
        InvalidWorkflowError,
        match=r"<built>:\d+:\d+: steps.work.task: there is no input 'topik'; did you mean 'topic'?",
    ):
        wrong.check()


def test_a_workflow_is_written_to_a_file(tmp_path):
    path = tmp_path / "flow.yaml"
    text = built().to_yaml(path)
    assert path.read_text("utf-8") == text
    assert Workflow.from_yaml(path) == built()


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\n\t"), max_size=60
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    task=TEXTS.filter(str.strip), description=TEXTS, default=st.none() | st.booleans() | st.integers() | TEXTS
)
def test_any_text_survives_the_round_trip(task, description, default):
    task = task.replace("${", "$ {")
    workflow = Workflow(
        version="weaver/v1",
        name="texts",
        description=description,
        inputs={"x": Input(type="any", default=default)},
        steps={"a": Step(task=task)},
    )
    assert Workflow.from_yaml(workflow.to_yaml()) == workflow


# ---- YAML


def test_yaml_is_1_2():
    head = "version: weaver/v1\nname: norway\nsteps: {a: {task: x}}\n"
    given = "[no, on, yes, off, y, 1:30, 2024-01-01, 0o17, 0x1f, 017, 1_000, ~, 1e3, .5, 'true', True]"
    workflow = Workflow.from_yaml(f"{head}x-all: {given}\n")
    assert workflow.extensions["x-all"] == [
        *("no", "on", "yes", "off", "y", "1:30", "2024-01-01"),
        *(15, 31, 17, "1_000", None, 1000.0, 0.5, "true", True),
    ]  # fmt: skip


def test_merge_keys_fill_in_what_is_not_there():
    workflow = Workflow.from_yaml(
        "version: weaver/v1\nname: merge\n"
        "x-base: &base {timeout: 30s, retry: 2, title: base}\nx-more: &more {title: more, max_tokens: 1k}\n"
        "steps:\n  a: {<<: *base, task: x, retry: 1}\n  b: {task: y, <<: [*more, *base]}\n"
    )
    a, b = workflow.steps["a"], workflow.steps["b"]
    assert (a.timeout, a.title, a.retry) == (30, "base", Retry(times=1))
    assert (b.timeout, b.title, b.max_tokens) == (30, "more", 1000)


def test_places_count_characters_not_bytes():
    text = "version: weaver/v1\nname: '😀é'\nsteps: {a: {title: '😀😀', tusk: x}}\n"
    with pytest.raises(InvalidWorkflowError) as caught:
        Workflow.from_yaml(text)
    (problem,) = caught.value.problems
    assert (problem.place.line, problem.place.column) == (3, text.split("\n")[2].index("tusk") + 1)


@pytest.mark.parametrize(
    "task",
    [
        "task: one ${{ inputs.no }}",
        'task: "one ${{ inputs.no }}"',
        "task: |\n      one\n      two ${{ inputs.no }}",
        "task: >-\n      one\n      two\n\n      three ${{ inputs.no }} four",
        "task: one two\n      three ${{ inputs.no }}",
        "task: |\n      ${{ inputs.ok }} and ${{\n        inputs.no\n      }}",
    ],
)
def test_the_place_is_right_in_every_kind_of_text(task):
    text = f"version: weaver/v1\nname: places\ninputs: {{ok: string}}\nsteps:\n  a:\n    {task}\n"
    with pytest.raises(InvalidWorkflowError) as caught:
        Workflow.from_yaml(text)
    (problem,) = caught.value.problems
    line = text.split("\n")[problem.place.line - 1]
    assert line[problem.place.column - 1 :].startswith("no")


# ---- schema


def test_the_committed_schema_is_the_one_of_the_models():
    assert FILE.read_text("utf-8") == schema_text(), (
        "run: weaver schema > weaver/_workflows/weaver-v1.schema.json"
    )


def test_every_key_is_described_and_has_an_example():
    schema = json_schema()
    parts = {"Workflow": schema, **schema["$defs"]}
    for part, described in parts.items():
        assert described.get("description") or part == "Workflow"
        for key, about in described.get("properties", {}).items():
            assert about.get("description"), f"{part}.{key}"
            assert about.get("examples") or "default" in about or "enum" in about, f"{part}.{key}"


def test_the_schema_refuses_unknown_keys_and_knows_the_short_forms():
    schema = json_schema()
    step = schema["$defs"]["Step"]
    assert step["additionalProperties"] is False
    assert {"type": "integer", "minimum": 0, "maximum": 20} in step["properties"]["retry"]["anyOf"]
    assert any(option.get("enum", [""])[0] == "string" for option in step["properties"]["output"]["anyOf"])
    assert "null" not in json.dumps(step)


# ---- secrets


def test_a_secret_is_read_when_it_is_used_and_never_shown(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    workflow = Workflow.from_yaml(FULL)
    shown = [
        workflow.to_yaml(),
        repr(workflow),
        json.dumps(workflow.model_dump(mode="json")),
        str(workflow.compiled),
    ]
    assert not any("sk-very-secret" in text for text in shown)
    assert workflow.models.judge is not None
    assert resolved(str(workflow.models.judge.api_key)) == "sk-very-secret"


def test_a_variable_that_is_not_set_is_named():
    assert "WEAVER_TEST_NOT_SET" not in os.environ
    with pytest.raises(ConfigurationError, match="WEAVER_TEST_NOT_SET, which is not set"):
        resolved("${env:WEAVER_TEST_NOT_SET}")
