"""From bytes to a text that YAML can be read from, and what is said when it cannot be."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any

from weaver._workflows.source.diagnostics import Place, Problem, Problems

MAX_DEPTH = 50
MAX_BYTES = 1_000_000

_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


def decoded(name: str, content: bytes, problems: Problems) -> str | None:
    """The text of a file, or None with the reason among ``problems``."""

    def wrong(place: Place, what: str, hint: str = "") -> None:
        problems.add(Problem(name, place, "", what, hint))

    if len(content) > MAX_BYTES:
        wrong(
            Place(),
            f"the file is larger than {MAX_BYTES // 1_000_000} MB",
            "pass large texts as inputs: -i name=@file",
        )
        return None
    if (encoding := _wide(content)) is not None:
        wrong(Place(), f"the file is {encoding}", "save it as UTF-8")
        return None
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        wrong(
            Place().after(before), f"byte 0x{content[error.start]:02x} is not UTF-8", "save the file as UTF-8"
        )
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if (bad := _UNREADABLE.search(text)) is not None:
        wrong(Place().after(text[: bad.start()]), f"control character U+{ord(bad[0]):04X}", "remove it")
        return None
    if not text.strip():
        wrong(Place(), "the file is empty", "start with `weaver init`")
        return None
    return text


def _wide(content: bytes) -> str | None:
    """The encoding of a file in units of several bytes, by its mark or the zeros beside its first letter."""
    zeros = content[:4].count(0)
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) or (len(content) >= 4 and zeros == 3):
        return "UTF-32"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or 0 in content[:2]:
        return "UTF-16"
    return None


def mark_place(mark: Any) -> Place:
    """A mark of PyYAML as a place."""
    return Place(mark.line + 1, mark.column + 1)


def syntax_problems(name: str, text: str, error: Any) -> Iterator[Problem]:
    """Return what the parser stumbled over, in words of the person who wrote the file."""
    mark = error.problem_mark or error.context_mark
    place = mark_place(mark) if mark is not None else Place()
    lines = text.split("\n")
    message = str(error.problem or "not valid YAML")
    context = str(error.context or "")
    tabs = [n for n, line in enumerate(lines, 1) if re.match(r" *\t", line) and line.strip()]
    if place.line in tabs or "\t" in _at(lines, place) or (message.startswith("found character") and tabs):
        for line in [n for n in tabs if lines[n - 1].startswith("\t") or n == place.line] or [place.line]:
            column = lines[line - 1].find("\t") + 1
            yield Problem(
                name, Place(line, max(1, column)), "", "a tab is used to indent", "indent with spaces"
            )
        return
    problem, hint = message, ""
    if message.startswith("mapping values are not allowed"):
        problem, hint = (
            "a ':' is not expected here",
            "quote the text if it has ': ' in it, or check the indentation",
        )
    elif message.startswith("found character that cannot start any token"):
        problem = f"a text cannot begin with {_at(lines, place)!r}"
        hint = "put it in quotes"
    elif "unexpected end of stream" in message and "quoted scalar" in context:
        place = mark_place(error.context_mark)
        problem, hint = "a quote is opened and never closed", "close it, or double the quote inside"
    elif message.startswith("did not find expected ',' or"):
        problem = f"a {message[-3:-1].strip(chr(39))!r} or a comma is missing"
        hint = f"it was opened in line {error.context_mark.line + 1}"
    elif "could not find expected ':'" in message:
        problem, hint = "a ':' is missing", "write key: value"
        if error.context_mark is not None:
            place = mark_place(error.context_mark)
    elif (
        message.startswith("did not find expected key")
        or "block collection" in context
        or "block mapping" in context
    ):
        problem, hint = "this line does not line up with the ones above", "check its indentation"
    elif message.startswith("found unknown escape character"):
        problem, hint = (
            "an unknown \\ escape in a double-quoted text",
            "use single quotes, or double the backslash",
        )
    elif "nesting depth" in message:  # newer parsers have their own limit, and read ahead of ours
        problem = f"nested more than {MAX_DEPTH} deep"
    elif "anchor" in message or "alias" in message:
        problem, hint = "text that begins with & or * must be quoted", "put it in quotes"
    yield Problem(name, place, "", problem, hint)


def _at(lines: list[str], place: Place) -> str:
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    return line[place.column - 1 : place.column]
