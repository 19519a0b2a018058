"""The report: what conflict handling found, settled, cost and spoilt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from weaver._coordination.conflicts.policies.ladder import POLICIES
from weaver._evals.conflicts.cases import CONTRADICTIONS
from weaver._evals.conflicts.measuring import Measured
from weaver._evals.conflicts.models import Competence
from weaver._evals.statistics import mean, wilson

OFF = "off"
LADDERS = {
    "not compared": OFF,
    "found, left open": "none",
    **{name: name for name in POLICIES if name not in {"clear_majority", "ask", "keep"}},
    "verify(samples=3)": "verify(samples=3)",
    "judge(passes=2)": "judge(passes=2)",
    "majority, verify, judge": "majority+verify+judge",
    "clear_majority, verify, judge (default)": "clear_majority+verify+judge",
    "verify, judge": "verify+judge",
}
_COLUMNS = (
    "found", "settled rightly", "settled wrongly", "left open", "false alarms", "answer right",
    "answer wrong", "answer says it is open", "extra tokens", "extra calls",
)  # fmt: skip
_INTRO = """\
# Does handling conflicts pay?

Made by `{command}`; do not edit. {cases} tasks, seed {seed}.

Each task has two to five threads that consult made-up sources, and one of these disturbances: a wrong
number, a right number with the wrong unit, a stale value whose evidence gives its age away, one corrupted
thread of five, an error that two of three threads share, one thread against one. Two controls have nothing
to find: threads that agree in other words, units and roundings, and threads that speak about different
things (other years, other surveys). One topic in ten is worded so that only a model can tell that it is the
same.

**What this shows and what it does not.** Everything between the models is real: threads, claims, detection,
ladders, budgets, synthesis, checks. The models are scripted and right as often as stated below, so the
tables say what the machinery makes of models of that competence, and what it costs. They do not say how
competent any real model is, nor how often threads of a real model disagree: here every task but the controls
has a contradiction.
"""


def report(
    measured: dict[str, list[Measured]],
    sensitivity: dict[tuple[float, float], list[Measured]],
    *,
    command: str,
    seed: int,
) -> str:
    """The whole report as Markdown.

    Args:
        measured: by name of `LADDERS`.
        sensitivity: the default ladder by (verify, judge) competence.
    """
    some = next(iter(measured.values()))
    parts = [
        _INTRO.format(command=command, cases=len(some), seed=seed),
        "## Assumed competence\n\n" + _competence(),
        "## By policy\n\n" + _by_policy(measured),
        "## By kind of contradiction: settled rightly / wrongly\n\n" + _by_kind(measured),
        "## How much the default ladder depends on its models\n\n" + _sensitivity(sensitivity),
        "## Reading it\n\n" + _reading(measured),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _competence() -> str:
    can = Competence()
    meanings = {
        "verify": "a fresh derivation finds the true value",
        "repeats": "... repeats an error that the threads share",
        "judge": "the judge picks the true value",
        "judge_hint": "... where the evidence shows which value is older",
        "yields": "in a debate, per round, a wrong party takes over the true value",
        "swayed": "... a right party takes over a wrong one",
        "expert": "the stronger model finds the true value",
        "compare": "the judge is right about two statements that cannot be compared mechanically",
        "obeys": "the synthesizer keeps to what was settled",
    }
    rows = [f"| {meanings[f.name]} | {getattr(can, f.name):.0%} |" for f in fields(can)]
    sentence = (
        "| a synthesizer that is told nothing takes the value of one finding, each as likely as the other | |"
    )
    return "\n".join(["| | chance |", "|---|---|", *rows, sentence])


def _by_policy(measured: dict[str, list[Measured]]) -> str:
    before = measured["not compared"]
    rows = [
        "| policy | " + " | ".join(_COLUMNS) + " |",
        "|---" * (len(_COLUMNS) + 1) + "|",
    ]
    for name, cases in measured.items():
        bad = [m for m in cases if m.case.contradicts]
        good = [m for m in cases if not m.case.contradicts]
        detected = [m for m in bad if m.found]
        cells = [
            _share(len(detected), len(bad)),
            *(_share(sum(m.resolved == o for m in bad), len(bad)) for o in ("right", "wrong", "open")),
            _share(sum(m.alarm for m in good), len(good)),
            *(_share(sum(m.answered == o for m in bad), len(bad)) for o in ("right", "wrong", "open")),
            f"{_extra([m.tokens for m in bad], [m.tokens for m in before if m.case.contradicts]):+.0f}",
            f"{_extra([m.calls for m in bad], [m.calls for m in before if m.case.contradicts]):+.2f}",
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n\n" + _explained(measured)


def _explained(measured: dict[str, list[Measured]]) -> str:
    before, compared = measured["not compared"], measured["found, left open"]
    bad = [m for m in before if m.case.contradicts]
    calm, contradicting = ([m for m in cases if not m.case.contradicts] for cases in (before, compared))
    costs = {
        "tokens": _extra([m.tokens for m in contradicting], [m.tokens for m in calm]),
        "calls": _extra([m.calls for m in contradicting], [m.calls for m in calm]),
    }
    return f"""\
Shares are of the tasks with a contradiction, false alarms of those without one; in brackets the 95 %
interval (Wilson). Extra tokens and calls are means per task with a contradiction, against threads that are
not compared at all ({mean([m.tokens for m in bad]):.0f} tokens, {mean([m.calls for m in bad]):.2f} calls).
Where threads agree, finding that out costs {costs["tokens"]:+.0f} tokens and {costs["calls"]:+.2f} calls,
nearly all of it for asking threads for claims and for writing them. Prompts and answers are short here (a
thread says about 70 words), so the share of a real task is smaller."""


def _by_kind(measured: dict[str, list[Measured]]) -> str:
    rows = [f"| policy | {' | '.join(CONTRADICTIONS)} |", "|---" * (len(CONTRADICTIONS) + 1) + "|"]
    for name, cases in measured.items():
        if name in ("not compared", "found, left open"):
            continue
        cells: list[str] = []
        for kind in CONTRADICTIONS:
            mine = [m for m in cases if m.case.kind == kind]
            right, wrong = (sum(m.resolved == o for m in mine) / len(mine) for o in ("right", "wrong"))
            cells.append(f"{right:.0%} / {wrong:.0%}")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _sensitivity(measured: dict[tuple[float, float], list[Measured]]) -> str:
    verify = sorted({v for v, _ in measured})
    judge = sorted({j for _, j in measured})
    head = " | ".join(f"judge {j:.0%}" for j in judge)
    rows = [f"| answer right / wrong | {head} |", "|---" * (len(judge) + 1) + "|"]
    for v in verify:
        cells: list[str] = []
        for j in judge:
            cases = measured[v, j]
            right, wrong = (sum(m.answered == o for m in cases) / len(cases) for o in ("right", "wrong"))
            cells.append(f"{right:.0%} / {wrong:.0%}")
        rows.append(f"| verify {v:.0%} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _reading(measured: dict[str, list[Measured]]) -> str:
    """Return what can be said of any such table, with this one's numbers."""

    def right(name: str) -> float:
        bad = [m for m in measured[name] if m.case.contradicts]
        return sum(m.answered == "right" for m in bad) / len(bad)

    def wrong(name: str) -> float:
        bad = [m for m in measured[name] if m.case.contradicts]
        return sum(m.answered == "wrong" for m in bad) / len(bad)

    default = "clear_majority, verify, judge (default)"
    return f"""\
- Without it, {wrong("not compared"):.0%} of these answers are wrong, and nobody can tell which.
  With the default ladder {wrong(default):.0%} are wrong and {right(default):.0%} right (before: \
{right("not compared"):.0%}).
- Finding conflicts without settling them leaves {wrong("found, left open"):.0%} wrong: the answers say that
  the value is disputed. Where a wrong answer costs more than an open one, that is the cheapest setting,
  together with `strict`.
- Counting is free, and as good as the threads' errors are independent. It is helpless one against one, and
  always wrong about an error that most threads share. That is why two against one is not a clear majority:
  with `majority` in its place, {wrong("majority, verify, judge"):.0%} are wrong, for half the extra calls.
- `verify` is seldom wrong, because a derivation that fails rarely lands on the other candidate; it leaves
  open what it misses, which is what the judge behind it is for.
- `judge(passes=2)` is for judges that prefer a position: it settles less and is wrong less often.
- A debate costs most, because every party speaks in every round."""


def _share(part: int, whole: int) -> str:
    low, high = wilson(part, whole)
    return f"{part / whole:.0%} ({low:.0%}-{high:.0%})" if whole else "-"


def _extra(now: Sequence[float], before: Sequence[float]) -> float:
    return mean(now) - mean(before)
