"""docs/workflows.md is true: its files are valid and tested, its Python runs, its lists are complete."""

from __future__ import annotations

import ast
import inspect
import re
import types
from pathlib import Path

import pytest

from weaver import Weaver
from weaver._workflows.execution.preparation.prepared import prepare
from weaver._workflows.expressions.functions import FUNCTIONS
from weaver._workflows.schema.components import Budget, Case, Input
from weaver._workflows.schema.types import TYPE_NAMES, ValueSpec
from weaver._workflows.tools.cost_bound import worst_case
from weaver._workflows.tools.testing import run_case
from weaver._workflows.validation.explain import keys_of
from weaver._workflows.validation.loader import examine
from weaver._workflows.validation.registry import Surroundings, unregister
from weaver.testing import ScriptedModel
from weaver.workflows import Defaults, Step, Workflow

pytestmark = pytest.mark.anyio
PAGE = (Path(__file__).parents[2] / "docs/workflows.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_mistakes_of_the_first_example_are_those_that_are_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("two-sides.yaml").write_text(blocks("yaml")[0])
    _, problems = examine("two-sides.yaml")
    assert [str(problem) for problem in sorted(problems.found)] == blocks("text")[0].splitlines()


@pytest.mark.parametrize("number", range(1, len(blocks("yaml"))))
async def test_the_other_files_are_valid_and_their_cases_pass(number):
    workflow = Workflow.from_yaml(blocks("yaml")[number])
    for case in range(len(workflow.tests)):
        assert (await run_case(workflow, case)).problems == ()


def test_the_worst_case_that_is_named():
    research = Workflow.from_yaml(blocks("yaml")[2])
    (named,) = re.findall(r"`weaver plan` on this file says (\d+) calls", PAGE)
    assert worst_case(prepare(research, Surroundings())).total.calls == int(named)


async def test_the_python_runs(monkeypatch):
    """With a model that plays along: the page's own `Weaver()` would look for a real one."""
    monkeypatch.setattr(
        "weaver._workflows.execution.runner._new", lambda: Weaver(ScriptedModel("green tea is good"))
    )
    for code in blocks("python"):
        module = types.ModuleType("docs")
        compiled = compile(code, "docs/workflows.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        value = eval(compiled, module.__dict__)
        if inspect.iscoroutine(value):
            await value
        assert module.__dict__["result"].status == "complete"
    unregister("word_count")


def test_every_key_is_on_the_page():
    for part in (Workflow, Step, Defaults, Budget, Case, Input, ValueSpec):
        missing = [key for key in keys_of(part) if not re.search(rf"\b{key}\b", PAGE)]
        assert missing == [], part.__name__
    assert [name for name in TYPE_NAMES if f"`{name}`" not in PAGE] == []


def test_every_function_is_on_the_page():
    (table,) = re.findall(r"^\| function \| \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert table.splitlines() == [f"| `{f.signature}` | {f.doc} |" for f in FUNCTIONS.values()]
