"""Entry points of installed distributions, some of them broken in every way that Python knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from weaver._cli import main
from weaver._environment import plugins
from weaver._workflows.validation.registry import Surroundings
from weaver.errors import ConfigurationError

GOOD = '''
from __future__ import annotations
from typing import TYPE_CHECKING
from weaver import Answer
if TYPE_CHECKING:
    from weaver import Run, Task

async def mine(run: Run, task: Task, *, width: int = 2) -> Answer:
    """Answers as a plugin does."""
    return Answer("x")

async def odd(run: Run, task: Task, *, later: Task | None = None) -> Answer: ...

def plain(run, task): ...

class Source:
    def offers(self, environ): raise KeyError("HOME")
    async def open(self, name, opening): ...
source = Source()
text = "no function"
'''
MODULES = {
    "badplug_good": GOOD,
    "badplug_syntax": "def f(:",
    "badplug_name": "x = nowhere",
    "badplug_exit": "raise SystemExit(3)",
    "badplug_own": "from weaver import WeaverError\nraise WeaverError('No CUDA.', hint='Buy it.')",
}
BROKEN = {
    "epmiss": ("badplug_good:nope", "AttributeError: module 'badplug_good' has no attribute 'nope'"),
    "epgone": ("badplug_gone:f", "ModuleNotFoundError: No module named 'badplug_gone'"),
    "epsyntax": ("badplug_syntax:f", "SyntaxError: invalid syntax"),
    "epname": ("badplug_name:f", "NameError: name 'nowhere' is not defined"),
    "epexit": ("badplug_exit:f", "SystemExit: 3"),
    "epown": ("badplug_own:f", "No CUDA. Buy it."),
}
NO_STRATEGY = {
    "eptext": ("badplug_good:text", "is no strategy, but of type str"),
    "epplain": ("badplug_good:plain", "is no strategy, but a function that is not async"),
    "epclass": ("badplug_good:Source", "is no strategy, but a class"),
    "epodd": ("badplug_good:odd", "type of option later of strategy 'epodd' cannot be found: name 'Task'"),
}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution ``badplug`` is installed."""
    monkeypatch.syspath_prepend(tmp_path)
    for name, code in MODULES.items():
        (tmp_path / f"{name}.py").write_text(code)
    folder = tmp_path / "badplug-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: badplug\nVersion: 1.0\n")
    lines: list[str] = []
    for group in ("strategies", "tools", "models", "commands"):
        given = {"epgood": ("badplug_good:mine", ""), **BROKEN}
        if group == "strategies":
            given |= NO_STRATEGY
        elif group == "models":
            given = {"epmodel": ("badplug_good:source", ""), **BROKEN}
        lines += [f"[weaver.{group}]", *(f"{name} = {value}" for name, (value, _) in given.items())]
    (folder / "entry_points.txt").write_text("\n".join(lines))


def test_a_plugin_that_is_installed_later_is_found(tmp_path: Path) -> None:
    assert "eplater" not in plugins.installed("weaver.strategies")
    folder = tmp_path / "later-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: later\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[weaver.strategies]\neplater = badplug_good:mine\n")
    assert plugins.owner(plugins.installed("weaver.strategies")["eplater"]) == "later"


def test_one_broken_strategy_does_not_take_the_others_down(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["strategies", "--json"]) == 0
    listed = {strategy["name"]: strategy for strategy in json.loads(capsys.readouterr().out)}

    assert listed["epgood"]["summary"] == "Answers as a plugin does."
    assert listed["epgood"]["options"] == [{"name": "width", "type": "int", "default": 2, "needs": []}]
    assert {"adaptive", "sequential"} <= set(listed)
    for name, (_, cause) in (BROKEN | NO_STRATEGY).items():
        summary = listed[name]["summary"]
        assert summary.startswith("(broken)")
        assert name in summary
        assert cause in summary
        assert "badplug" in summary


@pytest.mark.parametrize(("name", "cause"), [(n, c) for n, (_, c) in (BROKEN | NO_STRATEGY).items()])
def test_naming_a_broken_strategy_is_a_configuration_error(
    name: str, cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "x", "--strategy", name, "--base-url", "http://127.0.0.1:9/v1"]) == 2
    err = capsys.readouterr().err
    assert cause.partition(". ")[0] in err
    assert f"The strategy {name!r} of badplug" in err
    assert "bug in weaver" not in err


@pytest.mark.parametrize("name", BROKEN)
def test_broken_tools_and_commands_are_configuration_errors(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cause = BROKEN[name][1]
    with pytest.raises(ConfigurationError) as caught:
        Surroundings().tool(name)
    assert f"The tool {name!r} of badplug ({BROKEN[name][0]}) cannot be loaded: " in str(caught.value)
    assert cause in str(caught.value)
    assert main([name]) == 2
    assert f"The command {name!r} of badplug" in capsys.readouterr().err


def test_broken_model_sources_do_not_hide_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("WEAVER_SERVERS", "")
    assert main(["models"]) == 0
    out, err = capsys.readouterr()

    assert "openai/" in out
    for name, (_, cause) in BROKEN.items():
        assert f"The model source {name!r} of badplug" in err
        assert cause.partition(". ")[0] in err
    assert (
        "The model source 'epmodel' of badplug (badplug_good:source) cannot list its models: KeyError" in err
    )
    assert main(["models", "epmodel"]) == 2


def test_the_owner_of_an_entry_point() -> None:
    assert plugins.owner(plugins.installed("weaver.tools")["epmiss"]) == "badplug"
