"""Content: what models were told and what they said. In the local store; on spans only if asked for.

On spans by the conventions' environment variable ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``.
Text is redacted first, then cut to `ATTRIBUTE_CHARS`. The local store gets the full text, redacted and made
by its own thread; ``WEAVER_TRACE_TEXTS=off`` keeps none there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Mapping
from enum import Flag
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.trace import Span, SpanContext

from weaver._tracing.record import semconv as sc
from weaver._tracing.record.messages import as_attribute, cut, input_of, output_of, storable

if TYPE_CHECKING:
    from weaver._models.protocol import Request
    from weaver._models.reply import Reply

ATTRIBUTE_CHARS = 4096
LABEL_CHARS = 100
ERROR_CHARS = 500
STORED_CHARS = 1_000_000
"""Most characters of one text in the local store."""
TEXTS_ENV = "WEAVER_TRACE_TEXTS"
LABELS_ENV = "WEAVER_TRACE_LABELS"
_OFF = ("off", "0", "no", "false")
_ON = ("on", "1", "yes", "true")


class Capture(Flag):
    """Where content goes."""

    NONE = 0
    SPAN = 1
    EVENT = 2


_MODES = {
    "": Capture.NONE,
    "no_content": Capture.NONE,
    "false": Capture.NONE,
    "span_only": Capture.SPAN,
    "true": Capture.SPAN,
    "event_only": Capture.EVENT,
    "span_and_event": Capture.SPAN | Capture.EVENT,
}


def capture_mode(capture: bool | None = None, environ: Mapping[str, str] | None = None) -> Capture:
    """Return what to capture: as told, else as the environment says. An unknown value captures nothing."""
    if capture is not None:
        return Capture.SPAN if capture else Capture.NONE
    value = (os.environ if environ is None else environ).get(sc.CAPTURE_ENV, "")
    return _MODES.get(value.strip().lower(), Capture.NONE)


def labels_wanted(environ: Mapping[str, str]) -> bool:
    """Say whether short labels are recorded: yes, unless ``WEAVER_TRACE_LABELS`` says off."""
    return environ.get(LABELS_ENV, "").strip().lower() not in _OFF


class Texts(Protocol):
    """Keeps full texts on this machine. Must not block."""

    def keep(self, context: SpanContext, texts: Callable[[], Mapping[str, str]]) -> None:
        """Keep the texts of a span, by the names of their attributes.

        They are redacted. Calling ``texts`` may take a while: not in the event loop.
        """
        ...


# Text between quotation marks that stand around words, not inside them; the closing one may be cut off.
_QUOTE = re.compile(r"(?<!\w)(['\"])((?:(?!\1(?!\w)).){0,2000})(?:\1|$)", re.DOTALL)


def _elided(match: re.Match[str]) -> str:
    """Names stay; whatever has spaces or is long becomes an ellipsis."""
    quoted = match.group(2)
    return match.group(0) if len(quoted) <= 40 and not re.search(r"\s", quoted) else "'…'"


class Content:
    """Redacts text and puts it where it may go.

    Args:
        capture: where on spans content goes; labels and error texts are no content.
        redact: takes secrets out of text.
        texts: keeps the full texts.

    Attributes:
        is_wanted: whether anybody takes content: spans or the store.
        openinference: whether spans get OpenInference's attributes as well.
        langfuse: whether calls get Langfuse's attributes of tokens and cost as well.
    """

    def __init__(self, capture: Capture, redact: Callable[[str], str], texts: Texts | None = None) -> None:
        self.capture = capture
        self.redact = redact
        self.texts = texts
        self.openinference = os.environ.get(sc.OPENINFERENCE_ENV, "").strip().lower() in _ON
        self.langfuse = os.environ.get(sc.LANGFUSE_ENV, "").strip().lower() in _ON
        keeps_all = os.environ.get(TEXTS_ENV, "").strip().lower() not in _OFF
        self._all_texts = texts if keeps_all else None
        self.is_wanted = bool(capture) or self._all_texts is not None

    def label(self, text: str) -> str:
        """A few words on one line."""
        return cut(" ".join(self._shown(text).split()), LABEL_CHARS)

    def error(self, text: str) -> str:
        """An error's message or a note. What it quotes of a model's text is content."""
        text = self._shown(text)
        return cut(text if self.capture else _QUOTE.sub(_elided, text), ERROR_CHARS)

    def text(self, span: Span, name: str, text: str) -> None:
        """Plain text as attribute ``name``: into the store, and on the span if content is captured."""
        if not text:
            return
        if self._all_texts is not None:
            self._keep(span, lambda: {name: self.redact(text[:STORED_CHARS])})
        if self.capture:
            full = (lambda: {name: self.redact(text)}) if len(text) > ATTRIBUTE_CHARS else None
            self._put(span, {name: storable(cut(self._shown(text), ATTRIBUTE_CHARS))}, full)

    def message(self, span: Span, name: str, role: str, text: str) -> None:
        """Record a text that a run or thread was asked or answers with, as the conventions' messages.

        Only on spans and only if content is captured: the local store has the text under its own name.

        Args:
            name: ``gen_ai.input.messages`` or ``gen_ai.output.messages``.
        """
        if not text or not self.capture:
            return
        message: dict[str, Any] = {"role": role, "parts": [{"type": "text", "content": self._shown(text)}]}
        if name == sc.OUTPUT_MESSAGES:
            message["finish_reason"] = "stop"
        shown, _ = as_attribute([message], ATTRIBUTE_CHARS)
        attributes = {name: shown}
        if self.openinference:
            plain = sc.INPUT_VALUE if name == sc.INPUT_MESSAGES else sc.OUTPUT_VALUE
            attributes[plain] = cut(self._shown(text), ATTRIBUTE_CHARS)
        self._put(span, attributes, None)

    def local_text(self, span: Span, name: str, text: Callable[[], str]) -> None:
        """Keep a text that is made by the writing thread, in the local store only."""
        if self._all_texts is not None:
            self._keep(span, lambda: {name: self.redact(text()[:STORED_CHARS])})

    def local(self, span: Span, name: str, text: str) -> None:
        """A short text for the local store only."""
        self._keep(span, lambda: {name: self.label(text)})

    def call(self, span: Span, reply: Reply, request: Request) -> None:
        """Record a call's messages: into the store, and on the span if content is captured."""
        if self._all_texts is not None:
            self._keep(span, partial(self._texts_of, request, reply))
        if not self.capture:
            return
        instructions, messages = input_of(request, self._shown)
        texts: dict[str, str] = {}
        are_cut: set[str] = set()
        for name, value in (
            (sc.SYSTEM_INSTRUCTIONS, instructions),
            (sc.INPUT_MESSAGES, messages),
            (sc.OUTPUT_MESSAGES, output_of(reply, self._shown)),
        ):
            if value:
                texts[name], was_cut = as_attribute(value, ATTRIBUTE_CHARS)
                if was_cut:
                    are_cut.add(name)
        full = partial(self._texts_of, request, reply, only=are_cut)
        self._put(span, texts, full if are_cut else None)

    def _texts_of(
        self, request: Request, reply: Reply, *, only: Container[str] | None = None
    ) -> dict[str, str]:
        """Return the messages of a call in full. Takes time: not in the event loop."""
        instructions, messages = input_of(request, self.redact)
        texts = {
            sc.SYSTEM_INSTRUCTIONS: _dumps(instructions),
            sc.INPUT_MESSAGES: _dumps(messages),
            sc.OUTPUT_MESSAGES: _dumps(output_of(reply, self.redact)),
        }
        return texts if only is None else {name: text for name, text in texts.items() if name in only}

    def _shown(self, text: str) -> str:
        """Redacted, and no longer than what can be shown of it.

        A secret that begins within what is shown is seen whole: as much again is looked at.
        """
        if len(text) <= ATTRIBUTE_CHARS:
            return self.redact(text)
        return cut(self.redact(text[: 2 * ATTRIBUTE_CHARS]) + " " * ATTRIBUTE_CHARS, ATTRIBUTE_CHARS)

    def _keep(self, span: Span, texts: Callable[[], Mapping[str, str]]) -> None:
        context = span.get_span_context()
        if self.texts is not None and context.is_valid:
            self.texts.keep(context, texts)

    def _put(self, span: Span, shown: dict[str, str], full: Callable[[], Mapping[str, str]] | None) -> None:
        if full is not None:
            if self.texts is not None:
                context = span.get_span_context()
                if self._all_texts is None:
                    self._keep(span, full)
                span.set_attribute(sc.CONTENT_REF, f"{context.trace_id:032x}/{context.span_id:016x}")
            span.set_attribute(sc.CONTENT_CUT, True)
        if Capture.SPAN in self.capture:
            span.set_attributes(shown)
        if Capture.EVENT in self.capture:
            span.add_event(sc.CONTENT_EVENT, shown)


def _dumps(messages: list[dict[str, Any]]) -> str:
    """Messages as JSON of at most `STORED_CHARS`; "" for none."""
    return as_attribute(messages, STORED_CHARS)[0] if messages else ""
