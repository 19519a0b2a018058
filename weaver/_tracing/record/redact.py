"""Takes secrets out of text before it reaches a span, the local store or a log."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from weaver.errors import ConfigurationError

PATTERNS_ENV = "WEAVER_REDACT"
MASK = "[redacted]"

# All repetitions that may fail late are bounded: text comes from models, and may be long and of anything.
_KNOWN = (
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)",
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_\-]{16,}",
    r"\b(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{16,}",
    r"\bgsk_[A-Za-z0-9]{20,}",
    r"\bxai-[A-Za-z0-9]{20,}",
    r"\bAIza[A-Za-z0-9_\-]{30,}",
    r"\bya29\.[A-Za-z0-9_\-]{20,}",
    r"\bhf_[A-Za-z0-9]{20,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\bgithub_pat_[A-Za-z0-9_]{20,}",
    r"\bglpat-[A-Za-z0-9_\-]{16,}",
    r"\bxox[abeoprs]-[A-Za-z0-9\-]{10,}",
    r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*",
)
_NAMES = (
    r"api[_\-]?key|apikey|secret|passwd|password|access[_\-]?token|auth[_\-]?token|refresh[_\-]?token"
    r"|client[_\-]?secret|credential"
)
# The group survives, the rest of the match becomes the mask.
_LABELLED = (
    # Authorization: Bearer xxx   |   "x-api-key": "xxx"   |   ?key=xxx   |   https://user:xxx@host
    r"(\b(?:bearer|basic)\s+)(?=\S*\d|\S*=|\S{24})[A-Za-z0-9._~+/\-]{8,}=*",
    rf"((?:{_NAMES})s?[\"']?\s*[:=]\s*[\"']?)(?!\[redacted)[^\s\"'&,;}}]{{4,}}",
    r"([?&](?:key|token|sig|signature|code)=)(?!\[redacted)[^\s&\"'#]{4,}",
    r"(://)[^\s/@\"']{1,300}@",
)
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:KEY|APIKEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|OTEL_EXPORTER_OTLP(?:_\w+)?_HEADERS)$",
    re.IGNORECASE,
)
# Cheap signs that a text may hold something, in lower case: without one, no regular expression is run.
_HINTS = (
    "sk-", "pk-", "rk-", "sk_", "pk_", "rk_", "xai-", "aiza", "ya29", "hf_", "akia", "asia", "ghp_", "gho_",
    "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "eyj", "private key", "bearer", "basic", "key",
    "secret", "passw", "token", "credential", "://", "?sig", "&sig", "?code", "&code",
)  # fmt: skip


class Redactor:
    """Replaces secrets in text with ``[redacted]``.

    It knows the shapes of common keys, keys in headers, URLs and ``name=value`` pairs, the values of
    environment variables whose names say that they are secret (at least eight characters), and patterns
    of the user's.

    Args:
        patterns: further regular expressions; by default those of ``WEAVER_REDACT``, one a line.
        environ: where to look for secret values; the process's environment by default.

    Raises:
        ConfigurationError: a pattern that is not a regular expression.
    """

    def __init__(
        self, patterns: Iterable[str] | None = None, *, environ: Mapping[str, str] | None = None
    ) -> None:
        environ = os.environ if environ is None else environ
        if patterns is None:
            patterns = [line.strip() for line in environ.get(PATTERNS_ENV, "").splitlines() if line.strip()]
        own = list(patterns)
        for pattern in own:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ConfigurationError(
                    f"The redaction pattern {pattern!r} is not a regular expression: {error}.",
                    hint=f"Mend it in {PATTERNS_ENV}; patterns are separated by line breaks.",
                ) from None
        values = {value for name, value in environ.items() if len(value) >= 8 and _SECRET_NAME.search(name)}
        literal = [re.escape(value) for value in sorted(values, key=len, reverse=True)]
        self._own = [re.compile(pattern) for pattern in own]
        self._literal = re.compile("|".join(literal)) if literal else None
        self._known = re.compile("|".join(_KNOWN))
        self._labelled = re.compile("|".join(_LABELLED), re.IGNORECASE)

    def __call__(self, text: str) -> str:
        """``text`` without secrets; the same object when there is nothing to hide."""
        if self._literal is not None:
            text = self._literal.sub(MASK, text)
        for pattern in self._own:
            text = pattern.sub(MASK, text)
        lower = text.lower()
        for hint in _HINTS:
            if hint in lower:
                return self._labelled.sub(_keep, self._known.sub(MASK, text))
        return text


def _keep(match: re.Match[str]) -> str:
    prefix = next((g for g in match.groups() if g is not None), "")
    return f"{prefix}{MASK}@" if match.group(0).endswith("@") else f"{prefix}{MASK}"
