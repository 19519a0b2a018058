"""A run drawn in the terminal: tree, bars over time, tokens, cost, and what follows from them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from weaver._tracing.record import semconv as sc
from weaver._tracing.views.run_view import Piece, RunView, Sum

ROWS = 60
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_BAD = frozenset(("failed", "timed_out"))
_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "timed_out": "red",
    "cancelled": "bright_black",
    "skipped": "bright_black",
    "running": "blue",
}
_KINDS = {
    "plan": "magenta",
    "tool": "cyan",
    "synthesis": "green",
    "conflict": "bright_magenta",
    "join": "white",
}
"""Colours of bars by kind, those of the HTML view (`viewer/kinds.js`); other kinds are blue."""


@dataclass(frozen=True, slots=True)
class Signs:
    """The characters that a terminal can show."""

    states: dict[str, str]
    critical: str
    bar: str
    first: str
    queue: str
    branch: str
    last: str
    pipe: str
    arrow: str
    dot: str


UNICODE = Signs(
    {"succeeded": "✓", "failed": "✗", "timed_out": "!", "cancelled": "⊘", "skipped": "·", "running": "…"},
    "●", "━", "─", "┄", "├ ", "└ ", "│ ", "→", "·",
)  # fmt: skip
ASCII = Signs(
    {"succeeded": "+", "failed": "x", "timed_out": "t", "cancelled": "c", "skipped": "-", "running": "~"},
    "*", "=", "-", ".", "|-", "`-", "| ", ">", "-",
)  # fmt: skip


def clean(text: str) -> str:
    """One line without anything that could steer a terminal: text of a trace may be a model's."""
    return " ".join(_CONTROL.sub(" ", text).split())


def draw(view: RunView, console: Console, *, calls: bool = False, rows: int | None = ROWS) -> RenderableType:
    """The whole picture of a run.

    Args:
        calls: show every model call; by default only those that tell more than their thread's row does.
        rows: most rows of the tree; the rest is summed up in a line. None shows all.
    """
    signs = UNICODE if (console.encoding or "").lower().startswith("utf") else ASCII
    return Group(
        *_head(view, signs),
        Text(),
        *_tree(view, signs, console.width, calls=calls, rows=rows),
        Text(),
        *_foot(view, signs),
    )


def _head(view: RunView, signs: Signs) -> list[Text]:
    root, about = view.root, view.root.span.attributes
    dot = f" {signs.dot} "
    threads = view.threads
    facts = [
        view.status if view.complete else "running, or its process died",
        clean(str(about.get(sc.RUN_MODEL, ""))),
        seconds(root.seconds),
        _many(len(threads), "thread"),
        _many(root.calls, "call"),
        f"{root.input_tokens:,}{signs.arrow}{root.output_tokens:,} tokens",
        dollars(root.cost_usd) or "cost unknown",
    ]
    head = Text(f"{root.label}  ", style="bold")
    head.append(dot.join(f for f in facts if f), style="not bold")
    lines = [head]
    if view.question:
        lines.append(Text(clean(view.question)[:300], style="italic"))
    lines.append(Text(f"run {view.run_id}  trace {root.span.trace_id}", style="bright_black"))
    return lines


# The tree ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Row:
    piece: Piece | None
    indent: str
    text: str
    folded: Piece | None = None  # the only call of a thread, drawn in the thread's own bar


def _tree(view: RunView, signs: Signs, width: int, *, calls: bool, rows: int | None) -> list[Text]:
    picked = _rows(view, signs, _picked(view, calls=calls, limit=rows))
    numbers = 32
    label = min(max((len(r.indent) + len(r.text) + 4 for r in picked), default=20), max(width * 2 // 5, 24))
    bar = max(width - label - numbers - 2, 10)
    whole = max(view.root.seconds, 1e-9)
    lines = [_scale(whole, label, bar)]
    for row in picked:
        line = Text(no_wrap=True, overflow="crop")
        piece = row.piece
        if piece is None:
            line.append(f"  {row.indent}{row.text}", style="bright_black italic")
            lines.append(line)
            continue
        colour = _COLOURS.get(piece.state, "white")
        line.append(f"{signs.critical if piece.critical else ' '} ", style="yellow")
        line.append(row.indent, style="bright_black")
        line.append(f"{signs.states.get(piece.state, '?')} ", style=colour)
        room = label - len(row.indent) - 4
        text = row.text if len(row.text) <= room else row.text[: max(room - 1, 1)] + "…"[: signs is UNICODE]
        line.append(text, style="bold" if piece.kind == "run" else "")
        line.append(" " * max(label - len(line.plain), 0) + " ")
        line.append_text(_bar(row, signs, whole=whole, width=bar, colour=_bar_colour(piece)))
        line.append(f" {seconds(piece.seconds):>8}")
        if piece.calls:
            tokens = f"{_short(piece.input_tokens)}{signs.arrow}{_short(piece.output_tokens)}"
            line.append(f" {tokens:>12} {dollars(piece.cost_usd):>9}", style="cyan")
        lines.append(line)
    return lines


def _bar_colour(piece: Piece) -> str:
    """Return the colour of the work, or of its end where it was lost. A call has that of its parent."""
    if piece.state not in ("succeeded", "running"):
        return _COLOURS.get(piece.state, "white")
    owner = piece.parent if piece.kind == "call" and piece.parent is not None else piece
    return _KINDS.get(owner.kind, "blue")


def _picked(view: RunView, *, calls: bool, limit: int | None) -> set[str]:
    """Ids of the pieces that get a row: the critical path, then level by level what tells most."""
    candidates: list[Piece] = []
    stack = [view.root]
    while stack:
        piece = stack.pop()
        candidates.append(piece)
        stack.extend(c for c in piece.children if calls or not _folds(c))

    def rank(piece: Piece) -> tuple[bool, int, bool, float]:
        return not piece.critical, piece.depth, piece.state not in _BAD, -piece.seconds

    return {p.id for p in (candidates if limit is None else sorted(candidates, key=rank)[: max(limit, 1)])}


def _rows(view: RunView, signs: Signs, picked: set[str]) -> list[_Row]:
    """The picked pieces in tree order, with what joins waited for and how many are left out."""
    rows: list[_Row] = []
    stack: list[tuple[Piece, str, str]] = [(view.root, "", "")]
    while stack:
        piece, lead, inner = stack.pop()
        inside = [c for c in piece.children if c.id in picked]
        more = sum(c.kind == "thread" for c in piece.children) - sum(c.kind == "thread" for c in inside)
        row = _row(piece, lead)
        if more:
            row.text += f"  (+{_many(more, 'thread')})"
        rows.append(row)
        if piece.id in view.waits:
            rows.append(_Row(None, inner, view.waits[piece.id]))
        below: list[tuple[Piece, str, str]] = []
        for i, child in enumerate(inside):
            last = i == len(inside) - 1
            below.append(
                (
                    child,
                    inner + (signs.last if last else signs.branch),
                    inner + ("  " if last else signs.pipe),
                )
            )
        stack.extend(reversed(below))
    others = sum(p.kind == "thread" and p.id not in picked for p in view.pieces)
    if others:
        rows.append(_Row(None, "", f"{_many(others, 'thread')} left out; --rows 0 shows all"))
    return rows


def _row(piece: Piece, indent: str) -> _Row:
    text = clean(piece.label)
    if piece.state in ("cancelled", "failed", "timed_out", "skipped"):
        state = piece.state.replace("_", " ")
        text += f"  ({state}: {clean(piece.reason)})" if piece.reason else f"  ({state})"
    only = [c for c in piece.children if c.kind == "call"]
    return _Row(piece, indent, text, only[0] if len(only) == 1 else piece if piece.kind == "call" else None)


def _folds(call: Piece) -> bool:
    """Say whether a call's row would tell no more than its parent's."""
    if call.kind != "call" or call.parent is None or call.parent.kind == "run":
        return False
    same = call.state in {call.parent.state, "succeeded"}
    return same and not call.span.events and sum(c.kind == "call" for c in call.parent.children) == 1


def _scale(whole: float, label: int, bar: int) -> Text:
    end = seconds(whole)
    line = "0 s" + end.rjust(bar - 3) if bar > len(end) + 4 else end.rjust(bar)
    return Text(" " * (label + 1) + line, style="bright_black")


def _bar(row: _Row, signs: Signs, *, whole: float, width: int, colour: str) -> Text:
    piece, call = row.piece, row.folded
    assert piece is not None

    def column(moment: float) -> int:
        return min(max(int(moment / whole * width), 0), width)

    begin = min(column(piece.start), width - 1)
    end = max(column(piece.end), begin + 1)
    text = Text(" " * begin)
    if call is not None:
        queue = max(column(call.start + call.queue_seconds), begin) if call.queue_seconds else begin
        first = float(call.span.attributes.get(sc.RESPONSE_FIRST_CHUNK, 0.0))
        streaming = min(max(column(call.start + call.queue_seconds + first), queue), end - 1)
        text.append(signs.queue * (queue - begin), style="bright_black")
        text.append(signs.first * max(streaming - queue, 0), style=colour)
        begin = max(streaming, queue)
    waits = piece.kind == "join"
    style = "yellow" if piece.critical and piece.kind != "run" else "bright_black" if waits else colour
    text.append((signs.queue if waits else signs.bar) * max(end - begin, 0), style=style)
    text.append(" " * max(width - end, 0))
    return text


# What follows -----------------------------------------------------------------------------------------


def _foot(view: RunView, signs: Signs) -> list[RenderableType]:
    parts: list[RenderableType] = [*_path(view, signs), _roles(view)]
    cut = [p for p in view.pieces if p.state == "cancelled" and p.kind == "thread"]
    if cut:
        reasons = Counter(p.reason or "unknown" for p in cut)
        summary = ", ".join(f"{n:,} {reason}" for reason, n in reasons.most_common())
        names = ", ".join(str(p.thread) for p in cut[:8]) + (", ..." if len(cut) > 8 else "")
        parts.append(_line("Cancelled", f"{_many(len(cut), 'thread')} ({summary}): {names}"))
    parts += _failures(view)
    parts += [_conflict(p) for p in view.pieces if p.kind == "conflict"]
    notes = view.root.span.attributes.get(sc.RUN_NOTES) or ()
    return [*parts, *(_line("Note", clean(str(note))) for note in notes)]


def _failures(view: RunView) -> list[Text]:
    """Return what failed, by reason. A call that took its thread with it is told as the thread."""
    reasons: dict[str, list[str]] = {}
    for piece in view.pieces:
        up = piece.parent
        if piece.state in _BAD and not (piece.kind == "call" and up is not None and up.state in _BAD):
            reason = clean(piece.reason) or piece.state.replace("_", " ")
            reasons.setdefault(reason, []).append(clean(piece.thread or piece.label))
    lines: list[Text] = []
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1]))[:6]:
        summary = ", ".join(names[:6]) + (f" and {len(names) - 6:,} more" if len(names) > 6 else "")
        lines.append(_line("Failed", f"{summary}: {reason}", "red"))
    if len(reasons) > 6:
        lines.append(_line("Failed", f"for {len(reasons) - 6:,} more reasons", "red"))
    return lines


def _path(view: RunView, signs: Signs) -> list[Text]:
    """The critical path, in the pieces that take most of it, and by what it was spent on."""
    steps = [p for p in view.path if p.own_seconds > 0 and p.kind != "run"]
    if not steps:
        return []
    whole = max(view.root.seconds, 1e-9)
    seconds_by_label: dict[str, float] = {}
    for piece in steps:
        owner: Piece = piece
        while owner.kind in ("call", "tool", "other") and owner.parent and owner.parent.kind != "run":
            owner = owner.parent
        name = clean(owner.thread or owner.label)
        seconds_by_label[name] = seconds_by_label.get(name, 0.0) + piece.own_seconds
    items = list(seconds_by_label.items())
    if len(items) > 12:
        least = sorted(seconds_by_label.values())[-12]
        items = [(name, s) for name, s in items if s >= least][:12]
    chain = f" {signs.arrow} ".join(f"{n} {seconds(s)} ({s / whole:.0%})" for n, s in items)
    calls = [p for p in view.path if p.kind == "call"]
    queue = sum(p.queue_seconds for p in calls)
    first = sum(float(p.span.attributes.get(sc.RESPONSE_FIRST_CHUNK, 0.0)) for p in calls)
    spent = sum(p.own_seconds for p in calls)
    tools = sum(p.own_seconds for p in view.path if p.kind == "tool")
    tokens = sum(p.output_tokens for p in calls)
    parts = [f"model calls {seconds(spent)} (first token {seconds(first)}, queue {seconds(queue)})"]
    if tools:
        parts.append(f"tools {seconds(tools)}")
    parts.append(f"everything else {seconds(max(whole - spent - tools, 0))}")
    return [
        _line(f"{signs.critical} Critical path", chain, "yellow"),
        _line("Spent on", f"{', '.join(parts)}; {tokens:,} of {view.root.output_tokens:,} tokens"),
    ]


def _roles(view: RunView) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    table.add_column("Calls by role")
    for name in ("calls", "in", "out", "cost", "seconds"):
        table.add_column(name, justify="right")

    def row(name: str, group: Sum) -> None:
        table.add_row(
            name, f"{group.calls:,}", f"{group.input_tokens:,}", f"{group.output_tokens:,}",
            dollars(group.cost_usd) or "?", seconds(group.seconds),
        )  # fmt: skip

    for name, group in view.roles.items():
        row(clean(name), group)
    if len(view.models) > 1:
        for name, group in view.models.items():
            row(f"  {clean(name)}", group)
    return table


def _conflict(piece: Piece) -> Text:
    about = piece.span.attributes
    threads = ", ".join(str(t) for t in about.get(sc.CONFLICT_THREADS) or ())
    subject = clean(piece.label.removeprefix("conflict: "))
    if about.get(sc.CONFLICT_RESOLVED):
        winners = ", ".join(str(t) for t in about.get(sc.CONFLICT_WINNERS) or ()) or "nobody"
        how = f"settled by {clean(str(about.get(sc.CONFLICT_STRATEGY, '?')))} for {winners}"
        if value := about.get(sc.CONFLICT_VALUE):
            how += f": {clean(str(value))[:120]}"
    else:
        how = "not settled"
    return _line("Conflict", f"{subject}, between {threads}; {how}", "magenta")


def _line(name: str, text: str, style: str = "bright_black") -> Text:
    line = Text(f"{name:<15} ", style=style)
    line.append(text, style="default")
    return line


def seconds(value: float) -> str:
    """``35 ms``, ``2.46 s``, ``12:05 min``."""
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    if value < 100:
        return f"{value:.2f} s"
    return f"{int(value // 60)}:{int(value % 60):02d} min"


def dollars(value: float | None) -> str:
    """``$0.0012``; "" when it is not known."""
    if value is None:
        return ""
    if 0 < value < 0.00005:
        return "<$0.0001"
    return f"${value:.4f}" if value < 1 else f"${value:,.2f}"


def _short(number: int) -> str:
    return f"{number:,}" if number < 100_000 else f"{number / 1000:,.0f}k"


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
