"""Which journal durable runs have: that of this machine, or what a setting names."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from weaver import Weaver
from weaver._journal import GROUP, journal_of, local_journal
from weaver._journal.memory import MemoryJournal
from weaver.errors import ConfigurationError
from weaver.testing import ScriptedModel

pytestmark = pytest.mark.anyio


class Named(MemoryJournal):
    """A journal of a plugin."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url


@pytest.fixture
def plugin(monkeypatch):
    point = EntryPoint("stored", f"{__name__}:Named", GROUP)
    points = {GROUP: {"stored": point}}
    monkeypatch.setattr("weaver._environment.plugins.installed", lambda group: points.get(group, {}))
    monkeypatch.setattr(EntryPoint, "load", lambda self: Named)


async def test_a_setting_names_the_journal(plugin, monkeypatch):
    monkeypatch.setenv("WEAVER_JOURNAL", "stored://user:secret@host/runs")
    weaver = Weaver(ScriptedModel("4"), strategy="sequential", durable=True)
    await weaver.run("q", run_id="r")
    (journal,) = weaver._journals.values()
    assert journal.url == "stored://user:secret@host/runs"
    assert (await journal.head("r")).status == "complete"
    assert "secret" not in repr(weaver) + repr(weaver.settings)


async def test_an_argument_names_the_journal(plugin):
    weaver = Weaver(ScriptedModel("4"), strategy="sequential", journal="stored://host/runs")
    await weaver.run("q", run_id="r")
    assert (await weaver._journal.head("r")).status == "complete"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://host/runs", 'pip install "weaver-reasoning[postgres]"'),
        ("mysql://host/runs", "No journal for mysql:// URLs"),
        ("runs.sqlite", "not a URL"),
    ],
)
def test_a_journal_that_nobody_knows(url, words, monkeypatch):
    monkeypatch.setattr("weaver._environment.plugins.installed", lambda group: {})
    with pytest.raises(ConfigurationError) as caught:
        journal_of(url)
    assert words in str(caught.value)


def test_without_a_url_it_is_the_file_of_this_machine():
    assert journal_of(None) is local_journal()
