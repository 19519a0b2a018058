"""`weaver ui` in a real browser: asking, watching, stopping, approving, comparing, editing, hostile text."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.serving.ui.conftest import QUESTION, Start, forking
from tests.tracing.views.browser import Page, browser, chromium
from weaver import tool
from weaver.testing import Scripted, Server

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


async def until(page: Page, expression: str, seconds: float = 20) -> None:
    """Wait until a JavaScript expression is true."""
    with anyio.fail_after(seconds):
        while not await page.value(f"Boolean({expression})"):
            await anyio.sleep(0.05)


async def opened(page: Page, url: str, **options: Any) -> None:
    await page.open(url, **options)
    await until(page, "document.querySelector('#main').firstChild")


async def fill(page: Page, selector: str, text: str) -> None:
    await page.value(
        f"(e => {{ e.value = {json.dumps(text)};"
        " for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind, {bubbles: true})); })"
        f"(document.querySelector({json.dumps(selector)}))"
    )


async def ask(
    page: Page, question: str = QUESTION, strategy: str = "adaptive", options: str = "gate=off,hedge=off"
) -> None:
    """Fill the form and press Ask."""
    await until(page, "document.querySelector('form.ask')")
    await fill(page, "textarea[name=question]", question)
    await fill(page, "select[name=strategy]", strategy)
    await fill(page, "input[name=options]", options)
    await page.click("form.ask .primary")
    await until(page, "document.querySelector('#status')")


async def press_button(page: Page, name: str) -> None:
    await page.value(
        f"[...document.querySelectorAll('button')].find(b => b.textContent === {json.dumps(name)}).click()"
    )
    await page.frame()


async def text(page: Page, selector: str) -> str:
    return "".join(await page.texts(selector))


async def status(page: Page, wanted: str) -> None:
    await until(page, f"document.querySelector('#status')?.textContent.includes({wanted!r})")


def clean(page: Page, url: str) -> None:
    """Nothing went wrong, and nothing was loaded from elsewhere."""
    assert page.problems == []
    assert {u.split("/")[2] for u in page.requests if u.startswith("http")} == {url.split("/")[2]}


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


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_phone_width_and_names_for_everything(start: Start, dark: bool) -> None:
    served = start(forking())
    async with browser() as page:
        await opened(page, served.url, width=390, height=780, dark=dark)
        await ask(page)
        await status(page, "complete")
        await until(page, "document.querySelectorAll('[role=tab]').length === 6")
        for key in "123456":
            await page.press(key)
            assert await page.value("document.documentElement.scrollWidth") <= 390, key
            nameless = await page.value(
                "[...document.querySelectorAll('button, a, input, select, textarea, [tabindex=\"0\"]')]"
                ".filter(e => e.offsetParent && !(e.getAttribute('aria-label') || e.textContent.trim()"
                " || e.labels?.length || e.title)).map(e => e.outerHTML.slice(0, 80))"
            )
            assert nameless == [], key
        assert await page.value("getComputedStyle(document.querySelector('#side')).display") == "none"
        await page.click("#menu")
        assert await page.value("document.querySelector('#menu').getAttribute('aria-expanded')") == "true"
        assert await page.value("document.querySelector('#side').getBoundingClientRect().width") == 390
        await page.press("Escape")
        assert await page.value("getComputedStyle(document.querySelector('#side')).display") == "none"
        back = await page.value("getComputedStyle(document.body).backgroundColor")
        assert back == ("rgb(18, 22, 27)" if dark else "rgb(255, 255, 255)")
        await page.screenshot(Path(f"ui-phone-{'dark' if dark else 'light'}.png"))
        clean(page, served.url)


async def test_the_keyboard_alone_is_enough(start: Start) -> None:
    served = start(forking())
    async with browser() as page:
        await opened(page, served.url)
        await until(page, "document.activeElement.name === 'question'")
        for letter in "Hi":
            await page.press(letter)
        stops = []
        for _ in range(9):
            await page.press("Tab")
            stops.append(
                await page.value("document.activeElement.name || document.activeElement.textContent")
            )
        assert stops[:8] == [
            "strategy",
            "options",
            "model",
            "deadline",
            "max_cost",
            "max_total_tokens",
            "max_threads",
            "Ask",
        ]
        await page.value("document.querySelector('form.ask .primary').focus()")
        await page.press("Enter")
        await status(page, "complete")
        await page.value("document.querySelector('[role=tab]').focus()")
        await until(page, "document.querySelectorAll('[role=tab]').length === 6")
        await page.press("ArrowRight")
        assert await page.texts("[role=tab][aria-selected=true]") == ["Waterfall"]
        assert await page.value("document.activeElement.textContent") == "Waterfall"
        await page.press("?")
        assert await page.value("document.querySelector('#dialog').open")
        await page.press("Escape")
        assert not await page.value("document.querySelector('#dialog').open")
        await page.press("t")
        assert await page.value("document.documentElement.dataset.theme") == "dark"
        clean(page, served.url)


async def test_two_tabs_see_the_same_run(start: Start) -> None:
    served = start(forking(slow=5.0))
    async with browser() as page:
        await opened(page, served.url)
        await ask(page)
        await until(page, "document.querySelector('.thread-card')")
        address = await page.value("location.href")
        async with page.another() as tab:
            await opened(tab, address)
            await until(tab, "document.querySelectorAll('.thread-card').length === 2")
            await tab.click("[aria-label='Stop Beta']")
            await until(tab, "document.querySelector('.thread-card.cancelled')")
            await status(tab, "partial")
        await status(page, "partial")
        assert await page.value("Boolean(document.querySelector('.thread-card.cancelled'))")
        clean(page, served.url)


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@asynccontextmanager
async def process(
    models: Server, port: int, home: Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`weaver ui` as a user starts it, and its address."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("WEAVER_", "OTEL_"))}
    started = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "weaver",
            "ui",
            "--no-browser",
            "--port",
            str(port),
            "--model",
            "openai/mock",
        ),
        *("--base-url", models.url),
        env={**environ, "WEAVER_HOME": str(home)},
        stderr=asyncio.subprocess.PIPE,
    )
    assert started.stderr is not None
    try:
        async with asyncio.timeout(30):
            while b"http://" not in (line := await started.stderr.readline()):
                assert line, "it did not start"
        yield started, line.decode().split("weaver ui: ")[1].strip()
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGTERM)
        await started.communicate()


async def test_a_killed_server_is_said_and_found_again(tmp_path: Path, unused_port: int) -> None:
    async with Server(forking(slow=1.0)) as models, browser() as page:
        async with process(models, unused_port, tmp_path) as (server, address):
            await opened(page, address)
            await ask(page)
            await until(
                page, "document.querySelector('.thread-card.running .body')?.textContent.includes('The code')"
            )
            server.send_signal(signal.SIGKILL)
            await until(page, "!document.querySelector('#banner').hidden")
            assert "does not answer" in await text(page, "#banner")
            assert "The code" in await text(page, ".thread-card .body")
            await server.wait()
        async with process(models, unused_port, tmp_path) as (server, again):
            assert again == address
            await until(page, "document.querySelector('#banner').hidden")
            await status(page, "unfinished")
            assert await page.value("!document.querySelector('#stop')")
            server.send_signal(signal.SIGTERM)
            await until(page, "!document.querySelector('#banner').hidden")
            await server.wait()
            assert server.returncode == 0


async def test_an_address_that_has_changed_is_said(tmp_path: Path, unused_port: int) -> None:
    async with Server(forking()) as models, browser() as page:
        async with process(models, unused_port, tmp_path) as (server, address):
            await opened(page, address)
            server.send_signal(signal.SIGKILL)
            await server.wait()
        (tmp_path / "ui-secret").unlink()
        async with process(models, unused_port, tmp_path) as (_, other):
            assert other != address
            await until(page, "document.querySelector('#banner').textContent.includes('address has changed')")
