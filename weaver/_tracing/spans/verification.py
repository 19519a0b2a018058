"""The span of checking an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Span

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.kind import Kind
from weaver._tracing.record.recorder import Spans, declined
from weaver._tracing.spans.usage import Attributes

if TYPE_CHECKING:
    from weaver._verification.protocol import Verdict


def _label(_name: str, attributes: Mapping[str, Any]) -> str:
    passed = attributes.get(sc.VERIFICATION_PASSED)
    return "verify" if passed is None else f"verify: {'passed' if passed else 'did not pass'}"


VERIFICATION = Kind("verification", (sc.VERIFY,), _label)


class VerificationSpans(Spans):
    """Begins and ends the span of checking an answer."""

    __slots__ = ()

    def start(self, parent: Span) -> Span:
        """Begin to check an answer."""
        if declined(parent):
            return parent
        return self._recorder.start(parent, sc.VERIFY, {sc.OPERATION: sc.VERIFY})

    def end(self, span: Span, verdict: Verdict | None, error: BaseException | None = None) -> None:
        """End it: with what the check says, or with the error of the check itself. The reason is content."""
        if verdict is not None and span.is_recording():
            span.set_attributes(of_verdict(verdict))
            self._recorder.content.text(span, sc.VERIFICATION_REASON, verdict.reason)
        self._recorder.end(span, error)


def of_verdict(verdict: Verdict) -> Attributes:
    """Return whether the answer passed, and its score; neither where nothing could be checked."""
    attributes: Attributes = {}
    if verdict.passed is not None:
        attributes[sc.VERIFICATION_PASSED] = verdict.passed
    if verdict.score is not None:
        attributes[sc.VERIFICATION_SCORE] = verdict.score
    return attributes
