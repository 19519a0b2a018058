"""Names say what they hold: bare participles and pronouns may only become fewer.

``python -m tests.project.test_names`` lists them all, and the docstrings that open with a question word.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import house
from tests.benchmarks.house import parsed

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("weaver/**/*.py"), *ROOT.glob("plugins/*/weaver_*/**/*.py")])
BARE = frozenset({
    "asked", "found", "given", "kept", "known", "left", "lost", "made", "most", "one", "ones", "said", "seen",
    "shown", "taken", "told", "used", "wanted", "what",
})  # fmt: skip
OPENERS = frozenset({
    "as", "how", "of", "what", "when", "where", "whether", "which", "who", "whom", "whose", "why",
})  # fmt: skip

# The most there may be. Lower them when there are fewer; never raise them.
MOST_BARE = 400
MOST_OPENERS = 4


def bare_names(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of each variable, argument, attribute of a class, function and class with a bare name."""
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                pass
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                pass
            case _:
                continue
        if name.strip("_").lower() in BARE:
            yield node.lineno, name


def openers(path: Path) -> Iterator[tuple[int, str]]:
    """Line and first word of each docstring that opens with a question word or preposition."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and (text := ast.get_docstring(node)):
            word = text.split(maxsplit=1)[0].strip(",:;`'").lower()
            if word in OPENERS:
                yield node.lineno, word


def test_no_new_name_is_a_bare_participle_or_pronoun() -> None:
    counts = {path: len(list(bare_names(path))) for path in SOURCES}
    total = sum(counts.values())
    worst = [f"{path.relative_to(ROOT)}: {n}" for path, n in Counter(counts).most_common(5)]
    assert total <= MOST_BARE, f"{total} bare names, {MOST_BARE} before: run this file to list them. {worst}"


def test_no_new_docstring_opens_with_a_question_word() -> None:
    total = sum(len(list(openers(path))) for path in SOURCES)
    assert total <= MOST_OPENERS, f"{total} docstrings open with {sorted(OPENERS)}, {MOST_OPENERS} before"


def test_the_language_measures_hold() -> None:
    """The figures of docs/architecture.md, with the lists of the review."""
    trees = [parsed(path) for path in house.sources()]

    assert house.share([name for tree in trees for name in house.local_names(tree)], house.BARE) < 0.3
    assert house.share([word for tree in trees for word in house.summaries(tree)], house.OPENERS) < 4


if __name__ == "__main__":
    for source in SOURCES:
        for line, word in (*bare_names(source), *openers(source)):
            print(f"{source.relative_to(ROOT)}:{line}: {word}")
    print(sum(len(list(bare_names(p))) for p in SOURCES), "bare names,", end=" ")
    print(sum(len(list(openers(p))) for p in SOURCES), "docstrings that open with a question word")
