"""A file while it is being fetched: grows at its end, and knows the checksum of what it holds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from weaver_local.manifest import Slice

if TYPE_CHECKING:
    # The type that `hashlib.sha256` returns has no public name.
    from hashlib import _Hash as Hash  # pyright: ignore[reportPrivateUsage]

_BLOCK = 1 << 20


class Partial:
    """The unfinished file. What an earlier attempt left is kept as far as its slices are right.

    Args:
        path: the file; created when it does not exist.
        size: bytes that it will have in the end.
        slices: stretches with known checksums, in order, or none.

    Attributes:
        done: bytes that are there.
    """

    def __init__(self, path: Path, size: int, slices: Sequence[Slice] = ()) -> None:
        self.path = path
        self.size = size
        # Unbuffered: after a full disk, what `done` says is what is really there.
        self._file = path.open("a+b", buffering=0)
        try:
            self.done, self._sha = self._checked(slices)
            self._file.truncate(self.done)
        except BaseException:
            self._file.close()
            raise
        self._mark = (0, hashlib.sha256())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        """Checksum of what is there."""
        return self._sha.hexdigest()

    def append(self, data: bytes) -> None:
        """Add bytes at the end.

        Raises:
            OverflowError: more than the file may have.
            OSError: it cannot be written, for example because the disk is full.
        """
        if self.done + len(data) > self.size:
            raise OverflowError("longer than it should be")
        left = memoryview(data)
        while left:
            written = self._file.write(left) or 0
            self._sha.update(left[:written])
            self.done += written
            left = left[written:]

    def mark(self) -> None:
        """Remember this point for `back`."""
        self._mark = (self.done, self._sha.copy())

    def back(self) -> None:
        """Drop everything after the last `mark`."""
        self.done, self._sha = self._mark[0], self._mark[1].copy()
        self._file.truncate(self.done)

    def cut(self, done: int, slices: Sequence[Slice] = ()) -> None:
        """Drop everything after the first ``done`` bytes, and what is wrong before."""
        self._file.truncate(min(done, self.done))
        self.done, self._sha = self._checked(slices)
        self._file.truncate(self.done)

    def flush(self) -> None:
        """Have everything on the disk, not only in the system's memory."""
        os.fsync(self._file.fileno())

    def _checked(self, slices: Sequence[Slice]) -> tuple[int, Hash]:
        """Return how much of the file is right (as far as can be known), and the checksum of that."""
        self._file.seek(0)
        sha = hashlib.sha256()
        done = 0
        for part in slices:
            before = sha.copy()
            own = hashlib.sha256()
            read = self._read(part.size, sha, own)
            if read < part.size:  # unfinished: may be continued, is checked when it is whole
                return done + read, sha
            if own.hexdigest() != part.sha256:
                return done, before
            done += read
        done += self._read(self.size + 1 - done, sha)
        return (0, hashlib.sha256()) if done > self.size else (done, sha)

    def _read(self, most: int, *shas: Hash) -> int:
        read = 0
        while read < most and (block := self._file.read(min(_BLOCK, most - read))):
            for sha in shas:
                sha.update(block)
            read += len(block)
        return read
