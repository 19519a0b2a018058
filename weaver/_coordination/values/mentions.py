"""Numbers and values in running text."""

from __future__ import annotations

import re

from weaver._coordination.values.final import plain
from weaver._coordination.values.quantities import MINUS, NUMBER, Quantity, quantity
from weaver._coordination.values.scalars import Value, read_value, same_value

_CURRENCY_BEFORE = re.compile(r"(?:US\$|[$€£¥₹]|\b(?:USD|EUR|GBP|JPY|CNY|INR|CHF)\s)\s?$")
_MOST = 500


def last_number(text: str) -> Quantity | None:
    """The last number in running text, without its unit; None when there is none."""
    last = None
    for last in NUMBER.finditer(text):  # noqa: B007 - only the last one matters
        pass
    if last is None:
        return None
    start, end = _start(text, last), last.end()
    if (before := re.search(r"\d{1,9}\s*/\s*$", text[max(0, start - 16) : start])) and last[
        "digits"
    ].isdigit():
        start -= len(before.group())
    return quantity(text[start:end], "%" if text[end : end + 1] == "%" else "")


def quantities_in(text: str) -> list[Quantity]:
    """The numbers in running text, each with the known unit and scale after it, or the currency before it.

    Reads the first five hundred at most.
    """
    quantities: list[Quantity] = []
    read_until = 0
    for match in NUMBER.finditer(text):
        start = _start(text, match)
        if start < read_until:  # the second number of a range
            continue
        currency = _CURRENCY_BEFORE.search(text[max(0, start - 6) : start])
        number = (currency.group().strip() if currency else "") + text[start : match.end()].strip()
        words = re.findall(r"\s*[^\s,;:()]+", text[match.end() : match.end() + 60])[:3]
        for count in range(len(words), -1, -1):
            read = quantity((number + "".join(words[:count])).rstrip(".!?"))
            if read is not None and read.dimension is not None:
                quantities.append(read)
                read_until = match.end() + len("".join(words[:count]))
                break
        if len(quantities) >= _MOST:
            break
    return quantities


def mentions(text: str, value: str) -> bool:
    """Return True if ``text`` has ``value`` in it: the same quantity in any writing, or the same words."""
    read = read_value(value)
    if isinstance(read, Quantity):
        return any(same_value(read, quantity, rounding=True) is True for quantity in quantities_in(text))
    words = read.value if isinstance(read, Value) and read.kind == "text" else plain(value)
    return bool(words) and re.search(rf"(?<!\w){re.escape(words)}(?!\w)", plain(text)) is not None


def _start(text: str, match: re.Match[str]) -> int:
    """Return the start of the number: its sign, unless that is a hyphen that joins two words."""
    start = match.start()
    joined = match["sign"] in ("-", MINUS) and start > 0 and text[start - 1].isalnum()
    return match.start("digits") if joined else start
