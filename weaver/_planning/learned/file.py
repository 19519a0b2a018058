"""The file of a learned policy: read with every check, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from weaver._json_reading.json_types import JsonLike, is_array, is_object
from weaver._planning import prompts
from weaver._planning.features import VERSION as FEATURES
from weaver._planning.learned.fitted import RULES, Fitted
from weaver._planning.learned.objective import Objective
from weaver._planning.policy import Rules
from weaver.errors import ConfigurationError

FORMAT = 1
MOST_BYTES = 20_000_000
_DIGITS = 7


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why the policy was accepted, or why not.

    Args:
        accepted: it may be used.
        reasons: in words, one for each condition that it does not meet.
        items, kinds: that it was fitted and judged on.
        gain: mean utility above the rules, on items that it was not fitted on; ``low`` and ``high`` are the
            ends of its 95 % interval.
        effective: items that the interval rests on.
        chains: difference in quality to the rules on chains; None without chains.
        new_kinds: mean utility above the rules on kinds that it was not fitted on; None with one kind.
        new_kinds_low, new_kinds_high: the ends of its 95 % interval.
    """

    accepted: bool
    reasons: tuple[str, ...]
    items: int
    kinds: tuple[str, ...]
    gain: float
    low: float
    high: float
    effective: float
    chains: float | None = None
    new_kinds: float | None = None
    new_kinds_low: float | None = None
    new_kinds_high: float | None = None


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """What the file holds.

    Args:
        weaver_policy: version of the format.
        name: of the policy: ``learned-`` and a digest of what it learned.
        features, prompts, rules: versions of what it was fitted for; others cannot use it.
        objective: what it was judged by.
        threshold: how much better than the rules an arm must be expected to be.
        fitted: what it learned.
        evidence: why it was accepted.
    """

    weaver_policy: int
    name: str
    features: str
    prompts: str
    rules: str
    objective: Objective
    threshold: float
    fitted: Fitted
    evidence: Evidence

    @property
    def other_version(self) -> str:
        """Say what it was fitted for that is another version here; "" where all is the same."""
        here = (("features", FEATURES), ("prompts", prompts_version()), ("rules", Rules.name))
        pairs = [(name, getattr(self, name), now) for name, now in here]
        return "; ".join(f"{name} {then} there, {now} here" for name, then, now in pairs if then != now)


_adapter = TypeAdapter(PolicyFile)


def prompts_version() -> str:
    """Return a digest of what the planner is told: answers depend on it."""
    text = json.dumps([prompts.INSTRUCTIONS, prompts.EXAMPLES])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def policy_file(fitted: Fitted, objective: Objective, threshold: float, evidence: Evidence) -> PolicyFile:
    """Return the file of what was learned just now, under its own name."""
    versions = (FEATURES, prompts_version(), Rules.name)
    draft = PolicyFile(FORMAT, "", *versions, objective, threshold, fitted, evidence)
    digest = hashlib.sha256(json.dumps(_plain(draft)).encode()).hexdigest()[:8]
    return replace(draft, name=f"learned-{digest}")


def write_policy(file: PolicyFile, path: Path) -> None:
    """Write the file, in place of an older one only once it is whole.

    Raises:
        ConfigurationError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(_plain(file), indent=1) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}.") from error


def read_policy(path: str | Path) -> PolicyFile:
    """Read a policy file.

    Raises:
        ConfigurationError: it cannot be read, is no policy file, is of another format, or is damaged.
    """
    path = Path(path).expanduser()
    hint = "Make one with `weaver policy fit RESULTS... -o FILE`."
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise ConfigurationError(f"The policy {path} is not a regular file.", hint=hint)
        if about.st_size > MOST_BYTES:
            raise ConfigurationError(f"The policy {path} has {about.st_size:,} bytes, too many.", hint=hint)
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"The policy {path} cannot be read: {error.strerror or error}.", hint=hint
        ) from error
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        cut = content.lstrip().startswith(b"{") and not content.rstrip().endswith(b"}")
        how = "is cut in the middle" if cut else "is not JSON"
        raise ConfigurationError(f"The policy {path} {how}.", hint=f"Write it again. {hint}") from None
    version = data.get("weaver_policy") if is_object(data) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise ConfigurationError(f"{path} is not a policy file of weaver.", hint=hint)
    if version != FORMAT:
        raise ConfigurationError(
            f"The policy {path} has format {version}; this version of weaver reads format {FORMAT}.",
            hint="Fit it again with this version: `weaver policy fit`.",
        )
    try:
        file = _adapter.validate_python(data, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigurationError(
            f"The policy {path} is damaged: {place}: {first['msg']}.", hint=f"Write it again. {hint}"
        ) from None
    if why := _damage(file):
        raise ConfigurationError(f"The policy {path} is damaged: {why}.", hint=f"Write it again. {hint}")
    return file


def _damage(file: PolicyFile) -> str:
    """Say what does not fit together; "" where all does."""
    fitted = file.fitted
    size = len(fitted.inputs.columns)
    if RULES not in fitted.arms:
        return f"it has no arm {RULES!r}"
    if len(fitted.inputs.scales) != size or not all(scale > 0 for scale in fitted.inputs.scales):
        return "its columns and scales do not fit together"
    if len(fitted.domain.centre) != size or not _is_triangle(fitted.domain.shape, size):
        return "its domain does not fit its columns"
    if not fitted.domain.radius > 0:
        return "its domain is empty"
    for name, arm in fitted.arms.items():
        posterior = arm.quality
        if len(posterior.weights) != size + 1 or not _is_triangle(posterior.precision, size + 1):
            return f"the weights of arm {name!r} do not fit its columns"
        if "" not in arm.works:
            return f"arm {name!r} has no work"
    return "" if _finite(_plain(file)) else "it has numbers that are not finite"


def _is_triangle(rows: Sequence[Sequence[float]], size: int) -> bool:
    return len(rows) == size and all(len(row) == i + 1 and row[i] > 0 for i, row in enumerate(rows))


def _finite(value: JsonLike) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    return not isinstance(value, list) or all(map(_finite, value))


def _plain(file: PolicyFile) -> Any:
    """JSON values, numbers cut to seven digits, sets in order."""
    return _rounded(_adapter.dump_python(file, mode="json"))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if is_object(value):
        return {name: sorted(item) if name == "occurring" else _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if is_array(value) else value
