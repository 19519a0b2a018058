"""Checking one step: what its expressions read, whether values fit, what it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from weaver._workflows.expressions import signatures
from weaver._workflows.expressions.parser import WORDS
from weaver._workflows.expressions.types import ANY, INTEGER, Kind, accepts, array, record
from weaver._workflows.source.diagnostics import did_you_mean
from weaver._workflows.source.tree import Keys
from weaver._workflows.validation.compiled import Values
from weaver._workflows.validation.context import NAME, Checks
from weaver._workflows.validation.references import Reading
from weaver.errors import WeaverError

if TYPE_CHECKING:
    from weaver._workflows.schema.step import Step


class StepChecker:
    """The expressions of one step, and what it names."""

    def __init__(self, checks: Checks, id_: str, step: Step) -> None:
        self.checks, self.id, self.step = checks, id_, step
        self.texts, self.surroundings = checks.texts, checks.surroundings
        self.compiled = checks.compiled.steps[id_]
        self.keys: Keys = ("steps", id_)
        racing = self.compiled.needs if step.join is not None and step.for_each is None else ()
        self.outer = checks.names({*self.compiled.minds, *racing})
        self.inner = dict(self.outer)

    def check(self) -> None:
        """Check everything."""
        step, compiled, texts = self.step, self.compiled, self.texts
        if compiled.condition is not None:
            whole = "`if` is for the whole step; filter the list: [x for x in list if ...]"
            elsewhere = dict.fromkeys((step.item_name, "index"), whole) if step.for_each is not None else {}
            texts.infer(Reading(compiled.condition, (*self.keys, "if")), self.outer, elsewhere)
        self._items()
        for name in ("task", "agent"):
            if (template := getattr(compiled, name)) is not None:
                kind, marked = texts.infer_template(template, (*self.keys, name), self.inner)
                setattr(compiled, name, marked)
                if name == "agent":
                    self._agent(kind)
        if compiled.approve is not None:
            texts.infer_template(compiled.approve, (*self.keys, "approve", "message"), self.outer)
        if compiled.fallback is not None:
            kind = texts.infer_values(compiled.fallback, (*self.keys, "fallback"), self.outer)
            if step.output is not None and (why := accepts(step.output, kind)) is not None:
                texts.wrong((*self.keys, "fallback"), f"the fallback does not fit the output: {why}")
        if compiled.documents is not None:
            texts.infer_values(compiled.documents, (*self.keys, "documents"), self.inner)
        self._arguments()
        self._join()
        self._conflicts()
        self._strategy()
        self.checks.check_tools(step.tools or (), (*self.keys, "tools"))

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

    def _agent(self, kind: Kind) -> None:
        agents = self.checks.workflow.agents
        if not kind.one_of("string"):
            self.texts.wrong((*self.keys, "agent"), f"an agent's name is a text, and this is {kind.words}")
        if not agents and not self.checks.lost_agents and kind.enum is None:
            hint = "describe some under `agents`"
            self.texts.wrong((*self.keys, "agent"), "there are no agents to choose from", hint)
        for name in kind.enum or ():
            if name not in agents and name not in self.checks.lost_agents:
                hint = did_you_mean(str(name), agents) or "describe it under `agents`"
                self.texts.wrong((*self.keys, "agent"), f"there is no agent {name!r}", hint)

    def _arguments(self) -> None:
        keys: Keys = (*self.keys, "with")
        kind = record({})
        if self.compiled.arguments is not None:
            kind = self.texts.infer_values(self.compiled.arguments, keys, self.inner)
        fields = kind.fields or {}
        all_given = self.checks.unsaid(self.id, "with")
        used = self.checks.used.get(self.id)
        if self.step.does == "uses" and used is not None:
            for name, value in fields.items():
                if name not in used.inputs:
                    hint = did_you_mean(name, used.inputs)
                    self.texts.wrong((*keys, name), f"{self.step.uses} has no input {name!r}", hint, key=True)
                elif (why := accepts(used.inputs[name], value)) is not None:
                    self.texts.wrong((*keys, name), f"the input does not fit: {why}")
            for name, spec in used.inputs.items():
                if name not in fields and not spec.optional and all_given:
                    problem, hint = (
                        f"the input {name!r} of {self.step.uses} is missing",
                        f"give it: with: {{{name}: ...}}",
                    )
                    self.texts.wrong((*self.keys, "uses"), problem, hint)
        elif self.step.does == "function":
            self._function(fields, keys, all_given=all_given)

    def _function(self, given: Mapping[str, Kind], keys: Keys, *, all_given: bool) -> None:
        name = str(self.step.function)
        if (tool := self.surroundings.known(name)) is None:
            if self.surroundings.strict:
                hint = did_you_mean(name, self.surroundings.tool_names())
                hint = hint or "a program registers it with weaver.workflows.register(function)"
                self.texts.wrong((*self.keys, "function"), f"there is no function {name!r}", hint)
            return
        parameters = signatures.parameters(tool)
        for argument, kind in given.items():
            if argument not in parameters:
                hint = did_you_mean(argument, parameters)
                self.texts.wrong((*keys, argument), f"{name} has no parameter {argument!r}", hint, key=True)
            elif (why := accepts(parameters[argument], kind)) is not None:
                hint = "use number(x)" if kind.name == "string" and "number" in why else ""
                self.texts.wrong((*keys, argument), f"the argument does not fit: {why}", hint)
        for argument in tool.spec.parameters.get("required", ()):
            if argument not in given and all_given:
                problem, hint = (
                    f"the argument {argument!r} of {name} is missing",
                    f"give it: with: {{{argument}: ...}}",
                )
                self.texts.wrong((*self.keys, "function"), problem, hint)

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
        limit = len(self.step.for_each) if isinstance(self.step.for_each, list) else None
        limit = len(self.compiled.needs) if self.step.for_each is None else limit
        if len(self.compiled.needs) < 2 and self.step.for_each is None:
            return  # said already
        if not self.checks.unsaid(self.id, "needs", "for_each"):
            return
        if limit is not None and several and max(several) > limit:
            self.texts.wrong(keys, f"a quorum of {max(several)} can never be met: there are {limit}")

    def _conflicts(self) -> None:
        from weaver._coordination.conflicts.policies import parse_ladder

        for index, policy in enumerate(self.step.conflicts or ()):
            try:
                parse_ladder(policy, callback=print)
            except WeaverError as error:
                keys: Keys = (*self.keys, "conflicts", index)
                self.texts.wrong(keys, sentence(error.message), sentence(error.hint))

    def _strategy(self) -> None:
        strategy = self.step.strategy
        if strategy is None or not self.surroundings.strict:
            return
        self.checks.check_strategy(strategy, (*self.keys, "strategy"))


def sentence(text: str) -> str:
    """Make a message the end of another sentence: no capital in front, no full stop."""
    text = text.strip().rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
