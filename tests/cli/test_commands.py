"""The command line's own rules: help, names, usage errors. No run is started here."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from weaver._cli import app as commands
from weaver._cli import main
from weaver._cli.running.run import run
from weaver._cli.support.flags import settings_flags
from weaver._cli.support.question import question_from
from weaver._cli.workflow import is_workflow
from weaver._settings.settings import Settings
from weaver.errors import ConfigurationError, InvalidTaskError

CONTRACT = (
    "--model --planner-model --judge-model --base-url --strategy --deadline --max-total-tokens --max-cost "
    "--max-calls --max-threads --max-depth --thread-timeout --temperature --seed --agents --json --events "
    "--no-live"
)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"WEAVER_{name.upper()}", raising=False)


@click.command()
def extra() -> None:
    """A plugin's command."""
    click.echo("from the plugin")


def test_help_names_every_command_that_exists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out

    for name in commands.OURS:
        assert f"\n  {name} " in out


@pytest.mark.parametrize("name", [*commands.OURS])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "-h"]) == 0
    assert f"Usage: weaver {name}" in capsys.readouterr().out


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Commands:" in "".join(capsys.readouterr())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert main(["version"]) == 0
    assert capsys.readouterr().out.count("weaver 0.") == 2


def test_every_setting_is_a_flag_of_run_and_nothing_else_decides_its_default() -> None:
    flags = {o for p in run.params if isinstance(p, click.Option) for o in p.opts}

    assert {"--" + name.replace("_", "-") for name in Settings.model_fields} - flags == {
        "--api-key",
        "--headers",
        "--keep-days",
        "--keep-megabytes",
        "--keep-runs",
        "--keep-unfinished-days",
        "--max-steps",
        "--mcp-servers",
        "--models",
        "--prices",
    }
    assert set(CONTRACT.split()) <= flags


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu", "x"], "Did you mean 'weaver run'?"),
        (["What is 6 x 7?"], 'weaver run "What is 6 x 7?"'),
        (["run"], "Missing argument"),
        (["run", "x", "--json", "--events"], "exclude each other"),
        (["run", "x", "--wat"], "No such option"),
        (["run", "x", "-i", "a=b"], "-i is for workflows"),
        (["run", ""], "The question is empty"),
        (["run", " \n "], "The question is empty"),
        (["run", "@missing.txt"], "missing.txt cannot be read"),
        (["run", "@."], "cannot be read"),
        (["run", "x", "--deadline", "-3"], "--deadline: should be greater than 0"),
        (["run", "x", "--max-cost", "nan"], "--max-cost: should be greater than or equal to 0"),
        (["run", "x", "--max-total-tokens", "many"], "--max-total-tokens: should be a valid integer"),
        (["run", "x", "--agents", "none.yaml"], "none.yaml cannot be read"),
        (["plan", "x", "--max-calls", "0"], "--max-calls: "),
    ],
)
def test_wrong_usage_exits_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize("form", ["--json", "--events"])
def test_json_prints_its_object_also_when_nothing_could_start(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "x", "--deadline", "-3", form]) == 2
    out, err = capsys.readouterr()
    told = json.loads(out)
    result = told["result"] if form == "--events" else told

    assert result["status"] == "failed"
    assert result["error"]["type"] == "ConfigurationError"
    assert "--deadline" in result["error"]["message"]
    assert "--deadline" in err


def test_a_file_with_a_wrong_setting_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "weaver.toml").write_text("max_threads = -1\n")

    assert main(["run", "x"]) == 2
    assert "weaver.toml: max_threads" in capsys.readouterr().err


def test_commands_of_plugins(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    point = EntryPoint("extra", f"{__name__}:extra", commands.GROUP)
    fake = SimpleNamespace(name="extra", load=lambda: extra, dist=None, value=point.value)
    monkeypatch.setattr(commands, "_plugins", lambda: {"extra": fake})

    assert main(["extra"]) == 0
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("from the plugin\n")
    assert "From plugins:" in out


def test_a_missing_plugin_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "_plugins", dict)

    assert main(["local", "pull"]) == 2
    assert 'pip install "weaver-reasoning[local]"' in capsys.readouterr().err


def test_a_broken_plugin_does_not_break_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load() -> None:
        raise ImportError("no module named 'gone'")

    broken = SimpleNamespace(name="broken", load=load, dist=None, value="gone:gone")
    monkeypatch.setattr(commands, "_plugins", lambda: {"broken": broken})

    assert main(["--help"]) == 0
    assert main(["version"]) == 0
    assert main(["broken"]) == 2
    assert (
        "'broken' of gone:gone cannot be loaded: ImportError: no module named 'gone'"
        in capsys.readouterr().err
    )


def test_what_is_a_workflow_and_what_is_a_question(tmp_path: Path) -> None:
    (tmp_path / "my flow.yaml").touch()

    assert is_workflow("flow.yaml")
    assert is_workflow("flows/FLOW.YML")
    assert is_workflow("my flow.yaml")
    assert not is_workflow("What stands in flow.yaml")
    assert not is_workflow("@flow.yaml")
    assert not is_workflow("flow.toml")


class TestQuestion:
    """Where a question comes from."""

    def test_text(self) -> None:
        assert question_from("6 x 7?") == "6 x 7?"

    def test_file(self, tmp_path: Path) -> None:
        (tmp_path / "q.txt").write_bytes("\ufeffKyōto?\n".encode())
        assert question_from(f"@{tmp_path / 'q.txt'}") == "Kyōto?\n"

    def test_stdin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("Ōsaka?".encode())))
        assert question_from("-") == "Ōsaka?"

    def test_binary_file(self, tmp_path: Path) -> None:
        (tmp_path / "q.bin").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ConfigurationError, match="not UTF-8"):
            question_from(f"@{tmp_path / 'q.bin'}")

    def test_huge_file(self, tmp_path: Path) -> None:
        (tmp_path / "q.txt").write_bytes(b"x" * 10_000_001)
        with pytest.raises(InvalidTaskError, match="longer than 10,000,000 bytes"):
            question_from(f"@{tmp_path / 'q.txt'}")


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = (
        "import sys, weaver._cli.inspection.version as v, click\n"
        "from weaver._cli.support.guard import guarded\n"
        "@click.command()\n"
        "def much():\n"
        "    for _ in range(100_000): click.echo('line')\n"
        "sys.exit(guarded(much, []))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


def test_settings_flags_show_their_units() -> None:
    @click.command()
    @settings_flags
    def command() -> None: ...

    text = command.get_help(click.Context(command))
    assert "--deadline SECONDS" in text
    assert "--max-cost USD" in text
