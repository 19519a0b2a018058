"""Parsing the texts of a file and checking what their expressions read, with the place of every problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from weaver._json_reading.json_types import JsonLike
from weaver._settings.units import ENVIRONMENT
from weaver._workflows.expressions.parser import Expression, ExpressionError, parse_expression
from weaver._workflows.expressions.templates import (
    OPEN,
    Slot,
    Template,
    TemplateError,
    parse_template,
    templates_in,
)
from weaver._workflows.expressions.typecheck import Inference, ignore
from weaver._workflows.expressions.types import ANY, STRING, Kind, array, either, of_value, record
from weaver._workflows.expressions.values import Values
from weaver._workflows.source.diagnostics import Place, Problems
from weaver._workflows.source.tree import Keys, Source


@dataclass(frozen=True, slots=True)
class Reading:
    """One expression of a file, where it stands, and what it reads.

    Attributes:
        keys: the value it stands in.
        slot: its slot when it is part of a text, else None.
    """

    expression: Expression
    keys: Keys
    slot: Slot | None = None

    @property
    def used(self) -> list[tuple[str, ...]]:
        """Paths of names that it reads."""
        return Inference(self.expression, {}, ignore).used


@dataclass(slots=True)
class Texts:
    """The texts of one file. Everything that is wrong goes to ``problems``."""

    source: Source
    problems: Problems
    kinds: dict[int, Kind] = field(default_factory=dict[int, Kind])

    def wrong(self, keys: Keys, what: str, hint: str = "", *, key: bool = False) -> None:
        """Report a problem with the value at ``keys`` (or with its key)."""
        place = self.source.key_place(keys) if key else self.source.value_place(keys)
        self.problems.add(self.source.problem(place, keys, what, hint))

    def warn(self, place: Place, keys: Keys, what: str, hint: str) -> None:
        """Report what is probably a mistake."""
        self.problems.warnings.append(self.source.problem(place, keys, what, hint))

    def wrong_in(self, reading: Reading, offset: int, what: str, hint: str = "") -> None:
        """Report a problem at an offset of an expression."""
        before = reading.expression.text[:offset]
        if reading.slot is not None:
            place = self.source.inside(reading.keys, OPEN, reading.slot.number, OPEN + before + " ")
        else:
            place = self.source.inside(reading.keys, _start(reading.expression.text), 0, before)
        self.problems.add(self.source.problem(place, reading.keys, what, hint))

    def template(self, text: str, keys: Keys) -> Template:
        """Parse a text; a broken one becomes an empty text."""
        self._no_secrets(text, keys)
        try:
            return parse_template(text)
        except TemplateError as wrong:
            for error, number, offset in wrong.errors:
                place = self.source.inside(keys, OPEN, number)
                if offset:
                    opened = [i for i in range(len(text)) if text.startswith(OPEN, i)][number]
                    before = text[opened + len(OPEN) :][: error.offset]
                    place = self.source.inside(keys, OPEN, number, OPEN + before + " ")
                self.problems.add(self.source.problem(place, keys, error.what, error.hint))
            return wrong.template

    def expression(self, text: str, keys: Keys) -> Expression | None:
        """Parse a condition or another bare expression; ``${{ }}`` around it is fine."""
        bare, occurrence = text, _start(text)
        if text.strip().startswith(OPEN) and text.strip().endswith("}}") and text.count(OPEN) == 1:
            bare = text.strip()[len(OPEN) : -2]
            occurrence = OPEN
        try:
            return parse_expression(bare)
        except ExpressionError as error:
            before = (OPEN if occurrence == OPEN else "") + bare[: error.offset]
            place = self.source.inside(keys, occurrence, 0, before + (" " if before else ""))
            self.problems.add(self.source.problem(place, keys, error.what, error.hint))
            return None

    def values(self, given: Any, keys: Keys) -> Values:
        """Parse every text inside a value."""
        texts = {path: self.template(text, (*keys, *path)) for path, text in templates_in(given)}
        return Values(given, texts)

    def infer(
        self,
        reading: Reading,
        names: Mapping[str, Kind],
        elsewhere: Mapping[str, str] = MappingProxyType({}),
    ) -> Kind:
        """The kind of an expression, with its problems reported; see `Inference`."""

        def report(offset: int, what: str, hint: str) -> None:
            self.wrong_in(reading, offset, what, hint)

        return Inference(reading.expression, names, report, elsewhere).kind

    def infer_template(
        self, template: Template, keys: Keys, names: Mapping[str, Kind]
    ) -> tuple[Kind, Template]:
        """The kind of a text's value, and the text with its data slots marked."""
        kinds = {
            slot.number: self.infer(Reading(slot.expression, keys, slot), names) for slot in template.slots
        }
        marked = template.marked(lambda slot: _needs_fence(kinds[slot.number]))
        if (sole := template.sole) is not None:
            return kinds[sole.number], marked
        if not kinds:
            return of_value("".join(p for p in template.parts if isinstance(p, str))), marked
        return STRING.tainted(any(kind.data for kind in kinds.values())), marked

    def infer_values(self, values: Values, keys: Keys, names: Mapping[str, Kind]) -> Kind:
        """The kind of a value with texts in it."""
        return self._kind_of(values.given, (), values, keys, names)

    def _kind_of(
        self, at: JsonLike, path: Keys, values: Values, keys: Keys, names: Mapping[str, Kind]
    ) -> Kind:
        if isinstance(at, str):
            return self.infer_template(values.texts[path], (*keys, *path), names)[0]
        if isinstance(at, Mapping):
            fields = {str(k): self._kind_of(v, (*path, str(k)), values, keys, names) for k, v in at.items()}
            return record(fields, data=any(kind.data for kind in fields.values()))
        if isinstance(at, (list, tuple)):
            kinds = [self._kind_of(v, (*path, i), values, keys, names) for i, v in enumerate(at)]
            return array(either(kinds) if kinds else ANY, data=any(kind.data for kind in kinds))
        return of_value(at)

    def _no_secrets(self, text: str, keys: Keys) -> None:
        if (match := ENVIRONMENT.search(text)) is not None:
            place = self.source.inside(keys, match[0])
            problem = f"{match[0]} is not put into texts: prompts end up in traces and at the model"
            self.problems.add(
                self.source.problem(
                    place, keys, problem, "environment variables go into models.*.api_key and base_url"
                )
            )


def readings(template: Template, keys: Keys) -> Iterator[Reading]:
    """The expressions of a text."""
    for slot in template.slots:
        yield Reading(slot.expression, keys, slot)


def readings_in(values: Values, keys: Keys) -> Iterator[Reading]:
    """The expressions of a value with texts in it."""
    for path, template in values.texts.items():
        yield from readings(template, (*keys, *path))


def _needs_fence(kind: Kind) -> bool:
    """Numbers, booleans and values of a known set cannot carry instructions."""
    return kind.data and kind.enum is None and not kind.numeric and kind.name not in ("boolean", "null")


def _start(text: str) -> str:
    """Enough of a text to find it by in the file: its first word."""
    return next(iter(text.split()), "")
