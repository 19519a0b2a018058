"""The port to the record of what has been finished and decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Journal(Protocol):
    """Finished steps of one run, by structural key (``plan``, ``s3/call/0``, ``verdict/join``).

    Values are JSON. The first value written for a key wins; a finished step is never executed again.
    """

    async def open(self, run_id: str) -> Mapping[str, Any]:
        """Everything finished so far.

        Raises:
            JournalError: the record cannot be read.
        """
        ...

    async def append(self, run_id: str, key: str, value: Any) -> None:
        """Record that ``key`` is finished; durable on return.

        Raises:
            JournalError: the record cannot be written.
        """
        ...
