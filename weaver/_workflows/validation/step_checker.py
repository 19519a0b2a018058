"""Checking one step: what its expressions read, whether values fit, what it names."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from weaver._json_reading.json_types import is_array
from weaver._workflows.expressions.parser import WORDS
from weaver._workflows.expressions.templates import Template
from weaver._workflows.expressions.types import ANY, INTEGER, Kind, accepts, array
from weaver._workflows.expressions.values import Values
from weaver._workflows.kinds.step_kind import value_of
from weaver._workflows.kinds.task import TaskStep
from weaver._workflows.source.tree import Keys
from weaver._workflows.validation.context import NAME, Checks
from weaver._workflows.validation.references import Reading
from weaver.errors import WeaverError

if TYPE_CHECKING:
    from weaver._workflows.format.step import Step


class StepCheck:
    """The check of one step: its expressions, and what it names.

    Attributes:
        checks: the check of the whole workflow.
        keys: where the step is in the file.
        outer: the names that expressions of the step itself may use.
        inner: the same, with the item of ``for_each``.
        kinds: types of the values of the keys that hold expressions, by key.
    """

    def __init__(self, checks: Checks, id_: str, step: Step) -> None:
        self.checks, self.id, self.step = checks, id_, step
        self.texts, self.surroundings = checks.texts, checks.surroundings
        self.compiled = checks.compiled.steps[id_]
        self.keys: Keys = ("steps", id_)
        racing = self.compiled.needs if step.join is not None and step.for_each is None else ()
        self.outer = checks.names({*self.compiled.minds, *racing})
        self.inner = dict(self.outer)
        self.kinds: dict[str, Kind] = {}

    def wrong(
        self, key: str | tuple[str | int, ...], what: str, hint: str = "", *, on_key: bool = False
    ) -> None:
        """Report a problem.

        Args:
            key: the key of the step that it is about, or a path of keys.
            on_key: show the place of the key, not that of its value.
        """
        path = (key,) if isinstance(key, str) else key
        self.texts.wrong((*self.keys, *path), what, hint, key=on_key)

    def is_unsaid(self, *keys: str) -> bool:
        """Return True if a step without these keys was meant to be without: none is misspelt."""
        return self.checks.unsaid(self.id, *keys)

    def check(self) -> None:
        """Check everything."""
        step, compiled, texts = self.step, self.compiled, self.texts
        if compiled.condition is not None:
            whole = "`if` is for the whole step; filter the list: [x for x in list if ...]"
            elsewhere = dict.fromkeys((step.item_name, "index"), whole) if step.for_each is not None else {}
            texts.infer(Reading(compiled.condition, (*self.keys, "if")), self.outer, elsewhere)
        self._items()
        for key, parsed in compiled.texts.items():
            if isinstance(parsed, Template):
                self.kinds[key], compiled.texts[key] = texts.infer_template(
                    parsed, (*self.keys, key), self.inner
                )
            else:
                self.kinds[key] = texts.infer_values(parsed, (*self.keys, key), self.inner)
        if compiled.approve is not None:
            texts.infer_template(compiled.approve, (*self.keys, "approve", "message"), self.outer)
        if compiled.fallback is not None:
            kind = texts.infer_values(compiled.fallback, (*self.keys, "fallback"), self.outer)
            if step.output is not None and (why := accepts(step.output, kind)) is not None:
                texts.wrong((*self.keys, "fallback"), f"the fallback does not fit the output: {why}")
        self._join()
        self._conflicts()
        if value_of(step, compiled.action.key) is not None:
            compiled.action.check(self)
        else:  # the key of its kind is misspelt; the names in its other keys are checked all the same
            TaskStep(step).check_names(self)

    def _items(self) -> None:
        step, compiled = self.step, self.compiled
        if step.for_each is None:
            if not self.checks.unsaid(self.id, "for_each"):
                self.inner |= {step.item_name: ANY, "index": INTEGER}
            return
        keys: Keys = (*self.keys, "for_each")
        item = ANY
        if compiled.items is not None and not isinstance(compiled.items, Values):
            reading = Reading(compiled.items, keys)
            kind = self.texts.infer(reading, self.outer)
            if not kind.one_of("array", "null"):
                self.texts.wrong_in(reading, 0, f"for_each goes over a list, and this is {kind.words}")
            compiled.most = kind.most
            item = kind.each if kind.name == "array" else Kind(data=kind.data)
        elif compiled.items is not None:
            item = self.texts.infer_values(compiled.items, keys, self.outer).each
            if not step.for_each:
                self.texts.wrong(keys, "the step is never reached: the list is empty")
        name = step.item_name
        if name in self.outer or not NAME.fullmatch(name) or name in WORDS:
            self.texts.wrong(
                (*self.keys, "as"), f"{name!r} cannot be the name of the item", "for example item"
            )
        self.inner |= {name: replace(item, label=name), "index": INTEGER}

    def _join(self) -> None:
        if self.step.join is None:
            return
        from weaver._coordination.joins.parser import parse_rule

        keys: Keys = (*self.keys, "join")
        conditions: dict[str, Any] = {}

        def remember(text: str) -> Any:
            if (expression := self.texts.expression(text, keys)) is not None:
                conditions[text] = expression
                each = self.checks.kinds[self.id].field("output") or ANY
                done = each if self.step.for_each is not None and each.name == "array" else array()
                names = {**self.outer, "done": replace(done, nullable=False, label="done")}
                self.texts.infer(Reading(expression, keys), names)
            return bool

        try:
            parse_rule(self.step.join, judge=lambda _: 0.0, predicate=remember)
        except WeaverError as error:
            self.texts.wrong(keys, sentence(error.message), sentence(error.hint))
        self.compiled.until = conditions
        several = [int(n) for n in re.findall(r"quorum\(\s*(\d+)", self.step.join)]
        limit = len(self.step.for_each) if is_array(self.step.for_each) else None
        limit = len(self.compiled.needs) if self.step.for_each is None else limit
        if len(self.compiled.needs) < 2 and self.step.for_each is None:
            return  # said already
        if not self.checks.unsaid(self.id, "needs", "for_each"):
            return
        if limit is not None and several and max(several) > limit:
            self.texts.wrong(keys, f"a quorum of {max(several)} can never be met: there are {limit}")

    def _conflicts(self) -> None:
        from weaver._coordination.conflicts.policies.ladder import parse_ladder

        for index, policy in enumerate(self.step.conflicts or ()):
            try:
                parse_ladder(policy, callback=print)
            except WeaverError as error:
                keys: Keys = (*self.keys, "conflicts", index)
                self.texts.wrong(keys, sentence(error.message), sentence(error.hint))


def sentence(text: str) -> str:
    """Make a message the end of another sentence: no capital in front, no full stop."""
    text = text.strip().rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
