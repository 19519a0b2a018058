"""The picture in the terminal."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from tests.tracing.stories import Story, quorum_story
from weaver._tracing.record import semconv as sc
from weaver._tracing.views.run_view import view_of
from weaver._tracing.views.waterfall import clean, dollars, draw, seconds


def drawn(story: Story, *, width: int = 100, encoding: str = "utf-8", **options: Any) -> str:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding=encoding, write_through=True), width=width)
    console.print(draw(view_of(story.spans, question="What is it?"), console, **options))
    return raw.getvalue().decode(encoding)


def test_the_whole_picture() -> None:
    assert drawn(quorum_story()).splitlines() == [
        "adaptive  complete · m · 10.00 s · 4 threads · 5 calls · 50→25 tokens · $2.25",
        "What is it?",
        f"run r1  trace {'ab' * 16}",
        "",
        "                                  0 s                      10.00 s",
        "● ✓ adaptive                      ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━  10.00 s        50→25     $2.25",
        "● ├ ✓ plan                        ━━━━━━                             2.00 s         10→5   $0.5000",
        "  ├ ✓ a Alpha                        ───━━━━━━                       3.00 s         10→5   $0.5000",
        "● ├ ✓ b                                 ┄┄━━━━━━━━━━━━━━             5.00 s         10→5   $0.2500",
        "  ├ ✗ d  (failed: HTTP 500)             ━━━                          1.00 s",
        "  ├ ✓ join quorum(2)                    ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄             5.00 s",
        "  │ waited 5.00 s, last for b, 2 of 4 answered, cancelled c (quorum_met)",
        "  ├ ⊘ c  (cancelled: quorum_met)              ━━━━━━━━━━             3.00 s         10→5   $0.5000",
        "● ├ ✓ conflict: Paris / people                          ━━           0.50 s",
        "● └ ✓ synthesis                                           ━━━━━━━━   2.50 s         10→5   $0.5000",
        "",
        "● Critical path plan 2.00 s (20%) → b 5.00 s (50%) → conflict: Paris / people 0.50 s (5%) → ",
        "synthesis 2.50 s (25%)",
        "Spent on        model calls 9.50 s (first token 0 ms, queue 0.50 s), everything else 0.50 s; 15 of ",
        "25 tokens",
        "Calls by role  calls  in  out     cost  seconds",
        "planner            1  10    5  $0.5000   2.00 s",
        "thread             3  30   15  $1.2500  11.00 s",
        "synthesizer        1  10    5  $0.5000   2.50 s",
        "Cancelled       1 thread (1 quorum_met): c",
        "Failed          d: HTTP 500",
        "Conflict        Paris / people, between a, b; settled by evidence for b",
        "Note            took a detour",
    ] or drawn(quorum_story())


def test_a_terminal_without_unicode_gets_ascii() -> None:
    picture = drawn(quorum_story(), encoding="ascii", width=80)

    assert picture.isascii()
    assert "* |-+ plan" in picture
    assert "  |-c c" in picture


def test_every_call_on_request() -> None:
    assert drawn(quorum_story(), calls=True).count("✓ m") == 4
    assert "✓ m" not in drawn(quorum_story())


def test_a_call_that_tells_more_than_its_thread_is_shown() -> None:
    story = quorum_story().thread("e", 2, 6).call("one", 2, 3, "e").call("two", 3, 6, "e")

    assert drawn(story).count("✓ m") == 2


def test_many_threads_show_the_critical_and_the_failed_first() -> None:
    story = Story().add("run", sc.INVOKE_WORKFLOW, 0, 10, None, RUN_ID="r")
    for i in range(500):
        story.thread(f"t{i}", 0, 1 + i / 1000)
    story.thread("slowest", 0, 10).thread(
        "bad", 0, 0.1, TASK_STATE="failed", status="error", status_text="no"
    )
    lines = drawn(story, rows=10).splitlines()

    assert sum("✓ t" in line for line in lines) == 7
    assert any("● " in line and "slowest" in line for line in lines)
    assert any("✗ bad" in line for line in lines)
    assert any("✓ t499" in line for line in lines)
    assert any("493 threads left out; --rows 0 shows all" in line for line in lines)
    assert len(drawn(story, rows=None).splitlines()) > 500


def test_a_model_cannot_steer_the_terminal() -> None:
    story = quorum_story()
    story.thread("evil", 1, 2, TASK_TITLE="\x1b]0;owned\x07\x1b[31m red\u202e\r\n[bold]x[/bold]")
    picture = drawn(story)

    assert "\x1b" not in picture
    assert "\u202e" not in picture
    assert "[bold]" in picture


def test_numbers() -> None:
    assert [seconds(v) for v in (0, 0.0345, 2.459, 725)] == ["0 ms", "34 ms", "2.46 s", "12:05 min"]
    assert [dollars(v) for v in (None, 0.0, 0.00001, 0.0012, 12.5)] == [
        "",
        "$0.0000",
        "<$0.0001",
        "$0.0012",
        "$12.50",
    ]
    assert clean("a\n\tb\x07c") == "a b c"
