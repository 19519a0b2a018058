"""docs/changes: each file is one item of the changelog, and the changelog can be built of them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/changes"
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["towncrier"]
TYPES = {kind["directory"]: kind["name"] for kind in CONFIG["type"]}
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
MARK = CONFIG["start_string"]
CHANGES = sorted(path for path in FOLDER.iterdir() if path.name not in CONFIG["ignore"])


def problem_of(name: str, text: str) -> str:
    """Say what is wrong with a file of this name and text, or "" if nothing is."""
    match = re.fullmatch(r"\+[a-z0-9-]+\.([a-z]+)\.md", name)
    if match is None or match[1] not in TYPES:
        return f"the name is not +words.TYPE.md with a type of {', '.join(TYPES)}"
    lines = text.splitlines()
    if not text.endswith("\n") or not lines or not all(line.strip() for line in lines):
        return "it is empty, has an empty line or does not end with a line break"
    if lines[0][0] in "-*#" or any(line[0].isspace() for line in lines):
        return "a line is indented, or the first one begins with a list's or heading's mark"
    if len(lines) > 5 or any(len(line) > 130 for line in lines):
        return "it has more than 5 lines, or a line of more than 130 characters"
    return "" if text.rstrip()[-1] in ".)" else "it does not end with a full stop"


@pytest.mark.parametrize("path", CHANGES, ids=lambda path: path.name)
def test_each_file_is_one_item(path: Path) -> None:
    assert problem_of(path.name, path.read_text("utf-8")) == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("+x.feature.md", "A change.\n"),
        ("x.added.md", "A change.\n"),
        ("+x.added.md", ""),
        ("+x.added.md", "A change."),
        ("+x.added.md", "- A change.\n"),
        ("+x.added.md", "A change\n  of two lines.\n"),
        ("+x.added.md", "A change\n"),
        ("+x.added.md", "word " * 40 + ".\n"),
    ],
)
def test_a_file_in_another_form_is_refused(name: str, text: str) -> None:
    assert problem_of(name, text)


def test_the_changelog_is_built_of_the_files(tmp_path: Path) -> None:
    pytest.importorskip("towncrier")
    (tmp_path / "docs/changes").mkdir(parents=True)
    for name in ("pyproject.toml", "CHANGELOG.md", CONFIG["template"]):
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"), "utf-8")
    changes = {
        "+new.added.md": "`x` does y,\nand z.\n",
        "+old.fixed.md": "`v` works.\n",
        "+w.fixed.md": "`w` too.\n",
    }
    for name, text in {**changes, "README.md": "Not a change.\n"}.items():
        (tmp_path / "docs/changes" / name).write_text(text, "utf-8")
    command = [sys.executable, "-m", "towncrier", "build", "--version", "7.8.9", "--date", "2031-02-03"]

    draft = subprocess.run(
        [*command, "--draft"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    built = subprocess.run([*command, "--yes"], cwd=tmp_path, check=False, capture_output=True, text=True)

    section = (
        "## [7.8.9] - 2031-02-03\n\n"
        "### Added\n- `x` does y,\n  and z.\n\n"
        "### Fixed\n- `v` works.\n- `w` too.\n"
    )
    assert section in draft
    assert built.returncode == 0, built.stderr
    changelog = (tmp_path / "CHANGELOG.md").read_text("utf-8")
    assert f"## [Unreleased]\n\n{section}" in changelog
    assert "Not a change" not in changelog
    assert changelog.endswith(CHANGELOG[CHANGELOG.index(MARK) + len(MARK) :])
