"""The HTML file: self-contained, and nothing of a model's text is markup or script."""

from __future__ import annotations

import base64
import hashlib
import json
import re

from tests.tracing.stories import identity, quorum_story
from weaver._tracing.record import semconv as sc
from weaver._tracing.views.html import embedded, page_of, run_of
from weaver._tracing.views.run_view import view_of

EVIL = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\u2028&"


def test_the_file_names_no_other_place() -> None:
    page = page_of([view_of(quorum_story().spans)])

    found = set(re.findall(r"https?://[^\s\"'`<>)]+", page))
    assert found <= {"http://www.w3.org/2000/svg"}  # a namespace, not an address
    assert not re.search(r"\b(?:src|href)\s*=\s*[\"']", page)
    assert not re.search(r"@import|url\((?!#)", page)


def test_a_strict_policy_covers_script_and_style() -> None:
    page = page_of([view_of(quorum_story().spans)])
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page).group(1)

    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        text = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert len(text) == 1
        digest = base64.b64encode(hashlib.sha256(text[0].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_text_cannot_leave_its_place() -> None:
    story = quorum_story().thread("evil", 1, 2, TASK_TITLE=EVIL, TASK_ANSWER=EVIL)
    page = page_of([view_of(story.spans, question=EVIL)])

    assert page.count("</script>") == 2
    assert "<img" not in page
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL).group(1)
    [run] = json.loads(data)["runs"]
    assert run["question"] == EVIL
    assert [p["l"] for p in run["pieces"] if p["th"] == "evil"] == [f"evil  {EVIL}"]


def test_embedded_json_is_plain_ascii_without_markup() -> None:
    text = embedded({"a": EVIL, "b": "ü\ud800"})

    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text)["a"] == EVIL


def test_a_run_as_the_page_reads_it() -> None:
    run = run_of(view_of(quorum_story().spans))

    assert (run["id"], run["status"], run["seconds"]) == ("r1", "complete", 10.0)
    assert (run["calls"], run["threads"], run["cancelled"], run["conflicts"]) == (5, 4, 1, 1)
    [plan] = run["plans"]
    pieces = run["pieces"]
    assert plan["edges"] == [["a", "c"]]
    assert {name: pieces[i]["th"] for name, i in plan["threads"].items()} == {"a": "a", "b": "b", "c": "c"}
    assert [pieces[i]["k"] for i in run["path"][:3]] == ["run", "plan", "call"]
    for i, piece in enumerate(pieces):
        below = pieces[i + 1 : i + 1 + piece["n"]]
        assert all(p["d"] > piece["d"] for p in below)
        assert piece["p"] == -1 or pieces[piece["p"]]["d"] == piece["d"] - 1


def test_full_texts_take_the_place_of_cut_ones() -> None:
    story = quorum_story()
    story.call("talk", 1, 2, "a", OUTPUT_MESSAGES="cut")
    run = run_of(view_of(story.spans, texts={(identity("talk"), sc.OUTPUT_MESSAGES): "in full"}))

    [piece] = [p for p in run["pieces"] if p["id"] == identity("talk")]
    assert piece["a"][sc.OUTPUT_MESSAGES] == "in full"
    assert run["content"] is True


def test_nested_plans_find_their_own_threads() -> None:
    story = quorum_story()
    story.add("inner", sc.PLAN, 1, 2, "a", PLAN_IDS=("x",)).thread("a/x", 2, 3, "a")
    plans = run_of(view_of(story.spans))["plans"]

    assert [p["prefix"] for p in plans] == ["", "a"]
    assert list(plans[1]["threads"]) == ["x"]
