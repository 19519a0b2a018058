"""What a server means by an error: which wish it refuses, how long to wait, whether the quota is used up.

The words of servers are data: at most `MAX_CHARS` of them are read, in linear time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from weaver._json_reading.json_types import is_array, is_object
from weaver._text.patterns import lazily

MAX_CHARS = 4000
_MAX_VALUES = 200

# An account without money or quota: no waiting helps.
_USED_UP = lazily(
    r"insufficient[_ ]quota|exceeded_current_quota"
    r"|insufficient[_ ](?:account[_ ])?(?:balance|credit|fund)"
    r"|(?:credit|account|wallet)[\w ]{0,20} (?:balance )?(?:is |has )?"
    r"(?:too low|run out|exhausted|depleted|used up|not enough|negative|in arrears)"
    r"|(?:balance|credits?) (?:is |are )?(?:not enough|too low|insufficient|exhausted|used up)"
    r"|out of credits?|no credits? (?:left|remaining)|not enough credits?"
    r"|arrearage|overdue[- ]payment|billing_(?:hard_limit|not_active)|payment required|余额不足|欠费",
    re.IGNORECASE,
)
# Words that rate limits use too; they mean a used-up quota where the server does not say when to come back.
_PERHAPS = lazily(
    r"exceeded your (?:current|monthly|daily) (?:quota|limit)|billing|per[_ -]?(?:day|month)|\b[RT]PD\b"
    r"|(?:daily|monthly)[_ ](?:limit|quota)|perday|permonth"
    r"|(?:purchase|buy|add|top up|recharge)[\w ]{0,20}(?:credits?|balance|funds|account)",
    re.IGNORECASE,
)
_TEMPORARY = lazily(
    r"per[_ -]?(?:second|minute|hour)|perminute|\b[RT]PM\b|try again in|retry (?:after|in)", re.IGNORECASE
)
_OVERLOAD = lazily(r"overload|too many requests|rate.?limit|capacity|busy|try again|temporar", re.IGNORECASE)
_IN_WORDS = lazily(
    r"(?:try again|retry|wait|resets?|available)(?: again)?(?: (?:in|after|for|at least)){1,2}:? *"
    r"((?:\d+(?:\.\d+)? ?(?:ms|milliseconds?|h|hours?|hrs?|m|mins?|minutes?|s|secs?|seconds?)"
    r"(?![a-z]),? ?(?:and )?){1,4})",
    re.IGNORECASE,
)
_AMOUNT = lazily(r"(\d+(?:\.\d+)?) ?(ms|milli|h|m|s)?", re.IGNORECASE)
_UNITS = {"ms": 0.001, "milli": 0.001, "h": 3600.0, "m": 60.0, "s": 1.0}
LONGEST_WINDOW = 120.0  # seconds; limits by the day are told in the same headers
_EPOCH = 1e9  # seconds; greater numbers are points in time


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error body.

    Args:
        status: the HTTP status, or the code in the body of a stream.
        text: all texts in it, with their field names (``param``, ``loc``) first.
        named: fields that it names by ``param`` or ``loc``.
    """

    status: int
    text: str
    named: tuple[str, ...] = ()


def complaint_in(status: int, body: bytes) -> Complaint:
    """Read an error body of any shape."""
    text = body[: 4 * MAX_CHARS].decode("utf-8", "replace")[:MAX_CHARS]
    try:
        value = json.loads(body) if len(body) <= 4 * MAX_CHARS else text
    except (ValueError, RecursionError):
        value = text
    named: list[str] = []
    texts: list[str] = []
    for key, leaf in _leaves(value):
        if key in {"param", "loc", "field", "parameter"}:
            name = leaf.removeprefix("body.")
            if name not in {"body", ""} and not name.isdigit():
                named.append(re.split(r"[.\[]", name, maxsplit=1)[0])
        texts.append(leaf)
    return Complaint(status, " ".join([*named, *texts])[:MAX_CHARS], tuple(named))


def is_used_up(status: int, text: str, wait: float | None = None) -> bool:
    """Tell whether an account has no quota or money left, so that waiting does not help.

    A limit per minute is none, nor is a limit for which the server says how long to ``wait``.
    """
    if status == 402 or _USED_UP.search(text):
        return True
    hopeful = wait is not None or _TEMPORARY.search(text)
    return status == 429 and not hopeful and _PERHAPS.search(text) is not None


def is_overload(status: int, text: str) -> bool:
    """Tell whether the server asks to come back later."""
    return status in {408, 409, 425, 429, 503, 529} or (status >= 500 and bool(_OVERLOAD.search(text)))


def wait_in(headers: Mapping[str, str], body: bytes = b"") -> float | None:
    """Seconds that a server asks to wait, by its headers, its JSON or its words; None when it does not say.

    Read: ``retry-after-ms``, ``Retry-After`` (seconds, ``9s`` or a date), google.rpc.RetryInfo,
    ``x-ratelimit-reset*`` of what is used up, and texts like "try again in 7.5s".
    """
    named = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = named.get(name)
        if value is not None and (wait := duration(value, unit)) is not None:
            return wait
    if (value := named.get("retry-after")) and (wait := _until(value, named.get("date"))) is not None:
        return wait
    return _wait_in_body(body) if body else None


def window_in(headers: Mapping[str, str]) -> float | None:
    """Seconds until the rate limit's window opens again, by ``x-ratelimit-reset*`` headers."""
    named = {name.lower(): value for name, value in headers.items()}
    waits: list[float] = []
    used_up: list[float] = []
    for name, value in named.items():
        if "ratelimit" not in name or "reset" not in name:
            continue
        if (wait := duration(value)) is None:
            wait = _until(value, named.get("date"))
        if wait is None or wait > LONGEST_WINDOW:
            continue
        waits.append(wait)
        remaining = named.get(name.replace("reset", "remaining"), "")
        if remaining.strip() in {"0", "0.0"} or remaining.strip().startswith("-"):
            used_up.append(wait)
    return max(used_up, default=None) if used_up else min(waits, default=None)


def _wait_in_body(body: bytes) -> float | None:
    text = body[: 4 * MAX_CHARS].decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    for key, leaf in _leaves(value):
        lower = key.lower()
        if lower in {"retrydelay", "retry_delay", "retry_after", "retry_after_seconds", "retryafter"}:
            if (wait := duration(leaf)) is not None:
                return wait
        elif lower == "retry_after_ms" and (wait := duration(leaf, 0.001)) is not None:
            return wait
    match = _IN_WORDS.search(text[:MAX_CHARS])
    return duration(match.group(1)) if match else None


def duration(text: str | None, unit: float = 1.0) -> float | None:
    """``"9"``, ``"7.66s"``, ``"1m30.5s"``, ``"120ms"`` in seconds; a Unix time is counted from now."""
    if text is None:
        return None
    text = text.strip().lower()[:60]
    if re.fullmatch(r"\d+(\.\d*)?", text):
        number = float(text)
        if number > _EPOCH:
            number /= 1000.0 if number > 1000 * _EPOCH else 1.0
            return max(0.0, number - datetime.now(UTC).timestamp())
        return number * unit
    if not text[:1].isdigit():
        return None
    amounts = _AMOUNT.findall(text)
    if not amounts or re.sub(
        r"[\d.,\s]|milliseconds?|ms|hours?|hrs?|minutes?|mins?|seconds?|secs?|and|[hms]", "", text
    ):
        return None
    return sum(float(number) * _UNITS[name or "s"] for number, name in amounts)


def _until(value: str, date: str | None) -> float | None:
    """Seconds until a date, by the server's own clock where it tells it, so that ours may be wrong."""
    try:
        now = parsedate_to_datetime(date) if date else datetime.now(UTC)
        try:
            then = parsedate_to_datetime(value)
        except ValueError:
            then = datetime.fromisoformat(value.strip())
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _leaves(value: Any) -> Iterator[tuple[str, str]]:
    """Texts and numbers in JSON with the key that they stand under, the first few hundred."""
    stack: list[tuple[str, Any, int]] = [("", value, 0)]
    visited = 0
    while stack and visited < _MAX_VALUES:
        key, leaf, depth = stack.pop()
        visited += 1
        if isinstance(leaf, str):
            if leaf[:1] in "{[" and depth < 4:  # JSON inside a text, as gateways pass on
                try:
                    stack.append((key, json.loads(leaf), depth + 1))
                    continue
                except (ValueError, RecursionError):
                    pass
            yield key, leaf
        elif isinstance(leaf, bool) or leaf is None:
            continue
        elif isinstance(leaf, int | float):
            yield key, str(leaf)
        elif depth < 12 and is_object(leaf):
            stack += [(str(k), v, depth + 1) for k, v in reversed(list(leaf.items())[:_MAX_VALUES])]
        elif depth < 12 and is_array(leaf):
            stack += [(key, v, depth + 1) for v in reversed(leaf[:_MAX_VALUES])]
