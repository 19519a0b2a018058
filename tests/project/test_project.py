"""The project's own files agree with each other."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import weaver

ROOT = Path(__file__).parents[2]
PROJECTS = [ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]


def requirements(path: Path) -> list[Requirement]:
    """All requirements of a project, those of its extras included."""
    project = tomllib.loads(path.read_text("utf-8"))["project"]
    extras = [line for lines in project.get("optional-dependencies", {}).values() for line in lines]
    return [Requirement(line) for line in [*project.get("dependencies", []), *extras]]


def pins() -> dict[str, set[str]]:
    """Versions by distribution, as CI installs them; several where platforms differ."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", line
        found.setdefault(requirement.name, set()).add(specifier.version)
    return found


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_every_requirement_is_pinned_for_ci(path: Path) -> None:
    pinned = pins()
    for requirement in requirements(path):
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name.startswith("weaver-reasoning"):
            continue
        assert name in pinned, f"{name} is not in constraints.txt: run .ci/lock"
        for version in pinned[name]:
            assert requirement.specifier.contains(version, prereleases=True), f"{requirement}: run .ci/lock"


def test_versions_agree() -> None:
    versions = {tomllib.loads(path.read_text("utf-8"))["project"]["version"] for path in PROJECTS}

    assert versions == {weaver.__version__}


def test_the_constraints_name_no_registry() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text("utf-8")


SCRIPTS = sorted(path for path in (ROOT / ".ci").iterdir() if not path.suffix)
SHELL = [path for path in SCRIPTS if "bash" in path.read_text("utf-8").splitlines()[0]]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_valid_and_executable(script: Path) -> None:
    assert script.stat().st_mode & 0o111
    if script in SHELL:
        assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    else:
        ast.parse(script.read_text("utf-8"))


def test_files_stay_small() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in ROOT.glob("weaver/**/*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > 500
    }

    assert not long


@pytest.mark.parametrize("root", ["weaver", "tests", "plugins"])
def test_folders_stay_small(root: str) -> None:
    counts = Counter(path.parent for path in (ROOT / root).rglob("*.py"))

    assert not {str(folder.relative_to(ROOT)): n for folder, n in counts.items() if n > 15}


SOURCES = [p for room in ("weaver", "plugins", "examples") for p in sorted((ROOT / room).rglob("*.py"))]
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def strings(path: Path) -> Iterator[ast.Constant]:
    """Yield the strings of a file, if any of them can have a control character."""
    text = path.read_text("utf-8")
    if "\\" in text or "\t" in text or CONTROL.search(text):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node


def test_no_prose_has_a_control_character() -> None:
    r"""A forgotten ``r`` turns ``\boxed`` into a backspace and ``oxed``, and models are asked for that."""
    wrong = []
    for path in SOURCES:
        for node in strings(path):
            text = str(node.value).replace("\b\n", "\n")  # click's own mark: do not wrap this paragraph
            is_prose = " " in text.strip()
            if (is_prose and CONTROL.search(text)) or re.search(r"\t(ext|imes|heta|frac|o)\b", text):
                wrong.append(f"{path}:{node.lineno}: {text!r}")
    assert wrong == []
