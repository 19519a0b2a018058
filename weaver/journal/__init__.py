"""The record of finished steps that makes a run resumable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from weaver.paths import home

if TYPE_CHECKING:
    from weaver.journal.sqlite import SQLiteJournal

FILE = "journal.sqlite"
_journals: dict[Path, SQLiteJournal] = {}


def local_journal() -> SQLiteJournal:
    """The journal of this machine, ``WEAVER_HOME/journal.sqlite``: one object for all runs of the process."""
    from weaver.journal.sqlite import SQLiteJournal

    path = home() / FILE
    if path not in _journals:
        _journals[path] = SQLiteJournal(path)
    return _journals[path]
