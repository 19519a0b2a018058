"""Units that values of claims are compared in: a table of names and symbols, each with its exact factor.

Why a table and not a units library: docs/decisions/0051-units-table.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

F = Fraction
_ONE = F(1)
_ZERO = F(0)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit. A value in it, times ``factor``, plus ``offset``, is the value in the base unit.

    Args:
        dimension: what it measures, in base units with exponents (``m``, ``m s^-1``, ``currency USD``);
            "" for plain numbers. Values of two dimensions are never equal.
    """

    dimension: str
    factor: Fraction = _ONE
    offset: Fraction = _ZERO


_PREFIXES = {
    "n": ("nano", F(1, 10**9)), "µ": ("micro", F(1, 10**6)), "u": ("micro", F(1, 10**6)),
    "m": ("milli", F(1, 1000)),
    "c": ("centi", F(1, 100)), "d": ("deci", F(1, 10)), "h": ("hecto", F(100)), "k": ("kilo", F(1000)),
    "M": ("mega", F(10**6)), "G": ("giga", F(10**9)), "T": ("tera", F(10**12)), "P": ("peta", F(10**15)),
}  # fmt: skip
_BINARY = {"Ki": ("kibi", 2**10), "Mi": ("mebi", 2**20), "Gi": ("gibi", 2**30), "Ti": ("tebi", 2**40)}

# symbol, names, dimension, factor, prefixes it takes
_SCALED = (
    ("m", ("metre", "meter"), "m", F(1), "nµumcdk"),
    ("g", ("gram", "gramme"), "kg", F(1, 1000), "µumkM"),
    ("s", ("second", "sec"), "s", F(1), "nµum"),
    ("l", ("litre", "liter"), "m^3", F(1, 1000), "µumcdhM"),
    ("W", ("watt",), "W", F(1), "mkMGT"),
    ("J", ("joule",), "W s", F(1), "mkMGT"),
    ("Wh", ("watt hour", "watthour"), "W s", F(3600), "kMGT"),
    ("cal", ("calorie",), "W s", F(4184, 1000), "k"),
    ("Hz", ("hertz",), "s^-1", F(1), "kMGT"),
    ("Pa", ("pascal",), "Pa", F(1), "hkMG"),
    ("bar", (), "Pa", F(100_000), "m"),
    ("N", ("newton",), "N", F(1), "mkM"),
    ("V", ("volt",), "V", F(1), "mkM"),
    ("A", ("ampere", "amp"), "A", F(1), "µumk"),
    ("B", ("byte",), "bit", F(8), "kMGTP"),
    ("bit", (), "bit", F(1), "kMGT"),
    ("t", ("tonne", "metric ton", "metric tonne"), "kg", F(1000), "kMG"),
    ("eV", ("electronvolt", "electron volt"), "W s", F("1.602176634e-19"), "kMGT"),
)

# names and symbols (compared without regard to case), dimension, factor
_PLAIN = (
    (("inch", "inches", "in", "\u2033"), "m", F("0.0254")),
    (("foot", "feet", "ft", "\u2032"), "m", F("0.3048")),
    (("yard", "yd"), "m", F("0.9144")),
    (("mile", "mi"), "m", F("1609.344")),
    (("nautical mile", "nmi"), "m", F(1852)),
    (("astronomical unit", "au"), "m", F(149_597_870_700)),
    (("light year", "lightyear", "ly"), "m", F(9_460_730_472_580_800)),
    (("ounce", "oz"), "kg", F("0.028349523125")),
    (("pound", "lb"), "kg", F("0.45359237")),
    (("stone",), "kg", F("6.35029318")),
    (("short ton", "us ton"), "kg", F("907.18474")),
    (("minute", "min"), "s", F(60)),
    (("hour", "hr", "h"), "s", F(3600)),
    (("day", "d"), "s", F(86400)),
    (("week", "wk"), "s", F(604_800)),
    (("month", "mo"), "s", F("2629746")),
    (("year", "yr", "annum"), "s", F("31556952")),
    (("decade",), "s", F("315569520")),
    (("century", "centuries"), "s", F("3155695200")),
    (("hectare", "ha"), "m^2", F(10_000)),
    (("acre",), "m^2", F("4046.8564224")),
    (("gallon", "us gallon", "gal"), "m^3", F("0.003785411784")),
    (("fluid ounce", "fl oz"), "m^3", F("0.0000295735295625")),
    (("cup",), "m^3", F("0.0002365882365")),
    (("tablespoon", "tbsp"), "m^3", F("0.00001478676478125")),
    (("teaspoon", "tsp"), "m^3", F("0.00000492892159375")),
    (("mph",), "m s^-1", F("0.44704")),
    (("kph", "kmh"), "m s^-1", F(5, 18)),
    (("knot", "kn", "kt"), "m s^-1", F(1852, 3600)),
    (("horsepower", "hp"), "W", F("745.69987158227022")),
    (("atmosphere", "atm"), "Pa", F(101_325)),
    (("psi",), "Pa", F("6894.757293168361")),
    (("degree", "deg", "°"), "rad", F("0.017453292519943295")),
    (("radian", "rad"), "rad", F(1)),
    (("percent", "per cent", "percentage", "%", "pct"), "", F(1, 100)),
    (("permille", "per mille", "‰"), "", F(1, 1000)),
    (("ppm", "parts per million"), "", F(1, 10**6)),
    (("dozen",), "", F(12)),
    (("percentage point", "pp"), "percentage point", F(1)),
    (("usd", "$", "us$", "dollar", "us dollar", "united states dollar"), "currency USD", F(1)),
    (("eur", "€", "euro"), "currency EUR", F(1)),
    (("gbp", "£", "pound sterling", "british pound"), "currency GBP", F(1)),
    (("jpy", "¥", "yen", "japanese yen"), "currency JPY", F(1)),
    (("cny", "renminbi", "yuan", "rmb"), "currency CNY", F(1)),
    (("inr", "₹", "rupee", "indian rupee"), "currency INR", F(1)),
    (("chf", "swiss franc"), "currency CHF", F(1)),
    (("cent", "us cent", "¢"), "currency USD", F(1, 100)),
)

_TEMPERATURES: dict[Unit, tuple[str, ...]] = {
    Unit("K"): ("kelvin", "kelvins"),
    Unit("K", F(1), F("273.15")): (
        "°c", "c", "celsius", "centigrade", "degree celsius", "degree centigrade", "degree c", "deg c",
    ),
    Unit("K", F(5, 9), F("459.67") * F(5, 9)): (
        "°f", "f", "fahrenheit", "degree fahrenheit", "degree f", "deg f",
    ),
}  # fmt: skip


def _table() -> tuple[dict[str, Unit], dict[str, Unit]]:
    symbols: dict[str, Unit] = {"K": Unit("K"), "L": Unit("m^3", F(1, 1000)), "mL": Unit("m^3", F(1, 10**6))}
    names: dict[str, Unit] = {}
    for symbol, full, dimension, factor, prefixes in _SCALED:
        symbols[symbol] = Unit(dimension, factor)
        names.update((n, Unit(dimension, factor)) for n in (*full, *([symbol] if len(symbol) > 2 else ())))
        for prefix in prefixes:
            word, scale = _PREFIXES[prefix]
            symbols[prefix + symbol] = Unit(dimension, factor * scale)
            names.update((word + n, Unit(dimension, factor * scale)) for n in full)
    for prefix, (word, power) in _BINARY.items():
        symbols[f"{prefix}B"] = names[f"{word}byte"] = Unit("bit", F(8 * power))
    symbols["KB"] = symbols["kB"]
    symbols["bps"] = Unit("bit s^-1")
    for prefix in "kMGT":
        symbols[f"{prefix}bps"] = Unit("bit s^-1", _PREFIXES[prefix][1])
    for aliases, dimension, factor in _PLAIN:
        names.update((a, Unit(dimension, factor)) for a in aliases)
    for unit, words in _TEMPERATURES.items():
        names.update((w, unit) for w in words)
    return symbols, names


_SYMBOLS, _NAMES = _table()
_POWERS = {"²": 2, "³": 3, "^2": 2, "^3": 3, "**2": 2, "**3": 3}
_POWER_WORDS = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "cu": 3}
_MAX = 60


@lru_cache(maxsize=1024)
def unit_of(text: str) -> Unit | None:
    """The unit that ``text`` names; None when the table does not have it.

    Knows symbols ("km"), names in singular and plural ("kilometres", "square miles"), powers ("m²", "m^2")
    and quotients ("km/h", "miles per hour"). "" is the plain number.
    """
    text = " ".join(text.split())
    if not text:
        return Unit("")
    if len(text) > _MAX:
        return None
    if unit := _single(text):
        return unit
    parts = re.split(r"\s*/\s*|\s+per\s+|\s+an?\s+", text)
    if len(parts) == 2 and (top := _single(parts[0])) and (bottom := _single(parts[1])):
        if top.offset or bottom.offset:
            return None
        return Unit(_quotient(top.dimension, bottom.dimension), top.factor / bottom.factor)
    return None


def _single(text: str) -> Unit | None:
    if unit := _SYMBOLS.get(text):
        return unit
    lowered = text.casefold()
    for form in (lowered, lowered.rstrip("."), _singular(lowered)):
        if unit := _NAMES.get(form) or _SYMBOLS.get(form):
            return unit
    for suffix, power in _POWERS.items():
        if text.endswith(suffix):
            return _power(_single(text[: -len(suffix)].strip()), power)
    first, _, rest = lowered.partition(" ")
    if rest and first in _POWER_WORDS:
        return _power(_single(text.partition(" ")[2]), _POWER_WORDS[first])
    if rest and (word := lowered.rpartition(" ")[2]) in ("squared", "cubed"):
        return _power(_single(text.rpartition(" ")[0]), 2 if word == "squared" else 3)
    return None


def _singular(text: str) -> str:
    """The unit's name in the singular: "degrees celsius", "feet", "light-years"."""
    words = text.replace("-", " ").split()
    for i, word in enumerate(words):
        if len(word) > 2 and word.endswith("s") and word not in ("celsius", "us"):
            words[i] = word[:-1]
    return " ".join(words)


def _power(unit: Unit | None, power: int) -> Unit | None:
    if unit is None or unit.offset or unit.dimension not in ("m", "s"):
        return None
    return Unit(f"{unit.dimension}^{power}", unit.factor**power)


def _quotient(top: str, bottom: str) -> str:
    powers: dict[str, int] = {}
    for dimension, sign in ((top, 1), (bottom, -1)):
        if dimension.startswith("currency"):
            powers[dimension.replace(" ", "_")] = powers.get(dimension.replace(" ", "_"), 0) + sign
            continue
        for base in dimension.split():
            name, _, exponent = base.partition("^")
            powers[name] = powers.get(name, 0) + sign * int(exponent or 1)
    named = (n if p == 1 else f"{n}^{p}" for n, p in sorted(powers.items()) if p)
    return " ".join(named)
