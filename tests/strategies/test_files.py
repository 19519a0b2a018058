"""Strategies of one's own, from files: found when the user names them, and never otherwise."""

from __future__ import annotations

import pytest

from weaver import Weaver
from weaver.cli import main
from weaver.cli.flags import settings_from
from weaver.errors import ConfigurationError, UnknownName
from weaver.settings import Settings
from weaver.strategies import registry
from weaver.testing import ScriptedModel

pytestmark = pytest.mark.anyio

MINE = '''
from dataclasses import dataclass
from weaver import Answer, Run, Task, strategy

@dataclass
class Loud:
    mark: str

@strategy("shout", source="me")
async def shout(run: Run, task: Task, *, marks: int = 1) -> Answer:
    """Answer loudly."""
    return Answer((await run.reason(task)).text.upper() + Loud("!").mark * marks)

async def plain(run: Run, task: Task) -> Answer:
    """Answer plainly."""
    return Answer("plain")

def no_strategy():
    pass
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


async def test_a_file_named_by_a_flag_is_run(mine):
    settings = settings_from({"strategy": f"{mine}:shout:marks=3"})
    result = await Weaver(ScriptedModel("hello"), settings=settings).run("q")
    assert (result.answer, result.strategy) == ("HELLO!!!", f"{mine}:shout")


async def test_its_only_strategy_needs_no_name_and_plain_functions_need_no_decorator(mine):
    weaver = Weaver(ScriptedModel("hello"))
    for named, answer in ((str(mine), "HELLO!"), (f"{mine}:plain", "plain")):
        registry.load_file(named)
        assert (await weaver.run("q", strategy=named)).answer == answer


async def test_it_appears_beside_ours(mine):
    registry.load_file(f"{mine}:shout")
    assert {"shout", "adaptive"} <= set(registry.names())
    assert registry.load("shout").source == "me"


async def test_a_changed_file_is_run_again(mine):
    weaver = Weaver(ScriptedModel("hello"))
    for answer in ("plain", "plainer"):
        mine.write_text(MINE.replace('Answer("plain")', f'Answer("{answer}")'))
        registry.load_file(f"{mine}:plain")
        assert (await weaver.run("q", strategy=f"{mine}:plain")).answer == answer


async def test_only_a_flag_runs_code(mine, tmp_path):
    mine.write_text("raise SystemExit('must not run')")
    (tmp_path / "weaver.toml").write_text(f'strategy = "{mine}:shout"\n')
    for environ in ({}, {"WEAVER_STRATEGY": f"{mine}:shout"}):
        settings = Settings.load(environ, tmp_path)
        assert settings.strategy == f"{mine}:shout"
        with pytest.raises(UnknownName, match="only if --strategy names it"):
            await Weaver(ScriptedModel(), settings=settings).run("q")
    with pytest.raises(UnknownName, match="In Python, pass the function itself"):
        await Weaver(ScriptedModel(), strategy=f"{mine}:shout").run("q")


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ("{}:gone", r"no function in .*mine.py named 'gone'"),
        ("{}:shot", r"Did you mean 'shout'"),
        ("{}:no_strategy", r"is no strategy.*async def"),
        ("{}:Loud", r"is no strategy"),
        ("{}:shout:marks=many", r"Option marks of strategy"),
        ("{}x.py", r"cannot be read: No such file"),
    ],
)
def test_wrong_names_are_explained(mine, named, problem):
    with pytest.raises(ConfigurationError, match=problem):
        registry.find(settings_from({"strategy": named.format(mine)}).strategy)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import nowhere_at_all", r"mine.py \(line 1\) raised ModuleNotFoundError"),
        ("x = 1\nx.y", r"\(line 2\) raised AttributeError"),
        ("def f(:", r"\(line 1\) raised SyntaxError"),
        ("x = 1", r"has 0 strategies. Name one"),
    ],
)
def test_a_file_that_cannot_be_run_is_an_error_with_its_line(mine, code, problem):
    mine.write_text(code)
    with pytest.raises(ConfigurationError, match=problem):
        registry.load_file(str(mine))


def test_the_command_line_lists_it(mine, capsys):
    assert main(["strategies", f"{mine}:shout"]) == 0
    out = capsys.readouterr().out
    assert "Answer loudly." in out
    assert "marks=1  (int)" in out
    assert main(["strategies", f"{mine}:gone"]) == 2
    assert "named 'gone'" in capsys.readouterr().err
