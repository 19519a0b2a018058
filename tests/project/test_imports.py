"""What is imported when, and the public names. By module list, never by time."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

import weaver

# Whoever imports weaver pays for none of these until they are used.
HEAVY = (
    "aiohttp",
    "anyio",
    "asyncio",
    "click",
    "concurrent.futures",
    "httpx",
    "importlib.metadata",
    "litellm",
    "mcp",
    "openai",
    "opentelemetry",
    "pydantic",
    "requests",
    "rich",
    "sqlite3",
    "tenacity",
    "uvloop",
    "xllamacpp",
    "yaml",
)

# What using the façade may load, and may not.
POISON = (
    "litellm",
    "opentelemetry.sdk",
    "opentelemetry.exporter",
    "aiohttp",
    "httpx",
    "rich",
    "uvloop",
    "mcp",
)

PUBLIC = {
    "Agent",
    "Answer",
    "Approval",
    "ApprovalRequest",
    "Context",
    "Hook",
    "Limits",
    "Message",
    "ModelCall",
    "Plan",
    "ProceedCall",
    "ProceedTool",
    "RefusedError",
    "Reply",
    "Result",
    "Run",
    "RunStream",
    "SQLiteSession",
    "Session",
    "MemorySession",
    "TextPart",
    "ImagePart",
    "FilePart",
    "AudioPart",
    "Subtask",
    "SyncRunStream",
    "Task",
    "Tool",
    "ToolRequest",
    "Weaver",
    "WeaverError",
    "Workflow",
    "mcp",
    "strategy",
    "tool",
}


def python(code: str) -> Any:
    """What ``code`` prints as JSON, in an interpreter of its own where the poisoned modules fail."""
    poison = f"""
import sys

class Poison:
    def find_spec(self, name, path=None, target=None):
        if any(name == bad or name.startswith(bad + ".") for bad in {POISON!r}):
            raise ImportError("poisoned: " + name)

sys.meta_path.insert(0, Poison())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", poison + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def heavy_of(modules: list[str], heavy: tuple[str, ...] = HEAVY) -> list[str]:
    """Those modules that are, or belong to, a heavy one."""
    return [m for m in modules if any(m == h or m.startswith(h + ".") for h in heavy)]


def test_importing_weaver_loads_nothing_heavy() -> None:
    modules = python("import json, weaver; before = list(sys.modules); print(json.dumps(before))")

    own = {m for m in modules if m.startswith("weaver")}
    assert own == {"weaver", "weaver._environment", "weaver._environment.doors"}
    assert not heavy_of(modules, tuple(h for h in HEAVY if h != "importlib.metadata"))


def test_every_public_name_resolves_without_the_poisoned_modules() -> None:
    names = python(
        "import json, weaver\nprint(json.dumps({n: getattr(weaver, n).__module__ for n in weaver.__all__}))"
    )

    assert set(names) == PUBLIC


def test_making_a_weaver_with_a_scripted_model_loads_nothing_heavy() -> None:
    answer = python(
        "import json\n"
        "from weaver import Weaver\n"
        "from weaver.testing import ScriptedModel\n"
        "print(json.dumps(Weaver(ScriptedModel('42'), strategy='sequential').run_sync('6 x 7?').answer))"
    )

    assert answer == "42"


def test_help_loads_nothing_heavy() -> None:
    modules = python(
        "import contextlib, io, json\n"
        "from weaver._cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()) as out:\n"
        "    code = main(['--help'])\n"
        "assert code == 0 and 'weaver run' in out.getvalue()\n"
        "print(json.dumps(list(sys.modules)))"
    )

    assert not heavy_of(modules, tuple(h for h in HEAVY if h not in {"click", "importlib.metadata"}))
    assert [
        m
        for m in modules
        if m.startswith("weaver.") and not m.startswith(("weaver._cli", "weaver._environment"))
    ] == []


def test_public_names_are_pinned() -> None:
    assert set(weaver.__all__) == PUBLIC
    assert set(dir(weaver)) == PUBLIC | {"__version__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Waever'"):
        weaver.Waever  # noqa: B018
