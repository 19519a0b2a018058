"""One run, or two beside each other, as one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from weaver._tracing.record import semconv as sc
from weaver._tracing.views.run_view import Piece, RunView, Sum

SCRIPTS = (
    "base.js", "kinds.js", "markdown.js", "model.js", "detail.js", "waterfall.js", "graph.js", "pages.js",
    "compare.js", "trace.js", "main.js",
)  # fmt: skip
"""The modules of the page, each after those that it imports."""
STYLES = ("theme.css", "style.css")
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=class|const|function)", re.MULTILINE)
MAX_TEXT_CHARS = 32_000_000
"""Full texts in one page; beyond it, texts appear as they are on the spans (cut)."""

CONTENT = frozenset({
    sc.INPUT_MESSAGES, sc.OUTPUT_MESSAGES, sc.SYSTEM_INSTRUCTIONS, sc.TOOL_ARGUMENTS, sc.TOOL_RESULT,
    sc.TASK_ANSWER, sc.RUN_ANSWER,
})  # fmt: skip


def page_of(views: Sequence[RunView], *, live: dict[str, Any] | None = None, revision: int = 0) -> str:
    """The HTML text. It loads nothing, runs no script but its own, and shows model text as text only.

    Args:
        views: one run, or two to be compared.
        live: ``{"url": ..., "every": milliseconds}`` of a page that follows a run.
    """
    script = _one_script()
    style = "\n".join(_file(name) for name in STYLES)
    data = {"runs": [run_of(view) for view in views], "live": live, "revision": revision}
    # Inline style attributes are set by the page's own script (allowed); style and script elements by hash.
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        f"connect-src {chr(39) + 'self' + chr(39) if live else chr(39) + 'none' + chr(39)}; "
        "base-uri 'none'; form-action 'none'"
    )
    text = _file("page.html")
    for name, value in (("CSP", policy), ("STYLE", style), ("SCRIPT", script), ("DATA", embedded(data))):
        before, _, after = text.partition(f"${name}")
        text = f"{before}{value}{after}"
    return text


@cache
def _one_script() -> str:
    """Return all modules as one script: modules cannot import each other from inside one file."""
    modules = "\n".join(_EXPORT.sub("", _IMPORT.sub("", _file(name))) for name in SCRIPTS)
    return f"(() => {{\n{modules}}})();"


def embedded(value: Any) -> str:
    """JSON that may stand inside a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False, default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def run_of(view: RunView) -> dict[str, Any]:
    """A run as the page's script reads it."""
    root = view.root
    about = root.span.attributes
    index = {piece.id: i for i, piece in enumerate(view.pieces)}
    sizes = _sizes(view.pieces)
    room = MAX_TEXT_CHARS
    pieces: list[dict[str, Any]] = []
    content = False
    for i, piece in enumerate(view.pieces):
        attributes = dict(piece.span.attributes)
        for name in CONTENT:
            full = view.texts.get((piece.id, name))
            if full is not None and len(full) <= room:
                room -= len(full)
                attributes[name] = full
            content = content or name in attributes
        pieces.append(_piece(piece, index, sizes[i], attributes, view.waits.get(piece.id, "")))
    decision = None
    if sc.DECISION_BY in about:
        decision = {
            "parallel": bool(about.get(sc.DECISION_PARALLEL)),
            "by": about[sc.DECISION_BY],
            "reason": about.get(sc.DECISION_REASON, ""),
        }
    return {
        "id": view.run_id,
        "trace": root.span.trace_id,
        "strategy": about.get(sc.WORKFLOW_NAME, ""),
        "model": about.get(sc.RUN_MODEL, ""),
        "status": view.status,
        "complete": view.complete,
        "question": view.texts.get((root.id, sc.RUN_QUESTION)) or about.get(sc.RUN_QUESTION) or view.question,
        "started": root.span.start_ns / 1e6,
        "seconds": _round(root.seconds),
        "input": root.input_tokens,
        "output": root.output_tokens,
        "cost": root.cost_usd,
        "calls": root.calls,
        "threads": sum(p.kind == "thread" for p in view.pieces),
        "cancelled": sum(p.kind == "thread" and p.state == "cancelled" for p in view.pieces),
        "conflicts": sum(p.kind == "conflict" for p in view.pieces),
        "criticalTokens": about.get(sc.CRITICAL_TOKENS, 0),
        "decision": decision,
        "notes": list(about.get(sc.RUN_NOTES) or ()),
        "plans": _plans(view, index),
        "path": [index[p.id] for p in view.path],
        "roles": [_sum(name, group) for name, group in view.roles.items()],
        "models": [_sum(name, group) for name, group in view.models.items()],
        "content": content,
        "pieces": pieces,
    }


def _piece(
    piece: Piece, index: dict[str, int], size: int, attributes: dict[str, Any], wait: str
) -> dict[str, Any]:
    zero = piece.span.start_ns
    return {
        "id": piece.id,
        "k": piece.kind,
        "l": piece.label,
        "d": piece.depth,
        "p": index[piece.parent.id] if piece.parent else -1,
        "n": size,
        "s": _round(piece.start),
        "e": _round(piece.end),
        "st": piece.state,
        "r": piece.reason,
        "i": piece.input_tokens,
        "o": piece.output_tokens,
        "m": piece.cost_usd,
        "c": piece.calls,
        "cr": piece.critical,
        "own": _round(piece.own_seconds),
        "q": _round(piece.queue_seconds),
        "f": _round(float(attributes.get(sc.RESPONSE_FIRST_CHUNK, 0.0))) if piece.kind == "call" else 0,
        "th": piece.thread,
        "w": wait,
        "a": attributes,
        "ev": [
            [e.name, _round(piece.start + (e.at_ns - zero) / 1e9), dict(e.attributes)]
            for e in piece.span.events
        ],
        "ln": [[k.span_id, k.attributes.get(sc.TASK_ID, "")] for k in piece.span.links],
    }


def _sizes(pieces: Sequence[Piece]) -> list[int]:
    """Count the pieces below each, for a list in tree order."""
    below: dict[str, int] = {}
    for piece in reversed(pieces):
        below[piece.id] = sum(1 + below[child.id] for child in piece.children)
    return [below[p.id] for p in pieces]


def _plans(view: RunView, index: dict[str, int]) -> list[dict[str, Any]]:
    """Return the plans with subtasks: each with its planner, its threads and the merge of their answers."""
    plans: list[dict[str, object]] = []
    for piece in view.pieces:
        ids = piece.span.attributes.get(sc.PLAN_IDS) if piece.kind == "plan" else None
        if not ids or piece.parent is None:
            continue
        prefix = piece.parent.thread or ""
        threads = {p.thread: index[p.id] for p in piece.parent.children if p.kind == "thread"}
        edges = [edge.split("->", 1) for edge in piece.span.attributes.get(sc.PLAN_EDGES) or ()]
        merge = next((p for p in reversed(piece.parent.children) if p.kind == "synthesis"), None)
        plans.append(
            {
                "prefix": prefix,
                "planner": index[piece.id],
                "merge": index[merge.id] if merge is not None else -1,
                "how": str(piece.span.attributes.get(sc.PLAN_MERGE) or ""),
                "ids": list(ids),
                "edges": [e for e in edges if len(e) == 2],
                "threads": {
                    i: threads[path] for i in ids if (path := f"{prefix}/{i}" if prefix else i) in threads
                },
            }
        )
    return plans


def _sum(name: str, group: Sum) -> list[Any]:
    return [
        name, group.calls, group.input_tokens, group.output_tokens, group.cost_usd, _round(group.seconds)
    ]  # fmt: skip


def _round(value: float) -> float:
    return round(value, 6)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _file(name: str) -> str:
    return files("weaver._tracing").joinpath("viewer", name).read_text(encoding="utf-8")
