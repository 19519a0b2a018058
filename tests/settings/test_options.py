"""Keyword options: the same names as the settings, and a hint for a misspelt one."""

from __future__ import annotations

from typing import Any

import pytest

from weaver import Weaver, Workflow
from weaver._settings.run_options import Changes, SettingOptions
from weaver._settings.settings import Settings
from weaver.errors import ConfigurationError
from weaver.testing import Scripted, ScriptedModel

FLOW = """
version: weaver/v1
name: flow
steps:
  a: {task: 'Say hello.'}
outputs: {a: '${{ steps.a.output }}'}
"""


def test_options_are_the_settings() -> None:
    # Weaver(journal=) takes objects as well, and a run has no journal of its own.
    assert Changes.__annotations__.keys() == Settings.model_fields.keys() - {"journal"}
    assert SettingOptions.__annotations__.keys() == Settings.model_fields.keys() - {"model", "journal"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"dedline": 3}, "Did you mean deadline="),
        ({"out_put": int}, "Did you mean output="),
        ({"tool": []}, "Did you mean tools="),
        ({"max_thread": 3}, "Did you mean max_threads="),
        ({"xyzzy": 3}, "Known: .*deadline"),
    ],
)
async def test_a_misspelt_option_names_the_nearest(options: dict[str, Any], hint: str) -> None:
    weaver = Weaver(ScriptedModel([Scripted("hello")]), strategy="sequential")
    for call in (weaver.run, weaver.run_sync, weaver.stream, weaver.stream_sync):
        with pytest.raises(ConfigurationError, match=hint) as caught:
            _ = (await call("q", **options)) if call == weaver.run else call("q", **options)
        assert caught.value.exit_code == 2
        assert f"no option {next(iter(options))}=" in caught.value.message


def test_a_misspelt_option_elsewhere() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean tracer_provider="):
        Weaver(ScriptedModel(), trace_provider=None)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="Did you mean 'adaptive'"):
        Weaver(ScriptedModel(), strategy="adaptve")
    with pytest.raises(ConfigurationError, match="kk"):
        Weaver(ScriptedModel(), strategy="fixed:kk=2")
    with pytest.raises(ConfigurationError, match="Did you mean max_calls="):
        Weaver(ScriptedModel(), max_cals=3)  # type: ignore[call-arg]


@pytest.mark.anyio
async def test_a_misspelt_option_of_a_plan_and_of_a_workflow() -> None:
    weaver = Weaver(ScriptedModel([Scripted("hello")]))
    with pytest.raises(ConfigurationError, match="Did you mean seed="):
        await weaver.plan("q", sed=3)  # type: ignore[call-arg]
    workflow = Workflow.from_yaml(FLOW)
    with pytest.raises(ConfigurationError, match="Did you mean approve="):
        await workflow.run(aprove=None)  # type: ignore[call-arg]
    result = await workflow.run(weaver=weaver, deadline=5)
    assert result.output == {"a": "hello"}
