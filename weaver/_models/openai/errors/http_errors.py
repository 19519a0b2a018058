"""From what goes wrong over HTTP to weaver's errors. No credential ever gets into a message."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from weaver._models.http.errors import (
    ConnectError,
    ConnectTimeoutError,
    DisconnectedError,
    NotHTTPError,
    SilenceError,
    TLSError,
    TransportError,
    UnknownHostError,
)
from weaver._models.layers.call_log import current_call
from weaver._models.openai.errors.complaints import (
    Complaint,
    complaint_in,
    is_overload,
    is_used_up,
    wait_in,
    window_in,
)
from weaver._models.openai.errors.error_bodies import message_in, message_of, status_of, text_of_html
from weaver._models.openai.errors.rate_headers import allowances_in, exceeded_in
from weaver._text.patterns import lazily
from weaver._text.shortening import one_line
from weaver.errors import (
    AuthenticationError,
    BadRequestError,
    ModelConnectionError,
    ModelError,
    ModelProtocolError,
    ModelTimeoutError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)

_OVERLOADED_FOR = 2.0  # seconds; servers that break off because of their load rarely say for how long
_NOT_THE_KEY = lazily(
    r"moderat|flagged|content.?(?:policy|filter)|region|country|territory|location", re.IGNORECASE
)
_CHECK_URL = "Check the base URL; for most servers it ends in /v1."


class Failures:
    """Builds the errors of one model at one endpoint.

    Args:
        model: the model's name.
        endpoint: the base URL without credentials.
        secrets: texts that must not appear in a message even when the server repeats them.
    """

    def __init__(self, model: str, endpoint: str, secrets: Iterable[str]) -> None:
        self._model = model
        self._endpoint = endpoint
        # Shorter texts could not be told from ordinary words, and a longer one may contain a shorter one.
        self._secrets = sorted({s for s in secrets if len(s) >= 6}, key=len, reverse=True)

    def clean(self, text: str, limit: int = 300) -> str:
        """``text`` on one line, cut to ``limit`` characters, secrets replaced by ``***``."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return one_line(text, limit)

    def status(self, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
        """Return the error for an answer whose HTTP status is not 200."""
        if 300 <= status < 400:
            where = self.clean(headers.get("Location", "nowhere").partition("?")[0])
            return self._error(ModelProtocolError, f"redirects to {where} (HTTP {status})", _CHECK_URL)
        explanation = self.clean(message_in(body)) or "no explanation"
        complaint = complaint_in(status, body)
        if unnamed := [name for name in complaint.named if name not in explanation]:
            explanation = self.clean(f"{explanation} ({', '.join(dict.fromkeys(unnamed))})")
        wait = wait_in(headers, body)
        failed = self._for_code(status, f"answered HTTP {status}: {explanation}", complaint, wait)
        failed.complaint = complaint
        if isinstance(failed, RateLimitError):
            if wait is None:
                failed.retry_after = window_in(headers)
            allowances = allowances_in(headers)
            failed.exceeded = exceeded_in(complaint.text, allowances) if status == 429 else None
            if (log := current_call.get()) is not None:
                log.allowances = allowances
        if headers.get("x-should-retry") in {"true", "false"} and not isinstance(failed, AuthenticationError):
            used_up = is_used_up(status, complaint.text, wait)
            failed.retriable = headers["x-should-retry"] == "true" and not used_up
        return failed

    def in_stream(self, body: Any, *, begun: bool) -> ModelError:
        """Return the error that the server reports inside its answer."""
        raw = json.dumps(body, default=str).encode()
        explanation = self.clean(message_of(body) or raw.decode()) or "no explanation"
        problem = f"reported an error instead of an answer: {explanation}"
        complaint = complaint_in(status_of(body), raw)
        wait = wait_in({}, raw)
        if begun:
            failed = self.broken(f"reported an error in the middle of its answer: {explanation}")
            overloaded = is_overload(complaint.status, complaint.text)
            failed.retry_after = _OVERLOADED_FOR if wait is None and overloaded else wait
            failed.refuses_structure = not overloaded and not is_used_up(complaint.status, complaint.text)
        else:
            failed = self._for_code(complaint.status, problem, complaint, wait)
        failed.complaint = complaint
        return failed

    def connection(self, error: TransportError) -> ModelError:
        """Return the error for a request to which no answer has begun."""
        match error:
            case SilenceError():
                return self.silent("sent no answer")
            case TLSError():
                failed = self._error(
                    ModelConnectionError,
                    f"cannot be trusted or does not speak TLS ({self.clean(str(error))})",
                    "Check http or https in the base URL, and the certificates (SSL_CERT_FILE).",
                )
                failed.retriable = False
                return failed
            case UnknownHostError():
                failed = self._error(
                    ModelConnectionError, "has a host name that is not known", "Check the base URL."
                )
                # Unknown is final; a name server that does not answer just now is not.
                failed.retriable = not error.is_final
                return failed
            case ConnectTimeoutError():
                return self._error(
                    ModelConnectionError,
                    "did not accept a connection in time",
                    "Check the base URL and the network.",
                )
            case ConnectError(number=errno.EMFILE | errno.ENFILE):
                return self._error(
                    ModelConnectionError,
                    "cannot be connected to, because this process has too many open files",
                    "Raise the limit (ulimit -n), or limit the calls in flight.",
                )
            case ConnectError(number=number):
                reason = "refuses connections"
                if number != errno.ECONNREFUSED:
                    message = os.strerror(number) if number and number > 0 else "no connection"
                    reason = f"cannot be reached ({message})"
                return self._error(ModelConnectionError, reason, "Is the server running? Check the base URL.")
            case DisconnectedError():
                return self._error(
                    ModelConnectionError, "closed the connection before it answered", "Try again."
                )
            case NotHTTPError():
                return self._error(ModelProtocolError, "does not answer in valid HTTP", _CHECK_URL)
            case _:
                return self._error(ModelConnectionError, "cannot be reached", "Try again.")

    def without_tls(self) -> ModelError:
        """Return the error for a server that accepts connections but does not answer TLS."""
        failed = self._error(
            ModelConnectionError,
            "accepts connections, but does not answer in TLS",
            "Check http or https in the base URL.",
        )
        failed.retriable = False
        return failed

    def unreachable(self, why: str) -> ModelError:
        """Return the error for an address that cannot be connected to."""
        return self._error(ModelConnectionError, f"cannot be reached ({why})", "Check the network.")

    def silent(self, what: str, seconds: float | None = None) -> ModelError:
        """Return the error for a server that is connected but sends nothing."""
        waited = "" if seconds is None else f" for {seconds:g} s"
        return self._error(
            ModelTimeoutError,
            f"{what}{waited}",
            "The server may be overloaded; idle_timeout says how long to wait.",
        )

    def protocol(self, what: str, hint: str = _CHECK_URL) -> ModelError:
        """Return the error for an answer that does not follow the protocol."""
        return self._error(ModelProtocolError, what, hint)

    def broken(self, what: str) -> ModelError:
        """Return the error for a stream that ended early, after output had begun."""
        return self._error(StreamInterruptedError, what, "What had arrived is kept.")

    def ended_early(self) -> ModelError:
        """Return the error for a connection that closed after the headers, before any output."""
        return self._error(ModelConnectionError, "closed the connection before any output", "Try again.")

    def page(self, body: bytes) -> ModelError:
        """Return the error for an HTML page instead of an answer."""
        page_text = self.clean(text_of_html(body.decode("utf-8", "replace")))
        return self._error(ModelProtocolError, f"answered with {page_text}", _CHECK_URL)

    def _error(self, kind: type[ModelError], what: str, hint: str, wait: float | None = None) -> ModelError:
        stop = "" if what.endswith((".", "!", "?", "\u2026")) else "."
        message = f"Model {self._model!r}: {self._endpoint} {what}{stop}"
        return kind(message, model=self._model, hint=hint, retry_after=wait)

    def _for_code(self, code: int, what: str, complaint: Complaint, wait: float | None) -> ModelError:
        if code not in {401, 402} and is_used_up(code, complaint.text, wait):
            return self._error(
                BadRequestError, what, "Check the account's quota and credit; waiting does not help."
            )
        match code:
            case 403 if _NOT_THE_KEY.search(complaint.text):
                return self._error(BadRequestError, what, "Another key does not help: see the message.")
            case 401 | 403:
                return self._error(AuthenticationError, what, "Check the API key and what it may use.")
            case 402:
                return self._error(BadRequestError, what, "Check the account's credit.")
            case 404 | 405:
                lists = f" ({self._endpoint}/models lists them)" if "://" in self._endpoint else ""
                hint = f"Check the model's name{lists} and the base URL."
                return self._error(BadRequestError, what, hint)
            case 408:
                return self._error(ModelTimeoutError, what, _later(wait), wait)
            case 409 | 425 | 429 | 503 | 529:
                return self._error(RateLimitError, what, _later(wait), wait)
            case _ if code >= 500:
                hint = f"{_later(wait)[:-1]}, or look at the server's log."
                return self._error(ServerError, what, hint, wait)
            case _ if code >= 400:
                return self._error(BadRequestError, what, "Change the request as the message says.")
            case _:
                return self._error(ModelProtocolError, what, _CHECK_URL)


def _later(wait: float | None) -> str:
    return "Try again later." if wait is None else f"Try again in {wait:g} s."
