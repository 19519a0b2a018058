"""docs/architecture.md names files and functions that exist, and its measures hold."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from tests.benchmarks import house

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")
PLACES = sorted(set(re.findall(r"`(_\w[\w/]*\.py)(?::\s+([\w.]+))?`", PAGE)))


@cache
def definitions(path: Path) -> set[str]:
    """Return the qualified names of the classes and functions of a file."""
    names: set[str] = set()

    def visit(node: ast.AST, outer: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                names.add(f"{outer}{child.name}")
                visit(child, f"{outer}{child.name}.")
            else:
                visit(child, outer)

    visit(house.parsed(path), "")
    return names


@pytest.mark.parametrize(("file", "function"), PLACES, ids=lambda value: value)
def test_places_of_the_walks_exist(file: str, function: str) -> None:
    path = ROOT / "weaver" / file

    assert path.is_file()
    assert not function or function in definitions(path)


def test_picture_has_every_package_of_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = [name for line in contracts[0]["layers"] for name in line.split(" | ")]
    picture = PAGE[PAGE.index("```\n_cli") : PAGE.index("Imports point downwards")]
    drawn = [word for word in re.findall(r"(?<![\w.])(_?[a-z_]+)\b", picture) if word in layers]

    assert {name for name in layers if name.startswith("_") and name != "__main__"} <= set(drawn)


def test_walks_are_read() -> None:
    assert len(PLACES) > 50


def test_a_request_is_sent_at_most_14_frames_deep() -> None:
    frames = house.frames_at_request()

    assert 5 < len(frames) <= 14, "\n".join(frames)


def test_run_has_few_public_names() -> None:
    assert len(house.verbs(house.Run)) <= 22


def test_the_table_has_every_measure_of_the_script() -> None:
    rows = {line.split(" | ")[0] for line in house.table().splitlines()}
    table = PAGE[PAGE.index("| measure |") :]

    assert rows == {line.split(" | ")[0] for line in table[: table.index("\n\n")].splitlines()}


def test_an_extension_of_ones_own_is_a_module_and_an_entry_point() -> None:
    files = house.files_of_own()

    assert len(files) == 7
    assert set(files.values()) == {2}


@pytest.mark.parametrize(
    ("kind", "most"), [("strategy", 3), ("kind of step", 2), ("join rule", 4), ("conflict policy", 7)]
)
def test_a_built_in_extension_is_written_into_few_files(kind: str, most: int) -> None:
    assert 1 < len(house.files_naming(house.BUILT_IN[kind])) <= most


def test_most_modules_are_private() -> None:
    assert house.private_modules() > 50
