"""Strategies of one's own, from files: found when the user names them, and never otherwise."""

from __future__ import annotations

import json
import re
import sys

import pytest

from weaver import Answer, Task, Weaver
from weaver._cli import main
from weaver._cli.support.flags import settings_from
from weaver._runtime.threads.thread_options import Hedge
from weaver._settings.settings import Settings
from weaver._strategies.common import from_file, registry
from weaver.errors import ConfigurationError, NoAnswerError, StrategyError, UnknownNameError
from weaver.testing import ScriptedModel, Server

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
        with pytest.raises(UnknownNameError, match="only if --strategy names it"):
            await Weaver(ScriptedModel(), settings=settings).run("q")
    with pytest.raises(UnknownNameError, match="In Python, pass the function itself"):
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
        ("x = 1\nraise SystemExit(3)", r"\(line 2\) raised SystemExit: 3"),
    ],
)
def test_a_file_that_cannot_be_run_is_an_error_with_its_line(mine, code, problem):
    mine.write_text(code)
    with pytest.raises(ConfigurationError, match=problem):
        registry.load_file(str(mine))


@pytest.mark.parametrize(
    ("ends", "problem"),
    [
        ("return '42'", "returned '42' (of type str), not an Answer."),
        ("return None", "returned None, not an Answer."),
        ("pass", "returned None, not an Answer."),
        ("return Answer(42)", "returned an Answer whose text is 42 (of type int), not a text."),
        ("return Answer(None)", "returned an Answer whose text is None, not a text."),
        ("raise SystemExit(3)", "tried to end the program (SystemExit: 3)."),
    ],
)
@pytest.mark.parametrize("output", [None, int])
async def test_what_is_no_answer_is_explained(mine, ends, problem, output):
    mine.write_text(f"from weaver import Answer\n\nasync def odd(run, task):\n    {ends}\n")
    registry.load_file(f"{mine}:odd")
    with pytest.raises(StrategyError) as caught:
        await Weaver(ScriptedModel("hello")).run(Task("q", output=output), strategy=f"{mine}:odd")
    assert caught.value.message == f"Strategy '{mine}:odd' ({mine}, line 3) {problem}"
    assert "nswer" in caught.value.hint
    assert caught.value.result.error.type == "StrategyError"


def test_the_command_line_tells_machines_too(mine, capsys, monkeypatch):
    mine.write_text("async def odd(run, task):\n    pass\n")
    with Server().in_thread() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        assert main(["run", "q", "--json", "--strategy", f"{mine}:odd"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["type"] == "StrategyError"
    assert "returned None, not an Answer" in err


async def test_a_function_that_is_not_async_is_explained():
    def plain(run, task):
        return Answer("x")

    with pytest.raises(StrategyError, match=r"'plain' \(.*files.py, line \d+\) is not async"):
        await Weaver(ScriptedModel()).run("q", strategy=plain)


@pytest.mark.parametrize("ends", [lambda: None, lambda: "x", lambda: sys.exit(3)])
@pytest.mark.parametrize("hedge", [None, Hedge(after=60)])
async def test_a_thread_whose_body_gives_no_answer_fails_with_its_reason(ends, hedge):
    async def body(run, task):
        return ends()

    async def method(run, task):
        async with run.fork([Task("a")], body=body, hedge=hedge) as threads:
            await threads.join()
        raise AssertionError("unreachable")

    with pytest.raises(NoAnswerError) as caught:
        await Weaver(ScriptedModel()).run("q", strategy=method)
    (thread,) = caught.value.result.threads
    assert thread.state == "failed"
    assert re.search(r"thread t1 \(a\) \(.*\) (returned|tried to end)", thread.error)


def test_the_command_line_lists_it(mine, capsys):
    assert main(["strategies", f"{mine}:shout"]) == 0
    out = capsys.readouterr().out
    assert "Answer loudly." in out
    assert "marks=1  (int)" in out
    assert main(["strategies", f"{mine}:gone"]) == 2
    assert "named 'gone'" in capsys.readouterr().err


CHECKS = """
def longest(answer):
    return len(answer.text)

limit = 3
"""


@pytest.fixture
def checks(tmp_path, monkeypatch):
    monkeypatch.setattr(from_file, "_functions", {})
    path = tmp_path / "checks.py"
    path.write_text(CHECKS)
    return path


async def test_a_verifier_named_by_a_flag_is_loaded(checks):
    settings = settings_from({"strategy": f"best_of_n:samples=3,verifier=python:{checks}:longest"})
    result = await Weaver(ScriptedModel(["a", "abc", "ab"]), settings=settings).run("q")
    assert (result.answer, result.notes) == ("abc", ())


@pytest.mark.parametrize(
    ("function", "why"),
    [("gone", "no function in .* named 'gone'"), ("limit", "limit of .* is not a function")],
)
def test_a_verifier_that_cannot_be_loaded_is_named(checks, function, why):
    with pytest.raises(ConfigurationError, match=why):
        settings_from({"strategy": f"best_of_n:verifier=python:{checks}:{function}"})


async def test_only_a_flag_runs_a_verifiers_file(checks, monkeypatch):
    """A variable, a settings file or a request may name it, but nothing is run."""
    checks.write_text("raise SystemExit('run')")
    text = f"best_of_n:verifier=python:{checks}:longest"
    monkeypatch.setenv("WEAVER_STRATEGY", text)
    for settings in (settings_from({}), Settings(strategy=text)):
        with pytest.raises(
            ConfigurationError, match=r"Option verifier of strategy 'best_of_n': .*not loaded"
        ):
            await Weaver(ScriptedModel(), settings=settings).run("q")
    with pytest.raises(ConfigurationError, match=r"not loaded.*Its code runs only if --strategy"):
        registry.load("best_of_n").parsed_options({"verifier": f"python:{checks}:longest"})
