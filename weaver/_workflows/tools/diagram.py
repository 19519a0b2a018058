"""A workflow as a picture: in the terminal, as Mermaid, as SVG."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from types import MappingProxyType

from weaver._json_reading.json_types import is_array
from weaver._text.shortening import one_line
from weaver._workflows.execution.preparation.prepared import Prepared
from weaver._workflows.kinds.bound import Most
from weaver._workflows.tools.cost_bound import WorstCase
from weaver._workflows.tools.foreseen import Foreseen
from weaver._workflows.validation.compiled import CompiledStep
from weaver._workflows.validation.graph import levels, reduced

_COLUMN, _ROW, _WIDTH, _HEIGHT = 230, 84, 180, 56


def terminal(
    prepared: Prepared, worst: WorstCase, foreseen: Mapping[str, Foreseen] = MappingProxyType({})
) -> str:
    """Levels, who waits for whom, and the most that each step can take.

    Args:
        foreseen: what the inputs decide, where they are known.
    """
    workflow = prepared.workflow
    graph = workflow.compiled.graph
    rows = levels(graph)
    lines = [f"{workflow.name}: {_count(len(graph), 'step')} in {_count(len(rows), 'level')}"]
    if workflow.description:
        lines.append(" ".join(workflow.description.split())[:160])
    for number, row in enumerate(rows, 1):
        lines += ["", f"Level {number}" + (", at the same time" if len(row) > 1 else "")]
        for id_ in row:
            mark = "*" if id_ in worst.chain else " "
            waits = f"  <- {', '.join(graph[id_])}" if graph[id_] else ""
            lines.append(f"{mark} {id_}{waits}")
            if (decided := foreseen.get(id_)) is not None and decided.is_skipped:
                lines.append("      skipped with these inputs")
                continue
            lines += [f"      {fact}" for fact in _facts(prepared.steps[id_], worst.steps[id_], decided)]
    lines += ["", f"* longest chain: {' -> '.join(worst.chain)}", "", f"At most: {_most(worst.total)}"]
    lines += [f"  {id_}: {m.bound}" for id_, m in worst.steps.items() if m.bound]
    if worst.total.calls is None or worst.total.tokens is None:
        lines.append("  `max_tokens` and `budget` in the file set the limits that are missing.")
    return "\n".join(lines)


def mermaid(prepared: Prepared) -> str:
    """A flowchart for Markdown pages."""
    graph = prepared.workflow.compiled.graph
    lines = ["flowchart LR"]
    for id_, step in prepared.steps.items():
        label = f"{_safe(id_)}<br/>{_safe(_kind(step))}"
        left, right = step.action.outline
        lines.append(f'    {_node(id_)}{left}"{label}"{right}')
    for id_, needs in reduced(graph).items():
        step = prepared.steps[id_]
        note = "|if|" if step.spec.if_ is not None else ""
        lines += [f"    {_node(need)} -->{note} {_node(id_)}" for need in needs]
    return "\n".join(lines)


def svg(prepared: Prepared, worst: WorstCase) -> str:
    """Its own picture: no fonts, scripts or files from elsewhere; readable in light and dark."""
    graph = prepared.workflow.compiled.graph
    rows = levels(graph)
    tallest = max(len(row) for row in rows)
    at: dict[str, tuple[int, int]] = {}
    for column, row in enumerate(rows):
        top = 20 + (tallest - len(row)) * _ROW // 2
        for place, id_ in enumerate(row):
            at[id_] = (20 + column * _COLUMN, top + place * _ROW)
    width, height = 20 + len(rows) * _COLUMN - (_COLUMN - _WIDTH) + 20, 20 + tallest * _ROW
    name = escape(prepared.workflow.name)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{name}">',
        _STYLE,
        f"<title>{name}</title>",
    ]
    chain = set(zip(worst.chain, worst.chain[1:], strict=False))
    for id_, needs in reduced(graph).items():
        parts += [_edge(at[need], at[id_], hot=(need, id_) in chain) for need in needs]
    parts += [_box(step, at[id_], hot=id_ in worst.chain) for id_, step in prepared.steps.items()]
    return "\n".join([*parts, "</svg>"])


_STYLE = """<style>
  .box { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.2 } .hot { stroke: #bc4c00; stroke-width: 2 }
  .edge { fill: none; stroke: #8c959f; stroke-width: 1.4 } .edge.hot { stroke: #bc4c00 }
  text { font: 13px system-ui, sans-serif; fill: #1f2328 } .what { font-size: 11px; fill: #57606a }
  @media (prefers-color-scheme: dark) {
    .box { fill: #21262d; stroke: #8b949e } text { fill: #e6edf3 } .what { fill: #9198a1 }
    .hot, .edge.hot { stroke: #f0883e } .edge { stroke: #6e7681 }
  }
</style>"""


def _edge(start: tuple[int, int], end: tuple[int, int], *, hot: bool) -> str:
    x1, y1 = start[0] + _WIDTH, start[1] + _HEIGHT // 2
    x2, y2 = end[0], end[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    path = f"M {x1} {y1} C {middle} {y1}, {middle} {y2}, {x2 - 7} {y2}"
    tip = f"M {x2 - 8} {y2 - 4} L {x2} {y2} L {x2 - 8} {y2 + 4}"
    kind = "edge hot" if hot else "edge"
    return f'<path class="{kind}" d="{path}"/><path class="{kind}" d="{tip}"/>'


def _box(step: CompiledStep, at: tuple[int, int], *, hot: bool) -> str:
    x, y = at
    dashed = ' stroke-dasharray="5 3"' if step.spec.if_ is not None else ""
    many = f'<rect class="box" x="{x + 4}" y="{y - 4}" width="{_WIDTH}" height="{_HEIGHT}" rx="7"/>'
    kind = "box hot" if hot else "box"
    return "".join(
        [
            f"<g><title>{escape(_tooltip(step))}</title>",
            many if step.spec.for_each is not None else "",
            f'<rect class="{kind}" x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="7"{dashed}/>',
            f'<text x="{x + 12}" y="{y + 24}">{escape(one_line(step.id, 22))}</text>',
            f'<text class="what" x="{x + 12}" y="{y + 42}">{escape(one_line(_kind(step), 28))}</text></g>',
        ]
    )


def _kind(step: CompiledStep) -> str:
    """Return what a step does, in a few words."""
    return f"{step.action.label}, each item" if step.spec.for_each is not None else step.action.label


def _facts(step: CompiledStep, most: Most, decided: Foreseen | None) -> list[str]:
    spec = step.spec
    facts = [_kind(step)]
    if decided is not None and decided.task is not None:
        facts.append(f"task: {one_line(decided.task, 100)}")
    if spec.for_each is not None:
        if decided is not None and decided.items is not None:
            items = _count(decided.items, "item")
        elif is_array(spec.for_each):
            items = _count(len(spec.for_each), "item")
        else:
            items = one_line(spec.for_each, 60)
        parallel = f", {step.max_parallel} at a time" if step.max_parallel else ""
        facts.append(f"for each of {items}{parallel}")
    facts += [f"if {one_line(spec.if_, 80)}"] if spec.if_ is not None else []
    facts += [f"join {spec.join}"] if spec.join is not None else []
    facts += (
        [f"asks: {one_line(spec.approve.message, 60)}"]
        if spec.approve is not None and not step.action.may_accompany
        else []
    )
    if most.calls != 0:
        facts.append(f"at most {_most(most)}")
    return facts


def _tooltip(step: CompiledStep) -> str:
    return f"{step.title}\n{step.action.summary}"


def _most(most: Most) -> str:
    calls = "any number of calls" if most.calls is None else _count(most.calls, "call")
    tokens = "any number of tokens" if most.tokens is None else _count(most.tokens, "token")
    cost = "cost unknown" if most.cost_usd is None else f"${most.cost_usd:,.4f}"
    return ", ".join([calls, tokens, cost])


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _node(id_: str) -> str:
    """A step's node in Mermaid, where `end`, `graph`, `style` and others are words of the language."""
    return f"step_{id_}"


def _safe(text: str) -> str:
    """Escape a Mermaid label in quotes: no markup, no Markdown, no entities of its own."""
    line = " ".join(text.split())
    return re.sub(r"[^\w .,:;/()\[\]{}$=+*?!|@'-]", lambda odd: f"#{ord(odd[0])};", line)
