"""Reading server-sent events from the raw reads of a response (HTML standard, section 9.2)."""

from __future__ import annotations


class ErrorEvent(bytes):
    """The data of an event that the server named ``error``, or of a line that begins with ``error:``."""


_FIELDS = (b"data", b"event", b"id", b"retry")
_MAX_STRAY = 8000


class TooLargeError(ValueError):
    """One event grew beyond the limit."""


class EventReader:
    """Turns reads into the data of complete events; a read may hold many events, or a part of one.

    Understands LF, CRLF and CR line ends, comments, data over several lines, and ``event: error``. Bytes
    stay bytes: the caller decides about encoding. Some servers write errors in lines that are no fields of
    an event: ``error: {...}``, or a bare JSON body.

    Attributes:
        stray: the last lines that are no fields of an event, at most 8,000 bytes of them.

    Args:
        max_event: most bytes that one event may have.

    Raises:
        TooLargeError: from `feed`, when an event has more than ``max_event`` bytes.
    """

    __slots__ = ("_after_cr", "_data", "_is_error", "_max_event", "_rest", "_size", "stray")

    def __init__(self, max_event: int = 16 * 2**20) -> None:
        self._rest: list[bytes] = []  # the start of a line whose end is still to come
        self._size = 0  # bytes held: _rest and _data together
        self._data: list[bytes] = []  # data lines of the event that is being read
        self._is_error = False
        self.stray = b""
        self._after_cr = False
        self._max_event = max_event

    def feed(self, read: bytes) -> list[bytes]:
        """Data of the events that ``read`` completed, in order."""
        if self._after_cr or b"\r" in read:
            read = self._without_cr(read)
        if not (self._rest or self._data or self._is_error):
            usual = _usual_events(read, self._max_event)
            if usual is not None:
                return usual
        if b"\n" not in read:
            self._hold(self._rest, read)
            return []
        if self._rest:
            self._rest.append(read)
            read = b"".join(self._rest)
            self._rest.clear()
        *lines, rest = read.split(b"\n")
        self._size = sum(map(len, self._data)) if self._data else 0
        events: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                self._hold(self._data, line[6:] if line.startswith(b" ", 5) else line[5:])
            elif not line:
                if self._data:
                    events.append(self._complete())
                elif self._is_error:
                    events.append(ErrorEvent(b"an event named error, without data"))
                self._is_error = False
            elif line.startswith(b"event:"):
                self._is_error = line[6:].strip() == b"error"
            elif line.startswith(b"error:"):
                if self._data:
                    events.append(self._complete())
                events.append(ErrorEvent(line[6:].strip()))
            elif not line.startswith(b":") and line.partition(b":")[0] not in _FIELDS:
                self._take_stray(line)
        if rest:
            self._hold(self._rest, rest)
        return events

    def end(self) -> list[bytes]:
        """Data of a last event that the server did not close with a blank line, if any."""
        return self.feed(b"\n\n") if self._rest or self._data else []

    def _hold(self, part: list[bytes], piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max_event:
            raise TooLargeError(f"an event of more than {self._max_event} bytes")
        part.append(piece)

    def _take_stray(self, line: bytes) -> None:
        self.stray = (self.stray + b"\n" + line[:_MAX_STRAY])[-_MAX_STRAY:].strip()

    def _complete(self) -> bytes:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        return ErrorEvent(data) if self._is_error else data

    def _without_cr(self, read: bytes) -> bytes:
        if self._after_cr and read.startswith(b"\n"):
            read = read[1:]
        self._after_cr = read.endswith(b"\r")
        return read.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _usual_events(read: bytes, max_event: int) -> list[bytes] | None:
    """The data of whole events of one line ``data: ...`` each; None where ``read`` has anything else."""
    if not read.endswith(b"\n\n"):
        return None
    blocks = read.split(b"\n\n")
    blocks.pop()
    events: list[bytes] = []
    for block in blocks:
        if block[:6] != b"data: " or b"\n" in block or len(block) > max_event:
            return None
        events.append(block[6:])
    return events
