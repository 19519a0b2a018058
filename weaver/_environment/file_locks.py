"""A lock on an open file. The system takes it back when the file is closed or its process ends, however."""

from __future__ import annotations

import errno
import sys

_TAKEN = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}

if sys.platform == "win32":
    import msvcrt
    import os

    # One byte far behind the end, as SQLite does it: a locked byte can be read by nobody else.
    _PLACE = 0x40000000

    def _lock(file: int) -> None:
        os.lseek(file, _PLACE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock(file: int) -> bool:
    """Lock an open file, at once: False when somebody else, this process included, has locked it.

    Args:
        file: its descriptor, open for writing.

    Raises:
        OSError: files cannot be locked there (some network drives).
    """
    try:
        _lock(file)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True
