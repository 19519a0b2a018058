"""Workflows that use others: paths, cycles, inputs, models, names, limits."""

from __future__ import annotations

import pytest

from tests.workflows.composed.folders import CHILD, parent, problems, write
from weaver import Weaver
from weaver._workflows.execution.runner import Given, started
from weaver._workflows.tools.testing import run_case
from weaver._workflows.validation.registry import Surroundings
from weaver.errors import InvalidTaskError, StepError
from weaver.testing import Scripted, ScriptedModel, virtual_time
from weaver.workflows import Workflow

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


async def test_a_used_workflow_runs_in_the_same_run(tmp_path):
    write(
        tmp_path,
        parts__child=CHILD,
        main=parent(
            "  each: {for_each: [tea, coffee], uses: ./parts/child.yaml, with: {topic: '${{ item }}'}}\n"
            "  end:\n    task: |\n      end ${{ [v.verdict for v in steps.each.output] }}\n"
            "      ${{ steps.each.output[0].n + 1 }}\n"
        ),
    )
    model = ScriptedModel(
        [Scripted("seen", when="look at"), Scripted("good", when="judge"), Scripted("done", when="end")]
    )
    result = await Workflow.from_yaml(tmp_path / "main.yaml").run(weaver=Weaver(model, max_depth=0))
    assert result.answer == "done"
    assert result.status == "complete"
    assert [t.id for t in result.threads if t.depth == 3] == [
        "each/1/look", "each/1/judge", "each/2/look", "each/2/judge",
    ]  # fmt: skip
    assert result.usage.calls == 5
    assert model.requests[2].request.messages[0].content == "You are the child's critic."
    last = model.requests[-1].request.messages[-1].content
    assert last.startswith("end")
    assert last.count("good") == 2
    assert "3" in last


async def test_models_that_a_used_workflow_cannot_choose_are_named(tmp_path):
    child = CHILD.replace("agents:", "models: {judge: openai/strict, thread: openai/x}\nagents:")
    write(tmp_path, child=child, main=parent("  a: {uses: ./child.yaml, with: {topic: x}}\n"))
    weaver = Weaver(ScriptedModel("fine"))
    workflow = Workflow.from_yaml(tmp_path / "main.yaml")
    start = await started(workflow, {}, weaver.settings, Given(only_model=ScriptedModel("fine")), {})
    result = await weaver.run(start.task, **start.changes)
    assert result.notes == (
        "Workflow 'child': its models for judge are not used; those of the outermost workflow are.",
    )


async def test_a_used_workflow_has_its_own_deadline_and_budget(tmp_path):
    child = CHILD.replace("steps:", "defaults: {deadline: 2s, budget: {calls: 1}}\nsteps:", 1)
    write(
        tmp_path,
        child=child,
        main=parent("  a: {uses: ./child.yaml, with: {topic: tea}}\n  b: {task: other}\n"),
    )
    workflow = Workflow.from_yaml(tmp_path / "main.yaml")
    slow = ScriptedModel([Scripted("late", when="look at", first=60), Scripted("ok")])
    result = await workflow.run(weaver=Weaver(slow))
    assert result.metrics.wall_seconds == pytest.approx(2)
    assert result.output == {"a": {"verdict": None, "n": 2}, "b": "ok"}
    assert result.status == "partial"
    assert "workflow child took longer than 2 s" in " ".join(result.notes)
    quick = ScriptedModel("ok")
    result = await workflow.run(weaver=Weaver(quick))
    assert len(quick.requests) == 2
    assert result.status == "partial"


async def test_a_used_workflow_that_names_a_model_gets_it(tmp_path):
    child = CHILD.replace("steps:", "models: {default: 'openai/child-model'}\nsteps:", 1)
    write(tmp_path, child=child, main=parent("  a: {uses: ./child.yaml, with: {topic: tea}}\n"))
    workflow = Workflow.from_yaml(tmp_path / "main.yaml")
    from weaver._workflows.execution.preparation.prepared import prepare

    prepared = prepare(workflow, Surroundings())
    assert {agent.name: getattr(agent.model, "name", None) for agent in prepared.agents.values()} == {
        "a.critic": "openai/child-model",
        "a.thread": "openai/child-model",
    }
    assert prepared.depth == 2


async def test_inputs_of_a_used_workflow_are_checked_when_they_are_known(tmp_path):
    write(
        tmp_path,
        child=CHILD,
        main=parent(
            "  plan: {task: plan, output: any}\n"
            "  a: {uses: ./child.yaml, with: {topic: '${{ steps.plan.output }}'}}\n"
        ),
    )
    model = ScriptedModel([Scripted('{"value": 3}')])
    with pytest.raises(StepError) as caught:
        await Workflow.from_yaml(tmp_path / "main.yaml").run(weaver=Weaver(model))
    assert "Step a: workflow child: the input 'topic' does not fit" in str(caught.value)


APPROVED = parent("  ok: {approve: 'Go?'}\n  do: {task: x, needs: ok}\n") + (
    "outputs: {answer: '${{ steps.do.output }}', plain: 'text of ${{ steps.do.output }}'}\n"
)


async def test_results_of_steps_of_a_used_workflow_may_be_null(tmp_path):
    publish = parent(
        "  pub: {uses: ./approved.yaml}\n"
        "  fix: {if: steps.pub.output.answer == null, task: It was refused.}\n"
    )
    case = "tests:\n  - name: refused\n    approvals: {pub/ok: false}\n    answers: {fix: sorry}\n"
    case += "    expect: [steps.pub.output.answer == null, answer == 'sorry']\n"
    write(tmp_path, approved=APPROVED, main=publish + "outputs: {answer: '${{ steps.fix.output }}'}\n" + case)
    assert problems(tmp_path / "main.yaml") == []
    outcome = await run_case(Workflow.from_yaml(tmp_path / "main.yaml"), 0)
    assert outcome.problems == ()
    write(tmp_path, main=publish.replace("output.answer", "output.plain"))
    (found,) = problems(tmp_path / "main.yaml")
    assert "steps.pub.output.plain is never null" in found


@pytest.mark.parametrize(
    "steps",
    [
        "  b: {if: steps.a.state == 'failed' and steps.a.output == null, task: b}\n",
        '  c: {task: c}\n  b: {needs: [a, c], join: first, task: "${{ steps.a.output == null }}"}\n',
        "outputs: {x: \"${{ 'none' if steps.a.output == null else steps.a.output }}\"}\n",
        "tests: [{name: t, expect: steps.a.output == null}]\n",
    ],
)
def test_a_step_that_may_have_come_to_nothing_may_be_compared_with_null(tmp_path, steps):
    write(tmp_path, main=parent("  a: {task: a}\n" + steps))
    assert problems(tmp_path / "main.yaml") == []
    write(tmp_path, main=parent("  a: {task: a}\n  b: {if: steps.a.output == null, task: b}\n"))
    (found,) = problems(tmp_path / "main.yaml")
    assert "steps.a.output is never null" in found


async def test_a_case_says_what_the_person_says_by_the_path_of_the_step(tmp_path):
    main = parent("  ok: {approve: 'Go?'}\n  pub: {uses: ./approved.yaml}\n")
    tests = "tests:\n  - {name: t, approvals: {ok: false}, expect: steps.pub.output.answer == 'ok'}\n"
    write(tmp_path, approved=APPROVED, main=main + tests)
    assert (await run_case(Workflow.from_yaml(tmp_path / "main.yaml"), 0)).problems == ()
    wrong = "tests: [{name: t, approvals: {pub/nosuch: false, pub/ok/x: true, ok/x: true}}]\n"
    write(tmp_path, main=main + wrong)
    assert len(problems(tmp_path / "main.yaml")) == 3


def test_problems_of_used_files_carry_their_own_names(tmp_path):
    write(
        tmp_path,
        parts__child=CHILD.replace("look at", "look at ${{ inputs.topik }}"),
        main=parent("  a: {uses: ./parts/child.yaml, with: {topic: tea}}\n  b: {task: x, tusk: y}\n"),
    )
    found = problems(tmp_path / "main.yaml")
    assert len(found) == 2
    assert found[0].startswith(f"{tmp_path}/main.yaml:5:16: steps.b.tusk: ")
    assert found[1].startswith(f"{tmp_path}/parts/child.yaml:8:")
    assert "there is no input 'topik'; did you mean 'topic'?" in found[1]


def test_workflows_that_use_each_other(tmp_path):
    write(
        tmp_path,
        a=parent("  s: {uses: ./b.yaml}\n"),
        b=parent("  s: {uses: ./c.yaml}\n"),
        c=parent("  s: {uses: ./a.yaml}\n"),
    )
    (found,) = problems(tmp_path / "a.yaml")
    assert "the workflows use each other: a.yaml -> b.yaml -> c.yaml -> a.yaml" in found


def test_a_file_that_is_used_twice_is_read_once_and_its_problems_said_once(tmp_path):
    write(
        tmp_path,
        child=CHILD + "typo: 1\n",
        main=parent(
            "  a: {uses: ./child.yaml, with: {topic: x}}\n  b: {uses: ./child.yaml, with: {topic: y}}\n"
        ),
    )
    assert len(problems(tmp_path / "main.yaml")) == 1


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("../outside.yaml", "lies outside of the folder of the workflow"),
        ("./inside/../../outside.yaml", "lies outside of the folder of the workflow"),
        ("./link.yaml", "lies outside of the folder of the workflow"),
        ("/etc/passwd.yaml", "takes a path relative to this file"),
        ("~/x.yaml", "takes a path relative to this file"),
        ("'..\\outside.yaml'", "takes a path relative to this file"),
        ("http://example.org/x.yaml", "takes the path of a .yaml file"),
        ("./child", "takes the path of a .yaml file"),
        ("./nothing.yaml", "there is no file ./nothing.yaml"),
        ("./chld.yaml", "there is no file ./chld.yaml; did you mean 'child.yaml'?"),
        ("./folder.yaml", "there is no file ./folder.yaml"),
    ],
)
def test_paths_stay_in_the_folder(tmp_path, given, what):
    root = tmp_path / "root"
    write(tmp_path, outside=CHILD)
    write(root, child=CHILD, main=parent(f"  a: {{uses: {given}, with: {{topic: x}}}}\n"))
    (root / "inside").mkdir()
    (root / "folder.yaml").mkdir()
    (root / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    (found,) = problems(root / "main.yaml")
    assert what in found
    assert str(tmp_path) not in found.partition(": ")[2]


def test_a_wider_folder_can_be_named(tmp_path):
    write(tmp_path, outside=CHILD, root__main=parent("  a: {uses: ../outside.yaml, with: {topic: x}}\n"))
    assert problems(tmp_path / "root/main.yaml")
    assert Workflow.from_yaml(tmp_path / "root/main.yaml", root=tmp_path).name == "parent"


async def test_a_workflow_built_in_python_uses_a_file(tmp_path):
    from weaver.workflows import Step

    write(tmp_path, child=CHILD)
    workflow = Workflow(
        version="weaver/v1", name="built", steps={"a": Step(uses="./child.yaml", with_={"topic": "tea"})}
    )
    workflow.check(root=tmp_path)
    result = await workflow.run(weaver=Weaver(ScriptedModel("fine")))
    assert result.output == {"a": {"verdict": "fine", "n": 2}}


async def test_missing_inputs_of_the_outermost_workflow_are_named(tmp_path):
    write(tmp_path, child=CHILD)
    with pytest.raises(InvalidTaskError, match=r"the input 'topic' \(string\) is missing"):
        await Workflow.from_yaml(tmp_path / "child.yaml").run(weaver=Weaver(ScriptedModel("x")))
