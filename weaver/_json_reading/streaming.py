"""Read JSON while a model is still writing it, with the slips that models make.

Every character is read once. Slips whose meaning is certain are read: comments, missing and trailing commas,
raw line breaks and quotes inside strings, single quotes, bare keys and words, Python's ``True`` and ``None``,
half surrogates (U+FFFD), a missing bracket. A value that ends early is marked (`Found.cut`).
docs/decisions/0081-json-repair.md compares libraries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from weaver._text.patterns import lazily

MAX_DEPTH = 64
_FREE_STEPS = 1000  # of the tolerant reader; more come with the length of the text
_CHARS_PER_STEP = 100
_MAX_LEAD = 200
_MAX_WORD = 400  # characters of a number or a bare word
_MAX_LOOKAHEAD = 200  # characters after a quote or word that are waited for

_START = lazily(r"[\[{]|</?(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_LONGEST_TAG = len("</reasoning>")
_BLANK = lazily(r"[\s,\ufeff\u200b]+")
_ANY_BLANK = lazily(r"\s*")
_PLAIN = {q: lazily(rf"[^{q}\\]+") for q in "\"'"}
_WORD = lazily(r"[^\s,:{}\[\]\"'/#`<>]+")
_NUMBER = lazily(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_NAME = lazily(r"[A-Za-z_$~][\w$.~-]*")
_ENDS_VALUE = lazily(r"\s*(?:,\s*(?:[\"'}\]{\[/#]|[A-Za-z_$][\w$-]*\s*:)|[}\]]|//|/\*|#)")
_ENDS_ITEM = lazily(r"\s*(?:,|\]|//|/\*|#)")
_ENDS_KEY = lazily(r"\s*:")
_AFTER_BREAK = lazily(r"\s*\n\s*[\"'}\]]")
_UNDECIDED = lazily(r",\s*[\w$-]*\s*|/")
_HEX = lazily(r"[0-9a-fA-F]{4}")
_DEEP = lazily(r"[\s\[\]{},:\d\"']+")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "'": "'", "\\": "\\", "/": "/"}
_WORDS = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "null": None, "None": None, "NULL": None, "undefined": None, "nil": None,
    "NaN": None, "Infinity": None, "-Infinity": None,
}  # fmt: skip
SURROGATE = lazily("[\ud800-\udfff]")
THOUGHT_END = lazily(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """A value in a text.

    Args:
        value: dicts, lists, strings, numbers, booleans and None. Strings hold no lone surrogates.
        cut: the text ended before the value did.
        exact: it is JSON as the standard says, and all of the text.
    """

    value: Any
    cut: bool = False
    exact: bool = False


class JsonReader:
    """Reads a text piece by piece.

    Args:
        chars_per_step: a text with more than 1,000 things, and more than one in so many characters, is given
            up: it is no plan.

    Attributes:
        values: the complete objects and arrays so far, outermost only.
        root: the object or array that is still open, growing in place; None between values.
        lead: the text before the first value, after thoughts; at most about 200 characters are kept.
    """

    def __init__(self, *, chars_per_step: int = _CHARS_PER_STEP) -> None:
        self._chars_per_step = chars_per_step
        self.values: list[Found] = []
        self.root: Any = None
        self.lead = ""
        self._text = ""  # what has not been read yet
        self._at: int = 0
        self._ended = False
        self._chars = 0
        self._steps = 0
        self._most = _FREE_STEPS
        self._stack: list[Any] = []
        self._keys: list[str | None] = []
        self._state = self._between
        self._parts: list[str] = []
        self._quote = ""
        self._close = ""

    @property
    def thinking(self) -> bool:
        """True if the text is inside ``<think>`` now."""
        return self._state == self._thought

    def is_open(self, value: Any) -> bool:
        """Return True if ``value`` (an object or array inside `root`) may still grow."""
        return any(value is container for container in self._stack)

    @property
    def open_values(self) -> list[Any]:
        """The objects and arrays that may still grow, the outermost first."""
        return self._stack

    @property
    def open_text(self) -> tuple[str | None, str] | None:
        """The text that is being written in the innermost open value: its key (None in a list) and itself."""
        if self._state not in (self._string, self._string_end):
            return None
        key, in_object = self._keys[-1], self._stack[-1].__class__ is dict
        return None if in_object and key is None else (key, "".join(self._parts))

    def feed(self, piece: str) -> None:
        """Read on."""
        self._text = self._text[self._at :] + piece
        self._at = 0
        self._chars += len(piece)
        self._most = budget = _FREE_STEPS + self._chars // self._chars_per_step
        while self._steps < budget and self._state():
            self._steps += 1
        if self._steps >= budget:  # so many small things are no answer of a model
            self._state = self._given_up
            self._given_up()

    def finish(self) -> list[Found]:
        """Read to the end. An open value is closed and marked as cut; half a string is left out."""
        self._ended = True
        self.feed("")
        if self.root is not None:
            self.values.append(Found(self.root, cut=True))
            self._drop()
        return self.values

    # Each state reads one thing and says whether it could; False waits for more text.

    def _between(self) -> bool:
        match = _START.search(self._text, self._at)
        if not self.values and len(self.lead) < _MAX_LEAD:
            self.lead += self._text[self._at : match.start() if match else None][:_MAX_LEAD]
        if match is None:
            tag = self._text.find("<", max(self._at, len(self._text) - _LONGEST_TAG))
            self._at = tag if tag >= 0 else len(self._text)  # the start of a tag, perhaps
            return False
        self._at = match.end()
        token = match.group()
        if token in {"{", "["}:
            self._open(token)
        elif token[1] == "/":  # all before was a thought whose opening tag was in the prompt
            self.values.clear()
            self.lead = ""
        else:
            self._state = self._thought
        return True

    def _thought(self) -> bool:
        end = THOUGHT_END.search(self._text, self._at)
        if end is None:
            self._at = max(self._at, len(self._text) - _LONGEST_TAG)
            return False
        self._at = end.end()
        self._state = self._between
        self.lead = ""
        return True

    def _given_up(self) -> bool:
        self._at = len(self._text)
        return False

    def _item(self) -> bool:
        """Return what comes next inside an object or array."""
        if not self._skip_blank():
            return False
        text, at = self._text, self._at
        mark = text[at]
        in_object = self._stack[-1].__class__ is dict
        key = self._keys[-1]
        if mark in "}]":
            self._at = at + 1
            return self._end(mark)
        if mark in "\"'" and not (mark == "'" and not in_object and len(self._stack) == 1 and not self.root):
            self._at, self._quote, self._parts = at + 1, mark, []
            self._state = self._string
            return True
        if in_object and key is None:
            return self._bare_key()
        if mark in "{[":
            self._at = at + 1
            self._open(mark)
            return True
        return self._bare_value()

    def _skip_blank(self) -> bool:
        """Move to the next character that is not blank. False when the text ends before."""
        while True:
            if blank := _BLANK.match(self._text, self._at):
                self._at = blank.end()
            if self._at >= len(self._text):
                return False
            two = self._text[self._at : self._at + 2]
            if two == "/" and not self._ended:
                return False
            if two in {"//", "/*"} or two[:1] == "#":
                self._close = "*/" if two == "/*" else "\n"
                self._at += 2 if two[0] == "/" else 1
                self._state = self._comment
                self._steps += 1
                if not self._comment() or self._steps >= self._most:
                    return False
                continue
            return True

    def _comment(self) -> bool:
        end = self._text.find(self._close, self._at)
        if end < 0:
            self._at = max(self._at, len(self._text) - 1 if self._close == "*/" else len(self._text))
            return False
        self._at = end + len(self._close)
        self._state = self._item
        return True

    def _string(self) -> bool:
        if run := _PLAIN[self._quote].match(self._text, self._at):
            self._parts.append(run.group())
            self._at = run.end()
        if self._at >= len(self._text):
            return False
        if self._text[self._at] == self._quote:
            self._state = self._string_end
            return True
        return self._escape()

    def _escape(self) -> bool:
        text, at = self._text, self._at
        mark = text[at + 1 : at + 2]
        if not mark or (mark == "u" and len(text) < at + 6 and not self._ended):
            return self._ended and self._skip_rest()
        if mark == "u" and _HEX.fullmatch(text, at + 2, at + 6):
            code, end = int(text[at + 2 : at + 6], 16), at + 6
            if 0xD800 <= code < 0xDC00:
                if len(text) < at + 12 and not self._ended:
                    return False
                low = text[end + 2 : end + 6]
                if text[end : end + 2] == "\\u" and _HEX.fullmatch(low) and 0xDC00 <= int(low, 16) < 0xE000:
                    code, end = 0x10000 + ((code - 0xD800) << 10) + int(low, 16) - 0xDC00, end + 6
            self._parts.append("\ufffd" if 0xD800 <= code < 0xE000 else chr(code))
            self._at = end
        elif mark in _ESCAPES:
            self._parts.append(_ESCAPES[mark])
            self._at = at + 2
        else:  # "\d" of a pattern, a backslash before a line break
            self._parts.append("\\" if mark != "\n" else "")
            self._at = at + 1
        return True

    def _skip_rest(self) -> bool:
        self._at = len(self._text)
        return False

    def _string_end(self) -> bool:
        """A quote inside a string: what follows tells whether it ends the string."""
        text, after = self._text, self._at + 1
        in_object = self._stack[-1].__class__ is dict
        is_key = in_object and self._keys[-1] is None
        ends = _ENDS_KEY if is_key else _ENDS_VALUE if in_object else _ENDS_ITEM
        if end := ends.match(text, after) or (None if is_key else _AFTER_BREAK.match(text, after)):
            value = "".join(self._parts)
            self._at = end.end() if is_key else after
            if is_key:
                self._keys[-1] = SURROGATE.sub("\ufffd", value)
            else:
                self._put(value)
            self._state = self._item
            return True
        rest = text[after : after + _MAX_LOOKAHEAD]
        if not self._ended and _may_end(rest):
            return False
        if self._ended and not rest.strip().strip(",`").strip():
            self._at = len(text)
            if not is_key:
                self._put("".join(self._parts))
            self._state = self._item
            return True
        if is_key:
            return self._fail()
        self._parts.append(self._quote)
        self._at = after
        self._state = self._string
        return True

    def _bare_key(self) -> bool:
        name = _NAME.match(self._text, self._at)
        end = name.end() if name else self._at
        if name is None or end - self._at > _MAX_WORD:
            return self._fail()
        if _ANY_BLANK.match(self._text, end).end() >= len(self._text):  # type: ignore[union-attr]
            return False if not self._ended else self._skip_rest()
        if (colon := _ENDS_KEY.match(self._text, end)) is None:
            return self._fail()
        self._keys[-1] = name.group()
        self._at = colon.end()
        return True

    def _bare_value(self) -> bool:
        word = _WORD.match(self._text, self._at)
        if word is None or word.end() - self._at > _MAX_WORD:
            return self._fail()
        if word.end() >= len(self._text):
            if not self._ended:
                return False
            return self._skip_rest()  # it may have gone on
        text = word.group()
        if text in _WORDS:
            value: Any = _WORDS[text]
        elif _NUMBER.fullmatch(text):
            value = _number(text)
        elif self._stack[-1].__class__ is dict and _ENDS_VALUE.match(self._text, word.end()):
            value = text
        elif not self._ended and _may_end(self._text[word.end() : word.end() + _MAX_LOOKAHEAD]):
            return False
        else:
            return self._fail()
        self._at = word.end()
        self._put(value)
        return True

    def _open(self, mark: str) -> None:
        new: Any = {} if mark == "{" else []
        if not self._stack:
            self.root = new
        elif len(self._stack) >= MAX_DEPTH:
            self._fail()
            if deep := _DEEP.match(self._text, self._at):
                self._at = deep.end()
            return
        else:
            self._put(new)
        self._stack.append(new)
        self._keys.append(None)
        self._state = self._item

    def _end(self, mark: str) -> bool:
        expected = dict if mark == "}" else list
        if not any(container.__class__ is expected for container in self._stack):
            return self._fail()
        while self._stack.pop().__class__ is not expected:
            self._keys.pop()
        self._keys.pop()
        if not self._stack:
            self.values.append(Found(self.root))
            self._drop()
        return True

    def _put(self, value: Any) -> None:
        if value.__class__ is str:
            value = SURROGATE.sub("\ufffd", value)
        top = self._stack[-1]
        if top.__class__ is list:
            top.append(value)
        elif (key := self._keys[-1]) is not None:
            top[key] = value
            self._keys[-1] = None

    def _fail(self) -> bool:
        """Give up the open value, which is prose in brackets mostly; keep what is complete inside it."""
        for container in self._stack:
            inside = container.values() if container.__class__ is dict else container
            self.values += [
                Found(value) for value in inside if isinstance(value, dict | list) and not self.is_open(value)
            ]
        self._drop()
        return True

    def _drop(self) -> None:
        self.root = None
        self._stack.clear()
        self._keys.clear()
        self._state = self._between


def _may_end(rest: str) -> bool:
    """Return True if more text may show that a quote ends its string."""
    bare = rest.strip()
    return len(rest) < _MAX_LOOKAHEAD and (not bare or _UNDECIDED.fullmatch(bare) is not None)


def _number(text: str) -> Any:
    text = text.replace("_", "")
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        return text
