"""Runs of the local store, as the page reads them. Reading happens in worker threads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from weaver._json_reading.json_types import is_array, is_object
from weaver._serving.ui.picture import ANSWER_CHARS, THREAD_CHARS, TOOL_CHARS, empty_state, shortened
from weaver._tracing.record import semconv as sc
from weaver._tracing.store.sqlite import RunRow, Store
from weaver._tracing.views.html import run_of
from weaver._tracing.views.run_view import Piece, RunView, view_of

MOST_LISTED = 500


class KeptRuns:
    """The local store.

    Args:
        store: its file may not exist yet.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def rows(self, limit: int = MOST_LISTED) -> list[dict[str, Any]]:
        """List the latest runs, newest first."""
        return [_row_json(row) for row in self._store.runs(limit=limit)]

    def last_of(self, strategy: str) -> RunRow | None:
        """Find the latest run of a strategy or workflow among those that are listed."""
        return next((row for row in self._store.runs(limit=MOST_LISTED) if row.strategy == strategy), None)

    def trace(self, name: str) -> dict[str, Any]:
        """Return a run for the trace views.

        Raises:
            UnknownNameError, ConfigurationError: it is not kept.
        """
        return run_of(self.view(self._store.find(name)))

    def read(self, name: str) -> dict[str, Any]:
        """Return a run as ``{"picture": ..., "trace": ...}``; the trace is None where nothing was written.

        Raises:
            UnknownNameError, ConfigurationError: it is not kept.
        """
        row = self._store.find(name)
        if not self._store.spans(row):
            state = empty_state(row.run_id, row.question) | {"strategy": row.strategy, "model": row.model}
            return {
                "picture": state | {"status": "unfinished", "started": row.started_ns / 1e6},
                "trace": None,
            }
        view = self.view(row)
        return {"picture": picture_of(view), "trace": run_of(view)}

    def view(self, row: RunRow) -> RunView:
        """Return a kept run with its texts."""
        spans = self._store.spans(row)
        return view_of(spans, root=row.span_id, texts=self._store.texts(row), question=row.question)

    def forget(self, name: str) -> None:
        """Remove a run.

        Raises:
            UnknownNameError, ConfigurationError: it is not kept.
        """
        self._store.remove([self._store.find(name)])


def picture_of(view: RunView) -> dict[str, Any]:
    """Return a kept run in the form of `weaver._serving.ui.picture`."""
    root = view.root
    about = root.span.attributes

    def text(piece: Piece, name: str) -> str:
        return str(view.texts.get((piece.id, name)) or piece.span.attributes.get(name) or "")

    state = empty_state(view.run_id, text(root, sc.RUN_QUESTION) or view.question)
    threads: dict[str, dict[str, Any]] = {}
    for piece in view.threads:
        if piece.thread is None:
            continue
        error = piece.reason if piece.state in ("failed", "timed_out") else ""
        threads[piece.thread] = {
            "id": piece.thread,
            "parent": _parent_thread(piece),
            "title": str(piece.span.attributes.get(sc.TASK_TITLE, "")) or piece.thread,
            "depth": int(piece.span.attributes.get(sc.TASK_DEPTH, 1)),
            "after": list(piece.span.attributes.get(sc.DEPENDS_ON) or ()),
            "state": piece.state,
            "begin": round(piece.start, 3),
            "seconds": round(piece.seconds, 3),
            "text": shortened(text(piece, sc.TASK_ANSWER), THREAD_CHARS),
            "reasoning": "",
            "remark": piece.reason.replace("_", " ") if piece.state == "cancelled" else "",
            "error": error,
            "usage": {"output_tokens": piece.output_tokens, "input_tokens": piece.input_tokens},
            "tools": [_tool_json(child, text) for child in piece.children if child.kind == "tool"],
        }
    plan = next((p for p in root.children if p.kind == "plan" and sc.PLAN_IDS in p.span.attributes), None)
    decision = None
    if sc.DECISION_BY in about:
        decision = {
            "parallel": bool(about.get(sc.DECISION_PARALLEL)),
            "by": str(about[sc.DECISION_BY]),
            "reason": text(root, sc.DECISION_REASON),
        }
    return state | {
        "strategy": str(about.get(sc.WORKFLOW_NAME, "")),
        "model": str(about.get(sc.RUN_MODEL, "")),
        "status": view.status if view.complete else "unfinished",
        "started": root.span.start_ns / 1e6,
        "seconds": round(root.seconds, 3) if view.complete else None,
        "decision": decision,
        "plan": _plan_json(view, plan) if plan is not None else None,
        "threads": threads,
        "order": list(threads),
        "answer": shortened(text(root, sc.RUN_ANSWER), ANSWER_CHARS),
        "tools": [_tool_json(child, text) for child in root.children if child.kind == "tool"],
        "conflicts": [_conflict_json(p, text) for p in view.pieces if p.kind == "conflict"],
        "notes": list(about.get(sc.RUN_NOTES) or ()),
        "error": _error_of(root),
        "result": {
            "usage": {
                "calls": root.calls,
                "input_tokens": root.input_tokens,
                "output_tokens": root.output_tokens,
                "cost_usd": root.cost_usd,
            },
            "metrics": {"critical_path_tokens": about.get(sc.CRITICAL_TOKENS, 0)},
            "trace_id": root.span.trace_id,
            "output": None,
        },
        "traced": True,
    }


def _row_json(row: RunRow) -> dict[str, Any]:
    return {
        "id": row.run_id,
        "question": row.question,
        "strategy": row.strategy,
        "model": row.model,
        "status": "unfinished" if row.status == "running" else row.status,
        "started": row.started_ns / 1e6,
        "seconds": (row.ended_ns - row.started_ns) / 1e9 if row.ended_ns else None,
        "threads": row.threads,
        "tokens": row.input_tokens + row.output_tokens,
        "cost": row.cost_usd,
        "asks": 0,
    }


def _parent_thread(piece: Piece) -> str | None:
    above = piece.parent
    while above is not None and above.thread is None:
        above = above.parent
    return above.thread if above is not None else None


def _tool_json(piece: Piece, text: Any) -> dict[str, Any]:
    return {
        "id": piece.id,
        "tool": str(piece.span.attributes.get(sc.TOOL_NAME, "tool")),
        "arguments": shortened(text(piece, sc.TOOL_ARGUMENTS), TOOL_CHARS),
        "state": piece.state,
        "result": shortened(text(piece, sc.TOOL_RESULT) or piece.reason, TOOL_CHARS),
        "seconds": round(piece.seconds, 3),
    }


def _plan_json(view: RunView, piece: Piece) -> dict[str, Any]:
    """Return the plan with its prompts where they are kept, else its shape."""
    try:
        plan: Any = json.loads(view.texts.get((piece.id, sc.PLAN_TEXT)) or "null")
    except ValueError:  # it was cut
        plan = None
    if is_object(plan) and is_array(plan.get("subtasks")):
        return {**{k: plan.get(k) for k in ("parallel", "reason", "merge", "subtasks")}, "whole": True}
    about = piece.span.attributes
    edges = [edge.split("->", 1) for edge in about.get(sc.PLAN_EDGES) or ()]
    subtasks = [
        {
            "id": name,
            "title": "",
            "prompt": "",
            "depends_on": [e[0] for e in edges if len(e) == 2 and e[1] == name],
        }
        for name in about.get(sc.PLAN_IDS) or ()
    ]
    return {
        "parallel": True,
        "reason": "",
        "merge": about.get(sc.PLAN_MERGE),
        "subtasks": subtasks,
        "whole": True,
    }


def _conflict_json(piece: Piece, text: Any) -> dict[str, Any]:
    about: Mapping[str, Any] = piece.span.attributes
    try:
        values = json.loads(text(piece, sc.CONFLICT_VALUES) or "[]")
    except ValueError:
        values = []
    resolution = None
    if about.get(sc.CONFLICT_RESOLVED):
        resolution = {
            "policy": str(about.get(sc.CONFLICT_STRATEGY, "")),
            "value": text(piece, sc.CONFLICT_VALUE),
            "evidence": text(piece, sc.CONFLICT_EVIDENCE),
        }
    return {
        "subject": text(piece, sc.CONFLICT_SUBJECT),
        "attribute": text(piece, sc.CONFLICT_ATTRIBUTE),
        "values": values if isinstance(values, list) else [],
        "resolution": resolution,
    }


def _error_of(root: Piece) -> dict[str, str] | None:
    if root.state not in ("failed", "timed_out"):
        return None
    kind = str(root.span.attributes.get(sc.ERROR_TYPE, "failed"))
    return {"type": kind, "message": root.span.status_text or root.reason or kind}
