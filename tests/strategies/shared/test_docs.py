"""docs/strategies.md is true: its table, its code, its commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.strategies.sensible import SHIPPED
from weaver import Weaver
from weaver._cli.support.flags import settings_from
from weaver._strategies.common import registry
from weaver._strategies.common.from_file import load_functions
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[3] / "docs" / "strategies.md").read_text(encoding="utf-8")
CODE = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_table_has_every_strategy_and_its_source():
    rows = re.findall(r"^\| \[?`(\w+)`.*\| ([^|]+) \|$", PAGE, re.MULTILINE)
    native = re.findall(r"`(\w+)`", PAGE.partition("over raw completions:")[2].partition(", in")[0])
    assert {name for name, _ in rows} | set(native) == set(SHIPPED)
    for name, source in rows:
        number = re.search(r"\d{4}\.\d{5}", source)
        assert number is None or number[0] in registry.load(name).source


def test_every_option_that_the_page_names_exists(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("checks.py").write_text("def passes(answer): ...")
    for name, options in re.findall(r"--strategy (\w+):(\S+) ", PAGE):
        load_functions(options)
        registry.find(f"{name}:{options}")
    for said in ("wait", "think_tokens"):
        assert said in registry.load("sequential").options
    for said in ("stop", "first_m", "same", "mark"):
        assert said in registry.load("self_consistency").options


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "checked.py"
    path.write_text(CODE[1])
    return path


async def test_the_example_takes_the_first_answer_that_survives(own):
    model = ScriptedModel(
        [
            Scripted('{"correct": false}', when="```answer\n390\n", times=1),
            Scripted('{"correct": true}', when="```answer\n391\n"),
            Scripted("390", times=1),
            Scripted("391", times=1, first=1),
            Scripted("far too slow to be waited for", each=5),
        ]
    )
    settings = settings_from({"strategy": f"{own}:checked:tries=3"})
    result = await Weaver(model, settings=settings).run("What is 17 * 23?")
    assert (result.status, result.answer) == ("complete", "391")
    assert [r.closed for r in model.requests].count("cancelled") == 1


async def test_the_example_leaves_its_best_answer_at_the_deadline(own):
    model = ScriptedModel(
        [
            Scripted('{"correct": false}', when="```answer"),
            Scripted("390", times=1),
            Scripted("x", first=60),
        ]
    )
    registry.load_file(str(own))
    result = await Weaver(model, strategy="checked", deadline=3).run("What is 17 * 23?")
    assert (result.status, result.answer) == ("partial", "390")


async def test_the_verifier_example_runs():
    space: dict[str, object] = {}
    exec(CODE[0], space)
    model = ScriptedModel([Scripted("It is 41", times=1), Scripted("It is 42", times=1), Scripted("x")])
    result = await space["weaver"].run("6 x 7?", model=model)
    assert (result.answer, result.strategy) == ("It is 42", "best_of_n")
