"""Functions as steps of workflows, and their types."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel

from tests.workflows.composed.folders import parent
from weaver import Weaver
from weaver._workflows.execution.runner import started
from weaver._workflows.tools.testing import dry
from weaver._workflows.validation.loader import examine
from weaver._workflows.validation.registry import Surroundings, unregister
from weaver.errors import InvalidWorkflowError
from weaver.testing import Scripted, ScriptedModel, virtual_time
from weaver.workflows import Workflow, register

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return virtual_time()


def count_words(text: str, least: int = 1) -> int:
    """How many words of at least so many letters."""
    return len([word for word in text.split() if len(word) >= least])


def lookup(name: str) -> str:
    """A text about a name."""
    return f"about {name}"


def broken(text: str) -> str:
    raise RuntimeError("no disk")


FLOW = parent(
    "  write: {task: write}\n"
    "  count: {function: count_words, with: {text: '${{ steps.write.output }}', least: 3}, output: integer}\n"
    "  end: {task: 'end ${{ steps.count.output + 1 }}'}\n"
)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # a sync function runs in a worker thread
async def test_a_function_is_a_step_and_its_result_has_a_type(anyio_backend):
    workflow = Workflow.from_yaml(FLOW, tools=[count_words])
    model = ScriptedModel([Scripted("one two three of", when="write"), Scripted("ok", when="end 4")])
    result = await workflow.run(weaver=Weaver(model), tools=[count_words])
    assert (result.answer, result.status) == ("ok", "complete")
    assert next(t for t in result.threads if t.id == "count").answer == "3"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_text_stays_a_text_and_errors_fail_the_step(anyio_backend):
    flow = parent(
        "  a: {function: lookup, with: {name: '1'}}\n"
        "  b: {function: broken, with: {text: x}, on_error: skip}\n"
        "  c: {task: 'c ${{ steps.a.output }} ${{ steps.b.error }}'}\n"
    )
    tools = [lookup, broken]
    model = ScriptedModel("ok")
    result = await Workflow.from_yaml(flow, tools=tools).run(weaver=Weaver(model), tools=tools)
    prompt = model.requests[0].request.messages[-1].content
    assert "`about 1`" in prompt
    assert "no disk" in prompt
    assert result.status == "complete"


def test_arguments_are_checked_before_anything_runs():
    flow = FLOW.replace("least: 3", "most: 3").replace("text:", "txt:")
    with pytest.raises(InvalidWorkflowError) as caught:
        Workflow.from_yaml(flow, tools=[count_words])
    said = str(caught.value)
    assert "count_words has no parameter 'most'; known: least, text" in said
    assert "count_words has no parameter 'txt'; did you mean 'text'?" in said
    assert "the argument 'text' of count_words is missing" in said


class Page(BaseModel):
    title: str
    links: list[int] = []


def typed(
    text: str, n: int = 3, mode: Literal["a", "b"] = "a", page: Page | None = None, any_of: int | str = 1
) -> int:
    """Everything that a function may ask for."""
    raise NotImplementedError


def paged() -> Page:
    raise NotImplementedError


def maybe() -> str | None:
    raise NotImplementedError


def untyped(x):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("text: 3", "a text is expected, a whole number is given"),
        ("text: x, n: '${{ \"x\" }}'", "a whole number is expected, a text is given; use number(x)"),
        ("text: x, n: 2.5", "a whole number is expected, a number is given"),
        ("text: x, mode: c", "'c' is none of 'a', 'b'"),
        ("text: x, page: {title: 3}", "title: a text is expected, a whole number is given"),
        ("text: x, page: {links: []}", "the field 'title' is missing"),
        ("text: x, n: null", "a whole number is expected, null is given"),
        ("text: x, n: '${{ number(\"3\") }}', mode: b, page: {title: t, links: [1]}, any_of: x", ""),
        ("text: x, page: null, n: '${{ round(2.6) }}'", ""),
    ],
)
def test_arguments_of_functions_are_typed_by_their_annotations(given, why):
    flow = parent(f"  a: {{function: typed, with: {{{given}}}}}\n")
    _, found = examine(flow, surroundings=Surroundings.of([typed]))
    assert [p.what + (f"; {p.hint}" if p.hint else "") for p in found.found] == (
        [f"the argument does not fit: {why}"] if why else []
    )


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("steps.n.output + 1", ""),
        ("steps.n.output + 'x'", "a whole number and a text cannot be added"),
        ("steps.p.output.titel", "the output of step 'p' has no field 'titel'"),
        ("steps.p.output.links[0] + 1", ""),
        ("steps.m.output + 1", ""),  # a text that may be null is read as JSON
        ("steps.u.output.x + 1", ""),
    ],
)
def test_results_of_functions_are_typed_by_their_annotations(expression, why):
    flow = parent(
        "  n: {function: typed, with: {text: x}}\n  p: {function: paged}\n  m: {function: maybe}\n"
        f'  u: {{function: untyped, with: {{x: 1}}}}\n  b: {{task: "${{{{ {expression} }}}}"}}\n'
    )
    _, found = examine(flow, surroundings=Surroundings.of([typed, paged, maybe, untyped]))
    assert [problem.what for problem in found.found] == ([why] if why else [])


async def test_stand_ins_of_functions_fit_what_they_give():
    register(typed)
    try:
        flow = parent("  n: {function: typed, with: {text: x}}\n  b: {task: '${{ steps.n.output + 1 }}'}\n")
        workflow = Workflow.from_yaml(flow)
        weaver = Weaver(ScriptedModel("unused"))
        start = await started(workflow, {}, weaver.settings, dry(workflow), {})
        assert (await weaver.run(start.task, **start.changes)).status == "complete"
    finally:
        unregister("typed")


def test_only_registered_functions_can_be_named():
    with pytest.raises(
        InvalidWorkflowError, match="there is no function 'count_words'; a program registers it"
    ):
        Workflow.from_yaml(FLOW)
    with pytest.raises(InvalidWorkflowError, match=r"there is no function 'os\.system'"):
        Workflow.from_yaml(parent("  a: {function: os.system, with: {command: ls}}\n"))
    register(count_words)
    try:
        assert Workflow.from_yaml(FLOW).steps["count"].function == "count_words"
    finally:
        unregister("count_words")


async def test_tools_of_steps_and_agents_reach_the_model(tmp_path):
    flow = (
        "version: weaver/v1\nname: t\nagents: {finder: {tools: lookup}}\n"
        "steps:\n  a: {task: find tea, agent: finder}\n  b: {task: count, tools: [count_words]}\n"
    )
    tools = [lookup, count_words]
    model = ScriptedModel("done")
    await Workflow.from_yaml(flow, tools=tools).run(weaver=Weaver(model), tools=tools)
    assert [[t.name for t in r.request.tools] for r in model.requests] == [["lookup"], ["count_words"]]
