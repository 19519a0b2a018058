"""The live view, drawn on a terminal of a given size."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from weaver import events
from weaver._cli.display.live import LiveView
from weaver._data.plan import Plan, Subtask
from weaver._data.usage import Usage

from .played import STORY


class Screen(io.StringIO):
    """A terminal that remembers what is written to it."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weaver._cli.display.live.time", SimpleNamespace(monotonic=lambda: 100.0))


def view_of(width: int = 80, height: int = 24, encoding: str = "utf-8") -> LiveView:
    console = Console(
        file=Screen(encoding),
        width=width,
        height=height,
        force_terminal=True,
        color_system=None,
        highlight=False,
    )
    return LiveView(console)


def picture(view: LiveView) -> list[str]:
    """The lines of what is drawn now, without trailing blanks."""
    with view.console.capture() as captured:
        view.console.print(view._picture())
    return [line.rstrip() for line in captured.get().splitlines()]


def test_plan_then_threads_then_answer() -> None:
    view = view_of()
    for event in STORY[:6]:
        view.show(event)
    assert picture(view) == [
        "scripted · adaptive  thinking, 0.0 s",
        "parallel (planner): two look-ups",
        *("· " + title for title in ("Kyoto", "Oslo", "Choose")),
    ]

    for event in STORY[6:9]:
        view.show(event)
    shown = picture(view)
    assert shown[2].startswith("▸ Kyoto  Gardens.")
    assert "2 tok" in shown[2]
    assert shown[4] == "· Choose"

    for event in STORY[10:-1]:
        view.show(event)
    shown = picture(view)
    assert shown[2].startswith("✓ Kyoto")
    assert shown[2].endswith("50 tok 1.0 s")
    assert shown[3].startswith("⊘ Oslo  settled")
    assert shown[-1] == "Kyoto, because of the gardens."


def test_a_new_answer_replaces_the_earlier_one() -> None:
    view = view_of()
    for event in (
        events.AnswerStarted("direct"),
        events.AnswerDelta("first try"),
        events.AnswerStarted("synthesis"),
        events.AnswerDelta("the answer"),
    ):
        view.show(event)

    assert picture(view)[-1] == "the answer"
    assert not [line for line in picture(view) if "first try" in line]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (20, 8), (8, 4), (1, 1), (200, 60)])
@pytest.mark.parametrize("threads", [0, 3, 500])
def test_it_always_fits_the_terminal(width: int, height: int, threads: int) -> None:
    view = view_of(width, height)
    subtasks = tuple(Subtask(id=f"t{i}", title=f"part {i} " * 20, prompt="p") for i in range(threads))
    view.show(events.RunStarted("r", "q", "s" * 300, "m" * 300))
    view.show(events.Planned(Plan(parallel=True, reason="why " * 100, subtasks=subtasks)))
    for subtask in subtasks[::2]:
        view.show(events.ThreadStarted(subtask.id, None, subtask.title, 1))
        view.show(events.ThreadDelta(subtask.id, "word " * 50))
    view.show(events.AnswerStarted("synthesis"))
    view.show(events.AnswerDelta("long answer 漢字 " * 500))
    shown = picture(view)

    assert all(len(line) <= width for line in shown)
    if (width, height) in {(80, 24), (200, 60)}:
        assert len(shown) < height
        assert not threads > 100 or any("more threads" in line for line in shown)


def test_running_threads_are_shown_before_finished_ones() -> None:
    view = view_of(height=10)
    for i in range(50):
        view.show(events.ThreadStarted(f"t{i}", None, f"part {i}", 1))
        if i != 49:
            view.show(events.ThreadFinished(f"t{i}", "succeeded", None, "x", Usage(), 1.0))

    shown = picture(view)
    assert any("part 49" in line for line in shown)
    assert any("more threads" in line for line in shown)


def test_nested_threads_stand_below_their_parents() -> None:
    view = view_of()
    for name, parent, depth in (("a", None, 1), ("b", None, 1), ("a/x", "a", 2), ("a/x/y", "a/x", 3)):
        view.show(events.ThreadStarted(name, parent, f"part {name}", depth))

    shown = [(line.index("part"), line.split("part ")[1].split()[0]) for line in picture(view)[1:]]
    assert shown == [(2, "a"), (4, "a/x"), (6, "a/x/y"), (2, "b")]


def test_terminals_without_unicode_get_ascii_marks() -> None:
    view = view_of(encoding="cp1252")
    for event in STORY[:11]:
        view.show(event)

    assert any(line.startswith("+ Kyoto") for line in picture(view))


def test_model_text_cannot_steer_the_terminal() -> None:
    view = view_of()
    evil = "\x1b]0;owned\x07\x1b[2J[bold]x[/bold]\u202e"
    view.show(events.ThreadStarted("t", None, evil, 1))
    view.show(events.ThreadDelta("t", evil))
    view.show(events.ThreadFinished("t", "failed", None, None, Usage(), 1.0, evil))
    view.show(events.AnswerStarted("direct"))
    view.show(events.AnswerDelta(evil))
    with view:
        view.show(events.Noted(evil))
    screen: Any = view.console.file
    written = screen.getvalue() + "\n".join(picture(view))

    assert "[bold]x[/bold]" in written
    assert "\x1b]0" not in written
    assert "\x1b[2J" not in written
    assert "\x07" not in written
    assert "\u202e" not in written


def test_notes_stay_above_the_picture_and_the_answer_leaves_it() -> None:
    view = view_of()
    with view:
        for event in STORY:
            view.show(event)
            view.tick()
    screen: Any = view.console.file
    written = screen.getvalue()

    assert "note: the planner was repaired once" in written
    assert "Kyoto, because of the gardens." in written
    assert "gardens" not in "\n".join(picture(view))
    assert view.told_notes
