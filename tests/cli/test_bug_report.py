"""``weaver bug-report``: what it packs, and that no secret is in it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.tracing.stories import quorum_story
from weaver._cli import main
from weaver._tracing.store.sqlite import Store

SECRETS = ("sk-abcdefghijklmnop0123", "hunter2hunter2", "header-secret-0123", "pg-password-01")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", SECRETS[0])
    monkeypatch.setenv("WEAVER_API_KEY", SECRETS[0])
    monkeypatch.setenv("MY_SERVICE_PASSWORD", SECRETS[1])
    monkeypatch.setenv("WEAVER_HEADERS", f"X-Key: {SECRETS[2]}")
    monkeypatch.setenv("WEAVER_JOURNAL", f"postgresql://me:{SECRETS[3]}@db/weaver")
    monkeypatch.setenv("WEAVER_DEADLINE", "42")


def packed(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_it_packs_versions_settings_and_the_last_run_and_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    store = Store()
    story = quorum_story().call("talk", 1, 2, "a", OUTPUT_MESSAGES='[{"role": "assistant"}]')
    store.add(story.spans)
    store.close()

    assert main(["bug-report", "-o", "report.zip"]) == 0
    assert "with run r1" in capsys.readouterr().out
    files = packed(tmp_path / "report.zip")
    assert set(files) == {"README.txt", "versions.json", "doctor.json", "settings.json", "trace.jsonl"}
    versions = json.loads(files["versions.json"])
    assert {"weaver-reasoning", "pydantic", "aiohttp"} <= set(versions["packages"])
    assert json.loads(files["settings.json"])["deadline"] == 42
    assert any("trace" in line for line in files["trace.jsonl"].splitlines())
    for text in files.values():
        for secret in SECRETS:
            assert secret not in text
    assert (tmp_path / "report.zip").stat().st_mode & 0o077 == 0


def test_without_a_run_and_with_wrong_settings_there_is_a_report_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("WEAVER_DEADLINE", "soon")
    assert main(["bug-report", "-o", "report.zip"]) == 0
    assert "without a run" in capsys.readouterr().out
    files = packed(tmp_path / "report.zip")
    assert "trace.jsonl" not in files
    assert "DEADLINE" in json.loads(files["settings.json"])["error"]


def test_an_unknown_run_and_a_bad_place_are_errors(capsys: pytest.CaptureFixture[str]):
    assert main(["bug-report", "no-such-run"]) == 2
    assert main(["bug-report", "-o", "/no/such/folder/report.zip"]) == 2
    assert main(["bug-report", "--no-trace", "last"]) == 2
    assert "Traceback" not in capsys.readouterr().err
