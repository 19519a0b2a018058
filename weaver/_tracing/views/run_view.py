"""A run as people look at it: its pieces as a tree, where time and tokens went, what was waited for.

The terminal, the HTML file and the live view all draw this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.critical_path import Node, critical_path
from weaver._tracing.spans.call import CALL
from weaver._tracing.spans.registry import KINDS, OTHER
from weaver._tracing.spans.run import RUN
from weaver._tracing.store.span_record import SpanRecord

SLACK_NS = 200_000
"""Two pieces of work that follow each other may overlap by this much (scheduling)."""


@dataclass(slots=True)
class Piece:
    """One span with what follows from its place in the run.

    Attributes:
        kind: the name of its kind of span (`weaver._tracing.spans.registry`); ``other`` is not weaver's.
        label: what it is called in a view.
        start, end: seconds since the run's start; ``end`` of an open piece is the view's moment.
        state: ``succeeded``, ``failed``, ``cancelled``, ``timed_out``, ``skipped`` or ``running``.
        reason: why it was cancelled, or what failed; "" otherwise.
        input_tokens, output_tokens, cost_usd: of the calls in it, its own included. Cost is None when the
            cost of any of them is unknown.
        own_seconds: seconds on the critical path that no piece inside accounts for.
    """

    span: SpanRecord
    kind: str
    label: str
    depth: int
    parent: Piece | None
    start: float
    end: float
    state: str
    reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    calls: int = 0
    critical: bool = False
    own_seconds: float = 0.0
    children: list[Piece] = field(default_factory=list["Piece"])

    @property
    def id(self) -> str:
        """The span's id."""
        return self.span.span_id

    @property
    def seconds(self) -> float:
        """Seconds from start to end."""
        return self.end - self.start

    @property
    def thread(self) -> str | None:
        """The id of the thread, if this is one."""
        return self.span.attributes.get(sc.TASK_ID) if self.kind == "thread" else None

    @property
    def queue_seconds(self) -> float:
        """Seconds a call waited for its endpoint's limits."""
        return float(self.span.attributes.get(sc.QUEUE_WAIT_MS, 0)) / 1000 if self.kind == "call" else 0.0

    def walk(self) -> list[Piece]:
        """This piece and all below it, in tree order."""
        pieces: list[Piece] = []
        stack: list[Piece] = [self]
        while stack:
            piece = stack.pop()
            pieces.append(piece)
            stack.extend(reversed(piece.children))
        return pieces


@dataclass(slots=True)
class Sum:
    """Calls, tokens, dollars and summed seconds of a group of calls."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    seconds: float = 0.0

    def add(self, call: Piece) -> None:
        """Count one call."""
        self.calls += 1
        self.input_tokens += call.input_tokens
        self.output_tokens += call.output_tokens
        self.cost_usd = added(self.cost_usd, call.cost_usd)
        self.seconds += call.seconds


@dataclass(slots=True)
class RunView:
    """A whole run.

    Attributes:
        pieces: all of them, in tree order.
        path: the critical path's pieces, in order of time.
        waits: for each join, in words: what it waited for and what it cancelled.
        roles, models: sums of calls by role and by model.
        complete: False when the root span is missing: the run still goes on, or its process died.
    """

    run_id: str
    root: Piece
    pieces: list[Piece]
    path: list[Piece]
    waits: dict[str, str]
    roles: dict[str, Sum]
    models: dict[str, Sum]
    texts: Mapping[tuple[str, str], str]
    complete: bool
    question: str = ""

    @property
    def threads(self) -> list[Piece]:
        """The threads, in tree order."""
        return [p for p in self.pieces if p.kind == "thread"]

    @property
    def status(self) -> str:
        """``complete``, ``partial``, ``failed``, ``cancelled``, or ``running``."""
        if not self.complete:
            return "running"
        if self.root.state == "cancelled":
            return "cancelled"
        return str(self.root.span.attributes.get(sc.RUN_STATUS) or self.root.state)


def view_of(
    spans: Sequence[SpanRecord],
    *,
    root: str | None = None,
    texts: Mapping[tuple[str, str], str] | None = None,
    question: str = "",
    now_ns: int = 0,
) -> RunView:
    """The view of one run.

    Args:
        spans: in any order; spans whose parent is missing are put under the root.
        root: id of the root span; by default the first span with a run id.
        texts: full texts by (span id, attribute).
        now_ns: up to when open pieces reach; by default the last moment that anything is known of.

    Raises:
        ValueError: there is no span at all.
    """
    # Evaluations may come days after the run, and are no part of its time.
    spans = [span for span in spans if span.operation != sc.EVALUATE]
    if not spans:
        raise ValueError("there are no spans")
    origin = _root_of(spans, root)
    complete = origin.end_ns is not None and sc.RUN_ID in origin.attributes
    now = max(now_ns, *(s.end_ns or s.start_ns for s in spans))
    end_ns = origin.end_ns or now
    inside: dict[str | None, list[SpanRecord]] = {}
    ids = {s.span_id for s in spans} | {origin.span_id}
    for span in spans:
        if span.span_id != origin.span_id:
            parent = span.parent_id if span.parent_id in ids else origin.span_id
            inside.setdefault(parent, []).append(span)
    top = _piece(origin, None, origin.start_ns, end_ns)
    stack = [top]
    while stack:
        piece = stack.pop()
        # A circle of parents (a broken file) would never be reached from the root: it is left out.
        group = sorted(inside.pop(piece.id, ()), key=lambda s: (s.start_ns, s.span_id))
        piece.children = [_piece(s, piece, origin.start_ns, end_ns) for s in group]
        stack.extend(piece.children)
    pieces = top.walk()
    for piece in reversed(pieces):
        _sum_up(piece)
    view = RunView(
        run_id=str(origin.attributes.get(sc.RUN_ID, "")),
        root=top,
        pieces=pieces,
        path=_mark_path(pieces),
        waits={},
        roles={},
        models={},
        texts=texts or {},
        complete=complete,
        question=question or str(origin.attributes.get(sc.RUN_QUESTION, "")),
    )
    for piece in pieces:
        about = piece.span.attributes
        if piece.kind == "call":
            view.roles.setdefault(str(about.get(sc.CALL_ROLE, "?")), Sum()).add(piece)
            model = about.get(sc.RESPONSE_MODEL) or about.get(sc.REQUEST_MODEL, "?")
            view.models.setdefault(str(model), Sum()).add(piece)
        elif piece.kind == "join":
            view.waits[piece.id] = _wait_of(piece)
    return view


def added(one: float | None, other: float | None) -> float | None:
    """A sum of costs; unknown when a part is unknown."""
    return None if one is None or other is None else one + other


def _root_of(spans: Sequence[SpanRecord], wanted: str | None) -> SpanRecord:
    for span in spans:
        if (span.span_id == wanted) if wanted else sc.RUN_ID in span.attributes:
            return span
    # The root never ended: stand in for it.
    first = min(spans, key=lambda s: s.start_ns)
    ids = {s.span_id for s in spans}
    missing = wanted or next((s.parent_id for s in spans if s.parent_id not in ids), None) or "root"
    return SpanRecord(first.trace_id, missing, None, "run", first.start_ns)


def _piece(span: SpanRecord, parent: Piece | None, zero_ns: int, now_ns: int) -> Piece:
    about = span.attributes
    kind = KINDS.get(span.operation, OTHER if parent is not None else RUN)
    end_ns = span.end_ns if span.end_ns is not None else max(now_ns, span.start_ns)
    state = str(about.get(sc.TASK_STATE) or "succeeded")
    if span.end_ns is None:
        state = "running"
    elif span.status == "error" and state not in ("failed", "timed_out"):
        state = "failed"
    reason = str(about.get(sc.CANCEL_REASON, ""))
    if state in ("failed", "timed_out"):
        reason = span.status_text or str(about.get(sc.ERROR_TYPE, ""))
        reason = "" if reason == state else reason
    piece = Piece(
        span=span,
        kind=kind.name,
        label=kind.label(span.name, about),
        depth=0 if parent is None else parent.depth + 1,
        parent=parent,
        start=(span.start_ns - zero_ns) / 1e9,
        end=(end_ns - zero_ns) / 1e9,
        state=state,
        reason=reason,
    )
    if kind is CALL:
        piece.calls = 1
        piece.input_tokens = int(about.get(sc.USAGE_INPUT, 0))
        piece.output_tokens = int(about.get(sc.USAGE_OUTPUT, 0))
        used = piece.input_tokens or piece.output_tokens
        piece.cost_usd = about.get(sc.COST_AMOUNT, None if used else 0.0)
    return piece


def _sum_up(piece: Piece) -> None:
    """Add what is below to a piece whose children have been summed up already."""
    for child in piece.children:
        piece.calls += child.calls
        piece.input_tokens += child.input_tokens
        piece.output_tokens += child.output_tokens
        piece.cost_usd = added(piece.cost_usd, child.cost_usd)


def _mark_path(pieces: Sequence[Piece]) -> list[Piece]:
    by_id = {p.id: p for p in pieces}
    ids = critical_path(
        (
            Node(
                id=p.id,
                parent=p.parent.id if p.parent else None,
                start=p.span.start_ns,
                end=p.span.start_ns + round(p.seconds * 1e9),
                waited_for=_waited_for(p),
                early=p.kind == "plan",
            )
            for p in pieces
        ),
        slack=SLACK_NS,
    )
    path = [by_id[i] for i in ids]
    for piece in path:
        piece.critical = True
    until = {path[0].id: path[0].end} if path else {}
    for piece in path:  # parents come before what is in them
        end = until[piece.id]
        inside = sorted((c for c in piece.children if c.critical), key=lambda c: c.start)
        own = end - piece.start
        for i, child in enumerate(inside):
            # A plan that goes on while its first threads run counts until the next piece begins.
            next_start = inside[i + 1].start if i + 1 < len(inside) else end
            until[child.id] = max(min(child.end, next_start, end), child.start)
            own -= until[child.id] - child.start
        piece.own_seconds = max(own, 0.0)
    return path


def _waited_for(piece: Piece) -> bool:
    if piece.parent is None:
        return True
    if piece.kind == "join" or piece.state == "skipped":
        return False
    # What the clock or the user cut had been waited for until then; what was not needed had not.
    return piece.state != "cancelled" or piece.reason in ("deadline", "user")


def _wait_of(join: Piece) -> str:
    """Return what a join waited for, in words."""
    about: Mapping[str, Any] = join.span.attributes
    received = about.get(sc.JOIN_RECEIVED_IDS) or ()
    parts = [f"waited {join.seconds:.2f} s"]
    ids = {k.span_id for k in join.span.links} | {f"={t}" for t in about.get(sc.DEPENDS_ON) or ()}
    siblings = join.parent.children if join.parent else []
    joined = [p for p in siblings if p.kind == "thread" and (p.id in ids or f"={p.thread}" in ids)]
    came = [p for p in joined if p.state not in ("cancelled", "skipped") and p.end <= join.end + 0.001]
    if came:
        last = max(came, key=lambda p: p.end)
        parts.append(f"last for {last.thread}")
    total = len(joined) or len(ids)
    parts.append(f"{about.get(sc.JOIN_RECEIVED, len(received))} of {total} answered")
    cut = [p for p in joined if p.state == "cancelled"]
    if cut:
        reasons = sorted({p.reason or "?" for p in cut})
        names = ", ".join(str(p.thread) for p in cut[:4]) + (", …" if len(cut) > 4 else "")
        parts.append(f"cancelled {names} ({', '.join(reasons)})")
    return ", ".join(parts)
