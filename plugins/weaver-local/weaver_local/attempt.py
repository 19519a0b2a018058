"""What the sources of a model share: how to stop, and how to say that a source did not work."""

from __future__ import annotations

import re
from dataclasses import dataclass
from threading import Event

from weaver_local.manifest import Entry
from weaver_local.partial import Partial
from weaver_local.report import Report

_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]+@")


class SourceError(Exception):
    """This source cannot give the file; the next one may. The message is one clause without a full stop."""


class Stopped(Exception):  # noqa: N818 - the user asked for it
    """Somebody asked to stop."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to get a model from one of its sources.

    Args:
        entry: what is fetched.
        partial: where it goes.
        report: called with the progress.
        stop: set from another thread to stop.
    """

    entry: Entry
    partial: Partial
    report: Report
    stop: Event

    def check(self) -> None:
        """Raises `Stopped` when somebody asked to stop."""
        if self.stop.is_set():
            raise Stopped

    def take(self, data: bytes) -> None:
        """Append what a source gave.

        Raises:
            SourceError: it gives more than the file may have.
            Stopped: somebody asked to stop.
            OSError: the disk's fault.
        """
        self.check()
        try:
            self.partial.append(data)
        except OverflowError:
            raise SourceError("gives more bytes than the model has") from None
        self.report.at(self.partial.done)


def without_credentials(text: str) -> str:
    """``text`` with ``//user:password@`` taken out of every URL."""
    return _CREDENTIALS.sub("", text)
