"""`weaver ui` in a real browser: asking, watching, stopping, approving, comparing, editing, hostile text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.serving.ui.conftest import QUESTION, Start, forking
from tests.serving.ui.pressing import ask, clean, fill, opened, press_button, status, text, until
from tests.tracing.views.browser import browser, chromium
from weaver import tool
from weaver.testing import Scripted

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.heavy,
    pytest.mark.skipif(chromium() is None, reason="NOT TESTED: there is no Chromium here"),
]


EVIL = (
    "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=1>"
    "[a](javascript:window.pwned=1) <svg onload=window.pwned=1>"
)


ANSI = "\x1b[31mred\x1b[0m\x1b]0;title\x07"


BIDI = "safe\u202efdp.exe\u2066"


async def test_ask_watch_and_look_back(start: Start) -> None:
    served = start(forking(slow=0.3))
    async with browser() as page:
        await opened(page, served.url)
        assert await page.value("document.activeElement.name") == "question"
        await ask(page)
        await until(page, "document.querySelectorAll('svg .node').length === 4")
        await until(page, "document.querySelectorAll('.thread-card').length === 2")
        await until(
            page, "document.querySelector('.thread-card.running .body')?.textContent.includes('The code')"
        )
        assert await page.texts("[role=tab]") == ["Run"]
        await page.screenshot(Path("ui-live.png"))
        await status(page, "complete")
        assert await page.texts(".answer strong") == ["17", "23"]
        assert await text(page, ".answer") == "Alpha has 17 and beta has 23."
        titles = [t.split("\n")[0] for t in await page.texts("svg .node title")]
        assert titles == ["Planner", "Alpha", "Beta", "Merge"]
        await until(page, "document.querySelectorAll('[role=tab]').length === 6")

        await page.press("2")
        assert (await page.texts(".row .label"))[:2] == ["adaptive", "plan"]
        assert {"a  Alpha", "b  Beta", "synthesis"} <= set(await page.texts(".row .label"))
        await page.press("3", "4")
        assert [t.split("\n")[0].split("  ")[-1] for t in await page.texts("svg .node title")] == titles
        await page.press("5", "6", "1")
        assert await page.texts(".answer strong") == ["17", "23"]
        assert await page.texts("#side li .title") == [QUESTION]
        assert "complete" in await text(page, "#announcement")
        clean(page, served.url)


async def test_stopping_one_thread_and_then_all(start: Start) -> None:
    served = start(forking(slow=3.0, answer="word " * 500))
    async with browser() as page:
        await opened(page, served.url)
        await ask(page)
        await until(page, "document.querySelector('[aria-label=\"Stop Beta\"]')")
        await until(page, "document.querySelector('.thread-card.succeeded')")
        await page.click("[aria-label='Stop Beta']")
        await until(page, "document.querySelector('.thread-card.cancelled')")
        await until(page, "document.querySelector('.answer').textContent.includes('word')")
        await status(page, "partial")

        await page.press("n")
        await ask(page)
        await until(page, "document.querySelector('[aria-label=\"Stop Beta\"]')")
        await page.press("s")
        await until(page, "!document.querySelector('#stop')")
        assert await page.value("!document.querySelector('.thread-card.running')")
        clean(page, served.url)


@tool(approve=True)
def erase(path: str) -> str:
    """Erase a file."""
    return f"erased {EVIL}{ANSI}"


@pytest.mark.parametrize("approved", [True, False])
async def test_an_approval_shows_what_it_is_about(start: Start, approved: bool) -> None:
    arguments = json.dumps({"path": f"/tmp/{BIDI}"}, ensure_ascii=False)
    served = start(
        [
            Scripted(tool_calls=(("erase", arguments),), when=lambda r: r.messages[-1].role != "tool"),
            Scripted("done"),
        ],
        tools=[erase],
    )
    async with browser() as page:
        await opened(page, served.url)
        await ask(page, "Erase it.", "sequential", "")
        await until(page, "document.querySelector('.approval')")
        assert "May the run call erase?" in await text(page, ".approval h3")
        # A name that reads backwards is seen as it is.
        assert "safe\\u202efdp.exe\\u2066" in await text(page, ".approval pre")
        await until(page, "document.querySelector('#side').textContent.includes('waits for you')")
        assert await text(page, "#announcement") == "The run waits for your approval."
        await fill(page, ".approval input", "not this one")
        await page.screenshot(Path("ui-approval.png"))
        await press_button(page, "Approve" if approved else "Deny")
        await status(page, "complete")
        assert await page.texts(".approval") == []
        result = await text(page, ".call pre:last-child")
        assert ("erased </script>" in result) if approved else ("not this one" in result)
        assert await page.value("window.pwned === undefined")
        clean(page, served.url)


async def test_hostile_text_stays_text_everywhere(start: Start) -> None:
    plan = {
        "parallel": True,
        "reason": EVIL,
        "subtasks": [
            {"id": "a", "title": f"{EVIL}{BIDI}", "prompt": "one?", "depends_on": []},
            {"id": "b", "title": ANSI, "prompt": "two?", "depends_on": []},
        ],
    }
    huge = "x" * 300_000
    answer = (
        f"# {EVIL}\n\n{ANSI} **{EVIL}**\n\n| {EVIL} |\n|---|\n| {BIDI} |\n\n- {EVIL}\n\n"
        f"```\n{EVIL}\n```\n> {EVIL}\n\n" + "*" * 5000 + "[" * 5000 + "`" * 5001
    )
    served = start([
        Scripted(json.dumps(plan), when="subtasks"),
        Scripted(f"{EVIL}{ANSI}{huge}", when=lambda r: r.messages[-1].text == "one?"),
        Scripted(f"{BIDI}{EVIL}", when=lambda r: r.messages[-1].text == "two?"),
        Scripted(answer),
    ])  # fmt: skip
    async with browser() as page:
        await opened(page, served.url)
        await ask(page, f"Compare two things. {EVIL}{ANSI}{BIDI}")
        await status(page, "complete")
        assert EVIL.split("[a]", maxsplit=1)[0] in await text(page, ".run-head h1")
        assert "␛[31mred" in await text(page, ".run-head h1")
        assert "⟨U+202E⟩" in await text(page, ".run-head h1")
        assert "␛]0;title␇" in await text(page, ".thread-card h3")
        assert "⟨U+202E⟩" in await text(page, ".thread-card h3")
        assert "\x1b" not in await text(page, "body")
        assert "\u202e" not in await text(page, "body")
        assert "<script>" in await text(page, ".answer")
        await until(page, "document.querySelectorAll('[role=tab]').length === 6")
        for key in "234561":
            await page.press(key)
        assert (
            await page.value(
                "document.querySelectorAll('img, iframe, object, embed, [onload], [onerror]').length"
            )
            == 0
        )
        assert await page.value("document.querySelectorAll('a:not([href^=\"#\"])').length") == 0
        assert await page.value("window.pwned === undefined")
        # The picture of the plan, the list and the head have their width, whatever the texts are.
        assert await page.value("document.documentElement.scrollWidth <= innerWidth")
        clean(page, served.url)


async def test_the_policy_stops_markup_that_got_in_anyway(start: Start) -> None:
    served = start()
    async with browser() as page:
        await opened(page, served.url)
        refused = await page.value(
            "(() => { try { document.body.innerHTML = '<p>x</p>'; } catch (e) { return e.name; } })()"
        )
        assert refused == "TypeError"
        await page.value(
            "(e => { e.src = 'https://example.org/x.png'; document.body.append(e); })(new Image())"
        )
        await page.frame()
        assert any("Content Security Policy" in problem for problem in page.problems)


async def test_compare_two_runs_and_run_an_edited_plan(start: Start) -> None:
    served = start([Scripted("gamma is 5", when="gamma?", times=1), *forking()])
    async with browser() as page:
        await opened(page, served.url)
        await ask(page)
        await status(page, "complete")
        await until(page, "document.querySelector('#edit')")
        await page.click("#edit")
        await until(page, "document.querySelectorAll('fieldset.subtask').length === 2")
        await press_button(page, "Add a part")
        await page.value(
            "(last => { const [id, title] = last.querySelectorAll('input');"
            " const fields = [[title, 'Gamma'], [last.querySelector('textarea'), 'gamma?']];"
            " for (const [e, v] of fields) { e.value = v; e.dispatchEvent(new Event('input')); }"
            " last.querySelector('input[type=checkbox]').click(); })"
            "(document.querySelector('fieldset.subtask:last-child'))"
        )
        assert "Gamma" in await text(page, "svg .node title")
        await page.screenshot(Path("ui-edit.png"))
        await press_button(page, "Run this plan")
        await until(page, "document.querySelectorAll('.thread-card').length === 3")
        await status(page, "complete")
        assert "gamma is 5" in await text(page, ".thread-card .body")
        await until(page, "document.querySelector('#compare')")
        await page.click("#compare")
        await until(page, "document.querySelector('#dialog[open] .pick button')")
        await page.click("#dialog .pick button")
        await until(page, "document.querySelectorAll('canvas.lane').length === 2")
        rows = await page.texts("table.numbers tbody tr")
        assert any(row.startswith("threads32") for row in rows), rows
        head = await page.texts("table.wide-table th")
        assert head == ["thread", "A", "B", "time", "tokens out"]
        await page.screenshot(Path("ui-compare.png"))
        # A plan that cannot be followed is said at its place.
        await page.value("history.go(-2)")
        await until(page, "document.querySelector('fieldset.subtask')")
        await fill(page, "fieldset.subtask textarea", " ")
        clean(page, served.url)


FLOW = """
version: weaver/v1
name: codes
inputs:
  name: { type: string, default: alpha }
steps:
  look: { task: "What is the code of ${{ inputs.name }}?" }
  check:
    needs: [look]
    approve: { message: "Publish ${{ steps.look.output }}?" }
  tell: { needs: [check], task: Tell it. }
outputs:
  text: ${{ steps.tell.output }}
"""


async def test_a_workflow_is_run_and_shows_its_last_run(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "codes.yaml"
    path.write_text(FLOW, encoding="utf-8")
    served = start("17", workflows=(str(path),))
    async with browser() as page:
        await opened(page, f"{served.url}#/workflow/codes")
        await until(page, "document.querySelectorAll('svg .node').length === 3")
        assert "It has not been run yet." in await text(page, "#main")
        await press_button(page, "Run")
        await until(page, "document.querySelector('.approval')")
        assert await text(page, ".approval h3") == "May step check go on?"
        assert "Publish 17?" in await text(page, ".approval pre")
        await press_button(page, "Approve")
        await status(page, "complete")
        await until(page, "document.querySelector('#again')")
        await page.click("#again")
        await until(page, "document.querySelectorAll('svg .node.succeeded').length === 3")
        await page.value("document.querySelector('svg .node').focus()")
        await page.press("Enter")
        await until(page, "document.querySelector('.card')")
        assert "What is the code of" in await text(page, ".card")
        await page.screenshot(Path("ui-flow.png"))
        clean(page, served.url)
