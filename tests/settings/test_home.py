"""Where local data is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from weaver._environment.paths import home


def test_weaver_home_wins_and_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert home({"WEAVER_HOME": "data"}) == tmp_path / "data"
    assert home({"WEAVER_HOME": "~/data"}) == Path.home() / "data"


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, Path.home() / ".local/share/weaver"),
        ("linux", {"WEAVER_HOME": " "}, Path.home() / ".local/share/weaver"),
        ("linux", {"XDG_DATA_HOME": "/data"}, Path("/data/weaver")),
        ("linux", {"XDG_DATA_HOME": "relative"}, Path.home() / ".local/share/weaver"),
        ("darwin", {}, Path.home() / "Library/Application Support/weaver"),
        ("win32", {"LOCALAPPDATA": "/local"}, Path("/local/weaver")),
        ("win32", {}, Path.home() / "AppData/Local/weaver"),
    ],
)
def test_the_default_follows_the_platform(
    platform: str, environ: dict[str, str], expected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", platform)

    assert home(environ) == expected
