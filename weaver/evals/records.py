"""What one run of a comparison came to, kept as one line of JSON, so that the comparison can be resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from weaver.errors import ConfigurationError

VERSION = 1
Key = tuple[str, str, str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One run: one strategy on one item.

    Attributes:
        task, item, strategy, model, repeat: which run; together its key.
        seed: sampling seed of the run.
        status: ``complete``, ``partial`` or ``failed``; a failed run counts as wrong.
        correct, score, why: the grade.
        answer, expected: texts; ``answer`` is cut after 4000 characters.
        run_id, trace_id: to open the run as a trace.
        critical_path_tokens, total_output_tokens: generated tokens, on the longest chain and of all calls.
        thread_tokens: generated tokens of all threads; the rest is the root's.
        input_tokens, cached_tokens: prompts of all calls.
        calls, threads, cancelled_threads, depth: how many; ``depth`` of the deepest thread.
        critical_steps: model calls on the longest chain of calls of which each began after another's end.
        longest_context: tokens of the largest prompt with its output.
        wall_seconds, critical_path_seconds, queue_seconds: as in the run's metrics.
        cost_usd: None when unknown. ``estimated``: some usage was estimated.
        redundancy: mean overlap (Jaccard, words) of the threads' answers; None with fewer than two.
        structure, ideal_speedup: of the item, where known.
        error: the message of a failed run, or None.
    """

    task: str
    item: str
    strategy: str
    model: str
    repeat: int = 0
    seed: int = 0
    status: str = "complete"
    correct: bool = False
    score: float = 0.0
    why: str = ""
    answer: str = ""
    expected: str = ""
    run_id: str = ""
    trace_id: str | None = None
    critical_path_tokens: int = 0
    total_output_tokens: int = 0
    thread_tokens: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    calls: int = 0
    threads: int = 0
    cancelled_threads: int = 0
    depth: int = 0
    critical_steps: int = 0
    longest_context: int = 0
    wall_seconds: float = 0.0
    critical_path_seconds: float = 0.0
    queue_seconds: float = 0.0
    cost_usd: float | None = None
    estimated: bool = False
    redundancy: float | None = None
    structure: str = ""
    ideal_speedup: float = 1.0
    notes: tuple[str, ...] = ()
    error: str | None = None

    @property
    def key(self) -> Key:
        """Which run it is."""
        return (self.task, self.item, self.strategy, self.model, self.repeat)

    @property
    def forked(self) -> bool:
        """Whether at least two threads worked on it."""
        return self.threads > 1

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Back from `as_dict`; unknown keys are ignored."""
        known = {f.name for f in fields(cls)}
        given = {k: v for k, v in data.items() if k in known}
        return cls(**{**given, "notes": tuple(given.get("notes", ()))})


@dataclass(slots=True)
class RecordFile:
    """The records of a comparison on disk: a header line that says what is compared, then one line per run.

    A line that was cut by a crash is dropped; everything before it is kept.

    Args:
        path: of the file; its folder is made.
        header: what is compared (tasks, seed, limits, ...): another header means another comparison.

    Raises:
        ConfigurationError: on entering: the file belongs to another comparison, or is no such file.
    """

    path: Path
    header: dict[str, Any]
    records: list[Record] = field(default_factory=list)
    _file: TextIO | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        header = {"comparison": VERSION, **json.loads(json.dumps(self.header))}
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        whole, _, _ = text.rpartition("\n")
        lines = whole.splitlines()
        if lines:
            self._check(lines[0], header)
            self.records = _records(lines[1:])
        else:
            whole = json.dumps(header)
        # Written anew, so that a line cut by a crash does not spoil the next one.
        draft = self.path.with_suffix(".draft")
        draft.write_text(whole + "\n", encoding="utf-8")
        draft.replace(self.path)
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, record: Record) -> None:
        """Keep a record; it is on disk when this returns."""
        assert self._file is not None
        self._file.write(json.dumps(record.as_dict()) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.records.append(record)

    def _check(self, line: str, header: dict[str, Any]) -> None:
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict) or "comparison" not in found:
            raise ConfigurationError(
                f"{self.path} is not a file of `weaver compare`.", hint="Give another --out."
            )
        if changed := sorted(k for k in header | found if header.get(k) != found.get(k)):
            different = "; ".join(f"{k}: {found.get(k)!r} there, {header.get(k)!r} now" for k in changed)
            raise ConfigurationError(
                f"{self.path} has the results of another comparison ({different}).",
                hint="Give another --out, or the same settings to go on.",
            )


def read_records(path: Path) -> tuple[dict[str, Any], list[Record]]:
    """The header and the records of a finished or unfinished comparison.

    Raises:
        ConfigurationError: it is no such file.
    """
    try:
        lines = path.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
        header = json.loads(lines[0])
        assert "comparison" in header
        return header, _records(lines[1:])
    except (OSError, ValueError, IndexError, AssertionError, TypeError) as error:
        raise ConfigurationError(f"{path} is not a file of `weaver compare`: {error}.") from error


def _records(lines: Iterable[str]) -> list[Record]:
    """One record for each run: the last, where it was run again."""
    found: dict[Key, Record] = {}
    for record in (Record.from_dict(json.loads(line)) for line in lines if line.strip()):
        found.pop(record.key, None)
        found[record.key] = record
    return list(found.values())


def overlap(texts: Iterable[str]) -> float | None:
    """Mean overlap of each two texts' words (Jaccard: shared over all); None with fewer than two texts."""
    bags = [frozenset(text.lower().split()) for text in texts]
    pairs = [(a, b) for i, a in enumerate(bags) for b in bags[i + 1 :] if a or b]
    return sum(len(a & b) / len(a | b) for a, b in pairs) / len(pairs) if pairs else None
