"""Scripted models of a stated competence. They stand for no real model; the report says so."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass

from weaver._evals.conflicts.cases import Case
from weaver._models.protocol import Request
from weaver._testing.scripted import Scripted, ScriptedModel, text_of


@dataclass(frozen=True, slots=True)
class Competence:
    """How often the scripted models are right.

    Attributes:
        verify: a fresh derivation finds the true value.
        repeats: for a correlated error: a fresh derivation repeats the error of the threads.
        judge: the judge picks the true value; ``judge_hint`` where the evidence shows which one is older.
        yields: in a debate, per round: a party that is wrong takes over the true value; ``swayed``: one that
            is right takes over a wrong one.
        expert: the stronger model finds the true value.
        compare: the judge is right about two statements that cannot be compared mechanically.
        obeys: the synthesizer keeps to what was settled.
    """

    verify: float = 0.85
    repeats: float = 0.4
    judge: float = 0.75
    judge_hint: float = 0.9
    yields: float = 0.5
    swayed: float = 0.15
    expert: float = 0.95
    compare: float = 0.95
    obeys: float = 0.95


_REASON = (
    "because the sources were read again one by one and only this value follows from what they state " * 2
)


class Actors:
    """The scripted models of one case. What each says depends on the seed, the case and its role only."""

    def __init__(self, case: Case, competence: Competence, seed: int) -> None:
        self._case = case
        self._can = competence
        self._rng = {role: random.Random(f"{seed}/{case.id}/{role}") for role in _ROLES}

    @property
    def model(self) -> ScriptedModel:
        """Threads, verifying threads, debaters, judge and synthesizer."""
        threads = [Scripted(t.full, when=f"Consult source {i}.") for i, t in enumerate(self._case.threads, 1)]
        return ScriptedModel(
            [
                Scripted(self._debater, when="You have worked on this before"),
                Scripted(self._verifier, when="Find out one thing"),
                Scripted(self._judge, when="Judge which candidate"),
                Scripted(self._compare, when="Below are pairs of statements"),
                Scripted(self._same, when="Below are pairs of answers"),
                Scripted(self._synthesizer, when="Several workers"),
                *threads,
            ]
        )

    @property
    def expert(self) -> ScriptedModel:
        """The stronger model."""
        return ScriptedModel([Scripted(self._expert)], name="expert")

    def _lucky(self, role: str, chance: float) -> bool:
        return self._rng[role].random() < chance

    def _verifier(self, request: Request) -> str:  # noqa: ARG002 - answers by chance, not by what is asked
        case = self._case
        correlated = case.kind == "correlated error"
        if self._lucky("verify", 1 - self._can.repeats if correlated else self._can.verify):
            return _derived(case.truth)
        return _derived(case.false if correlated else self._nonsense("verify"))

    def _expert(self, request: Request) -> str:  # noqa: ARG002
        right = self._lucky("expert", self._can.expert)
        return _derived(self._case.truth if right else self._nonsense("expert"))

    def _nonsense(self, role: str) -> str:
        return str(self._rng[role].randint(10**6, 10**7))

    def _debater(self, request: Request) -> str:
        prompt = text_of(request)
        mine = re.findall(r"```yours\nValue: (.*)", prompt)[-1]
        others = re.findall(r"```claim\nValue: (.*)", prompt)
        opposing = [o for o in others if bool(self._case.is_right(o)) != bool(self._case.is_right(mine))]
        chance = self._can.swayed if self._case.is_right(mine) else self._can.yields
        return _derived(opposing[0] if opposing and self._lucky("debate", chance) else mine)

    def _judge(self, request: Request) -> str:
        candidates = re.findall(r"Candidate (\w):\n`{3,}\n(.*)", text_of(request))
        chance = self._can.judge_hint if self._case.hint else self._can.judge
        right = self._lucky("judge", chance)
        fitting = [letter for letter, value in candidates if bool(self._case.is_right(value)) == right]
        return json.dumps({"reason": _REASON, "choice": fitting[0] if fitting else "none"})

    def _compare(self, request: Request) -> str:
        """Two statements contradict each other if one is right and the other is wrong."""
        verdicts: list[dict[str, object]] = []
        for n, block in enumerate(re.split(r"\nPair \d+\n", text_of(request))[1:], 1):
            values = re.findall(r'"value": "((?:[^"\\]|\\.)*)"', block)
            differ = len({self._case.is_right(v) for v in values}) > 1
            right = self._lucky("compare", self._can.compare)
            verdicts.append(
                {"pair": n, "reason": "", "verdict": "conflict" if differ == right else "compatible"}
            )
        return json.dumps({"verdicts": verdicts})

    def _same(self, request: Request) -> str:
        """Return True if values in other words are the same one."""
        verdicts: list[dict[str, int | str]] = []
        for n, block in enumerate(re.split(r"\nPair \d+\n", text_of(request))[1:], 1):
            first, other = re.findall(r"`{3,}\n(.*)\n", block)[:2]
            same = self._case.is_right(first) is self._case.is_right(other)
            right = self._lucky("same", self._can.compare)
            verdicts.append({"pair": n, "verdict": "same" if same == right else "different"})
        return json.dumps({"verdicts": verdicts})

    def _synthesizer(self, request: Request) -> str:
        """Keeps to what is settled; else takes the value of one finding, as one that is told nothing does."""
        picked = self._rng["synthesis"].choice(self._case.threads).text
        settled = re.findall(r"\nSettled value: (.*)", text_of(request))
        if settled and self._lucky("obey", self._can.obeys):
            picked = settled[-1]
        return f"According to the sources the value is {picked}"


_ROLES = ("verify", "expert", "debate", "judge", "compare", "same", "synthesis", "obey")


def _derived(value: str) -> str:
    return json.dumps({"working": _REASON, "value": value, "unit": ""})
