"""Settings: which source wins, and which source a message blames."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from weaver._data.task import Agent
from weaver._journal.retention import Retention
from weaver._models.protocol import Prices
from weaver._settings.settings import Settings
from weaver.errors import ConfigurationError
from weaver.testing import ScriptedModel


def test_defaults_are_unset(tmp_path: Path) -> None:
    settings = Settings.load({}, tmp_path)

    assert settings.strategy == "adaptive"
    assert {name for name in Settings.model_fields if getattr(settings, name) not in (None, (), {})} == {
        "strategy"
    }


def test_arguments_beat_environment_beats_file(tmp_path: Path) -> None:
    (tmp_path / "weaver.toml").write_text('model = "file"\ndeadline = 1\nseed = 1\n')
    environ = {"WEAVER_MODEL": "environment", "WEAVER_DEADLINE": "2.5"}

    settings = Settings.load(environ, tmp_path, model="argument")

    assert (settings.model, settings.deadline, settings.seed) == ("argument", 2.5, 1)


def test_which_durable_runs_are_kept(tmp_path: Path) -> None:
    (tmp_path / "weaver.toml").write_text("keep_days = 7\nkeep_unfinished_days = 90\n")
    assert Settings.load({}, tmp_path.parent).retention == Retention(days=30, megabytes=1000)
    environ = {"WEAVER_KEEP_MEGABYTES": "0", "WEAVER_KEEP_RUNS": "50"}
    assert Settings.load(environ, tmp_path).retention == Retention(days=7, runs=50, unfinished_days=90)
    with pytest.raises(ConfigurationError, match="WEAVER_KEEP_DAYS"):
        Settings.load({"WEAVER_KEEP_DAYS": "-1"}, tmp_path)


def test_none_and_empty_variables_do_not_count_as_given(tmp_path: Path) -> None:
    settings = Settings.load({"WEAVER_MODEL": " ", "WEAVER_SEED": "7"}, tmp_path, seed=None)

    assert (settings.model, settings.seed) == (None, 7)


def test_nearest_file_is_used_alone(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "weaver.toml").write_text('model = "outer"\nseed = 1\n')
    (tmp_path / "a" / "pyproject.toml").write_text('[tool.weaver]\nmodel = "project"\n')
    (inner / "pyproject.toml").write_text('[project]\nname = "unrelated"\n')

    settings = Settings.load({}, inner)

    assert (settings.model, settings.seed) == ("project", None)


def test_weaver_toml_beats_pyproject_beside_it(tmp_path: Path) -> None:
    (tmp_path / "weaver.toml").write_text('model = "own"\n')
    (tmp_path / "pyproject.toml").write_text('[tool.weaver]\nmodel = "project"\n')

    assert Settings.load({}, tmp_path).model == "own"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("deadline", "-1"),
        ("deadline", "0"),
        ("deadline", "nan"),
        ("deadline", "inf"),
        ("deadline", "soon"),
        ("thread_timeout", "-0.1"),
        ("max_total_tokens", "0"),
        ("max_total_tokens", "1.5"),
        ("max_cost", "-0.01"),
        ("max_cost", "NaN"),
        ("max_calls", "-3"),
        ("max_threads", "0"),
        ("max_depth", "-1"),
        ("temperature", "-1"),
        ("temperature", "inf"),
        ("seed", "-1"),
        ("seed", "9" * 30),
        ("base_url", "localhost:8080"),
    ],
)
def test_wrong_values_are_refused_and_the_source_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^WEAVER_{name.upper()}: .*{value[:20]}"):
        Settings.load({f"WEAVER_{name.upper()}": value}, tmp_path)
    with pytest.raises(ConfigurationError, match=rf"^--{name.replace('_', '-')}: "):
        Settings.load({}, tmp_path, flags=True, **{name: value})
    with pytest.raises(ConfigurationError, match=rf"^{name}=: "):
        Settings.load({}, tmp_path, **{name: value})
    with pytest.raises(ConfigurationError, match=rf"^{name}=: "):
        Settings().changed(**{name: value})


def test_a_wrong_value_in_a_file_names_file_and_key(tmp_path: Path) -> None:
    (tmp_path / "weaver.toml").write_text("max_calls = true\nseed = -4\n")

    with pytest.raises(ConfigurationError) as caught:
        Settings.load({}, tmp_path)

    assert f"{tmp_path / 'weaver.toml'}: max_calls: must be a number" in str(caught.value)
    assert f"{tmp_path / 'weaver.toml'}: seed: " in str(caught.value)


def test_an_unknown_key_gets_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.weaver]\ndead_line = 3\n")

    with pytest.raises(ConfigurationError, match=r"pyproject\.toml: dead_line: .*Did you mean 'deadline'\?"):
        Settings.load({}, tmp_path)


@pytest.mark.parametrize("content", [b"model = ", b"\xff\xfe", b"[" * 5000])
def test_broken_toml_is_a_configuration_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "weaver.toml").write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"weaver\.toml is not valid TOML"):
        Settings.load({}, tmp_path)


def test_keys_are_never_shown_nor_read_from_files(tmp_path: Path) -> None:
    settings = Settings.load({"WEAVER_API_KEY": "sk-secret"}, tmp_path)
    (tmp_path / "weaver.toml").write_text('api_key = "sk-secret"\n')

    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "sk-secret"
    assert "sk-secret" not in repr(settings) + str(settings) + settings.model_dump_json()
    with pytest.raises(ConfigurationError, match="WEAVER_API_KEY") as caught:
        Settings.load({}, tmp_path)
    assert "sk-secret" not in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        Settings.load({}, Path("/"), api_key=["sk-secret"])
    assert "sk-secret" not in str(caught.value)


def test_objects_pass_through(tmp_path: Path) -> None:
    async def mine(run: object, task: object) -> None: ...

    model = ScriptedModel()
    settings = Settings.load({}, tmp_path, model=model, strategy=mine, agents=[Agent("a")])

    assert settings.model is model
    assert settings.strategy is mine
    assert settings.agents == (Agent("a"),)
    assert settings.changed(seed=1).model is model
    assert settings.changed(seed=1, model=None).seed == 1


def test_agents_from_files_relative_to_where_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "agents.toml").write_text('[[agents]]\nname = "critic"\nmodel = "openai/x"\n')
    (tmp_path / "weaver.toml").write_text('agents = "agents.toml"\n')
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "team.yaml").write_text(
        "- name: researcher\n  description: looks things up\n  instructions: |\n    Be exact.\n"
    )

    assert Settings.load({}, inner).agents == (Agent("critic", model="openai/x"),)
    assert Settings.load({}, inner, agents="team.yaml").agents == (
        Agent("researcher", "looks things up", "Be exact."),
    )


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.yaml", "- name: x\n  nmae: y\n", r"a\.yaml: agent 1: nmae"),
        ("a.yaml", "- name: x\n- name: x\n", r"two agents have the name 'x'"),
        ("a.yaml", "- {", r"a\.yaml:1:\d+: not valid YAML"),
        ("a.yaml", "- name: a\n  name: b\n", r"a\.yaml:2:\d+: not valid YAML"),
        ("a.yaml", "!!python/object/apply:os.system [ls]\n", r"not valid YAML"),
        ("a.yaml", "? [a, b]\n: c\n", r"not valid YAML: found unhashable key"),
        ("a.yaml", "- " * 3000 + "x", r"not valid YAML"),
        ("a.yaml", "- name: no\n", r"agent 1: name: .*string"),
        ("a.yaml", "name: x\n", r"expected a list of agents"),
        ("a.toml", "agents = 3\n", r"expected a list of agents"),
        ("a.toml", "agents = [\n", r"not valid TOML"),
        ("a.json", "[]", r"\.yaml, \.yml or \.toml"),
        ("b.yaml", None, r"b\.yaml cannot be read"),
    ],
)
def test_broken_agent_files(tmp_path: Path, file: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / file).write_text(content)

    with pytest.raises(ConfigurationError, match=message):
        Settings.load({}, tmp_path, agents=file)


def test_prices_from_a_file_and_as_an_argument(tmp_path: Path) -> None:
    (tmp_path / "weaver.toml").write_text('[prices."openai/x"]\ninput = 1\noutput = 2.5\n')

    assert Settings.load({"WEAVER_PRICES": "ignored"}, tmp_path).prices == {"openai/x": Prices(1, 2.5)}
    assert Settings.load({}, tmp_path, prices={"m": Prices(1, 2)}).prices == {"m": Prices(1, 2)}


@pytest.mark.parametrize(
    "wrong", ["{}", "{input = 1}", "{input = -1, output = 1}", "{input = nan, output = 1}", "7"]
)
def test_wrong_prices_name_the_model(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "weaver.toml").write_text(f'[prices]\n"openai/x" = {wrong}\n')

    with pytest.raises(ConfigurationError, match=r"weaver\.toml: prices\.openai/x: "):
        Settings.load({}, tmp_path)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(30, 30.0), ("30", 30.0), ("30s", 30.0), ("1m30s", 90.0), ("500ms", 0.5), (timedelta(minutes=2), 120.0)],
)
def test_durations_are_read_wherever_a_setting_is_given(
    tmp_path: Path, written: object, seconds: float
) -> None:
    assert Settings.load({}, tmp_path, deadline=written, thread_timeout=written).thread_timeout == seconds
    if isinstance(written, str):
        assert Settings.load({"WEAVER_DEADLINE": written}, tmp_path).deadline == seconds
        (tmp_path / "weaver.toml").write_text(f'deadline = "{written}"\nmodels.m.timeout = "{written}"\n')
        settings = Settings.load({}, tmp_path)
        assert (settings.deadline, settings.models["m"].timeout) == (seconds, seconds)


@pytest.mark.parametrize("written", ["30 parsecs", "s", "-3s", "0s", "1h-2m", True, ["30s"], {"seconds": 3}])
def test_what_is_no_duration_is_named(tmp_path: Path, written: object) -> None:
    with pytest.raises(ConfigurationError, match="deadline"):
        Settings.load({}, tmp_path, deadline=written)
