"""Which events of a run its viewers have not seen yet: a resumed run goes through many of them again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from weaver._runtime.published.retold import MARK, RetoldText, Segment
from weaver.events import (
    AnswerDelta,
    AnswerReasoning,
    AnswerStarted,
    Event,
    ThreadDelta,
    ThreadRestarted,
)

Json = dict[str, Any]
RESUMED = "The run was resumed."
"""Reason of the `ThreadRestarted` of a thread whose text differs from what it had said before a crash."""
_ANSWER = ""
"""Name of the line of text that is the answer; the others are threads."""
_NAMED_BY = {
    "RunStarted": "run_id",
    "ThreadStarted": "thread",
    "ThreadHedged": "thread",
    "ToolStarted": "id",
    "ToolFinished": "id",
    "ApprovalAsked": "id",
    "ApprovalAnswered": "id",
    "Noted": "note",
    "Decided": "",
    "SubtaskPlanned": "",
    "Planned": "",
    "ConflictFound": "",
}
"""Events that a resumed run goes through again, and the field that tells one from another of its kind."""
_UNDONE = ("parent", "user", "deadline", "refused")
"""Why threads are cancelled that a resumed run begins again."""


class Story:
    """The events of a run as its viewers are told them, over all processes that worked on it.

    Args:
        before: the JSON of what was told already, in order.
        keeps_failures: threads that failed have failed, and do not begin again.
    """

    def __init__(self, before: Iterable[Mapping[str, Any]] = (), *, keeps_failures: bool = True) -> None:
        self._keeps_failures = keeps_failures
        self._known: Counter[tuple[str, str]] = Counter()
        self._texts: dict[str, RetoldText] = {}
        self._ended: dict[str, bool] = {}
        self._is_complete = False
        self._source = ""
        for event in before:
            self._remember(event)

    def news(self, event: Event) -> Iterator[Json]:
        """Yield what viewers are told of the next event."""
        if self._is_complete:
            return
        match event:
            case ThreadDelta(thread, text, kind):
                yield from self._text_news(thread, kind, text)
            case ThreadRestarted(thread, reason):
                yield from self._text_news(thread, MARK, reason)
            case AnswerStarted(source):
                self._source = source
                yield from self._text_news(_ANSWER, MARK, source)
            case AnswerDelta(text):
                yield from self._text_news(_ANSWER, "text", text)
            case AnswerReasoning(text):
                yield from self._text_news(_ANSWER, "reasoning", text)
            case _:
                yield from self._news_once(event.as_dict())

    def _remember(self, event: Mapping[str, Any]) -> None:
        match event:
            case {"event": "ThreadDelta", "thread": thread, "text": text, "kind": kind}:
                self._line(thread).remember(kind, text)
            case {"event": "ThreadRestarted", "thread": thread, "reason": reason}:
                self._ended.pop(thread, None)
                if reason == RESUMED:
                    self._line(thread).forget()
                else:
                    self._line(thread).remember(MARK, reason)
            case {"event": "ThreadFinished", "thread": thread, "state": state, "cancel_reason": reason}:
                undone = reason in _UNDONE or (state == "failed" and not self._keeps_failures)
                self._ended[thread] = not undone
            case {"event": "AnswerStarted", "source": source}:
                self._line(_ANSWER).remember(MARK, source)
            case {"event": "AnswerDelta", "text": text}:
                self._line(_ANSWER).remember("text", text)
            case {"event": "AnswerReasoning", "text": text}:
                self._line(_ANSWER).remember("reasoning", text)
            case {"event": "RunFinished", "result": result}:
                self._is_complete = result.get("status") == "complete"
            case {"event": str(name)} if name in _NAMED_BY:
                self._known[name, str(event.get(_NAMED_BY[name], ""))] += 1
            case _:
                pass

    def _news_once(self, event: Json) -> Iterator[Json]:
        name = event["event"]
        if name == "RunFinished":
            yield from self._caught_up(_ANSWER)
            yield event
            return
        if name == "ThreadFinished":
            thread = event["thread"]
            if not self._ended.get(thread, False):
                yield from self._caught_up(thread)
                yield event
            self._ended.pop(thread, None)
            return
        mark = (name, str(event.get(_NAMED_BY.get(name, ""), "")))
        if self._known[mark] == 0:
            yield event
            return
        self._known[mark] -= 1
        if name == "ThreadStarted" and self._ended.get(event["thread"]) is False:
            del self._ended[event["thread"]]
            self._line(event["thread"]).forget()
            yield ThreadRestarted(event["thread"], RESUMED).as_dict()

    def _text_news(self, line: str, kind: str, text: str) -> Iterator[Json]:
        if self._ended.get(line, False):
            return
        if (retold := self._texts.get(line)) is None:
            yield self._segment(line, (kind, text))
            return
        for segment in retold.news(kind, text):
            yield self._segment(line, segment)

    def _caught_up(self, line: str) -> Iterator[Json]:
        """The line has ended; where it had been longer before, what it is now replaces that."""
        retold = self._texts.pop(line, None)
        if retold is not None and retold.is_behind:
            for segment in retold.again():
                yield self._segment(line, segment)

    def _segment(self, line: str, segment: Segment) -> Json:
        kind, text = segment
        if line == _ANSWER:
            if kind == MARK:
                return AnswerStarted(text or self._source).as_dict()
            return {"event": "AnswerDelta" if kind == "text" else "AnswerReasoning", "text": text}
        if kind == MARK:
            return ThreadRestarted(line, text or RESUMED).as_dict()
        return {"event": "ThreadDelta", "thread": line, "text": text, "kind": kind}

    def _line(self, name: str) -> RetoldText:
        return self._texts.setdefault(name, RetoldText())
