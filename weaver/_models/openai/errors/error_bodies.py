"""Errors in the bodies and chunks of servers: whether there is one, its code and its words."""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import from_json

from weaver._json_reading.json_types import Json, is_object
from weaver._text.patterns import lazily

MAX_BODY = 64 * 1024
"""Most bytes of an error body that are read."""
_MAX_DEPTH = 6
_MAX_ENTRIES = 5
_TEXTS = (
    "message",
    "msg",
    "detail",
    "error_msg",
    "errorMessage",
    "status_msg",
    "Message",
    "faultstring",
    "error_description",
    "description",
    "reason",
    "title",
)
_INNER = ("error", "errors", "base_resp", "detail", "details", "fault", "response", "body", "data", "header")
_ERROR_PLACES = frozenset(
    ("type", "error", "errors", "base_resp", "header", "error_code", "success")
)  # what `error_in` looks at
_GOOD = {"", "0", "200", "ok", "success", "succeeded", "none", "null", "false"}
_ALIVE = lazily(r"\W*(?:ping|pong|keep.?alive|heartbeat|processing|waiting|queue|connected)", re.IGNORECASE)
_CODES = ("code", "status_code", "error_code", "statusCode", "status", "type")
# What a provider's own words and codes mean as an HTTP status.
_WORDS: tuple[tuple[re.Pattern[str], int], ...] = (
    (lazily(r"insufficient_(?:quota|balance|credit|fund)|quota_exceeded|payment|arrear|billing"), 402),
    (lazily(r"rate_?limit|too_many|throttl|resource_exhausted|tpm|rpm"), 429),
    (lazily(r"overload|unavailable|capacity|engine_busy|server_busy|no_available"), 503),
    (lazily(r"timeout|timed_out|deadline"), 408),
    (lazily(r"authenticat|unauthori[sz]ed|unauthenticated|invalid_?(?:api_?)?key"), 401),
    (lazily(r"permission|forbidden|access_denied"), 403),
    (lazily(r"not_?found|does_not_exist|unknown_model"), 404),
    (lazily(r"context|too_long|too_large|invalid|bad_?request|unsupported|unprocessable|filter|moderat|"
                r"sensitive|safety|policy"), 400),
)  # fmt: skip
_MINIMAX = {1000: 500, 1001: 408, 1002: 429, 1004: 401, 1008: 402, 1013: 500, 1024: 500, 1026: 400, 1027: 400,
            1033: 500, 1039: 429, 1041: 429, 2013: 400, 2049: 401, 2056: 402}  # fmt: skip


def error_in(chunk: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The error that a chunk or a whole answer reports in one of the places that servers use; else None."""
    if chunk.get("object") == "error":
        return chunk
    if _ERROR_PLACES.isdisjoint(chunk):
        return None
    if chunk.get("type") == "error":
        return chunk
    for name in ("error", "errors"):
        if is_error(chunk.get(name)):
            return chunk
    base = chunk.get("base_resp")  # MiniMax
    if is_object(base) and str(base.get("status_code") or 0) not in _GOOD:
        return chunk
    header = chunk.get("header")  # Xunfei
    if is_object(header) and _is_bad(header.get("code")):
        return chunk
    if _is_bad(chunk.get("error_code")) or chunk.get("success") is False:
        return chunk
    return None


def is_error(value: Json) -> bool:
    """Tell whether the value of a field ``error`` reports one: null, false, empty and "success" do not."""
    if isinstance(value, str):
        return value.strip().lower() not in _GOOD
    if isinstance(value, dict):
        if not value:
            return False
        texts = [text for name in _TEXTS if isinstance(text := value.get(name), str)]
        return (
            any(t.strip().lower() not in _GOOD for t in texts)
            or _is_bad(value.get("code"))
            or (not texts and "code" not in value)
        )
    return value is True or (bool(value) and not isinstance(value, int | float))


def looks_like_error(chunk: Mapping[str, Any]) -> bool:
    """Tell whether an object without choices is an error of another shape: ``{"code": 1302}``."""
    if not any(isinstance(chunk.get(name), str | list) and chunk[name] for name in _TEXTS):
        return False
    texts = [chunk[name] for name in _TEXTS if isinstance(chunk.get(name), str)]
    if texts and all(_ALIVE.match(text) for text in texts):
        return False
    kind = " ".join(
        str(chunk.get(name, "")) for name in ("type", "object", "event", "status", "level")
    ).lower()
    bad = any(_is_bad(chunk.get(name)) for name in ("code", "status_code", "statusCode", "status"))
    return bad or "error" in kind or "fail" in kind or set(chunk) <= {*_TEXTS, "request_id", "id", "trace_id"}


def _is_bad(code: Any) -> bool:
    if code is None or isinstance(code, bool | dict | list):
        return False
    text = str(code).strip().lower()
    if text in _GOOD:
        return False
    return text.lstrip("-").isdigit() or any(words.search(text) for words, _ in _WORDS) or "error" in text


def status_of(body: Any) -> int:
    """The HTTP status that an error inside an answer stands for; 500 when it does not say."""
    for value in _objects(body):
        for name in _CODES:
            if status := _status(value.get(name), minimax="status_msg" in value):
                return status
    words = message_of(body).lower().replace(" ", "_").replace("-", "_")
    return next((status for pattern, status in _WORDS[:2] if pattern.search(words)), 500)


def _status(code: Any, *, minimax: bool) -> int | None:
    if code is None or isinstance(code, bool | dict | list | float):
        return None
    text = str(code).strip().lower()
    if text.isdigit():
        number = int(text) if len(text) < 6 else 0
        return _MINIMAX.get(number) if minimax else number if 400 <= number < 600 else None
    plain = re.sub(r"[\s\-.]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(code))[:200]).lower()
    return next((status for pattern, status in _WORDS if pattern.search(plain)), None)


def _objects(value: Json, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """The objects of an error, from the inside out."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for entry in value[:_MAX_ENTRIES]:
            yield from _objects(entry, depth + 1)
    elif isinstance(value, dict):
        for name in _INNER:
            yield from _objects(value.get(name), depth + 1)
        yield value


def message_in(body: bytes) -> str:
    """The human part of an error body: JSON in the usual shapes, the title of an HTML page, or text."""
    text = body[:MAX_BODY].decode("utf-8", "replace").strip()
    try:
        return message_of(from_json(text)) or text
    except (ValueError, RecursionError):
        return text_of_html(text) if text.startswith("<") else text


def message_of(value: Any) -> str:
    """The words in a parsed error body, or ``""``."""
    return _words(value, 0)


def _words(value: Json, depth: int) -> str:
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(value, str):
        return _unwrapped(value, depth)
    if isinstance(value, list):
        texts = [text for entry in value[:_MAX_ENTRIES] if (text := _words(entry, depth + 1))]
        return "; ".join(dict.fromkeys(texts))
    if not isinstance(value, dict):
        return ""
    words = next(
        (w for name in ("error", "errors", *_TEXTS, *_INNER) if (w := _words(value.get(name), depth + 1))), ""
    )
    words = _with_place(words, value.get("loc"))
    words = _with_metadata(words, value.get("metadata"), depth)
    codes = [code for name in ("code", "type", "status") if isinstance(code := value.get(name), str)]
    code = next(filter(None, codes), "")
    if words and code and code not in words and code not in {"error", "invalid_request_error"}:
        return f"{words} ({code[:100]})"
    return words


def _unwrapped(text: str, depth: int) -> str:
    """Gateways pass on another server's JSON, or Python's bytes of it, as a text."""
    plain = text[:MAX_BODY].strip()
    if plain.startswith(("b'", 'b"')) and plain.endswith(plain[1]):
        try:
            plain = ast.literal_eval(plain[:MAX_BODY]).decode("utf-8", "replace").strip()
        except (ValueError, SyntaxError, AttributeError, MemoryError, RecursionError):
            return plain
    if plain[:1] in {"{", "["} and len(plain) <= MAX_BODY:
        try:
            return _words(from_json(plain), depth + 1) or plain
        except (ValueError, RecursionError):
            return plain
    return plain


def _with_place(words: str, loc: Json) -> str:
    if not words or not isinstance(loc, list) or not loc:
        return words
    place = ".".join(str(part) for part in loc[:8] if part != "body")
    return f"{place}: {words}" if place and not re.search(rf"\b{re.escape(place)}\b", words) else words


def _with_metadata(words: str, metadata: Json, depth: int) -> str:
    """OpenRouter's: what the provider itself said, and which provider that was."""
    if not isinstance(metadata, dict):
        return words
    raw = _words(metadata.get("raw"), depth + 1)
    reasons = metadata.get("reasons")
    if isinstance(reasons, list) and reasons:
        raw = raw or "flagged for " + ", ".join(str(reason)[:60] for reason in reasons[:_MAX_ENTRIES])
    if raw and raw not in words:
        words = f"{words.rstrip('.')}: {raw}" if words else raw
    provider = metadata.get("provider_name")
    return (
        f"{words} ({provider})" if isinstance(provider, str) and provider and provider not in words else words
    )


def text_of_html(page: str) -> str:
    """The title of an HTML page, else its text."""
    page = page[:MAX_BODY]
    lower = page.lower()
    start = lower.find("<title")
    end = lower.find("</title", start)
    if 0 <= start < end and (inner := page.find(">", start, end)) >= 0:
        text = page[inner + 1 : end]
    else:
        text = re.sub(r"<[^<>]*>", " ", page)
    return f"an HTML page: {html.unescape(text)}"
