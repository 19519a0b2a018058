"""Measure the house: names, docstrings, modules, frames, public names, cost of an extension, coverage.

``python -m tests.benchmarks.house`` prints the table of docs/architecture.md.
"""

from __future__ import annotations

import ast
import asyncio
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from weaver import Run, Weaver
from weaver.testing import ScriptedModel, Server

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "weaver"
BARE = frozenset({
    "asked", "found", "given", "kept", "known", "left", "lost", "most", "one", "said", "seen", "shown",
    "told", "wanted", "what",
})  # fmt: skip
OPENERS = frozenset({
    "about", "after", "as", "at", "before", "by", "for", "from", "how", "in", "of", "on", "to", "under",
    "what", "when", "where", "whether", "which", "who", "whom", "whose", "why", "with", "within", "without",
})  # fmt: skip


BUILT_IN = {
    "strategy": "deep_prune", "kind of step": "ApproveStep", "join rule": "BestOf",
    "conflict policy": "confidence_weighted",
}  # fmt: skip
"""Of each kind of extension one that comes with weaver, by a name that nothing else has."""


def sources() -> list[Path]:
    """Return the Python files of the package."""
    return sorted(PACKAGE.rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a file, read once."""
    return ast.parse(path.read_text("utf-8"))


def local_names(tree: ast.AST) -> Iterator[str]:
    """Yield the name of each binding of a local variable, once for each place that binds it."""
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id


def summaries(tree: ast.AST) -> Iterator[str]:
    """Yield the first word of each function's docstring."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and (text := ast.get_docstring(node)):
            yield text.split(maxsplit=1)[0].strip(",:;`'").lower()


def share(words: list[str], listed: frozenset[str]) -> float:
    """Return the percentage of words that are in a list."""
    return 100 * sum(word.strip("_").lower() in listed for word in words) / max(1, len(words))


def private_modules() -> float:
    """Return the percentage of modules that have a part with a leading underscore in their path."""
    modules = [path.relative_to(PACKAGE).with_suffix("").parts for path in sources()]
    private = [parts for parts in modules if any(p.startswith("_") and not p.startswith("__") for p in parts)]
    return 100 * len(private) / len(modules)


def largest_folder() -> tuple[str, int]:
    """Return the folder of weaver and its tests with the most modules, and their number."""
    folders = Counter(path.parent for root in ("weaver", "tests") for path in (ROOT / root).rglob("*.py"))
    folder, count = folders.most_common(1)[0]
    return str(folder.relative_to(ROOT)), count


def frames_at_request(strategy: str = "sequential") -> list[str]:
    """Run a question over HTTP and return the functions of weaver on the stack when the request is sent."""
    stack: list[str] = []

    def watch(frame: FrameType, event: str, _: Any) -> None:
        code: CodeType = frame.f_code
        if (
            event != "call"
            or stack
            or code.co_name != "send"
            or not code.co_filename.endswith("http/client.py")
        ):
            return
        if frame.f_locals.get("method") != "POST":
            return
        caller = frame.f_back
        while caller is not None:
            path = Path(caller.f_code.co_filename)
            if path.is_relative_to(PACKAGE):
                stack.append(f"{path.relative_to(PACKAGE)}:{caller.f_code.co_qualname}")
            caller = caller.f_back

    async def ask() -> None:
        async with Server(ScriptedModel("forty-two")) as server:
            weaver = Weaver("openai/test", base_url=server.url, api_key="x", strategy=strategy)
            sys.setprofile(watch)
            try:
                await weaver.run("What is six times seven?")
            finally:
                sys.setprofile(None)

    asyncio.run(ask())
    return stack[::-1]


def verbs(kind: type) -> list[str]:
    """Return the public methods and properties of a class."""
    return [name for name in dir(kind) if not name.startswith("_")]


def files_naming(word: str) -> list[str]:
    """Return the files of the package that name a built-in extension, pyproject.toml among them."""
    pattern = re.compile(rf"\b{word}\b")
    files = [ROOT / "pyproject.toml", *sources()]
    return [str(path.relative_to(ROOT)) for path in files if pattern.search(path.read_text("utf-8"))]


def files_of_own() -> dict[str, int]:
    """Return the number of files, pyproject.toml among them, of each how-to of docs/extending.md."""
    page = (ROOT / "docs/extending.md").read_text("utf-8")
    sections = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    counts = {
        part.partition("\n")[0]: len(re.findall(r"^# \w+\.py$", part, re.MULTILINE)) for part in sections
    }
    return {title: count + 1 for title, count in counts.items() if count}


def coverage_floor() -> int:
    """Return the least percentage of lines that the fast tests must cover."""
    return int(
        tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["coverage"]["report"][
            "fail_under"
        ]
    )


def table() -> str:
    """Return all measures as a Markdown table."""
    trees = [parsed(path) for path in sources()]
    names = [name for tree in trees for name in local_names(tree)]
    words = [word for tree in trees for word in summaries(tree)]
    lines = sorted(len(path.read_text("utf-8").splitlines()) for path in sources())
    folder, count = largest_folder()
    bare = f"{share(names, BARE):.2f} % of {len(names):,}"
    opening = f"{share(words, OPENERS):.1f} % of {len(words):,}"
    rows = [
        ("local variables that are a bare participle or pronoun", bare, "< 0.3 %"),
        ("docstrings of functions that open with a question word or preposition", opening, "< 4 %"),
        ("private modules", f"{private_modules():.0f} % of {len(lines)}", "> 50 %"),
        ("largest folder", f"{count} modules ({folder})", "15"),
        ("lines of a module", f"median {lines[len(lines) // 2]}, longest {lines[-1]}", "500"),
        ("frames of weaver at a request", str(len(frames_at_request())), "14"),
        ("public names of `Run`", str(len(verbs(Run))), "about 16 verbs"),
        ("files of a plugin for one extension, as in extending.md", str(max(files_of_own().values())), "2"),
        *(
            (
                f"files of the package that name one built-in {kind} (`{word}`)",
                str(len(files_naming(word))),
                goal,
            )
            for (kind, word), goal in zip(BUILT_IN.items(), ("3", "4", "4", "3"), strict=True)
        ),
        ("lines that the fast tests must cover", f"{coverage_floor()} %", "only rises"),
    ]
    head = ["| measure | now | goal |", "|---|---|---|"]
    return "\n".join([*head, *(f"| {measure} | {now} | {goal} |" for measure, now, goal in rows)])


if __name__ == "__main__":
    print(table())
    print(*frames_at_request(), sep="\n")
    print(*verbs(Run))
