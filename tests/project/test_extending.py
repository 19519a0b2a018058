"""The seven how-tos of docs/extending.md, installed as a distribution and used by name."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from weaver import Answer, Run, Task, Weaver
from weaver._cli import main
from weaver._coordination.conflicts.policies.ladder import parse_ladder
from weaver._coordination.joins.parser import parse_rule
from weaver._journal import journal_of
from weaver._journal.memory import MemoryJournal
from weaver._workflows.format.extension import remove_kind
from weaver.conflicts import Conflict, ConflictValue
from weaver.errors import ConfigurationError, UnknownNameError
from weaver.testing import Scripted, ScriptedModel, virtual_time

PAGE = (Path(__file__).parents[2] / "docs/extending.md").read_text("utf-8")


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's files and entry points are installed as ``myplugin``."""
    package = tmp_path / "myplugin"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name, code in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        (package / name).write_text(code)
    points = re.search(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert points is not None
    info = tmp_path / "myplugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: myplugin\nVersion: 1.0\n")
    lines = re.sub(r'project\.entry-points\."([^"]+)"', r"\1", points[1]).replace('"', "")
    (info / "entry_points.txt").write_text(lines)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("WEAVER_HOME", str(tmp_path / "home"))
    yield
    for name in [n for n in sys.modules if n.partition(".")[0] == "myplugin"]:
        del sys.modules[name]


@pytest.mark.anyio
async def test_strategy_is_found_by_name() -> None:
    result = await Weaver(ScriptedModel(["a", "b", "c"]), strategy="twice:tries=3").run("?")

    assert sorted(result.answer.split(" / ")) == ["a", "b", "c"]


def test_model_is_found_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--model", "echo/plain", "--strategy", "sequential", "--json", "Polly?"]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == "Polly?"


@pytest.mark.anyio
async def test_conflict_policy_is_found_by_name() -> None:
    (policy,) = parse_ladder("shortest(longest=20)")
    conflict = Conflict("Eiffel Tower", "height", (value("330 m"), value("1083 ft")))
    resolution = await policy(cast("Run", None), conflict, ())

    assert resolution is not None
    assert (resolution.policy, resolution.value) == ("shortest", "330 m")
    with pytest.raises(UnknownNameError, match="shortest"):
        parse_ladder("shortst")


def value(text: str) -> ConflictValue:
    return ConflictValue(text, ("a",))


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [virtual_time()])
async def test_join_rule_is_found_by_name() -> None:
    async def joined(run: Run, task: Task) -> Answer:
        async with run.fork([Task(text) for text in ("one two", "three", "four", "five")]) as threads:
            winners = await threads.join(parse_rule("words(3) | all"))
        return Answer(str(len(winners)))

    replies = [
        Scripted(text, when=text, first=at) for at, text in enumerate(("one two", "three", "four", "five"))
    ]
    result = await Weaver(ScriptedModel(replies), strategy=joined).run("?")

    assert result.answer == "2"
    with pytest.raises(ConfigurationError, match=r"required argument: 'count'. Write words\(count\)"):
        parse_rule("words")


def test_kind_of_step_is_found_by_its_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "pause.yaml"
    file.write_text(
        "version: weaver/v1\nname: pause\ninputs: {seconds: number}\n"
        'steps: {pause: {wait: "${{ inputs.seconds }}"}}\noutputs: {answer: "${{ steps.pause.output }}"}\n'
    )
    misspelt = tmp_path / "misspelt.yaml"
    misspelt.write_text(file.read_text().replace("wait: ", "wayt: "))
    assert main(["validate", str(misspelt)]) == 2
    assert "there is no key 'wayt' here; did you mean 'wait'?" in capsys.readouterr().out
    try:
        assert main(["validate", str(file)]) == 0
        assert main(["run", str(file), "-i", "seconds=0.01", "--model", "echo/plain", "--json"]) == 0
        assert json.loads(capsys.readouterr().out.partition("\n")[2])["output"] == {"answer": 0.01}
        assert main(["schema"]) == 0
        assert "Seconds to wait." in capsys.readouterr().out

        file.write_text(file.read_text().replace("seconds: number", "seconds: string"))
        assert main(["validate", str(file)]) == 2
        assert "pause.yaml:4:23: steps.pause.wait: seconds are a number" in capsys.readouterr().out
    finally:
        remove_kind("wait")


def test_trace_exporter_is_found_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "lines")

    assert main(["run", "--model", "echo/plain", "--strategy", "sequential", "Polly?"]) == 0
    assert re.search(r"^span \S", capsys.readouterr().err, re.MULTILINE)


def test_journal_is_found_by_its_scheme() -> None:
    assert isinstance(journal_of("memory://mine"), MemoryJournal)
