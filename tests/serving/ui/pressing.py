"""How tests use the page in a browser."""

from __future__ import annotations

import json
from typing import Any

import anyio

from tests.serving.ui.conftest import QUESTION
from tests.tracing.views.browser import Page


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
