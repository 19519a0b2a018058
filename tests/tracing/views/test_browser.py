"""The HTML file and the live page in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.trace import TracerProvider

from tests.tracing.stories import Story, quorum_story
from tests.tracing.views.browser import browser, chromium
from weaver._tracing.export.live import LiveFeed, LiveServer
from weaver._tracing.record import semconv as sc
from weaver._tracing.record.messages import dumps
from weaver._tracing.tracer import Tracing
from weaver._tracing.views.html import page_of
from weaver._tracing.views.run_view import RunView, view_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.heavy,
    pytest.mark.skipif(chromium() is None, reason="no Chromium here"),
]

EVIL = (
    "</script><script>window.pwned=1</script>"
    '<img src=x onerror="window.pwned=1"><svg onload="window.pwned=1">'
)


def talk(*messages: tuple[str, str]) -> str:
    return dumps([{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in messages])


def talking_story() -> Story:
    story = quorum_story()
    story.call(
        "talk", 1, 3.5, "a",
        SYSTEM_INSTRUCTIONS=dumps([{"type": "text", "content": "Be brief."}]),
        INPUT_MESSAGES=talk(("user", f"How many? {EVIL}")), OUTPUT_MESSAGES=talk(("assistant", EVIL)),
    )  # fmt: skip
    return story


def written(folder: Path, *views: RunView) -> str:
    path = folder / "run.html"
    path.write_text(page_of(views), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return written(tmp_path, view_of(talking_story().spans, question=f"What now? {EVIL}"))


async def selected(page: Any) -> str:
    return "".join(await page.texts(".row.selected .label"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_what_one_sees_first(url: str, dark: bool) -> None:
    async with browser() as page:
        await page.open(url, dark=dark)

        assert page.problems == []
        assert page.requests == [url]
        assert (await page.texts("#head h1"), await page.texts("#status")) == (["adaptive"], ["complete"])
        labels = await page.texts(".row .label")
        assert labels[:3] == ["adaptive", "plan", "a  Alpha"]
        assert len([s for s in await page.texts(".row .star") if s]) == 5
        back = await page.value("getComputedStyle(document.body).backgroundColor")
        assert back == ("rgb(18, 22, 27)" if dark else "rgb(255, 255, 255)")
        await page.screenshot(Path(f"first-{'dark' if dark else 'light'}.png"))


async def test_text_of_models_stays_text(url: str) -> None:
    async with browser() as page:
        await page.open(url)
        await page.press("ArrowDown", "ArrowDown", "d")
        shown = await page.texts(".detail .message pre")

        assert any(EVIL in text for text in shown)
        for view in "23456":
            await page.press(view)
        assert await page.value("window.pwned === undefined")
        assert (
            await page.value("document.querySelectorAll('img, iframe, object, [onload], [onerror]').length")
            == 0
        )
        assert page.problems == []


async def test_the_policy_stops_script_that_got_in_anyway(url: str) -> None:
    async with browser() as page:
        await page.open(url)
        await page.value(
            "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.pwned=1\">')"
        )
        await page.frame()

        assert await page.value("window.pwned === undefined")
        assert any("Content Security Policy" in problem for problem in page.problems)


async def test_keys_alone_are_enough(url: str) -> None:
    async with browser() as page:
        await page.open(url)
        await page.press("ArrowDown", "ArrowDown", "ArrowDown")
        assert await selected(page) == "m"
        await page.press("ArrowLeft")
        assert await selected(page) == "a  Alpha"
        await page.press("ArrowLeft")
        assert "m" not in (await page.texts(".row .label"))[2:4]
        await page.press("c")
        assert await selected(page) == "b"
        await page.press("e")
        assert await selected(page) == "d"
        await page.press("x")
        assert await selected(page) == "c"
        await page.press("+", "+")
        assert (await page.texts(".axis .tick"))[0] != "0 ms"
        await page.press("0")
        assert (await page.texts(".axis .tick"))[0] == "0 ms"
        await page.press("End")
        assert await selected(page) == "synthesis"
        await page.press("/")
        for letter in "alpha":
            await page.press(letter)
        await page.press("Enter")
        assert await selected(page) == "a  Alpha"
        assert await page.texts(".row .label") == ["adaptive", "a  Alpha"]
        await page.press("?")
        assert await page.value("document.getElementById('help').open")
        await page.press("Escape")
        assert not await page.value("document.getElementById('help').open")
        await page.press("t")
        assert await page.value("document.documentElement.dataset.theme") == "dark"
        assert page.problems == []


async def test_every_view(url: str) -> None:
    async with browser() as page:
        await page.open(url)
        await page.press("2")
        assert await page.texts(".row .model-text") == ["a  Alpha", "b", "d", "c"]
        await page.screenshot(Path("threads.png"))
        await page.press("ArrowDown", "Enter")
        assert await page.texts("[role=tab][aria-selected=true]") == ["Waterfall"]
        assert await selected(page) == "b"

        await page.press("3")
        titles = [t.split("\n")[0] for t in await page.texts("svg .node title")]
        assert titles == ["Planner", "a  Alpha", "b", "c", "Merge"]
        assert await page.value("document.querySelectorAll('svg path.edge').length") == 5
        await page.screenshot(Path("plan.png"))
        await page.value("document.querySelectorAll('svg .node')[1].focus()")
        await page.press("Enter")
        assert await selected(page) == "a  Alpha"

        await page.press("4")
        [card] = await page.texts(".card")
        for part in ("Paris / people", "by evidence", "in favour ofb", "againsta"):
            assert part in card
        await page.screenshot(Path("conflicts.png"))

        await page.press("5")
        assert "Critical path: 10.00 s" in await page.texts("h2")
        rows = await page.texts("table tbody tr")
        assert any(row.startswith("bcall5.00 s50.0 %0.50 s") for row in rows), rows
        assert any("cancelled: quorum met" in row for row in rows)
        assert "took a detour" in await page.texts("li")
        await page.screenshot(Path("sums.png"))
        assert page.problems == []


async def test_dragging_over_the_axis_zooms(url: str) -> None:
    async with browser() as page:
        await page.open(url)
        box = await page.value(
            "(({left, top, width}) => [left, top, width])"
            "(document.querySelector('.axis .track').getBoundingClientRect())"
        )
        left, top, width = box
        await page.drag((left + width * 0.5, top + 8), (left + width * 0.75, top + 8))

        ticks = await page.texts(".axis .tick")
        assert float(ticks[0].split()[0]) >= 5
        assert float(ticks[-1].split()[0]) <= 7.5


async def test_two_runs_beside_each_other(tmp_path: Path) -> None:
    slower = quorum_story().thread("extra", 1, 9)
    slower.spans[0].attributes[sc.RUN_ID] = "r2"
    url = written(tmp_path, view_of(quorum_story().spans), view_of(slower.spans))
    async with browser() as page:
        await page.open(url)
        await page.press("6")
        rows = await page.texts("table tbody tr")
        assert "threads45+1 (25 %)" in rows
        assert any(row.startswith("extranot theresucceeded\N{EN DASH}8.00 s") for row in rows)
        await page.screenshot(Path("compare.png"))
        await page.value(
            "(s => { s.value = '1'; s.dispatchEvent(new Event('change')); })"
            "(document.querySelector('#head select'))"
        )
        await page.press("2")
        assert "extra" in await page.texts(".row .model-text")
        assert page.problems == []


async def test_two_thousand_threads_stay_quick(tmp_path: Path) -> None:
    story = Story().add("run", sc.INVOKE_WORKFLOW, 0, 100, None, RUN_ID="r")
    for i in range(2000):
        story.thread(f"t{i}", i / 25, i / 25 + 15, TASK_TITLE=f"Thread number {i}")
        story.call(f"c{i}", i / 25, i / 25 + 15, f"t{i}", OUTPUT_MESSAGES=talk(("assistant", "text " * 50)))
    url = written(tmp_path, view_of(story.spans))
    async with browser() as page:
        await page.open(url)
        # Only what is on the screen is in the document, however long the run.
        assert await page.value("document.querySelectorAll('.row').length") < 80
        spent = await page.value(
            "(async () => { const t = performance.now(); const r = document.querySelector('.rows');"
            " for (let i = 0; i < 50; i++) {"
            " r.scrollTop = i * 800; await new Promise(requestAnimationFrame); }"
            " return (performance.now() - t) / 50; })()"
        )
        assert spent < 250  # ms for a frame, on a machine that does other things as well
        await page.press("End")
        assert await selected(page) == "t1999  Thread number 1999"
        await page.press("+", "-", "2", "3", "5", "1")
        await page.screenshot(Path("many.png"))
        assert page.problems == []


async def test_the_live_page_follows_a_run_to_its_end() -> None:
    feed = LiveFeed("What is it?")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(feed)
    tracing = Tracing(provider)
    async with browser() as page:
        with LiveServer(feed) as server:
            await page.open(server.url)
            assert await page.texts("#main p") == ["The run has not begun yet."]
            root = tracing.runs.start(run_id="r", strategy="adaptive", model="m", question="q")
            thread = tracing.threads.start(root, id="t1", title="One", agent="", depth=1)
            await _until(page, "document.querySelectorAll('.row').length === 2")
            assert await page.texts("#status") == ["running"]
            await page.press("ArrowDown")
            await page.screenshot(Path("live.png"))
            tracing.steps.end(thread)
            await _until(page, "document.querySelectorAll('.sign.succeeded').length === 1")
            assert await selected(page) == "t1  One"
            tracing.steps.end(root)
        await _until(page, "document.getElementById('live').textContent === 'finished'")
        assert page.problems == []


async def _until(page: Any, expression: str) -> None:
    with anyio.fail_after(15):
        while not await page.value(expression):
            await anyio.sleep(0.05)
