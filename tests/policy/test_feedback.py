"""``weaver feedback``: a person's word on a kept run."""

from __future__ import annotations

import json

import pytest

from tests.tracing.stories import quorum_story
from weaver._cli import main
from weaver._tracing.store.decisions import rewards_of
from weaver._tracing.store.sqlite import Store
from weaver._tracing.views.run_view import view_of


@pytest.fixture(autouse=True)
def kept(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("WEAVER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WEAVER_TRACE_DAYS", "0")  # the story is set in 1970
    store = Store()
    store.add(quorum_story().spans)
    store.close()


def test_it_becomes_part_of_the_trace(capsys):
    assert main(["feedback", "last", "good"]) == 0
    assert main(["feedback", "r1", "0.25", "--name", "style"]) == 0
    assert capsys.readouterr().out == "r1: correctness 1\nr1: style 0.25\n"
    store = Store()
    row = store.find("r1")
    spans = store.spans(row)
    store.close()
    assert [(r.value, r.source, r.name) for r in rewards_of(spans)] == [
        (1.0, "user", "correctness"),
        (0.25, "user", "style"),
    ]
    before = view_of(quorum_story().spans).root.span.end_ns
    assert view_of(spans, root=row.span_id).root.span.end_ns == before
    assert main(["trace", "decisions", "r1"]) == 0
    assert "reward 0.25 (style, by user)" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["great", "1.5", "-1", "nan", ""])
def test_another_word_is_refused(capsys, value):
    assert main(["feedback", "r1", "--", value]) == 2
    assert "is not good, bad or a number from 0 to 1" in capsys.readouterr().err


def test_a_run_that_is_not_there(capsys):
    assert main(["feedback", "nope", "good"]) == 2
    assert "nope" in capsys.readouterr().err


def test_decisions_as_json_lines(capsys):
    assert main(["trace", "decisions", "r1", "--json"]) == 0
    assert all(json.loads(line) for line in capsys.readouterr().out.splitlines())
