"""Seeded tasks in which threads contradict each other in a known way, or do not."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from weaver._data.result import Claim

Kind = Literal[
    "wrong number", "wrong unit", "stale fact", "one of five corrupted", "correlated error",
    "one against one", "agreement", "different things",
]  # fmt: skip
CONTRADICTIONS: tuple[Kind, ...] = (
    "wrong number", "wrong unit", "stale fact", "one of five corrupted", "correlated error",
    "one against one",
)  # fmt: skip
CONTROLS: tuple[Kind, ...] = ("agreement", "different things")

_NAMES = (
    "Arvel", "Belmore", "Corrin", "Dunlane", "Estrel", "Farrow", "Gildern", "Harwick", "Islen", "Jorven",
    "Kelmar", "Lorrin", "Marvane", "Norrel", "Ostren", "Perrin", "Quellan", "Rostow", "Selwick", "Tarvin",
)  # fmt: skip
_PEOPLE = (
    "Anna Berg",
    "Tomas Lind",
    "Mira Koval",
    "Jonas Weir",
    "Elsa Roth",
    "Paul Ames",
    "Ida Falk",
    "Max Orlo",
)

# Conditions that make two values of one attribute two different things: years can be told apart mechanically,
# the others cannot.
_YEARS = ("in 1990", "in 2000", "in 2010")
_SCOPES = ("by the first survey", "by the second survey", "by the last survey")


@dataclass(frozen=True, slots=True)
class Told:
    """What one thread will say.

    Attributes:
        right: whether it holds the true value.
        claim: its claim.
        full: its whole answer, with the block of claims.
    """

    right: bool
    claim: Claim
    full: str

    @property
    def text(self) -> str:
        """The value with its unit."""
        return f"{self.claim.value} {self.claim.unit}".strip()


@dataclass(frozen=True, slots=True)
class Case:
    """One task.

    Attributes:
        contradicts: whether the threads contradict each other; False for controls.
        truth: the true value, as a fresh derivation would write it.
        false: the value that is wrong in the same way again, for errors that are likely to be repeated.
        hint: whether the evidence shows which value is older.
    """

    id: str
    kind: Kind
    question: str
    threads: tuple[Told, ...]
    contradicts: bool
    truth: str
    false: str
    hint: bool = False

    def is_right(self, value: str) -> bool | None:
        """Return True if a value is the true one; None when nobody in this case says it."""
        if value == self.truth:
            return True
        verdicts = [t.right for t in self.threads if t.text == value]
        return verdicts[0] if verdicts else (False if value == self.false else None)


@dataclass(frozen=True, slots=True)
class _Fact:
    """A made-up fact, and how its values are written and spoilt."""

    subject: str
    attribute: str
    write: Callable[[random.Random], tuple[str, str]]
    spoil: Callable[[random.Random], tuple[str, str]]
    wrong_unit: tuple[str, str] | None = None


def cases(per_kind: int, seed: int) -> list[Case]:
    """``per_kind`` cases of every kind; the same for the same seed."""
    return [
        _case(f"{kind} {i}", kind, random.Random(f"{seed}/{kind}/{i}"))
        for kind in (*CONTRADICTIONS, *CONTROLS)
        for i in range(per_kind)
    ]


def _case(id_: str, kind: Kind, rng: random.Random) -> Case:
    fact = _fact(rng, unit_matters=kind == "wrong unit")
    width = {"one of five corrupted": 5, "one against one": 2, "stale fact": rng.choice((2, 3))}.get(kind, 3)
    wrong = {"correlated error": 2, "agreement": 0, "different things": 0}.get(kind, 1)
    bad = fact.wrong_unit if kind == "wrong unit" and fact.wrong_unit else fact.spoil(rng)
    truth = fact.write(rng)
    setting = rng.choice((_YEARS, _SCOPES))
    threads: list[Told] = []
    for i in range(width):
        right = i >= wrong
        value, unit = fact.write(rng) if right else bad
        subject, attribute = _worded(fact, rng)
        if kind == "different things":
            value, unit = fact.spoil(rng)
            attribute = f"{fact.attribute} {setting[i]}"
        evidence = _evidence(kind, right=right, rng=rng)
        confidence = round(rng.uniform(0.6, 0.95) if right else rng.uniform(0.5, 0.95), 2)
        claim = Claim(subject, attribute, value, unit, confidence, evidence)
        threads.append(Told(right, claim, _answer(claim, rng)))
    rng.shuffle(threads)
    return Case(
        id_,
        kind,
        f"What is the {fact.attribute} of {fact.subject}?",
        tuple(threads),
        kind in CONTRADICTIONS,
        " ".join(truth).strip(),
        " ".join(bad).strip(),
        hint=kind == "stale fact",
    )


def _fact(rng: random.Random, *, unit_matters: bool) -> _Fact:
    name = rng.choice(_NAMES)
    makers = [_length, _mass] if unit_matters else [_length, _mass, _people, _money, _year, _day, _person]
    return rng.choice(makers)(name, rng)


def _measure(subject: str, attribute: str, number: int, units: dict[str, float], wrong: str) -> _Fact:
    """``units``: name to how many base units it has; the first is the base."""
    base = next(iter(units))

    def written(value: int, rng: random.Random) -> tuple[str, str]:
        unit = rng.choice(list(units))
        if unit != base:
            return f"{value / units[unit]:.4g}", unit
        return rng.choice((str(value), f"{value:,}", f"{value:,}".replace(",", " "))), unit

    return _Fact(
        subject,
        attribute,
        lambda rng: written(number, rng),
        lambda rng: (f"{_slipped(number, rng):,}", base),
        (f"{number:,}", wrong),
    )


def _slipped(number: int, rng: random.Random) -> int:
    """A wrong number of a likely kind: two digits swapped, one digit off, or a guess nearby."""
    digits = str(number)
    spoilt = [int(f"{int(digits[0]) % 9 + 1}{digits[1:]}"), round(number * rng.uniform(1.06, 1.4))]
    spoilt += [
        int(digits[:i] + digits[i + 1] + digits[i] + digits[i + 2 :])
        for i in range(len(digits) - 1)
        if digits[i + 1] not in (digits[i], "0")
    ]
    return rng.choice([s for s in spoilt if s != number])


def _length(name: str, rng: random.Random) -> _Fact:
    units = {"km": 1, "m": 0.001, "miles": 1.609344}
    return _measure(f"{name} River", "length", rng.randint(120, 980), units, "miles")


def _mass(name: str, rng: random.Random) -> _Fact:
    units = {"kg": 1, "tonnes": 1000, "lb": 0.45359237}
    return _measure(f"{name} Bell", "mass", rng.randint(1200, 9800), units, "lb")


def _people(name: str, rng: random.Random) -> _Fact:
    number = rng.randint(110, 890) * 1000 + rng.randint(1, 9) * 100

    def written(value: int, rng: random.Random) -> tuple[str, str]:
        forms = ((f"{value:,}", "people"), (str(value), ""), (f"{value / 1000:.4g} thousand", "inhabitants"))
        return rng.choice(forms)

    return _Fact(
        name, "population", lambda r: written(number, r), lambda r: (f"{_slipped(number, r):,}", "people")
    )


def _money(name: str, rng: random.Random) -> _Fact:
    tenths = rng.randint(12, 97)

    def written(value: int, rng: random.Random) -> tuple[str, str]:
        forms = (
            (f"{value / 10} million", "USD"),
            (f"${value * 100_000:,}", ""),
            (f"{value * 100} thousand", "dollars"),
        )
        return rng.choice(forms)

    return _Fact(
        f"{name} Bridge",
        "construction cost",
        lambda r: written(tenths, r),
        lambda r: written(_slipped(tenths, r), r),
    )


def _year(name: str, rng: random.Random) -> _Fact:
    year = rng.randint(1650, 1990)
    return _Fact(
        name,
        "founding year",
        lambda _: (str(year), ""),
        lambda r: (str(year + r.choice((-10, -1, 1, 3))), ""),
    )


def _day(name: str, rng: random.Random) -> _Fact:
    year, month, day = rng.randint(1900, 1990), rng.randint(1, 12), rng.randint(1, 27)
    names = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
             "November", "December")  # fmt: skip

    def written(day: int, rng: random.Random) -> tuple[str, str]:
        month_name = names[month - 1]
        forms = (f"{day} {month_name} {year}", f"{month_name} {day}, {year}", f"{year}-{month:02}-{day:02}")
        return rng.choice(forms), ""

    return _Fact(
        f"{name} Station", "opening date", lambda r: written(day, r), lambda r: written(day % 27 + 1, r)
    )


def _person(name: str, rng: random.Random) -> _Fact:
    right, wrong = rng.sample(_PEOPLE, 2)

    def written(person: str, rng: random.Random) -> tuple[str, str]:
        first, last = person.split()
        return rng.choice((person, f"{first[0]}. {last}", f"Mayor {last}")), ""

    return _Fact(name, "mayor", lambda r: written(right, r), lambda r: written(wrong, r))


def _worded(fact: _Fact, rng: random.Random) -> tuple[str, str]:
    """The topic in one of the ways in which threads word it; most are the same words, one is only alike."""
    return rng.choices(
        [
            (fact.subject, fact.attribute),
            (f"the {fact.subject}", fact.attribute.capitalize()),
            (f"{fact.attribute} of the {fact.subject}", "value"),
            (fact.subject, f"current {fact.attribute}"),
            (fact.subject, f"official {fact.attribute}"),
        ],
        weights=[5, 2, 1, 1, 1],
    )[0]


def _evidence(kind: Kind, *, right: bool, rng: random.Random) -> str:
    if kind == "stale fact":
        year = rng.randint(2021, 2025) if right else rng.randint(2003, 2012)
        return f"read in the yearbook of {year}"
    if right:
        return rng.choice(
            ("read in the register", "computed from the survey's table", "stated by the operator")
        )
    return rng.choice(("estimated from memory", "read in the register", "computed from the survey's table"))


def _answer(claim: Claim, rng: random.Random) -> str:
    filler = " ".join(
        rng.choices(("source", "table", "figure", "note", "entry", "page", "list", "record"), k=60)
    )
    block = {name: getattr(claim, name) for name in claim.__slots__}
    value = f"{claim.value} {claim.unit}".strip()
    return (
        f"I looked at the {filler}. So the {claim.attribute} of {claim.subject} is {value}.\n\n"
        f"```claims\n{json.dumps([block])}\n```"
    )
