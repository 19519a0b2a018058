"""Checking a workflow before anything runs: names, shapes, references, types, and what is out there."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from weaver._workflows.expressions.evaluator import evaluate
from weaver._workflows.expressions.parser import WORDS
from weaver._workflows.expressions.typecheck import is_constant
from weaver._workflows.expressions.types import ANY
from weaver._workflows.kinds.registry import KINDS, kind_of, shared_keys, text_keys
from weaver._workflows.kinds.step_kind import value_of
from weaver._workflows.source.diagnostics import did_you_mean, listed_or
from weaver._workflows.source.tree import Keys
from weaver._workflows.validation import graph
from weaver._workflows.validation.compiled import Compiled, CompiledStep
from weaver._workflows.validation.context import NAME, Checks
from weaver._workflows.validation.placeholders import warn_of_placeholders, warn_of_unread_inputs
from weaver._workflows.validation.references import Reading, readings, readings_in
from weaver._workflows.validation.scopes import (
    SHAPING,
    expectation_names,
    of_any_shape,
    single,
    step_type,
    unsure,
)
from weaver._workflows.validation.step_checker import StepCheck

if TYPE_CHECKING:
    from weaver._workflows.format.step import Step

_RESERVED = {"inputs", "steps", "index", "done", *WORDS}


class Checker(Checks):
    """Checks one workflow of one file."""

    def check(self) -> Compiled:
        """Report everything that is wrong; the compiled workflow is usable when nothing is."""
        self.readings: dict[str, list[Reading]] = {}
        self._names()
        self._models()
        for id_, step in self.workflow.steps.items():
            self._shape(id_, step)
            self.compiled.steps[id_] = self._parse(id_, step)
        self._order()
        self._kinds()
        if (strategy := self.workflow.defaults.strategy) is not None and self.surroundings.strict:
            self.check_strategy(strategy, ("defaults", "strategy"))
        for id_, step in self.workflow.steps.items():
            StepCheck(self, id_, step).check()
        self._outputs()
        self._tests()
        self._warnings()
        return self.compiled

    def _warnings(self) -> None:
        warnings = self.texts.problems.warnings
        before = len(warnings)
        warn_of_placeholders(self)
        if not self.texts.problems:  # what cannot be read may read an input
            warn_of_unread_inputs(self)
        self.compiled.warnings = tuple(sorted(warnings[before:]))

    # ---- names

    def _names(self) -> None:
        for part in ("inputs", "steps", "outputs"):
            for name in getattr(self.workflow, part):
                self._name((part, name), name)
        for name, spec in self.workflow.inputs.items():
            if (
                spec.optional
                and spec.default is not None
                and (why := spec.problem_with(spec.default)) is not None
            ):
                self.texts.wrong(("inputs", name, "default"), f"the default does not fit the type: {why}")
        for name, agent in self.workflow.agents.items():
            self.check_tools(agent.tools, ("agents", name, "tools"))

    def _name(self, keys: Keys, name: str) -> None:
        if NAME.fullmatch(name) and name not in _RESERVED:
            return
        if name in _RESERVED:
            problem, hint = f"{name!r} is a word of the expression language", "choose another name"
        else:
            problem = f"{name!r} cannot be used in expressions: names have letters a-z, digits and _"
            plain = _plain(name)
            better = re.sub(r"\W+", "_", plain).strip("_") if plain.isascii() else ""
            hint = f"for example {better}" if NAME.fullmatch(better) else ""
        self.texts.wrong(keys, problem, hint, key=True)

    def _models(self) -> None:
        if not self.surroundings.strict:
            return
        for role in type(self.workflow.models).model_fields:
            self._model(getattr(self.workflow.models, role), ("models", role))
        for name, agent in self.workflow.agents.items():
            self._model(agent.model, ("agents", name, "model"))

    def _model(self, model: Any, keys: Keys) -> None:
        if model is None:
            return
        if (
            problem := self.surroundings.model_problem(model.name, base_url=bool(model.base_url))
        ) is not None:
            self.texts.wrong((*keys, "name"), *problem)

    # ---- shapes

    def _shape(self, id_: str, step: Step) -> None:
        keys: Keys = ("steps", id_)
        kinds = [kind for kind in KINDS.values() if value_of(step, kind.key) is not None]
        works = [kind for kind in kinds if not kind.may_accompany]
        if len(works) > 1:
            problem = f"a step does one thing, and this one has {works[0].key} already"
            self.texts.wrong((*keys, works[1].key), problem, key=True)
        if not (kinds or self.odd(id_)) and self.unsaid(id_, *KINDS):
            hint = f"give it {listed_or([kind.offer or kind.key for kind in KINDS.values()])}"
            self.texts.wrong(keys, "the step does nothing", hint, key=True)
        if works:
            self._beside(id_, step)
        no_fallback = "fallback" not in step.model_fields_set and self.unsaid(id_, "fallback")
        if step.on_timeout == "fallback" and no_fallback:
            self.texts.wrong((*keys, "on_timeout"), "there is no fallback", "say what it is: fallback: ...")
        kind = kind_of(step)
        if step.on_timeout == "partial" and not kind.has_partial_output and self.unsaid(id_, *KINDS):
            problem = f"a step with {kind.key} has no partial output"
            self.texts.wrong((*keys, "on_timeout"), problem, "use fallback")
        several = step.for_each is not None or len(step.needs) > 1
        several = several or not self.unsaid(id_, "for_each", "needs")
        for key in ("join", "conflicts"):
            if getattr(step, key) is not None and not several:
                hint = "it is about the items of for_each, or about several steps in needs"
                self.texts.wrong((*keys, key), f"there is nothing for {key} here", hint, key=True)

    def _beside(self, id_: str, step: Step) -> None:
        """Report keys that mean something only beside another one, which is not there."""
        wanted = {"as": ["for_each"], "max_parallel": ["for_each"], **shared_keys()}
        for key, others in wanted.items():
            if value_of(step, key) is None or any(value_of(step, other) is not None for other in others):
                continue
            if self.unsaid(id_, *others):
                problem = f"{key} means something only with {listed_or(others)}"
                self.texts.wrong(("steps", id_, key), problem, key=True)
        if step.fallback is not None and step.on_timeout != "fallback" and self.unsaid(id_, "on_timeout"):
            problem = "fallback means something only with on_timeout: fallback"
            self.texts.wrong(("steps", id_, "fallback"), problem, key=True)

    # ---- parsing

    def _parse(self, id_: str, step: Step) -> CompiledStep:
        keys: Keys = ("steps", id_)
        texts = self.texts
        references: list[Reading] = []
        action = kind_of(step)(step)
        out = CompiledStep(id_, step, action, needs=tuple(dict.fromkeys(step.needs)))
        out.single = single(step.join)
        if step.if_ is not None and (condition := texts.expression(step.if_, (*keys, "if"))) is not None:
            out.condition = condition
            references.append(Reading(condition, (*keys, "if")))
        if isinstance(step.for_each, str):
            if (items := texts.expression(step.for_each, (*keys, "for_each"))) is not None:
                out.items = items
                references.append(Reading(items, (*keys, "for_each")))
        elif step.for_each is not None:
            out.items = texts.values(step.for_each, (*keys, "for_each"))
            references += readings_in(out.items, (*keys, "for_each"))
        for key in text_keys():
            value = value_of(step, key)
            if isinstance(value, str):
                out.texts[key] = template = texts.template(value, (*keys, key))
                references += readings(template, (*keys, key))
            elif value is not None:
                out.texts[key] = values = texts.values(value, (*keys, key))
                references += readings_in(values, (*keys, key))
        if step.approve is not None:
            out.approve = texts.template(step.approve.message, (*keys, "approve", "message"))
            references += readings(out.approve, (*keys, "approve", "message"))
        if step.fallback is not None:
            out.fallback = texts.values(step.fallback, (*keys, "fallback"))
            references += readings_in(out.fallback, (*keys, "fallback"))
        if step.uses is not None:
            action.workflow = self.used.get(id_)
        self.readings[id_] = references
        return out

    # ---- order

    def _order(self) -> None:
        ids = {*self.workflow.steps, *self.broken}
        for id_, step in self.workflow.steps.items():
            compiled = self.compiled.steps[id_]
            waits = [n for n in compiled.needs if self._need(id_, n, ids, step)]
            minds: set[str] = set()
            for reading in self.readings[id_]:
                for path in reading.used:
                    if path[:1] != ("steps",) or len(path) < 2 or path[1] not in self.workflow.steps:
                        continue
                    if path[1] == id_:
                        self.texts.wrong_in(reading, 0, "a step cannot read its own output")
                    elif path[1] not in waits:
                        waits.append(path[1])
                    if reading.keys[-1:] == ("if",) and path[2:3] == ("state",):
                        minds.add(path[1])
            compiled.waits_for = tuple(waits)
            compiled.minds = frozenset(minds)
        self._cycles()
        self._never()

    def _need(self, id_: str, name: str, known: set[str], step: Step) -> bool:
        keys: Keys = ("steps", id_, "needs", step.needs.index(name))
        if name == id_:
            self.texts.wrong(keys, "a step cannot need itself", "remove it")
        elif name not in known:
            self.texts.wrong(keys, f"there is no step {name!r}", did_you_mean(name, known - {id_}))
        return name in self.workflow.steps and name != id_

    def _cycles(self) -> None:
        waits = self.compiled.graph
        loops = graph.cycles(waits)
        for cycle in loops:
            first, second = cycle[0], cycle[1 % len(cycle)]
            path = " -> ".join([*cycle, first])
            where, hint = self._edge(first, second)
            self.texts.wrong(where, f"these steps wait for each other: {path}", hint)
        stuck = {id_ for cycle in loops for id_ in cycle}
        for id_, need in graph.behind(waits, stuck).items():
            self.texts.wrong(
                ("steps", id_),
                f"the step is never reached: it waits for {need!r}, which cannot start",
                key=True,
            )
        if loops:
            for compiled in self.compiled.steps.values():
                compiled.waits_for = ()

    def _edge(self, step: str, need: str) -> tuple[Keys, str]:
        """Return where it is written that ``step`` waits for ``need``."""
        if need in self.workflow.steps[step].needs:
            return (
                "steps",
                step,
                "needs",
                self.workflow.steps[step].needs.index(need),
            ), "remove one of the needs"
        for reading in self.readings[step]:
            if any(path[:2] == ("steps", need) for path in reading.used):
                return reading.keys, f"it reads steps.{need}, so it waits for it"
        return ("steps", step), ""

    def _never(self) -> None:
        """Steps whose condition is always false, and those that only they could start."""
        off: set[str] = set()
        for id_, compiled in self.compiled.steps.items():
            if compiled.condition is not None and is_constant(compiled.condition):
                try:
                    value = evaluate(compiled.condition, {})
                except ValueError as error:
                    self.texts.wrong(("steps", id_, "if"), str(error))
                    continue
                if not value:
                    off.add(id_)
                    self.texts.wrong(
                        ("steps", id_, "if"), "the step is never reached: its condition is always false"
                    )

    # ---- kinds

    def _kinds(self) -> None:
        for id_, step in self.workflow.steps.items():
            output = self.compiled.steps[id_].action.output(self.surroundings)
            kind = step_type(step, output, id_=id_)
            is_checkable = self.unsaid(id_, *KINDS, *SHAPING) and not self.odd(id_)
            self.kinds[id_] = kind if is_checkable else of_any_shape(kind)
        for id_ in self.broken:
            self.kinds.setdefault(id_, ANY)

    # ---- what comes out

    def _outputs(self) -> None:
        names = self.names(self.kinds)
        for name, output in self.workflow.outputs.items():
            keys: Keys = ("outputs", name)
            values = self.texts.values(output, keys)
            self.compiled.outputs[name] = values
            self.compiled.output_kinds[name] = self.texts.infer_values(values, keys, names)
        if not self.workflow.outputs:
            for id_ in graph.sinks(self.compiled.graph):
                self.compiled.output_kinds[id_] = unsure(self.kinds[id_]).field("output") or ANY

    def _known_step(self, path: str) -> bool:
        """Return True if there is such a step; ``outer/inner`` is one of a used workflow."""
        id_, _, inner = path.partition("/")
        if not inner:
            return id_ in self.workflow.steps or id_ in self.broken
        used = self.used.get(id_)
        while used is not None and inner:
            id_, _, inner = inner.partition("/")
            if id_ not in used.steps:
                return False
            used = used.compiled.steps[id_].action.workflow
        return not inner or id_ in self.broken

    def _tests(self) -> None:
        steps = {id_: unsure(kind) for id_, kind in self.kinds.items()}
        names = expectation_names(self.workflow, steps, self.compiled.output_kinds)
        for number, case in enumerate(self.workflow.tests):
            keys: Keys = ("tests", number)
            for name in case.inputs:
                if name not in self.workflow.inputs and name not in self.lost_inputs:
                    hint = did_you_mean(name, self.workflow.inputs)
                    self.texts.wrong((*keys, "inputs", name), f"there is no input {name!r}", hint, key=True)
            for part in ("answers", "approvals"):
                for name in getattr(case, part):
                    if not self._known_step(name):
                        hint = did_you_mean(name, self.workflow.steps)
                        self.texts.wrong((*keys, part, name), f"there is no step {name!r}", hint, key=True)
            for index, text in enumerate(case.expect):
                at: Keys = (
                    (*keys, "expect", index)
                    if self.texts.source.node((*keys, "expect", index))
                    else (*keys, "expect")
                )
                if (condition := self.texts.expression(text, at)) is not None:
                    self.compiled.expectations[number, index] = condition
                    self.texts.infer(Reading(condition, at), names)


def _plain(name: str) -> str:
    """Strip accents, where letters are only accented."""
    return "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
