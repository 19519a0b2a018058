"""The documentation is true: its Python runs, its tables name what exists, its links lead somewhere.

Python blocks of the files below are executed, in order and in one namespace per file, against a loopback
server that plays a model. A block that cannot run there is marked ``<!-- not run: why -->`` above it.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import re
import sys
import time
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
import yaml

from weaver import errors
from weaver._cli import main
from weaver._cli.app import OURS
from weaver._data.result import Metrics, Result, ThreadReport
from weaver._data.usage import Usage
from weaver._models.protocol import Request
from weaver._settings.agents import agents_from
from weaver._settings.settings import Settings
from weaver.testing import Scripted, Server

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXECUTED = [
    "README.md",
    "docs/getting-started.md",
    "docs/python.md",
    "docs/streaming.md",
    "docs/adaptive.md",
    "docs/coordination.md",
    "docs/models.md",
    "docs/testing.md",
    "docs/tools.md",
    "docs/hooks.md",
    "docs/typed-output.md",
    "docs/long-inputs.md",
    "docs/verification.md",
    "docs/chat.md",
    "docs/migrating.md",
    "docs/tracing.md",
    "docs/policy.md",
]

PLAN = {
    "parallel": True,
    "reason": "two cities",
    "subtasks": [
        {"id": "kyoto", "title": "Kyoto", "prompt": "Kyoto in May?", "depends_on": []},
        {"id": "oslo", "title": "Oslo", "prompt": "Oslo in May?", "depends_on": []},
    ],
}
OUTPUTS = {
    "Trip": {"city": "Kyoto", "reasons": ["gardens"]},
    "City": {"name": "Tokyo", "inhabitants": 14_000_000},
}


def answered(request: Request) -> str:
    """What a well-behaved model says: JSON where a schema is asked for, else a sentence."""
    if request.output is None:
        return "Kyoto has gardens, and 6 x 7 is 42."
    asked = json.dumps(request.output.schema)
    if '"subtasks"' in asked:
        return json.dumps(PLAN)
    fitting = [value for value in OUTPUTS.values() if all(f'"{key}"' in asked for key in value)]
    return json.dumps(fitting[0]) if fitting else "{}"


def blocks(page: Path, language: str) -> Iterator[tuple[int, str]]:
    """(line, text) of the fenced blocks of a language that are not marked otherwise."""
    pattern = re.compile(rf"(<!-- not run: [^>]+-->\n)?^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    text = page.read_text(encoding="utf-8")
    for found in pattern.finditer(text):
        if not found[1]:
            yield text[: found.start(2)].count("\n"), found[2]


@pytest.mark.anyio
@pytest.mark.parametrize("name", EXECUTED)
async def test_python_blocks_run(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = ROOT / name
    namespace: dict[str, object] = {"__name__": "docs"}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weaver.toml").write_text('[prices."openai/gpt-5-mini"]\ninput = 0.25\noutput = 2.0\n')
    # As a module of its own: pydantic and dataclasses look their classes' modules up.
    module = types.ModuleType("docs")
    module.__dict__.update(namespace)
    monkeypatch.setitem(sys.modules, "docs", module)
    ran = 0
    with Server([Scripted(answered)], model="gpt-5-mini").in_thread() as server:
        monkeypatch.setenv("WEAVER_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "a-key-for-nobody")
        for line, code in blocks(page, "python"):
            compiled = compile(
                "\n" * line + code, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
            )
            waiting = eval(compiled, module.__dict__)
            if inspect.iscoroutine(waiting):
                await waiting
            ran += 1
        # A cancelled stream is closed at once; the server's thread may hear of it a moment later.
        patience = time.monotonic() + 5
        while server.in_flight and time.monotonic() < patience:
            await anyio.sleep(0.01)
        assert server.in_flight == 0
    assert ran


def test_the_site_has_every_page_and_every_public_module() -> None:
    """`.ci/docs` builds it; a page that no table of contents names fails there, minutes later."""
    contents = (ROOT / "docs/site/index.md").read_text(encoding="utf-8").split()
    assert not {f"/docs/{page.stem}" for page in (ROOT / "docs").glob("*.md")} - set(contents)
    reference = {page.stem for page in (ROOT / "docs/site/api").glob("weaver*.md")}
    modules = {path.stem for path in (ROOT / "weaver").glob("[a-z]*.py")}
    folders = {path.parent.name for path in (ROOT / "weaver").glob("[a-z]*/__init__.py")}
    assert reference == {"weaver", *(f"weaver.{name}" for name in modules | folders)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{page.name} links to {target}"


def rows(page: str) -> dict[str, list[str]]:
    """First column (its code spans) to all cells, of every table of a page."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            for name in re.findall(r"`([^`]+)`", cells[0]):
                found.setdefault(name, cells)
    return found


def test_every_error_is_documented_with_its_exit_code() -> None:
    known = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.WeaverError) and kind is not errors.WeaverError
    }
    documented = {name: cells for name, cells in rows("docs/errors.md").items() if len(cells) == 3}

    assert set(documented) == set(known)
    assert {name: cells[2] for name, cells in documented.items()} == {
        name: str(kind.exit_code) for name, kind in known.items()
    }


def test_the_error_tree_is_drawn_truly() -> None:
    drawn = re.findall(r"^([│ ]*)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE)
    parents: list[str] = []
    for indent, name in drawn:
        depth = len(indent) // 4
        parents[depth:] = [name]
        base = parents[depth - 1] if depth else "WeaverError"
        assert getattr(errors, name).__mro__[1].__name__ == base
    known = {n for n, k in vars(errors).items() if isinstance(k, type) and issubclass(k, errors.WeaverError)}
    assert {name for _, name in drawn} | {"WeaverError"} == known


def test_every_setting_is_documented() -> None:
    assert set(Settings.model_fields) == set(rows("docs/settings.md"))


def test_every_metric_is_documented() -> None:
    assert set(Metrics.__dataclass_fields__) == set(rows("docs/metrics.md"))


def test_every_field_of_the_json_object_is_documented() -> None:
    documented = rows("docs/cli.md")
    result = Result("r", "complete", "a", "s", "m").as_dict()

    assert set(result) <= set(documented)
    assert re.findall(r"\w+", documented["usage"][1]) == list(Usage().as_dict())
    assert re.findall(r"\w+", documented["threads"][1]) == list(
        ThreadReport("t", None, "", 1, "failed").as_dict()
    )


def test_every_strategy_is_in_the_readme() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert set(project["entry-points"]["weaver.strategies"]) == set(rows("README.md"))


def test_every_command_is_documented() -> None:
    documented = {name.split()[1] for name in rows("docs/cli.md") if name.startswith("weaver ")}

    assert set(OURS) <= documented


def test_settings_examples_are_valid(tmp_path: Path) -> None:
    (toml,) = (code for _, code in blocks(ROOT / "docs/settings.md", "toml"))
    (agents,) = (code for _, code in blocks(ROOT / "docs/settings.md", "yaml"))
    (tmp_path / "weaver.toml").write_text(toml)
    (tmp_path / "agents.yaml").write_text(agents)

    settings = Settings.load({}, tmp_path)
    assert (settings.deadline, settings.max_cost) == (60, 0.25)
    assert settings.agents == agents_from(yaml.safe_load(agents), "docs")
    assert len(settings.agents) == 2


def test_workflows_of_the_readme_are_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flows = [code for _, code in blocks(ROOT / "README.md", "yaml")]
    assert flows
    for code in flows:
        path = tmp_path / "flow.yaml"
        path.write_text(code)
        status = main(["validate", str(path)])
        shown = "".join(capsys.readouterr())
        assert status == 0, shown
        assert "is fine" in shown


def test_modules_of_the_readme_can_be_run() -> None:
    modules = re.findall(r"`python -m ([\w.]+)", (ROOT / "README.md").read_text("utf-8"))
    assert len(modules) >= 3
    for name in modules:
        assert importlib.util.find_spec(name), name


def test_shell_commands_of_the_readme_exist(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^(?:\S*/)?weaver (\w+)", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)

    assert commands
    for command in set(commands):
        assert main([command, "--help"]) == 0, capsys.readouterr().err
