"""What a client reads of a run while it goes on: lines about the plan and the threads."""

from __future__ import annotations

from typing import Any

from weaver import events
from weaver._serving.config import Detail
from weaver._text.shortening import one_line

_TITLE_CHARS = 120
_RESULT_CHARS = 2000
_STATES = {"succeeded": "done", "timed_out": "out of time"}


class ProgressLines:
    """Turns events into lines of text.

    Args:
        detail: ``off``, ``titles`` (the plan, when threads start and end) or ``full`` (their results too).
    """

    def __init__(self, detail: Detail) -> None:
        self._detail = detail
        self._titles: dict[str, str] = {}

    def text(self, event: Any) -> str:
        """The lines for an event, each with its end; "" for most events."""
        if isinstance(event, events.ThreadStarted):
            self._titles[event.thread] = _short(event.title, _TITLE_CHARS) or event.thread
        if self._detail == "off":
            return ""
        match event:
            case events.Decided() if event.decision.parallel:
                why = _short(event.decision.reason, _TITLE_CHARS)
                return f"Working in parallel: {why}\n" if why else "Working in parallel.\n"
            case events.Planned() if event.plan.parallel:
                titles = [_short(s.title or s.prompt, _TITLE_CHARS) for s in event.plan.subtasks]
                return "Plan:\n" + "".join(f"- {title}\n" for title in titles)
            case events.ThreadStarted():
                return f"Started: {self._titles[event.thread]}\n"
            case events.ThreadFinished():
                title = self._titles.get(event.thread, event.thread)
                state = _STATES.get(event.state, event.state)
                line = f"{state.capitalize()} after {event.seconds:.1f} s: {title}\n"
                if self._detail == "full" and event.answer:
                    return f"{line}{event.answer[:_RESULT_CHARS].strip()}\n\n"
                return line
            case events.ConflictFound():
                about = " ".join(filter(None, (event.conflict.subject, event.conflict.attribute)))
                resolution = event.conflict.resolution
                end = f": {_short(resolution.value, _TITLE_CHARS)}" if resolution else " is unresolved"
                return f"Threads disagree about {_short(about, _TITLE_CHARS)}{end}\n"
            case events.AnswerReasoning():
                return event.text
            case events.ToolStarted():
                return f"Calling {_short(event.tool, _TITLE_CHARS)}\n"
            case _:
                return ""


def _short(text: Any, limit: int) -> str:
    return one_line(str(text)[: 4 * limit], limit)
