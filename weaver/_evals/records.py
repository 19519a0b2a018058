"""What one run of a comparison came to, kept as one line of JSON, so that the comparison can be resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from weaver._environment.file_locks import lock
from weaver._evals.header import VERSION, Header, extended
from weaver.errors import ConfigurationError

Key = tuple[str, str, str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One run: one strategy on one item.

    Attributes:
        task, item, strategy, model, repeat: which run; together its key.
        seed: sampling seed of the run.
        status: ``complete``, ``partial`` or ``failed``; a failed run counts as wrong.
        graded: False when the grader failed; ``why`` says how, and the answer is graded again on resuming.
        correct, score, why: the grade.
        answer, expected: texts; a graded ``answer`` is cut after 4000 characters.
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
        concurrency: runs that were allowed at the same time.
        structure, ideal_speedup: of the item, where known.
        error: the message of a failed run, or None.
        decided_fork: the run's decision.
        predicted_seconds, predicted_usd: of what was decided; None where the gate predicted nothing.
        features: of the question, see `weaver._planning.features`; ``features_version`` is theirs.
        decisions: the run's decision log, with the grade as its reward.
    """

    task: str
    item: str
    strategy: str
    model: str
    repeat: int = 0
    seed: int = 0
    status: str = "complete"
    graded: bool = True
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
    concurrency: int = 1
    structure: str = ""
    ideal_speedup: float = 1.0
    notes: tuple[str, ...] = ()
    error: str | None = None
    decided_fork: bool = False
    predicted_seconds: float | None = None
    predicted_usd: float | None = None
    features: dict[str, float] = field(default_factory=dict[str, float])
    features_version: str = ""
    decisions: tuple[dict[str, Any], ...] = ()

    @property
    def key(self) -> Key:
        """The run's strategy, item and repeat."""
        return (self.task, self.item, self.strategy, self.model, self.repeat)

    @property
    def forked(self) -> bool:
        """True if at least two threads worked on it."""
        return self.threads > 1

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "notes": list(self.notes), "decisions": list(self.decisions)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Back from `as_dict`; unknown keys are ignored."""
        names = {f.name for f in fields(cls)}
        values: dict[str, Any] = {k: v for k, v in data.items() if k in names}
        values |= {name: tuple(values.get(name, ())) for name in ("notes", "decisions")}
        return cls(**values)


@dataclass(slots=True)
class RecordFile:
    """The records of a comparison on disk: a header line that says what is compared, then one line per run.

    It is only ever added to. Of several lines for one run the last counts, and of several headers (a
    comparison that was extended). A line that was cut by a crash is dropped; everything before it is kept.
    While it is open, nobody else can open it.

    Args:
        path: of the file; its folder is made.
        header: what is compared (`Comparison.header`).

    Attributes:
        records: one for each run, in the order in which they were added.

    Raises:
        ConfigurationError: on entering: the file belongs to another comparison, is open elsewhere, has a
            damaged line, cannot be written, or is no such file.
    """

    path: Path
    header: Header
    _records: dict[Key, Record] = field(default_factory=dict[Key, Record])
    _file: FileIO | None = None

    @property
    def records(self) -> list[Record]:
        """The records of all runs so far."""
        return list(self._records.values())

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = FileIO(self.path, "a+")
            if not lock(self._file.fileno()):
                raise ConfigurationError(
                    f"Another `weaver compare` is writing {self.path}.",
                    hint="Wait until it has ended, or give another --out.",
                )
            self._begin(self._file)
        except OSError as error:
            self._close()
            raise _unwritable(self.path, error) from error
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def add(self, record: Record) -> None:
        """Keep a record, in place of an earlier one of the same run; it is on disk when this returns.

        Raises:
            ConfigurationError: it cannot be written (the disk is full); the file is as it was before.
        """
        self._append(record.as_dict())
        self._records.pop(record.key, None)
        self._records[record.key] = record

    def _begin(self, file: FileIO) -> None:
        header = {"comparison": VERSION, **json.loads(json.dumps(self.header))}
        file.seek(0)
        whole, newline, torn = file.readall().rpartition(b"\n")
        if not newline and not _is_header_cut_short(torn):
            raise _foreign(self.path)
        if not newline:
            file.truncate(0)
            self._append(header)
            return
        before, records = _read(self.path, whole)
        self._records = {record.key: record for record in records}
        header = extended(before, header, str(self.path))
        if torn:  # only once it is known to be a file of ours
            file.truncate(len(whole) + 1)
        if header != before:
            self._append(header)

    def _append(self, data: dict[str, Any]) -> None:
        assert self._file is not None
        file, line = self._file, json.dumps(data).encode() + b"\n"
        end = file.seek(0, os.SEEK_END)
        try:
            while line:
                line = line[file.write(line) :]
            os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):
                file.truncate(end)
            raise _unwritable(self.path, error) from error

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def read_records(path: Path) -> tuple[Header, list[Record]]:
    """The header and the records of a finished or unfinished comparison.

    Raises:
        ConfigurationError: it is no such file, or has a damaged line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path} is not a file of `weaver compare`: {error.strerror or error}.",
            hint="Name a folder that `weaver compare --out FOLDER` has written.",
        ) from error
    return _read(path, content.rpartition(b"\n")[0])


def _read(path: Path, content: bytes) -> tuple[Header, list[Record]]:
    """The last header, and one record for each run: the last, where it was run again."""
    header: Header = {}
    records: dict[Key, Record] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        if number > 1 and not line.strip():
            continue
        try:
            data = json.loads(line)
            if "comparison" in data:
                header = dict(data)
                continue
            record = Record.from_dict(data)
        except (ValueError, TypeError, AttributeError) as error:
            if number == 1:
                raise _foreign(path) from None
            raise ConfigurationError(
                f"{path}:{number}: this line is damaged: {error}.",
                hint="Delete the line; the same command with the same --out then runs what is missing again.",
            ) from error
        if not header:
            raise _foreign(path)
        records.pop(record.key, None)
        records[record.key] = record
    return header, list(records.values())


def _is_header_cut_short(line: bytes) -> bool:
    """Return True if a file of one unfinished line is one of ours: empty, or the start of a header."""
    start = b'{"comparison": '
    return line.startswith(start) or start.startswith(line)


def _foreign(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} is not a file of `weaver compare`.",
        hint="Name a folder that `weaver compare --out FOLDER` has written. To compare, give another --out.",
    )


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be written: {error.strerror or error}.", hint="Give another --out."
    )


def overlap(texts: Iterable[str]) -> float | None:
    """Mean overlap of each two texts' words (Jaccard: shared over all); None with fewer than two texts."""
    bags = [frozenset(text.lower().split()) for text in texts]
    pairs = [(a, b) for i, a in enumerate(bags) for b in bags[i + 1 :] if a or b]
    return sum(len(a & b) / len(a | b) for a, b in pairs) / len(pairs) if pairs else None
