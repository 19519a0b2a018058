"""Draw from which length of an answer a fork is faster, for four kinds of endpoint.

python -m tests.benchmarks.when_a_fork_pays docs/images/when-a-fork-pays.svg
"""

from __future__ import annotations

import sys
from math import ceil, inf, isfinite, log10
from pathlib import Path

from weaver._planning.gate.formulas import UNEVEN
from weaver._planning.gate.gate import PLAN_TOKENS
from weaver._planning.gate.lengths import REPEATED
from weaver._planning.gate.speeds import PRIORS, Speeds

WIDTHS = range(2, 9)
LEFT, TOP, WIDE, HIGH = 70, 40, 480, 300
LEAST, MOST = 50, 10_000  # tokens, logarithmic
COLOURS = {"hosted": "#0072b2", "local gpu": "#009e73", "local metal": "#e69f00", "local cpu": "#d55e00"}


def break_even(speeds: Speeds, parts: int, *, plan: int, merge: int) -> float:
    """Tokens of an answer from which a fork is faster; infinity where it never is. Prompts count nothing."""
    width = min(parts, speeds.slots or parts)
    slower = 1 + speeds.slowdown * (width - 1)
    margin = 1 - (1 + REPEATED) * UNEVEN * slower * ceil(parts / width) / parts
    calls = bool(plan) + bool(merge)
    # A fork has one first token more than a direct answer for each call besides its threads.
    return (plan + merge + calls * speeds.first_token * speeds.decode) / margin if margin > 0 else inf


def x(width: float) -> float:
    return round(LEFT + (width - 2) / 6 * WIDE, 1)


def y(tokens: float) -> float:
    return round(TOP + HIGH * (1 - log10(tokens / LEAST) / log10(MOST / LEAST)), 1)


def picture() -> str:
    """The picture as SVG."""
    size = f"0 0 {LEFT + WIDE + 130} {TOP + HIGH + 60}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-weight="bold">A fork is faster above the line of its endpoint</text>',
    ]
    for tokens in (100, 200, 500, 1000, 2000, 5000, 10_000):
        parts.append(f'<path d="M{LEFT} {y(tokens)}H{LEFT + WIDE}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(tokens) + 4}" text-anchor="end">{tokens:,}</text>')
    parts += [
        f'<text x="{x(width)}" y="{TOP + HIGH + 20}" text-anchor="middle">{width}</text>' for width in WIDTHS
    ]
    for number, (kind, speeds) in enumerate(PRIORS.items()):
        points = {
            width: break_even(speeds, width, plan=PLAN_TOKENS[0] + PLAN_TOKENS[1] * width, merge=0)
            for width in WIDTHS
        }
        shown = [(w, t) for w, t in points.items() if isfinite(t) and LEAST <= t <= MOST]
        line = "L".join(f"{x(w)} {y(t)}" for w, t in shown)
        colour = COLOURS[kind]
        parts.append(f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{x(w)}" cy="{y(t)}" r="3.5" fill="{colour}"/>' for w, t in shown]
        at = TOP + 30 + 24 * number
        parts.append(f'<rect x="{LEFT + WIDE + 20}" y="{at - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + WIDE + 38}" y="{at}">{kind}</text>')
    middle = TOP + HIGH / 2
    turned = f'transform="rotate(-90 18 {middle})"'
    parts += [
        f'<text x="{LEFT + WIDE / 2}" y="{TOP + HIGH + 44}" text-anchor="middle">threads</text>',
        f'<text x="18" y="{middle}" text-anchor="middle" {turned}>tokens of a direct answer</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(), encoding="utf-8")
