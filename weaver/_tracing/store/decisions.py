"""Read the decision log and the rewards of a run out of its spans."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from weaver._data.decisions import KINDS, SOURCES, Arm, LoggedDecision, Outcome, Reward
from weaver._tracing.record import semconv as sc
from weaver._tracing.store.span_record import EventRecord, SpanRecord

_GOOD = {"good", "pass", "passed", "correct", "right", "yes", "true", "relevant", "positive"}
_BAD = {"bad", "fail", "failed", "incorrect", "wrong", "no", "false", "irrelevant", "negative"}


def rewards_of(spans: Iterable[SpanRecord]) -> list[Reward]:
    """Return the evaluations of a run, oldest first.

    They are ``gen_ai.evaluation.result`` events on any of its spans: of weaver itself, of ``weaver
    feedback``, or of another program. An event of another program without a value from 0 to 1 counts by its
    label, and not at all where that is no plain word for good or bad.
    """
    events = [event for span in spans for event in span.events if event.name == sc.EVENT_EVALUATION]
    events.sort(key=lambda event: event.at_ns)
    return [reward for event in events if (reward := _reward(event.attributes)) is not None]


def decisions_of(spans: Iterable[SpanRecord]) -> list[LoggedDecision]:
    """Return the decisions of a run in the order in which they were made, with outcomes and the reward.

    Outcomes are kept of the first decisions of a run only. An event that is damaged is left out.
    """
    spans = list(spans)
    rewards = rewards_of(spans)
    events = sorted((event for span in spans for event in span.events), key=lambda event: event.at_ns)
    outcomes = [event for event in events if event.name == sc.EVENT_OUTCOME]
    begun = min((span.start_ns for span in spans), default=0)
    decisions: list[LoggedDecision] = []
    for event in events:
        if event.name != sc.EVENT_DECISION:
            continue
        outcome = _take(outcomes, event.attributes)
        reward = rewards[-1] if rewards else None
        try:
            decisions.append(_decision(event, outcome, reward, begun))
        except (KeyError, TypeError, ValueError):
            continue
    return decisions


def in_words(decision: LoggedDecision) -> str:
    """Describe a decision in two or three lines."""
    where = f" in {decision.thread}" if decision.thread else ""
    arms = ", ".join(f"{arm.name} {arm.propensity:g}" for arm in decision.arms)
    lines = [
        f"{decision.at_seconds:7.2f} s  {decision.kind}: {decision.chosen}{where} ({decision.policy})",
        f"of {arms}" + (f": {decision.reason}" if decision.reason else ""),
    ]
    if (outcome := decision.outcome) is not None:
        cost = "" if outcome.usd is None else f", {outcome.usd:.4f} USD"
        lines.append(f"then {outcome.seconds:.2f} s, {outcome.tokens} tokens{cost}, {outcome.status}")
    return "\n           ".join(lines)


def _take(outcomes: list[EventRecord], about: Mapping[str, Any]) -> Outcome | None:
    """Take the first outcome that belongs to a decision with these attributes."""
    names = (sc.DECISION_KIND, sc.DECISION_CHOSEN, sc.DECISION_THREAD)
    for i, event in enumerate(outcomes):
        values = event.attributes
        if all(values.get(name) == about.get(name) for name in names) and sc.DECISION_TOKENS in values:
            del outcomes[i]
            usd = values.get(sc.DECISION_USD)
            return Outcome(
                int(values[sc.DECISION_TOKENS]),
                float(values.get(sc.DECISION_SECONDS, 0.0)),
                None if usd is None else float(usd),
                str(values.get(sc.DECISION_STATUS, "")),
            )
    return None


def _decision(
    event: EventRecord, outcome: Outcome | None, reward: Reward | None, begun: int
) -> LoggedDecision:
    values = event.attributes
    log = json.loads(values.get(sc.DECISION_LOG, "{}"))
    predicted = log.get("predicted", {})
    kind = values[sc.DECISION_KIND]
    if kind not in KINDS:
        raise ValueError(kind)
    pairs = zip(values[sc.DECISION_ARMS], values[sc.DECISION_PROPENSITIES], strict=True)
    return LoggedDecision(
        kind,
        str(values[sc.DECISION_CHOSEN]),
        tuple(Arm(name, float(chance), **predicted.get(name, {})) for name, chance in pairs),
        str(values[sc.DECISION_POLICY]),
        str(values.get(sc.DECISION_REASON, "")),
        str(values.get(sc.DECISION_THREAD, "")),
        (event.at_ns - begun) / 1e9,
        {str(name): float(value) for name, value in log.get("features", {}).items()},
        outcome,
        reward,
    )


def _reward(values: Mapping[str, Any]) -> Reward | None:
    value = values.get(sc.EVALUATION_VALUE)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        label = str(values.get(sc.EVALUATION_LABEL, "")).strip().lower()
        if label not in _GOOD | _BAD:
            return None
        value = float(label in _GOOD)
    source = values.get(sc.EVALUATION_SOURCE)
    name = str(values.get(sc.EVALUATION_NAME, "correctness"))
    return Reward(float(value), source if source in SOURCES else "grader", name)
