"""The reprs: one short line each, whatever a model wrote."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeGuard

from weaver._display.words import count, one_line, seconds, summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from weaver._data.plan import Plan, Subtask
    from weaver._data.result import Result
    from weaver._runtime.calls.call import Call
    from weaver._runtime.state.thread import Thread
    from weaver._settings.settings import Settings

SHOWN = (
    "planner_model", "judge_model", "synthesizer_model", "strategy", "deadline", "max_tokens", "max_cost",
    "max_calls", "max_threads", "max_depth", "thread_timeout", "temperature", "seed", "agents",
)  # fmt: skip
"""Settings that a repr has."""
WIDTH = 60
"""Most characters of a text in a line."""


def quoted(text: str, width: int = WIDTH) -> str:
    """The start of ``text`` in quotes."""
    return repr(one_line(text, width))


def of_result(result: Result[Any]) -> str:
    """``<Result complete: 'Kyoto, because ...' (2 threads · 4 calls · ...)>``."""
    text = (
        quoted(result.answer) if result.answer else one_line(result.error.message if result.error else "", 80)
    )
    notes = f" · {count(len(result.notes), 'note')}" if result.notes else ""
    return f"<Result {result.status}: {text} ({summary(result)}{notes})>"


def of_plan(plan: Plan) -> str:
    """``<Plan of 3 subtasks: kyoto, oslo, choice after kyoto, oslo>``."""
    if not plan.subtasks:
        return f"<Plan: answer directly{f' ({one_line(plan.reason, WIDTH)})' if plan.reason else ''}>"
    parts = [f"{s.id} after {', '.join(s.depends_on)}" if s.depends_on else s.id for s in plan.subtasks[:8]]
    more = [f"and {len(plan.subtasks) - 8} more"] if len(plan.subtasks) > 8 else []
    return f"<Plan of {count(len(plan.subtasks), 'subtask')}: {one_line('; '.join([*parts, *more]), 160)}>"


def of_subtask(subtask: Subtask) -> str:
    """``<Subtask kyoto: 'What is Kyoto like in May?'>``."""
    after = f" after {', '.join(subtask.depends_on)}" if subtask.depends_on else ""
    return f"<Subtask {one_line(subtask.id + after, 2 * WIDTH)}: {quoted(subtask.prompt)}>"


def of_thread(thread: Thread) -> str:
    """``<Thread kyoto: 'Kyoto' succeeded in 1.0 s>``."""
    state = thread.state if thread.cancel_reason is None else f"{thread.state} ({thread.cancel_reason})"
    time = (
        ""
        if thread.started_at is None
        else f" {'in' if thread.finished else 'for'} {seconds(thread.seconds)}"
    )
    return f"<Thread {thread.id}: {quoted(thread.title)} {state}{time}>"


def of_threads(threads: Iterable[Thread]) -> str:
    """``<Threads: 2 succeeded, 1 running>``."""
    states = Counter(thread.state for thread in threads)
    return f"<Threads: {', '.join(f'{number} {state}' for state, number in states.items()) or 'none'}>"


def of_settings(name: str, settings: Settings) -> str:
    """``<Weaver openai/gpt-5-mini: strategy=adaptive, deadline=30.0>``; never a key or a header."""
    values = {key: getattr(settings, key) for key in SHOWN if key in settings.model_fields_set}
    parts = [f"{key}={one_line(_named(value), WIDTH)}" for key, value in values.items()]
    model = "any model" if settings.model is None else one_line(_named(settings.model), WIDTH)
    return f"<{name} {model}{': ' if parts else ''}{', '.join(parts)}>"


def _is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


def _named(value: Any) -> str:
    """The name of a model, function or agent; else the value itself."""
    if _is_tuple(value):
        return "+".join(map(_named, value))
    return str(getattr(value, "name", None) or getattr(value, "__name__", None) or value)


def of_call(call: Call) -> str:
    """``<Call kyoto/call/0 to openai/gpt-5-mini: open, 'Kyoto is'>``."""
    reply = call.reply
    return f"<Call {reply.name} to {reply.model}: {reply.state}, {quoted(call.text_so_far)}>"
