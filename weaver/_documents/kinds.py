"""What kind of text a document is: it decides where its seams are."""

from __future__ import annotations

import json
import re
from pathlib import PurePath
from typing import Literal

Kind = Literal["markdown", "code", "pages", "records", "text"]

_BY_SUFFIX: dict[str, Kind] = {
    **dict.fromkeys((".md", ".markdown", ".mdx", ".rst", ".adoc"), "markdown"),
    **dict.fromkeys((".csv", ".tsv", ".jsonl", ".ndjson", ".log"), "records"),
    **dict.fromkeys(
        (
            *(".py", ".pyi", ".js", ".mjs", ".ts", ".tsx", ".jsx", ".java", ".kt", ".go", ".rs", ".c", ".h"),
            *(".cc", ".cpp", ".hpp", ".cs", ".rb", ".php", ".swift", ".scala", ".sh", ".sql", ".lua", ".r"),
            *(".json", ".yaml", ".yml", ".toml", ".xml", ".css"),
        ),
        "code",
    ),
}
_HEADING = re.compile(r"^#{1,6} \S", re.MULTILINE)
_RECORD_LINES = 12
_LONGEST_RECORD = 2000


def kind_of(name: str, start: str) -> Kind:
    """Return the kind, by the name's ending, else by the beginning of the text.

    Args:
        start: some thousand characters.
    """
    if kind := _BY_SUFFIX.get(PurePath(name).suffix.lower()):
        return kind
    if "\f" in start:
        return "pages"
    lines = [line for line in start.splitlines()[:40] if line.strip()][:-1]
    if len(lines) >= _RECORD_LINES and _are_records(lines):
        return "records"
    if len(_HEADING.findall(start)) >= 2:
        return "markdown"
    return "text"


def _are_records(lines: list[str]) -> bool:
    """Tell whether the lines are alike: JSON objects, or with the same number of separators, or dated."""
    if any(len(line) > _LONGEST_RECORD for line in lines):
        return False
    if all(line.startswith("{") for line in lines[:3]):
        try:
            return all(isinstance(json.loads(line), dict) for line in lines[:3])
        except ValueError:
            return False
    for separator in ("\t", ";", "|", ","):
        counts = [line.count(separator) for line in lines]
        if min(counts) > 0 and max(counts) - min(counts) <= (0 if separator == "," else 1):
            return True
    return sum(bool(re.match(r"[\[(]?\d", line)) for line in lines) > 0.9 * len(lines)
