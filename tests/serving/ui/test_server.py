"""What the page's server answers, and to whom; runs that are followed and stopped."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import aiohttp
import anyio
import pytest

from tests.serving.ui.asking import FORK, ask, begin, ended, followed, post, until
from tests.serving.ui.conftest import SECRET, Start, forking
from weaver._serving.ui.secret import kept_secret
from weaver.errors import ConfigurationError

pytestmark = pytest.mark.anyio


async def test_strangers_get_nothing(start: Start) -> None:
    page = start()
    host = page.url.split("/")[2]
    for path in (
        "",
        "/",
        "/api/about",
        "/guess/",
        "/guess/api/about",
        f"/{SECRET[:-1]}/",
        f"/{SECRET}x/api/runs",
        "//",
    ):
        assert (await ask(f"http://{host}{path}"))[0] == 403, path
    for headers in (
        {"Host": "evil.example"},
        {"Host": f"evil.example:{host.split(':')[1]}"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert (await ask(page.url, headers=headers))[0] == 403, headers
        assert (await ask(f"{page.url}api/runs", "POST", FORK, headers=headers))[0] == 403, headers
    assert page.models.requests == []
    assert (await ask(page.url, headers={"Origin": f"http://{host}"}))[0] == 200
    assert (await ask(page.url.rstrip("/")))[0] == 200  # without the slash: sent to the page


async def test_a_form_of_another_page_starts_nothing(start: Start) -> None:
    page = start()
    status, answer = await ask(
        f"{page.url}api/runs", "POST", data=json.dumps(FORK), headers={"content-type": "text/plain"}
    )
    assert (status, "application/json" in answer["error"]["message"]) == (400, True)


async def test_only_one_address_is_listened_to(start: Start) -> None:
    port = int(start().url.split(":")[2].split("/")[0])
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", port), timeout=1):
        pass


async def test_the_files_of_the_page(start: Start) -> None:
    page = start()
    async with aiohttp.ClientSession() as session:
        for name, kind in {
            "": "text/html",
            "page/app.js": "text/javascript",
            "page/app.css": "text/css",
            "page/icon.svg": "image/svg+xml",
            "viewer/base.js": "text/javascript",
        }.items():
            async with session.get(page.url + name) as answer:
                assert (answer.status, answer.content_type) == (200, kind)
                policy = answer.headers["content-security-policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert "require-trusted-types-for 'script'" in policy
                assert answer.headers["referrer-policy"] == "no-referrer"
    for name in (
        "page/app.py",
        "page/none.js",
        "page/..%2fapp.py",
        "serving/ui/app.py",
        "page/%2e%2e/app.py",
        "viewer/",
    ):
        assert (await ask(page.url + name))[0] == 404, name


async def test_a_question_from_its_start_to_the_kept_run(start: Start) -> None:
    page = start(forking())
    run = await begin(page, **FORK)
    answer = await until(page, run, ended)
    picture, trace = answer["picture"], answer["trace"]
    assert (picture["status"], picture["answer"]) == ("complete", "Alpha has **17** and beta has **23**.")
    assert {t["state"] for t in picture["threads"].values()} == {"succeeded"}
    assert (trace["id"], trace["status"], trace["threads"]) == (run, "complete", 2)
    [plan] = trace["plans"]
    assert (trace["pieces"][plan["planner"]]["k"], trace["pieces"][plan["merge"]]["k"]) == (
        "plan",
        "synthesis",
    )
    _, listed = await ask(f"{page.url}api/runs")
    assert [(r["id"], r["status"], r["threads"]) for r in listed["runs"]] == [(run, "complete", 2)]


async def test_a_run_that_another_process_kept_looks_the_same(start: Start) -> None:
    page = start(forking())
    run = await begin(page, **FORK)
    live = (await until(page, run, ended))["picture"]
    page.stop()
    again = start(forking())
    _, answer = await ask(f"{again.url}api/runs/{run}")
    kept = answer["picture"]
    for name in ("question", "answer", "status", "strategy", "order", "workflow"):
        assert kept[name] == live[name], name
    assert [s["prompt"] for s in kept["plan"]["subtasks"]] == [s["prompt"] for s in live["plan"]["subtasks"]]
    for name, thread in live["threads"].items():
        for field in ("title", "text", "state", "depth", "parent"):
            assert kept["threads"][name][field] == thread[field], field


async def test_two_tabs_follow_the_same_run(start: Start) -> None:
    page = start(forking(slow=0.02))
    run = await begin(page, **FORK)
    async with followed(page, run) as one, followed(page, run) as other:
        for stream in (one, other):
            kinds, answer = [], ""
            async for kind, value in stream:
                kinds.append(kind)
                if kind == "picture":
                    answer = value["answer"]
                if kind == "changes":
                    for path, text, appends in value:
                        if path == ["answer"]:
                            answer = answer + text if appends else text
                    if any(path == ["traced"] for path, _, _ in value):
                        break
            assert kinds[0] == "runs"
            assert kinds.count("picture") == 1
            assert answer == "Alpha has **17** and beta has **23**."
    with anyio.fail_after(5):
        while page.desk.runs.find(run).followers:
            await anyio.sleep(0.01)


async def test_a_tab_that_leaves_does_not_stop_the_run(start: Start) -> None:
    page = start(forking(slow=0.02))
    run = await begin(page, **FORK)
    async with followed(page, run) as stream:
        async for kind, _ in stream:
            if kind == "changes":
                break
    assert (await until(page, run, ended))["picture"]["status"] == "complete"


async def test_stopping_one_thread_leaves_the_others(start: Start) -> None:
    page = start(forking(slow=5.0, answer="Only alpha: 17."))
    run = await begin(page, **FORK)
    await until(page, run, lambda p: p["threads"].get("b", {}).get("text"))
    assert (await post(page, f"/runs/{run}/stop", {"thread": "b"}))[0] == 200
    picture = (await until(page, run, ended))["picture"]
    assert picture["threads"]["b"]["state"] == "cancelled"
    assert picture["threads"]["a"]["state"] == "succeeded"
    assert "17" in picture["answer"]
    status, _ = await post(page, f"/runs/{run}/stop", {"thread": "nobody"})
    assert status == 200  # the run is over: nothing is left to stop


async def test_stopping_everything(start: Start) -> None:
    page = start(forking(slow=5.0))
    run = await begin(page, **FORK)
    await until(page, run, lambda p: p["threads"].get("b", {}).get("text"))
    status, answer = await post(page, f"/runs/{run}/stop", {"thread": "nobody"})
    assert (status, "nobody" in answer["error"]["message"]) == (404, True)
    assert (await post(page, f"/runs/{run}/stop", {}))[0] == 200
    picture = (await until(page, run, ended))["picture"]
    assert picture["status"] in ("partial", "failed")
    with anyio.fail_after(5):
        while page.models.in_flight:
            await anyio.sleep(0.01)


async def test_runs_end_when_the_server_ends(start: Start) -> None:
    page = start(forking(slow=5.0))
    run = await begin(page, **FORK)
    await until(page, run, lambda p: p["threads"].get("b", {}).get("text"))
    began = time.monotonic()
    page.stop()
    assert time.monotonic() - began < 8
    again = start(forking())
    _, answer = await ask(f"{again.url}api/runs/{run}")
    assert answer["picture"]["status"] in ("partial", "failed", "cancelled")


def test_the_secret_stays_until_another_is_wanted(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    secret = kept_secret(folder)
    assert len(secret) >= 32
    assert kept_secret(folder) == secret
    assert (folder / "ui-secret").stat().st_mode & 0o777 == 0o600
    assert kept_secret(folder, fresh=True) != secret
    (folder / "ui-secret").write_text("../x", encoding="utf-8")
    assert len(kept_secret(folder)) >= 32
    (folder / "ui-secret").unlink()
    (folder / "ui-secret").mkdir()
    with pytest.raises(ConfigurationError, match="ui-secret"):
        kept_secret(folder)
