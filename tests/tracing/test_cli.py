"""``weaver trace`` and what ``weaver run`` does for it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from tests.tracing.stories import quorum_story
from weaver._cli.inspection.trace import trace
from weaver._cli.support.guard import guarded
from weaver._tracing.record import semconv as sc
from weaver._tracing.store.otlp_json import span_from_otlp
from weaver._tracing.store.sqlite import RunRow, Store
from weaver._tracing.views.run_list import run_list


@pytest.fixture
def store() -> Store:
    store = Store()
    story = quorum_story().call("talk", 1, 2, "a", OUTPUT_MESSAGES='[{"role": "assistant"}]')
    store.add(story.spans)
    return store


def weaver(*arguments: str, **options: object) -> Result:
    return CliRunner().invoke(trace, list(arguments), prog_name="weaver trace", **options)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and stderr, as a shell sees them."""
    return guarded(trace, list(arguments)), capsys.readouterr().err


def test_list(store: Store) -> None:
    listed = weaver("list").stdout.splitlines()
    assert listed[0].split() == [
        "run",
        "started",
        "status",
        "time",
        "threads",
        "tokens",
        "cost",
        "strategy",
        "question",
    ]
    assert listed[1].split()[0] == "r1"
    assert "complete" in listed[1]
    assert json.loads(weaver("list", "--json").stdout)["run_id"] == "r1"
    assert "No run with status failed" in weaver("list", "--status", "failed").stderr


def test_show_draws_the_last_run(store: Store) -> None:
    picture = weaver("show").stdout

    assert "adaptive  complete" in picture
    assert "waited 5.00 s, last for b" in picture
    assert "Critical path" in picture


def test_show_prints_what_was_captured(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    span = next(s for s in store.spans(store.find()) if sc.OUTPUT_MESSAGES in s.attributes)
    shown = weaver("show", "r1", "--text", f"{span.trace_id}/{span.span_id}").stdout

    assert shown.startswith(f"{sc.OUTPUT_MESSAGES}:\n[\n")
    code, said = fails(
        capsys,
        "show",
        "--text",
        f"{next(s for s in store.spans(store.find()) if s.operation == 'join').span_id}",
    )
    assert (code, "No content was captured" in said) == (2, True)


def test_show_as_json_lines(store: Store) -> None:
    lines = [json.loads(line) for line in weaver("show", "--json").stdout.splitlines()]

    assert len(lines) == len(store.spans(store.find()))
    assert {span_from_otlp(line).span_id for line in lines} == {s.span_id for s in store.spans(store.find())}


def test_open_writes_one_file_for_its_owner(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "out" / "run.html"
    assert weaver("open", "r1", "-o", str(path)).stdout == f"{path}\n"
    assert path.read_text().startswith("<!doctype html>")
    assert path.stat().st_mode & 0o077 == 0

    written = Path(weaver("open", "--compare", "r1", "--no-browser").stdout.strip())
    assert written.name == "r1-r1.html"


def test_open_uses_the_browser(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: bool(opened.append(url)))
    result = weaver("open")

    assert opened[0].startswith("file://")
    assert "No browser was found" in result.stderr


def test_export_otlp(store: Store, tmp_path: Path) -> None:
    exported = json.loads(weaver("export").stdout)
    [group] = exported["resourceSpans"]
    spans = {s["spanId"]: s for s in group["scopeSpans"][0]["spans"]}

    root = next(s for s in spans.values() if "parentSpanId" not in s)
    assert root["name"] == "invoke_workflow x"
    assert all(s["parentSpanId"] in spans for s in spans.values() if s is not root)
    join = next(s for s in spans.values() if s["name"] == "join x")
    assert len(join["links"]) == 4
    assert {"key": "weaver.join.needed", "value": {"intValue": "2"}} in join["attributes"]
    assert weaver("export", "--format", "html").stdout.startswith("<!doctype html>")
    picture = ET.fromstring(weaver("export", "--format", "svg").stdout)
    assert "join" in "".join(picture.itertext())
    assert "url(http" not in ET.tostring(picture, "unicode")
    path = tmp_path / "spans.jsonl"
    weaver("export", "-o", str(path))
    assert [json.loads(line) for line in path.read_text().splitlines()] == [exported]


def test_rm_and_gc(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert fails(capsys, "rm")[0] == 2
    assert "needs --yes" in fails(capsys, "rm", "--all")[1]
    assert weaver("rm", "r1").stderr == "1 run forgotten.\n"
    assert store.runs() == []
    store.add(quorum_story().spans)
    assert weaver("gc", "--days", "1").stderr.startswith("1 run forgotten;")
    store.add(quorum_story().spans)
    assert weaver("rm", "--all", "--yes").stderr == "1 run forgotten.\n"


@pytest.mark.parametrize("command", ["show", "open", "export", "rm"])
def test_a_run_that_is_not_there(store: Store, capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, said = fails(capsys, command, "r2")

    assert code == 2
    assert "There is no run named 'r2'" in said
    assert "Traceback" not in said


def test_nothing_kept_yet(capsys: pytest.CaptureFixture[str]) -> None:
    assert "No run is kept" in weaver("list").stderr
    code, said = fails(capsys, "show")
    assert (code, "No run has been kept" in said) == (2, True)


def test_a_broken_store_is_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Store().path.parent.mkdir(parents=True)
    Store().path.write_text("not a database " * 100)
    code, said = fails(capsys, "list")

    assert code == 1
    assert "cannot be used" in said


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 300])
def test_id_status_and_time_of_a_run_are_whole_at_any_width(width: int) -> None:
    begin = 1_700_000_000_000_000_000
    rows = [
        RunRow(f"{i:016x}", "t", f"s{i}", begin, begin + 62_000_000_000, "mixture_of_agents", "m", status,
               "A question of many words, 質問 and more", 12, 123_456, 7890, 0.12)
        for i, status in enumerate(("complete", "cancelled", "running"))
    ]  # fmt: skip
    table = run_list(rows, width)
    console = Console(width=max(width, 60), file=io.StringIO(), color_system=None)
    console.print(table)
    out = console.file.getvalue()
    for row in rows:
        assert row.run_id in out
        assert row.status in out
    assert out.count("62.00 s") == 3
    shown = max(len(line.rstrip()) for line in out.splitlines())
    assert shown <= max(width, 16 + 2 + 9 + 2 + 8)
