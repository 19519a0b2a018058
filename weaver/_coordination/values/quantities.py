"""Numbers with units as people and models write them, and when two of them say the same.

Everything is exact (`fractions.Fraction`) and bounded: a text with an absurd exponent is not a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from weaver._coordination.values.units import Unit, unit_of
from weaver._text.patterns import lazily

_MAX_CHARS = 200
_MAX_EXPONENT = 400
_SPACES = " \u00a0\u2009\u202f"  # space, no-break, thin, narrow no-break
MINUS = "\u2212"

_DIGITS = (
    r"(?:\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?"  # 1.234.567,89
    r"|\d{1,3}(?:\.\d{3})+,\d+"  # 1.234,89
    rf"|\d{{1,3}}(?:[,'\u2019{_SPACES[1:]}]\d{{3}})+(?:\.\d+)?"  # 1,234,567.89
    r"|\d+(?:[.,]\d+)?|\.\d+)"
)
_POWER = (
    rf"(?:\s*[\u00d7x*\u00b7]\s*10\s*(?:\^|\*\*)?\s*\{{?(?P<p10>[-+{MINUS}]?\d{{1,6}})\}}?"  # x 10^6
    r"|[eE](?P<e>[-+]?\d{1,6}))"
)
NUMBER = lazily(rf"(?P<sign>[-+{MINUS}])?\s?(?P<digits>{_DIGITS}){_POWER}?")
_SPACED = lazily(rf"(?<=\d)[{_SPACES}](?=\d{{3}}(?!\d))")
_FRACTION = lazily(
    rf"(?P<sign>[-+{MINUS}])?\s?(?:(?P<whole>\d{{1,9}})\s+)?(?P<top>\d{{1,9}})\s*/\s*(?P<bottom>\d{{1,9}})(?![\d./])"
)
_LATEX_FRACTION = lazily(r"\\[dt]?frac\s*\{\s*(-?\d{1,9})\s*\}\s*\{\s*(-?\d{1,9})\s*\}")
_GLYPHS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅛": "1/8"}
_RANGE = lazily(r"\s*(?:\u2013|\u2014|-|to|through)\s*", re.IGNORECASE)
_SCALES = {
    "hundred": 2, "thousand": 3, "k": 3, "million": 6, "millions": 6, "mn": 6, "mio": 6, "mil": 6, "M": 6,
    "billion": 9, "billions": 9, "bn": 9, "B": 9, "trillion": 12, "trillions": 12, "tn": 12, "T": 12,
    "quadrillion": 15, "lakh": 5, "crore": 7,
}  # fmt: skip
_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_HEDGE = lazily(
    r"^(?:about|approximately|approx\.?|around|roughly|circa|ca?\.|nearly|almost|some|over|more than|"
    r"less than|under|at least|at most|up to|just|an? estimated|estimated|(?:~|\u2248|>|<|\u2265|\u2264))\s*",
    re.IGNORECASE,
)
_CURRENCY = lazily(r"^(?P<sign>[-+\u2212])?\s*(?P<unit>US\$|[$€£¥₹]|(?:USD|EUR|GBP|JPY|CNY|INR|CHF)\b)\s*")
_MONEY = ("US$", "$", "€", "£", "¥", "₹", "USD", "EUR", "GBP", "JPY", "CNY", "INR", "CHF")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit.

    Attributes:
        value: in the base unit of ``dimension``, exact.
        written: the number as written, its scale word ("million") applied, its unit not.
        unit: as written; "" for none.
        dimension: see `Unit`; None when the unit is not in the table.
        rounding: half a unit of the last place that was written, in base units; 0 for a plain integer.
        last_place: the same for integers too (used where a conversion must have rounded).
        spread: half the width of a range ("10 to 12"), in base units.
    """

    value: Fraction
    written: Fraction
    unit: str
    dimension: str | None
    rounding: Fraction
    last_place: Fraction
    spread: Fraction = Fraction(0)

    def agrees(self, other: Quantity, *, tolerance: float = 1e-6, rounding: bool = False) -> bool | None:
        """Return True if both say the same; None when their units cannot be compared here.

        A value without a unit is compared as written with one that has a unit: equal numbers agree, others
        may differ only by the unit that is missing, so they are not comparable.

        Args:
            tolerance: largest relative difference of equal values.
            rounding: let "2.1 million" agree with "2,102,650": the coarser writing's last place decides.
        """
        if self.dimension == other.dimension == "" and _near(self.value, other.value, tolerance, Fraction(0)):
            return True
        if self.dimension is None or other.dimension is None or bool(self.unit) != bool(other.unit):
            same_unit = self.unit.casefold() == other.unit.casefold()
            slack = max(_unscaled(self), _unscaled(other)) if rounding else Fraction(0)
            if _near(self.written, other.written, tolerance, slack):
                return True
            return False if same_unit else None
        if self.dimension != other.dimension:
            currencies = self.dimension.startswith("currency") and other.dimension.startswith("currency")
            return None if currencies else False
        slack = self.spread + other.spread
        if rounding:
            slack += max(self.rounding, other.rounding)
            if self._factor != other._factor:
                slack = max(slack, self.last_place, other.last_place)
        return _near(self.value, other.value, tolerance, slack)

    @property
    def _factor(self) -> Fraction:
        unit = unit_of(self.unit)
        return unit.factor if unit else Fraction(1)


def _unscaled(quantity: Quantity) -> Fraction:
    unit = unit_of(quantity.unit)
    return quantity.rounding / unit.factor if unit else quantity.rounding


def _near(a: Fraction, b: Fraction, tolerance: float, slack: Fraction) -> bool:
    return abs(a - b) <= max(slack, Fraction(tolerance) * max(abs(a), abs(b)))


def quantity(text: str, unit: str = "") -> Quantity | None:
    """Read a text that is a number with an optional unit, and nothing else; None when it is not.

    Args:
        text: "2.1 million km", "$1,234.50", "3/4", "about 300", "1.2e6", "10-12 °C", "1.234,5".
        unit: the unit where it is given apart; used when ``text`` has none.
    """
    text = " ".join(text.replace("\u00a0", " ").split()).strip().rstrip(".").replace("$$", "")
    if not text or len(text) > _MAX_CHARS:
        return None
    hedged = False
    while match := _HEDGE.match(text):
        hedged, text = True, text[match.end() :]
    if match := _CURRENCY.match(text):
        unit = match["unit"]
        text = (match["sign"] or "") + text[match.end() :]
    text = _spelled(text)
    first = _number_at(_SPACED.sub("", text))
    if first is None:
        return None
    value, places, rest, whole = first
    second = _range_end(rest)
    if second is not None:
        _, _, rest, _ = second
        if second[0] <= value:
            return None
    scale, rest = _scale(rest, money=unit in _MONEY)
    own = rest.strip(" ()")
    unit_known = unit_of(own)
    if own and unit_known is None and not _unitlike(own):
        return None
    if not own:
        own, unit_known = unit.strip(), unit_of(unit)
    base = unit_known or Unit("")
    low = value * scale
    high = second[0] * scale if second else low
    last = Fraction(10) ** places * scale
    if hedged and whole:
        last = max(last, _significant(low))
    exact = whole and scale == 1 and not hedged
    middle = (low + high) / 2
    return Quantity(
        value=middle * base.factor + base.offset,
        written=middle,
        unit=own,
        dimension=unit_known.dimension if unit_known else None,
        rounding=Fraction(0) if exact else last / 2 * base.factor,
        last_place=last / 2 * base.factor,
        spread=(high - low) / 2 * base.factor,
    )


def _number_at(text: str) -> tuple[Fraction, int, str, bool] | None:
    """The number that ``text`` begins with: value, power of ten of its last place, the rest, integer?"""
    for glyph, plain in _GLYPHS.items():
        if glyph in text:
            text = text.replace(glyph, f" {plain}").strip()
    if match := _LATEX_FRACTION.match(text):
        top, bottom = int(match[1]), int(match[2])
        return (Fraction(top, bottom), -_MAX_EXPONENT, text[match.end() :], False) if bottom else None
    if match := _FRACTION.match(text):
        if not int(match["bottom"]):
            return None
        value = int(match["whole"] or 0) + Fraction(int(match["top"]), int(match["bottom"]))
        return -value if match["sign"] in ("-", MINUS) else value, -_MAX_EXPONENT, text[match.end() :], False
    match = NUMBER.match(text)
    if match is None:
        return None
    exponent = int((match["p10"] or match["e"] or "0").replace(MINUS, "-"))
    digits, places = _plain_digits(match["digits"])
    if abs(exponent) > _MAX_EXPONENT or len(digits) > _MAX_EXPONENT:
        return None
    value = Fraction(digits) * Fraction(10) ** exponent
    if match["sign"] in ("-", MINUS):
        value = -value
    return value, exponent - places, text[match.end() :], places == 0 and exponent == 0


def _plain_digits(digits: str) -> tuple[str, int]:
    """Digits without grouping and with a decimal point; how many decimals."""
    if "," in digits and "." in digits:
        grouping = "," if digits.rindex(".") > digits.rindex(",") else "."
        digits = digits.replace(grouping, "").replace(",", ".")
    elif digits.count(".") > 1:
        digits = digits.replace(".", "")
    elif "," in digits:
        groups = digits.split(",")
        grouped = len(groups) > 2 or (len(groups[-1]) == 3 and groups[0] != "0")
        digits = digits.replace(",", "" if grouped else ".")
    digits = re.sub(rf"['\u2019{_SPACES}]", "", digits)
    return digits, len(digits.partition(".")[2])


def _spelled(text: str) -> str:
    first, space, rest = text.partition(" ")
    word = first.casefold()
    return f"{_WORDS.index(word)}{space}{rest}" if word in _WORDS else text


def _range_end(rest: str) -> tuple[Fraction, int, str, bool] | None:
    match = _RANGE.match(rest)
    return _number_at(rest[match.end() :]) if match and match.end() else None


def _scale(rest: str, *, money: bool) -> tuple[Fraction, str]:
    """A scale word after a number ("million", "k"), and what follows it. "$300K" is money, "300K" kelvin."""
    match = re.match(r"([ -]?)([A-Za-z]+)\.?(?=\W|$)\s*", rest)
    if not match:
        return Fraction(1), rest
    gap, word = match[1], match[2]
    if money and word == "K":
        word = "k"
    power = _SCALES.get(word) or (_SCALES.get(word.casefold()) if len(word) > 1 else None)
    # One letter is a scale only when it is glued to the number and ends it ("2.1M", "300k").
    if power is None or (len(word) == 1 and (gap or rest[match.end() :].strip())):
        return Fraction(1), rest
    return Fraction(10) ** power, rest[match.end() :]


def _unitlike(text: str) -> bool:
    """A few words that may be a unit this module does not know ("people", "kg CO2"), not a sentence."""
    return len(text) <= 40 and len(text.split()) <= 4 and not re.search(r"[.;:!?=]|\d{3}|\s\d", text)


def _significant(value: Fraction) -> Fraction:
    """The place of the last non-zero digit of an integer: 100 for 2300."""
    number, place = abs(int(value)), 1
    while number and number % 10 == 0:
        number, place = number // 10, place * 10
    return Fraction(place)
