"""Calculations that an answer writes down: ``12 * 7 = 84`` is checked, exactly."""

from __future__ import annotations

import re
from fractions import Fraction

from weaver._data.result import Answer
from weaver._verification.protocol import Verdict

_NUMBER = r"\d{1,15}(?:,\d{3}){0,6}(?:\.\d{1,15})?"
_SIGN = r"[-+*/\u00d7\u00f7\u00b7\u2212]"
_TERM = rf"\(?\s{{0,3}}[-\u2212]?{_NUMBER}\s{{0,3}}\)?"
_EQUATION = re.compile(
    rf"(?<![\w.,]){_TERM}(?:\s{{0,3}}{_SIGN}\s{{0,3}}{_TERM}){{1,20}}\s{{0,3}}(=|≈)\s{{0,3}}\$?([-\u2212]?{_NUMBER})"
)
_TOKENS = re.compile(rf"{_NUMBER}|[-+*/()]")
_SAME_SIGN = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u00f7": "/", "\u2212": "-"})
_MOST = 500
_MOST_SHOWN = 5


def arithmetic(answer: Answer) -> Verdict:
    """Check every equation of numbers in the text; None where there is none.

    ``≈``, and a result with decimals, may be rounded in its last place.
    """
    wrong: list[str] = []
    count = 0
    for match in _EQUATION.finditer(answer.text):
        count += 1
        if count > _MOST:
            break
        text, sign, right = match[0].partition(match[1])[0], match[1], match[2]
        value = _value(text)
        if value is None:
            count -= 1
            continue
        stated = Fraction(right.translate(_SAME_SIGN).replace(",", ""))
        places = len(right.partition(".")[2])
        slack = Fraction(1, 2 * 10**places) if places or sign == "≈" else Fraction(0)
        if abs(value - stated) > slack:
            wrong.append(f"{match[0].strip()} is wrong: it is {_shown(value)}.")
    if not count:
        return Verdict(None)
    return Verdict(not wrong, " ".join(wrong[:_MOST_SHOWN]))


arithmetic.is_quick = True  # type: ignore[attr-defined]


def _value(text: str) -> Fraction | None:
    """The value of sums and products with brackets; None where it has none."""
    tokens = _TOKENS.findall(text.translate(_SAME_SIGN))
    try:
        value, rest = _sum(tokens, 0)
    except (ValueError, ZeroDivisionError, IndexError):
        return None
    return value if rest == len(tokens) else None


def _sum(tokens: list[str], at: int) -> tuple[Fraction, int]:
    value, at = _product(tokens, at)
    while at < len(tokens) and tokens[at] in "+-":
        other, end = _product(tokens, at + 1)
        value = value + other if tokens[at] == "+" else value - other
        at = end
    return value, at


def _product(tokens: list[str], at: int) -> tuple[Fraction, int]:
    value, at = _atom(tokens, at)
    while at < len(tokens) and tokens[at] in "*/":
        other, end = _atom(tokens, at + 1)
        value = value * other if tokens[at] == "*" else value / other
        at = end
    return value, at


def _atom(tokens: list[str], at: int) -> tuple[Fraction, int]:
    if tokens[at] == "-":
        value, at = _atom(tokens, at + 1)
        return -value, at
    if tokens[at] == "(":
        value, at = _sum(tokens, at + 1)
        if tokens[at] != ")":
            raise ValueError("no closing bracket")
        return value, at + 1
    return Fraction(tokens[at].replace(",", "")), at + 1


def _shown(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"
