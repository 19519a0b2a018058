"""What a person decides on the page: approvals, plans, inputs, questions and what is forgotten."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.serving.ui.asking import FORK, ask, begin, ended, post, until
from tests.serving.ui.conftest import QUESTION, Start, forking
from weaver import tool
from weaver.testing import Scripted

pytestmark = pytest.mark.anyio


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
async def test_the_page_says_what_is_wrong_with_a_request(
    start: Start, body: Any, status: int, message: str
) -> None:
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


async def test_the_page_refuses_inputs_that_do_not_fit(start: Start, flow: str) -> None:
    page = start("17", workflows=(flow,))
    status, answer = await post(page, "/workflows/codes/runs", {"inputs": {"style": "huge"}})
    assert (status, "style" in answer["error"]["message"]) == (400, True)
    assert (await post(page, "/workflows/none/runs", {}))[0] == 404
    assert (await ask(f"{page.url}api/workflows/none"))[0] == 404
