"""Read the enumeration in a text: marked lines, marks within a line, questions, a series, rows of a table.

Marks of many scripts are read: bullets, ``1.`` ``1)`` ``(a)`` ``a.`` ``Q1:``, ``1、`` ``一、`` ``①``,
digits of all scripts. Linear in the text. What an enumeration means is judged in `weaver._planning.listed`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from weaver._text.patterns import lazily

Kind = Literal["lines", "inline", "questions", "series", "table"]
Mark = tuple[str, int]
"""Family and number of a mark; bullets have no number (-1)."""

MAX_CHARS = 8_000
"""Longer texts hold documents, whose lists are not the user's."""
FENCE = "```"
_HAN = "一二三四五六七八九十"
_CIRCLES = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"
_ROMANS = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_NAMES = (
    "question|task|problem|item|part|q|frage|aufgabe|pregunta|exercice|\u95ee\u9898|\u9898\u76ee|\u8cea\u554f"
)
_STEPS = "step|schritt|\u00e9tape|paso|passo|\u0448\u0430\u0433|\u6b65\u9aa4"
_INDENT = lazily(r"[ \t\u3000]{0,40}")
_LINE_MARK = lazily(
    rf"""
    (?P<bullet>[-*+\u2013\u2014\u00b7\u2023]\s{{1,9}}(?:\[[ xX]\]\s{{1,9}})?
      | [\u2022\u25cf\u25aa\u25cb\u25e6\u30fb]\s{{0,9}})
    | (?:\(|\uff08|\[)?(?P<number>\d{{1,3}})
      (?:[.)\]\uff09\u3001\uff0e:\uff1a](?:\s{{1,9}}|(?!\d))|\s?[-\u2013]\s{{1,9}}(?!\d))
    | (?:{_NAMES})\s?(?P<named>\d{{1,2}})\s?[:.)\uff1a\u3001]\s{{0,9}}
    | (?:{_STEPS})\s?(?P<step>\d{{1,2}})\s?[:.)\uff1a\u3001]\s{{0,9}}
    | (?:\(|\uff08)?(?P<roman>[ivx]{{2,4}}|[IVX]{{2,4}})[.)\uff09]\s{{1,9}}
    | (?:\(|\uff08)?(?P<letter>[A-Za-z])[.)\uff09]\s{{1,9}}
    | (?:\(|\uff08)?(?P<han>[{_HAN}]{{1,2}})[\u3001.\uff0e)\uff09]\s{{0,9}}
    | (?P<circle>[{_CIRCLES}])\s{{0,9}}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_INLINE_MARK = lazily(
    rf"""
    (?:(?<![^\s:\uff1a,\uff0c;\uff1b.\u3002?\uff1f!]))
    (?: [(\uff08](?P<number>\d{{1,2}})[)\uff09]\s{{0,9}}
      | (?P<number2>\d{{1,2}})(?:[.)]\s{{1,9}}|\u3001)(?!\d{{1,2}}[.)])
      | [(\uff08](?P<letter>[A-Za-z])[)\uff09]\s{{0,9}}
      | [(\uff08]?(?P<roman>[ivx]{{2,4}}|i)\)\s{{1,9}}
      | (?P<letter2>[A-Za-z])\)\s{{1,9}}
      | (?:{_STEPS})\s?(?P<step>\d{{1,2}})\s?[:.)\uff1a\u3001]\s{{0,9}}
    )
    | (?P<circle>[{_CIRCLES}])\s{{0,9}}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_IN_INLINE_MARKS = lazily(rf"[\d)\uff09{_CIRCLES}]")
"""Each inline mark has one of these."""
# Not in an address, and not the last thing within quotation marks.
_QUESTION_END = lazily(r"(?:\?(?=[\s)\]]|$)|[\uff1f\u061f])(?![\"'\u201d\u00bb\u300d\u2019])\s?")
_QUESTION_MARK = lazily(r"[?\uff1f\u061f]")
_QUOTED = lazily(
    r"[\"\u201c\u00ab\u300c][^\"\u201d\u00bb\u300d\n]{0,500}[\"\u201d\u00bb\u300d]|(?<!\w)'[^'\n]{0,500}'(?!\w)"
)
_JOINT = lazily(r"[\s,;]{1,9}(?:and|or|und|oder|et|ou|y|o)\Z", re.IGNORECASE)
_COLON = lazily(r"[:\uff1a]")
_SEPARATOR = lazily(r"[;\uff1b\u3001]")
MAX_SERIES = 2000
"""Most characters of a series within one line."""
_STATEMENT_END = lazily(r"[.!\u3002\uff01\n](?=\s|$|[^\x00-\u02ff])")
_ROW = lazily(r"[ \t]{0,9}\|(.{1,2000})\|[ \t]{0,9}")
_RULER = lazily(r"[ \t|:-]{3,400}")


@dataclass(frozen=True, slots=True)
class Enumeration:
    """Items that a text lists.

    Attributes:
        kind: how they are marked.
        lead, tail: the text before and after them.
        items: without their marks; at least two.
        family: of the marks: ``bullet``, ``number``, ``letter``, ``step`` and so on; "" where there are none.
        others: whether the text says more than this one enumeration: another one, or text between questions.
    """

    kind: Kind
    lead: str
    items: tuple[str, ...]
    tail: str
    family: str = ""
    others: bool = False


def enumeration_in(text: str) -> Enumeration | None:
    """Return the enumeration that a text holds, the first kind that is there.

    None where there is none, and where the text has fences: what stands in them is data or code.
    """
    if len(text) > MAX_CHARS or FENCE in text:
        return None
    in_lines = (_lines(text) or _table(text)) if "\n" in text else None
    return in_lines or _inline(text) or _questions(text) or _series(text)


def questions_in(text: str) -> int:
    """Count the questions of a text, without those that it quotes."""
    if not _QUESTION_MARK.search(text):
        return 0
    return len(_QUESTION_END.findall(_QUOTED.sub("", text[-MAX_CHARS:])))


def _lines(text: str) -> Enumeration | None:
    lines = text.split("\n")
    runs: list[_Run] = []
    run: _Run | None = None
    for number, line in enumerate(lines):
        indent = _width(line)
        mark = _line_mark(line)
        if mark is not None and run is not None and indent <= run.indent + 1 and run.continues(mark[0]):
            run.add(mark[0], line[mark[1] :], number)
        elif mark is not None and (run is None or indent <= run.indent + 1):
            run = _Run(mark[0], line[mark[1] :], number, indent)
            runs.append(run)
        elif run is not None and line.strip():
            if indent > run.indent or (number == run.end + 1 and not run.is_loose and run.was_broken):
                run.go_on(line, number)
            else:
                run = None
    runs = [run for run in runs if len(run.items) >= 2]
    if not runs:
        return None
    longest = max(runs, key=lambda run: len(run.items))
    items = tuple(item for parts in longest.items if (item := "\n".join(parts).strip()))
    if len(items) < 2:
        return None
    lead, tail = "\n".join(lines[: longest.begin]), "\n".join(lines[longest.end + 1 :])
    return Enumeration("lines", lead.strip(), items, tail.strip(), longest.mark[0], len(runs) > 1)


class _Run:
    """Marked lines of one family that follow one another."""

    def __init__(self, mark: Mark, text: str, line: int, indent: int) -> None:
        self.mark, self.indent = mark, indent
        self.begin = self.end = line
        self.items = [[text]]
        self.is_loose = False

    @property
    def was_broken(self) -> bool:
        """Tell that the last line looks broken within an item, so that the next line belongs to it."""
        line = self.items[-1][-1].rstrip()
        return len(line) > 60 and not line.endswith(tuple(".?!\u3002\uff1f"))

    def continues(self, mark: Mark) -> bool:
        """Tell whether ``mark`` is the next one."""
        return mark[0] == self.mark[0] and (mark[1] < 0 or mark[1] == self.mark[1] + 1)

    def add(self, mark: Mark, text: str, line: int) -> None:
        self.is_loose = self.is_loose or line > self.end + 1
        self.mark, self.end = mark, line
        self.items.append([text])

    def go_on(self, text: str, line: int) -> None:
        self.items[-1].append(text.strip())
        self.end = line


def _line_mark(line: str) -> tuple[Mark, int] | None:
    indent = _INDENT.match(line)
    match = _LINE_MARK.match(line, indent.end() if indent else 0)
    if match is None or match.end() >= len(line.rstrip()):
        return None
    return _mark_of(match), match.end()


_NUMBERED = (("step", "step"), ("named", "named"), ("number", "number"), ("number", "number2"))


def _mark_of(match: re.Match[str]) -> Mark:
    groups = {name: value for name, value in match.groupdict().items() if value}
    if "bullet" in groups:
        return groups["bullet"][0], -1
    for family, key in _NUMBERED:
        if key in groups:
            return family, int(groups[key])
    if "roman" in groups:
        name = groups["roman"].lower()
        return "roman", _ROMANS.index(name) + 1 if name in _ROMANS else 0
    if letter := groups.get("letter") or groups.get("letter2"):
        return "letter", ord(letter.lower()) - ord("a") + 1
    if "han" in groups:
        *tens, unit = (_HAN.index(sign) + 1 for sign in groups["han"])
        return "han", unit + (10 if tens and unit < 10 else 0)
    return "circle", _CIRCLES.index(groups["circle"]) + 1


def _inline(text: str) -> Enumeration | None:
    if not _IN_INLINE_MARKS.search(text):
        return None
    marks = [(_mark_of(match), match.start(), match.end()) for match in _INLINE_MARK.finditer(text)]
    best: list[tuple[Mark, int, int]] = []
    for family in dict.fromkeys(mark[0] for mark, _, _ in marks):
        series: list[tuple[Mark, int, int]] = []
        for entry in marks:
            if entry[0][0] == family and entry[0][1] == len(series) + 1:
                series.append(entry)
        if len(series) >= 2 and len(series) > len(best):
            best = series
    if not best:
        return None
    starts = [start for _, start, _ in best][1:]
    end = text.find("\n", best[-1][2])
    bounds = [*starts, len(text) if end < 0 else end]
    items = tuple(
        _JOINT.sub("", text[begin:until].strip(" \t\n,;\uff0c\uff1b"))
        for (_, _, begin), until in zip(best, bounds, strict=True)
    )
    if not all(items):
        return None
    return Enumeration("inline", text[: best[0][1]].strip(), items, text[bounds[-1] :].strip(), best[0][0][0])


def _questions(text: str) -> Enumeration | None:
    if questions_in(text) < 2:
        return None
    unquoted = _QUOTED.sub(lambda quoted: f"'{'_' * (len(quoted[0]) - 2)}'", text)
    ends = [match.end() for match in _QUESTION_END.finditer(unquoted)]
    items = [text[begin:end].strip() for begin, end in zip([0, *ends], ends, strict=False)]
    lead, items[0] = _split_lead(items[0])
    if not all(len(item) > 1 for item in items):
        return None
    # What is said between two questions belongs to one of them, or to both.
    between = any("\n" in item or _split_lead(item)[0] for item in items[1:])
    return Enumeration("questions", lead, tuple(items), text[ends[-1] :].strip(), others=between)


def _split_lead(text: str) -> tuple[str, str]:
    """The statements before a question, and the question."""
    ends = [match.end() for match in _STATEMENT_END.finditer(text)]
    at = next((end for end in reversed(ends) if text[end:].strip()), 0)
    return text[:at].strip(), text[at:].strip()


def _series(text: str) -> Enumeration | None:
    for colon in _COLON.finditer(text):
        end = text.find("\n", colon.end(), colon.end() + MAX_SERIES)
        line = text[colon.end() : colon.end() + MAX_SERIES if end < 0 else end]
        separators = [match.end() for match in _SEPARATOR.finditer(line)]
        if not separators or _COLON.search(line, 0, separators[-1]):
            continue
        last, rest = _without_sentences(line[separators[-1] :])
        items = _cut(line[: separators[-1]] + last)
        if len(items) >= 2 and not _COLON.search(last):
            tail = rest + text[colon.end() + len(line) :]
            return Enumeration("series", text[: colon.end()].strip(), items, tail.strip())
    return None


def _without_sentences(last: str) -> tuple[str, str]:
    """The last item of a series, and the sentences that follow it in the same line."""
    for end in _STATEMENT_END.finditer(last):
        rest = last[end.end() :]
        if rest[:1].isspace() and rest.strip()[:1].isupper() and len(rest.split()) > 1:
            return last[: end.start()], rest
    return last, ""


def _cut(text: str) -> tuple[str, ...]:
    """Items between semicolons, or between the commas of Chinese and Japanese."""
    for mark in ("[;\uff1b]", "\u3001"):
        items = tuple(item.strip(" .\u3002\t") for item in re.split(mark, text))
        if len(items) >= 2:
            return tuple(item for item in items if item)
    return ()


def _table(text: str) -> Enumeration | None:
    lines = text.split("\n")
    for at in range(1, len(lines) - 2):
        if not (_RULER.fullmatch(lines[at]) and "-" in lines[at] and _ROW.fullmatch(lines[at - 1])):
            continue
        header = _cells(lines[at - 1])
        end = at + 1
        while end < len(lines) and _ROW.fullmatch(lines[end]):
            end += 1
        rows = [_cells(line) for line in lines[at + 1 : end]]
        if len(rows) >= 2:
            items = tuple(_row(header, row) for row in rows)
            lead, tail = "\n".join(lines[: at - 1]), "\n".join(lines[end:])
            return Enumeration("table", lead.strip(), items, tail.strip())
    return None


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _row(header: Sequence[str], row: Sequence[str]) -> str:
    return ", ".join(
        f"{name}: {cell}" if name else cell for name, cell in zip(header, row, strict=False) if cell
    )


def _width(line: str) -> int:
    indent = _INDENT.match(line)
    return len(indent.group().expandtabs(4)) if indent else 0
