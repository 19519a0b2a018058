"""Hooks around tools, and hooks by name."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from weaver import Hook, RefusedError, ToolRequest, Weaver, tool
from weaver._settings.settings import Settings
from weaver.errors import ConfigurationError, HookError, ToolError
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio


@tool
def rainfall(city: str) -> str:
    """Rain."""
    return f"rain in {city}: 142 mm"


def asking_once(arguments: str = '{"city": "Kyoto"}') -> ScriptedModel:
    return ScriptedModel([Scripted(tool_calls=(("rainfall", arguments),), times=1), Scripted("done")])


async def told(model: ScriptedModel, *hooks: Any) -> str:
    """The tool's result as the model reads it."""
    await Weaver(model, strategy="sequential", tools=[rainfall], hooks=hooks).run("How wet?")
    return model.requests[-1].request.messages[-1].content


async def test_hooks_change_arguments_and_results_in_their_order() -> None:
    class Kobe(Hook):
        async def around_tool(self, request: ToolRequest, proceed: Any) -> str:
            assert request.values == {"city": "Kyoto"}
            kobe = replace(request, arguments='{"city": "Kobe"}')
            return f"<{await proceed(kobe)}>"

    class Loud(Hook):
        def around_tool(self, request: ToolRequest, proceed: Any) -> Any:
            return proceed(request)

        def around_call(self, call: Any, proceed: Any) -> Any:
            return proceed(call)

    assert await told(asking_once(), Kobe(), Loud()) == "<rain in Kobe: 142 mm>"


async def test_a_tool_may_be_denied_to_the_model() -> None:
    class Denies(Hook):
        def around_tool(self, request: ToolRequest, proceed: Any) -> str:
            raise ToolError("Rain is none of your business.")

    assert await told(asking_once(), Denies()) == "Error: Rain is none of your business."


async def test_a_refusal_ends_the_run() -> None:
    class Refuses(Hook):
        def around_tool(self, request: ToolRequest, proceed: Any) -> str:
            raise RefusedError("No rain here.")

    with pytest.raises(RefusedError, match="No rain here"):
        await told(asking_once(), Refuses())


async def test_the_failure_of_a_tool_is_not_the_hooks() -> None:
    class Passes(Hook):
        async def around_tool(self, request: ToolRequest, proceed: Any) -> Any:
            return await proceed(request)

    assert "city" in await told(asking_once('{"town": 3}'), Passes())


async def test_a_hook_that_fails_is_named() -> None:
    class Broken(Hook):
        def around_tool(self, request: ToolRequest, proceed: Any) -> int:
            return 3

    with pytest.raises(HookError, match=r"Broken\.around_tool returned int\."):
        await told(asking_once(), Broken())


@pytest.fixture
def guards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "shop_guards.py").write_text(
        "from weaver import RefusedError\n"
        "class NoRain:\n"
        "    def check_input(self, task, context):\n"
        "        if 'rain' in task.question:\n"
        "            raise RefusedError('No rain.')\n"
        "no_rain = NoRain()\n"
        "class Needs:\n"
        "    def __init__(self, key):\n"
        "        pass\n"
        "    def check_input(self, task, context):\n"
        "        pass\n"
        "plain = 3\n"
        "def check_input(task, context):\n"
        "    raise RefusedError('Nothing at all.')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("shop_guards", None)
    return "shop_guards"


@pytest.mark.parametrize(
    ("name", "message"), [(":NoRain", "No rain."), (":no_rain", "No rain."), ("", "Nothing at all.")]
)
async def test_a_hook_by_name_is_a_class_an_object_or_a_module(guards: str, name: str, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        await Weaver(ScriptedModel("fine"), hooks=[guards + name]).run("Any rain?")


async def test_settings_files_and_variables_name_hooks(
    guards: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weaver.toml").write_text(f'hooks = ["{guards}:NoRain"]\n')
    with pytest.raises(RefusedError):
        await Weaver(settings=Settings.load({}, tmp_path, model=ScriptedModel("fine"))).run("Any rain?")
    monkeypatch.setenv("WEAVER_HOOKS", f"{guards}:NoRain")
    with pytest.raises(RefusedError):
        await Weaver(ScriptedModel("fine")).run("Any rain?")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shop_guards:NoSun", "has no 'NoSun'"),
        ("shop_guards:plain", "is not a hook"),
        ("subprocess:Popen", "is not a hook"),
        ("shop_guards:Needs", r"Needs\(\) raised TypeError"),
        ("no_such_guards:X", "importing no_such_guards raised ModuleNotFoundError"),
        ("not a name", "does not name a hook"),
        ("", "does not name a hook"),
    ],
)
def test_a_wrong_name_says_what_is_wrong(guards: str, name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Weaver(ScriptedModel("fine"), hooks=[name])


def test_what_is_no_hook_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="it has none of the methods"):
        Weaver(ScriptedModel("fine"), hooks=[object()])
    with pytest.raises(ConfigurationError, match=r"Pass an object: Hook\(\)"):
        Weaver(ScriptedModel("fine"), hooks=[Hook])
    one: Any = Hook()
    with pytest.raises(ConfigurationError, match="must be a list of hooks"):
        Weaver(ScriptedModel("fine"), hooks=one)
    with pytest.raises(ConfigurationError, match="not a list of hooks"):
        Weaver(ScriptedModel("fine")).run_sync("Well?", hooks=one)
