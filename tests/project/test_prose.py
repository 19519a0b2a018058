"""Plain words: phrases that readers stumble over stand in no page, docstring, message or prompt."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PHRASES = {
    r"hand(?:s|ed|ing)? (?:\w+ )?up": "return",
    r"(?:come|comes|came|coming) to nothing": "produce no value",
    r"heeds?": "follow",
    r"worth while": "worthwhile",
    r"round in circles": "have a cycle",
    r"stand-ins?": "placeholder, fake",
    r"beg[au]n again": "restarted",
    r"(?:fail\w*|end\w*|stop\w*|lost|clos\w*) (?:it |them )?for good": "permanently",
    r"one line will do": "one call",
    r"mak(?:e|es|ing) good": "retry, replace",
    r"the clock took": "timed out",
    r"is no (?:list|mapping|number)": "is not a list",
    r"rungs?": "resolution step",
    r"guests?": "caller",
    r"(?:who|what|which)soever": "any",
    r"hence": "so",
    r"shall": "will, must",
    r"last words": "summary",
    r"hears? (?:of|from)": "is notified, callback",
    r"manners?": "options",
    r"lest": "so that ... not",
    r"whence|whither|thereof|therein|whereupon": "from where, to where, in it",
}  # fmt: skip
"""Patterns, with what to write instead."""
PATTERN = re.compile("|".join(rf"\b(?:{pattern})\b" for pattern in PHRASES), re.IGNORECASE)
LEAST_WORDS = 3
"""A literal of fewer words is a name or a value, not prose."""


def pages() -> Iterator[Path]:
    yield from (ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))
    yield from sorted((ROOT / "docs").glob("*.md"))
    yield from sorted((ROOT / "docs/changes").glob("*.md"))


def modules() -> Iterator[Path]:
    for folder in ("weaver", "plugins"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not any(part.startswith("tests") for part in path.relative_to(ROOT).parts):
                yield path


def prose_of_page(text: str) -> Iterator[tuple[int, str]]:
    """The lines outside of code blocks, without inline code, links' targets and quotations."""
    is_code = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code and not line.startswith(">"):
            yield number, re.sub(r"`[^`]*`|\]\([^)]*\)", " ", line)


def prose_of_module(text: str) -> Iterator[tuple[int, str]]:
    """The comments, the docstrings and every literal that is a sentence."""
    literals = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    for node in literals:
        if isinstance(node.value, str) and len(node.value.split()) >= LEAST_WORDS:
            plain = re.sub(r"``[^`]*``|`[^`]*`", " ", node.value)
            for offset, line in enumerate(plain.splitlines()):
                yield node.lineno + offset, line
    for number, line in enumerate(text.splitlines(), start=1):
        if match := re.search(r"(?:^|\s)# (.*)", line):
            yield number, match[1]


def findings(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    prose = prose_of_module(text) if path.suffix == ".py" else prose_of_page(text)
    return [
        f"{path.relative_to(ROOT)}:{number}: {match[0]!r}"
        for number, line in prose
        for match in PATTERN.finditer(line)
    ]


@pytest.mark.parametrize("find", [pages, modules])
def test_no_phrase_that_readers_stumble_over(find) -> None:
    problems = [problem for path in find() if path.is_file() for problem in findings(path)]
    assert not problems, "Write it plainly (tests/project/test_prose.py):\n" + "\n".join(problems)


def test_prose_is_told_from_code() -> None:
    page = "Heed this.\n```\nheed\n```\nThe name `heed` stays. [x](heed.md)\n"
    assert [n for n, line in prose_of_page(page) if PATTERN.search(line)] == [1]
    module = '"""Heed it all."""\nheed = "heed"  # not a heed\nraise Error("Please heed it.")\n'
    assert [n for n, line in prose_of_module(module) if PATTERN.search(line)] == [1, 3, 2]
