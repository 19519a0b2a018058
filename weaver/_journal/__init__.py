"""The record of finished steps that makes a run resumable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from weaver._environment.paths import home
from weaver.errors import ConfigurationError

if TYPE_CHECKING:
    from weaver._journal.port import Journal
    from weaver._journal.retention import Retention
    from weaver._journal.sqlite import SQLiteJournal

FILE = "journal.sqlite"
GROUP = "weaver.journals"
"""Entry points of journals: the scheme of a URL, and a function from the URL to a `Journal`."""
_PLUGINS = {"postgresql": "postgres", "postgres": "postgres"}
"""The extra that brings the journal of a scheme."""
_journals: dict[tuple[Path, Retention | None], SQLiteJournal] = {}


def local_journal(keep: Retention | None = None) -> SQLiteJournal:
    """The journal of this machine, ``WEAVER_HOME/journal.sqlite``: one object for all runs of the process.

    Args:
        keep: what stays in it when a run ends; everything by default.
    """
    from weaver._journal.sqlite import SQLiteJournal

    place = (home() / FILE, keep)
    if place not in _journals:
        _journals[place] = SQLiteJournal(place[0], keep=keep)
    return _journals[place]


def journal_of(url: str | None, *, keep: Retention | None = None) -> Journal:
    """Return the journal that a URL names; without one that of this machine.

    Args:
        url: ``postgresql://USER@HOST/DATABASE``, or of another scheme that an installed plugin knows.
        keep: what stays in the journal of this machine when a run ends. Others are shared: their workers
            tidy them.

    Raises:
        ConfigurationError: no installed plugin knows the scheme, or the plugin refuses the URL.
    """
    if url is None:
        return local_journal(keep)
    from weaver._environment import plugins

    scheme = url.partition("://")[0] if "://" in url else ""
    point = plugins.installed(GROUP).get(scheme)
    if point is None:
        extra = _PLUGINS.get(scheme)
        raise ConfigurationError(
            f"No journal for {scheme + '://' if scheme else 'that'} URLs is installed."
            if scheme
            else "The journal is not a URL, such as postgresql://USER@HOST/DATABASE.",
            hint=f'Get it with: pip install "weaver-reasoning[{extra}]"'
            if extra
            else "Leave the setting journal out to use the file of this machine.",
        )
    make = plugins.load(point, "journal")
    with plugins.code_of(point, "journal", "cannot be used"):
        journal: Journal = make(url)
    return journal
