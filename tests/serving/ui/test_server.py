"""What the page's server answers, and to whom."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from tests.serving.ui.conftest import QUESTION, SECRET, Page, Start, forking
from weaver import tool
from weaver._serving.ui.secret import kept_secret
from weaver.errors import ConfigurationError
from weaver.testing import Scripted

pytestmark = pytest.mark.anyio
FORK = {"question": QUESTION, "strategy": "adaptive:gate=off"}


async def ask(url: str, method: str = "GET", body: Any = None, **options: Any) -> tuple[int, Any]:
    """Status and JSON (or text) of one request."""
    if body is not None:
        options |= {"json": body}
    async with aiohttp.ClientSession() as session, session.request(method, url, **options) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if answer.content_type == "application/json" else text


async def post(page: Page, path: str, body: Any) -> tuple[int, Any]:
    return await ask(f"{page.url}api{path}", "POST", body)


async def begin(page: Page, path: str = "/runs", **body: Any) -> str:
    status, answer = await post(page, path, body)
    assert status == 200, answer
    return answer["id"]


async def until(page: Page, run: str, test: Any) -> dict[str, Any]:
    """The picture of a run, once ``test`` is true of it."""
    with anyio.fail_after(20):
        while True:
            _, answer = await ask(f"{page.url}api/runs/{run}")
            if test(answer["picture"]):
                return answer
            await anyio.sleep(0.02)


def ended(picture: dict[str, Any]) -> bool:
    return bool(picture["traced"])


@asynccontextmanager
async def followed(page: Page, run: str = "") -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
    """The events of the stream, as (kind, value)."""

    async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
        kind = ""
        async for line in answer.content:
            text = line.decode().strip()
            if text.startswith("event: "):
                kind = text[7:]
            elif text.startswith("data: "):
                yield kind, json.loads(text[6:])

    async with aiohttp.ClientSession() as session, session.get(f"{page.url}api/stream?run={run}") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events(answer)


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


@tool(approve=True)
def erase(path: str) -> str:
    """Erase a file."""
    return f"erased {path}"


@pytest.mark.parametrize("approved", [True, False])
async def test_a_tool_waits_for_the_person(start: Start, approved: bool) -> None:
    page = start(
        [
            Scripted(
                tool_calls=(("erase", '{"path": "/tmp/x"}'),), when=lambda r: r.messages[-1].role != "tool"
            ),
            Scripted("done"),
        ],
        tools=[erase],
    )
    run = await begin(page, question="Erase it.", strategy="sequential")
    picture = (await until(page, run, lambda p: p["approvals"]))["picture"]
    [(request, about)] = picture["approvals"].items()
    assert (about["tool"], about["arguments"]) == ("erase", {"path": "/tmp/x"})
    _, listed = await ask(f"{page.url}api/runs")
    assert listed["runs"][0]["asks"] == 1
    status, _ = await post(page, f"/runs/{run}/approvals", {"id": "other", "approved": True})
    assert status == 404
    body = {"id": request, "approved": approved, "reason": "not that one"}
    assert (await post(page, f"/runs/{run}/approvals", body))[0] == 200
    picture = (await until(page, run, ended))["picture"]
    assert picture["answer"] == "done"
    result = picture["tools"][0]["result"]
    assert ("erased /tmp/x" in result) if approved else ("not that one" in result or "not approved" in result)
    assert (await post(page, f"/runs/{run}/approvals", body))[0] == 404


async def test_a_plan_is_changed_and_run(start: Start) -> None:
    page = start(
        [
            *forking()[:1],
            Scripted("gamma is 5", when="gamma?", times=1),
            *forking()[1:],
        ]
    )
    status, plan = await post(
        page,
        "/plan",
        {"question": "Tell the codes of alpha and beta, each on its own.", "strategy": "adaptive"},
    )
    assert (status, [s["id"] for s in plan["subtasks"]]) == (200, ["a", "b"])
    plan["subtasks"].append({"id": "c", "title": "Gamma", "prompt": "gamma?", "depends_on": ["a"]})
    run = await begin(page, question=QUESTION, plan=plan)
    picture = (await until(page, run, ended))["picture"]
    assert sorted(picture["order"]) == ["a", "b", "c"]
    assert picture["threads"]["c"]["text"] == "gamma is 5"
    assert picture["threads"]["c"]["after"] == ["a"]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"subtasks": []}, "no subtasks"),
        ({"subtasks": [{"id": "a", "prompt": ""}]}, "plan.subtasks.1.prompt"),
        ({"subtasks": [{"id": "a", "prompt": "p", "depends_on": ["z"]}]}, "depends on 'z'"),
        ({"subtasks": [{"id": "a", "prompt": "p", "depends_on": ["a"]}]}, "cycle"),
        ("nonsense", "JSON object"),
    ],
)
async def test_a_plan_that_cannot_be_followed(start: Start, plan: Any, message: str) -> None:
    page = start()
    status, answer = await post(page, "/runs", {"question": "q", "plan": plan})
    assert status == 400
    assert message in answer["error"]["message"]
    assert page.models.requests == []


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({}, 400, "question is required"),
        ({"question": "   "}, 400, "question is required"),
        ({"question": 3}, 400, "must be a string"),
        ({"question": "q", "strategy": "nonsense"}, 404, "nonsense"),
        ({"question": "q", "strategy": "/tmp/evil.py:run"}, 400, "installed strategy"),
        ({"question": "q", "strategy": "best_of_n:samples=none"}, 400, "n"),
        ({"question": "q", "deadline": -1}, 400, "deadline"),
        ({"question": "q", "deadline": "soon"}, 400, "deadline"),
        ({"question": "q", "max_total_tokens": 1.5}, 400, "whole number"),
        ([], 400, "JSON object"),
    ],
)
async def test_what_cannot_be_asked(start: Start, body: Any, status: int, message: str) -> None:
    page = start()
    code, answer = await post(page, "/runs", body)
    assert (code, message in answer["error"]["message"]) == (status, True), answer
    _, listed = await ask(f"{page.url}api/runs")
    assert listed["runs"] == []


async def test_a_body_that_is_too_large(start: Start) -> None:
    page = start()
    body = io.BytesIO(json.dumps({"question": "q" * 4_100_000}).encode())
    kind = {"content-type": "application/json"}
    status, answer = await ask(f"{page.url}api/runs", "POST", data=body, headers=kind)
    assert (status, "bytes" in answer["error"]["message"]) == (413, True)


async def test_a_model_server_that_dies_fails_the_run_only(start: Start) -> None:
    page = start([Scripted("x", error=ConnectionResetError("gone"))])
    run = await begin(page, question="q", strategy="sequential", deadline=5)
    picture = (await until(page, run, ended))["picture"]
    assert picture["status"] == "failed"
    assert picture["error"]["message"]
    assert (await ask(f"{page.url}api/about"))[0] == 200


async def test_forgetting_a_run(start: Start) -> None:
    page = start(forking(slow=0.5))
    run = await begin(page, **FORK)
    status, answer = await ask(f"{page.url}api/runs/{run}", "DELETE")
    assert (status, "Stop it first" in answer["error"]["message"]) == (400, True)
    await post(page, f"/runs/{run}/stop", {})
    await until(page, run, ended)
    assert (await ask(f"{page.url}api/runs/{run}", "DELETE"))[0] == 200
    assert (await ask(f"{page.url}api/runs/{run}"))[0] in (400, 404)
    assert (await ask(f"{page.url}api/runs"))[1]["runs"] == []


FLOW = """
version: weaver/v1
name: codes
description: Looks codes up.
inputs:
  names: { type: array, items: string, default: [alpha, beta] }
  style: { type: string, enum: [short, long], default: short }
steps:
  look:
    for_each: ${{ inputs.names }}
    task: What is the code of ${{ item }}?
  check:
    needs: [look]
    approve: { message: "Publish ${{ steps.look.output }}?" }
  tell:
    needs: [check]
    task: Tell all codes. ${{ inputs.style }}
outputs:
  text: ${{ steps.tell.output }}
"""


@pytest.fixture
def flow(tmp_path: Path) -> str:
    path = tmp_path / "codes.yaml"
    path.write_text(FLOW, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("approved", [True, False])
async def test_a_workflow_its_question_and_its_last_run(start: Start, flow: str, approved: bool) -> None:
    page = start("17", workflows=(flow,))
    _, about = await ask(f"{page.url}api/about")
    assert about["workflows"] == [{"name": "codes", "description": "Looks codes up.", "steps": 3}]
    _, described = await ask(f"{page.url}api/workflows/codes")
    assert described["edges"] == [["look", "check"], ["check", "tell"]]
    assert [(i["name"], i["type"], i["optional"]) for i in described["inputs"]] == [
        ("names", "array", True),
        ("style", "string", True),
    ]
    assert described["last"] is None

    run = await begin(page, "/workflows/codes/runs", inputs={"names": ["alpha"]})
    picture = (await until(page, run, lambda p: p["approvals"]))["picture"]
    [(request, question)] = picture["approvals"].items()
    assert (question["step"], "17" in question["message"]) == ("check", True)
    await post(page, f"/runs/{run}/approvals", {"id": request, "approved": approved, "reason": "why not"})
    picture = (await until(page, run, ended))["picture"]
    assert picture["threads"]["tell"]["state"] == ("succeeded" if approved else "skipped")
    _, described = await ask(f"{page.url}api/workflows/codes")
    assert described["last"]["id"] == run

    page.stop()
    again = start("17", workflows=(flow,))
    _, described = await ask(f"{again.url}api/workflows/codes")
    assert (described["last"]["id"], described["last"]["strategy"]) == (run, "workflow:codes")
    assert described["last"]["threads"]["look"]["state"] == "succeeded"


async def test_inputs_that_do_not_fit(start: Start, flow: str) -> None:
    page = start("17", workflows=(flow,))
    status, answer = await post(page, "/workflows/codes/runs", {"inputs": {"style": "huge"}})
    assert (status, "style" in answer["error"]["message"]) == (400, True)
    assert (await post(page, "/workflows/none/runs", {}))[0] == 404
    assert (await ask(f"{page.url}api/workflows/none"))[0] == 404


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
