"""Keys of clients: who a request is from, how often it may ask and how much it may spend."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from weaver._data.budget import Limits
from weaver._runtime.limits.budget_ledger import Ledger
from weaver._serving.config import KeyEntry
from weaver._serving.http.errors import AUTHENTICATION, QUOTA, RATE, ApiError
from weaver.errors import ConfigurationError

VARIABLE = "WEAVER_SERVE_KEYS"
LEAST_KEY = 16
"""Fewest characters of a key."""
ANYONE = "anyone"
"""The client's name where no keys are asked for."""
_PERIODS = {"hour": "%Y-%m-%d %H", "day": "%Y-%m-%d", "month": "%Y-%m"}
_HOW = f"Write {VARIABLE}=alice:KEY,bob:KEY, with keys of at least {LEAST_KEY} characters."


class Client:
    """Who sends requests, with the limits of the key.

    Args:
        now: seconds on a clock that never goes back.
        today: the time in UTC, which says when a period ends.
    """

    def __init__(
        self,
        name: str,
        entry: KeyEntry,
        *,
        now: Callable[[], float],
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name = name
        self.entry = entry
        self.open_requests = 0
        self._now = now
        self._today = today
        self._tokens = float(entry.rpm or 0)  # of the bucket: one a request
        self._filled = now()
        self._period = ""
        self._ledger = Ledger(Limits())

    @property
    def ledger(self) -> Ledger:
        """Limits on what its runs may spend in the current period, all together."""
        if (period := self._today().strftime(_PERIODS[self.entry.period])) != self._period:
            limits = Limits(self.entry.max_total_tokens, self.entry.max_cost, threads=None, depth=None)
            self._period, self._ledger = period, Ledger(limits, whose=f"The key {self.name!r}")
        return self._ledger

    def may_use(self, model: str) -> bool:
        """True if the key may name this model."""
        return any(fnmatchcase(model, pattern) for pattern in self.entry.models)

    @contextmanager
    def request(self) -> Generator[None]:
        """Count one request while the block runs.

        Raises:
            ApiError: 429: too many requests, or nothing left to spend.
        """
        entry = self.entry
        if entry.concurrency is not None and self.open_requests >= entry.concurrency:
            raise ApiError(
                429,
                f"The key {self.name!r} may have {entry.concurrency} requests at the same time.",
                RATE,
                code="rate_limit_exceeded",
                retry_after=1,
            )
        self._check_budget()
        self._take()
        self.open_requests += 1
        try:
            yield
        finally:
            self.open_requests -= 1

    def _check_budget(self) -> None:
        ledger = self.ledger
        for rest, unit in ((ledger.tokens_left, "tokens"), (ledger.cost_left, "dollars")):
            if rest is not None and rest <= 0:
                raise ApiError(
                    429,
                    f"The key {self.name!r} has no {unit} left for this {self.entry.period}.",
                    QUOTA,
                    code="insufficient_quota",
                    retry=False,
                )

    def _take(self) -> None:
        if (rpm := self.entry.rpm) is None:
            return
        now = self._now()
        self._tokens = min(max(1.0, rpm), self._tokens + (now - self._filled) * rpm / 60)
        self._filled = now
        if self._tokens < 1:
            wait = (1 - self._tokens) * 60 / rpm
            raise ApiError(
                429,
                f"The key {self.name!r} may send {rpm:g} requests a minute. Try again in {wait:.0f} s.",
                RATE,
                code="rate_limit_exceeded",
                retry_after=wait,
            )
        self._tokens -= 1


class Clients:
    """Every client that is known by its key; without keys, everybody is `ANYONE`.

    Args:
        secrets: the keys by name: see `keys_from`.
        entries: their limits by name.

    Raises:
        ConfigurationError: there are limits for a key that does not exist.
    """

    def __init__(
        self, secrets: Mapping[str, str], entries: Mapping[str, KeyEntry], *, now: Callable[[], float]
    ) -> None:
        if unknown := [name for name in entries if name not in secrets]:
            raise ConfigurationError(
                f"serve.keys.{unknown[0]} has limits for a key that {VARIABLE} does not name.", hint=_HOW
            )
        self._anyone = None if secrets else Client(ANYONE, KeyEntry(), now=now)
        self._by_digest = {
            _digest(secret): Client(name, entries.get(name, KeyEntry()), now=now)
            for name, secret in secrets.items()
        }

    @property
    def need_keys(self) -> bool:
        """True if requests need a key."""
        return self._anyone is None

    @property
    def all(self) -> tuple[Client, ...]:
        """Every client."""
        return tuple(self._by_digest.values()) or ((self._anyone,) if self._anyone is not None else ())

    def of(self, headers: Mapping[str, str]) -> Client:
        """The client that sent these headers.

        Raises:
            ApiError: 401: there is no key, or a wrong one.
        """
        if self._anyone is not None:
            return self._anyone
        kind, _, token = headers.get("authorization", "").partition(" ")
        secret = token.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "").strip()
        if not secret:
            raise ApiError(
                401, "Send a key: 'Authorization: Bearer KEY'.", AUTHENTICATION, code="missing_api_key"
            )
        # Looked up by its hash, so the time it takes says nothing about the key.
        if (client := self._by_digest.get(_digest(secret))) is None:
            raise ApiError(401, "The key is not valid.", AUTHENTICATION, code="invalid_api_key")
        return client


def keys_from(text: str) -> dict[str, str]:
    """Keys by name, of ``alice:KEY,bob:KEY`` or a JSON object of names and keys.

    Raises:
        ConfigurationError: it is neither, or a key is too short or stands twice. Keys are never shown.
    """
    text = text.strip()
    if not text:
        return {}
    pairs: list[tuple[str, Any]]
    if text.startswith("{"):
        try:
            pairs = list(json.loads(text).items())
        except ValueError:
            raise ConfigurationError(f"{VARIABLE} is not a JSON object.", hint=_HOW) from None
    else:
        parts = [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]
        pairs = [(name.strip(), key.strip()) for name, _, key in (part.partition(":") for part in parts)]
    keys: dict[str, str] = {}
    for number, (name, key) in enumerate(pairs, 1):
        if not name or not isinstance(key, str) or not key:
            raise ConfigurationError(f"{VARIABLE}: entry {number} is not NAME:KEY.", hint=_HOW)
        if len(key) < LEAST_KEY:
            raise ConfigurationError(f"{VARIABLE}: the key of {name!r} is too short.", hint=_HOW)
        if name in keys or key in keys.values():
            raise ConfigurationError(f"{VARIABLE}: {name!r} or its key stands twice.", hint=_HOW)
        keys[name] = key
    return keys


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
