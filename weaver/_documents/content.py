"""The text of a document as UTF-8 bytes that are read piece by piece, from memory or from a file."""

from __future__ import annotations

import os
import tempfile
import weakref
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from weaver.errors import InvalidTaskError

BLOCK = 1 << 18
"""Bytes that are read at once where a whole document is gone through."""


class Content(Protocol):
    """UTF-8 text of known size."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from ``start`` to ``end``.

        Raises:
            InvalidTaskError: the file cannot be read any more, or has changed.
        """
        ...


class InMemory:
    """Text that was given as such."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self._data)

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from ``start`` to ``end``."""
        return self._data[start:end]


class Section:
    """A part of another content.

    Args:
        start, end: byte offsets.
    """

    def __init__(self, content: Content, start: int, end: int) -> None:
        self._content, self._start, self._end = content, start, max(start, end)

    @property
    def size(self) -> int:
        """Bytes."""
        return self._end - self._start

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from ``start`` to ``end``.

        Raises:
            InvalidTaskError: as the other content.
        """
        return self._content.read(self._start + start, min(self._start + end, self._end))


class InFile:
    """Text in a file, which is opened anew for each piece: there may be thousands of documents.

    Raises:
        InvalidTaskError: it cannot be read, or is no file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        try:
            if not path.is_file():
                raise InvalidTaskError(
                    f"The document {path} {_what_it_is(path)}.", hint="Give paths of files."
                )
            self._size = path.stat().st_size
            self._changed = path.stat().st_mtime_ns
            with path.open("rb"):
                pass
        except OSError as error:
            raise InvalidTaskError(
                f"The document {path} cannot be read: {error.strerror or error}."
            ) from None

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from ``start`` to ``end``.

        Raises:
            InvalidTaskError: the file cannot be read any more, or has changed.
        """
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_mtime_ns != self._changed:
                    raise InvalidTaskError(
                        f"{self._path.name} was changed while it was read.", hint="Run it again."
                    )
                file.seek(start)
                return file.read(max(0, min(end, self._size) - start))
        except OSError as error:
            raise InvalidTaskError(f"{self._path.name} cannot be read any more: {error.strerror}.") from None


def in_temporary_file(pieces: Iterable[bytes]) -> InFile:
    """Write text into a file that is deleted with the returned object."""
    handle, name = tempfile.mkstemp(prefix="weaver-document-")
    with os.fdopen(handle, "wb") as file:
        file.writelines(pieces)
    content = InFile(Path(name))
    weakref.finalize(content, Path(name).unlink, missing_ok=True)
    return content


def _what_it_is(path: Path) -> str:
    if path.is_dir():
        return "is a folder"
    return "is not a regular file" if path.exists() else "does not exist"


def blocks(content: Content) -> Iterator[tuple[int, bytes]]:
    """Go through all of it: offsets and bytes."""
    for start in range(0, content.size, BLOCK):
        yield start, content.read(start, start + BLOCK)


class LineIndex:
    """Finds a line's offset, and an offset's line, with a look at one block."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._lines = [0]  # before each block
        last = b"\n"
        for _, block in blocks(content):
            self._lines.append(self._lines[-1] + block.count(b"\n"))
            last = block[-1:]
        self.count = self._lines[-1] + (last != b"\n")

    def offset_of(self, line: int) -> int:
        """Return where line ``line`` (from 1) begins; the size where there are fewer."""
        if line <= 1:
            return 0
        if line > self.count:
            return self._content.size
        number = bisect_right(self._lines, line - 2) - 1
        start = number * BLOCK
        block = self._content.read(start, start + BLOCK)
        at = -1
        for _ in range(line - 1 - self._lines[number]):
            at = block.index(b"\n", at + 1)
        return start + at + 1
