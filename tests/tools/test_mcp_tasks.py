"""Long runs as tasks, with the official client on the other side."""

from __future__ import annotations

from typing import Any, Literal

import anyio
import pytest

pytest.importorskip("mcp")
from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, Request, RequestParams, Result
from pydantic import BaseModel, ConfigDict, Field

from weaver import Weaver
from weaver._serving import mcp_tasks
from weaver._serving.mcp_server import mcp_server
from weaver.testing import Scripted, ScriptedModel

pytestmark = pytest.mark.anyio


class Handle(Result):
    result_type: Literal["task"] = Field(alias="resultType")
    task_id: str = Field(alias="taskId")
    status: str


class Params(RequestParams):
    task_id: str = Field(alias="taskId")


class Ask(Request[Params, str]):
    method: str
    params: Params


class State(BaseModel):
    model_config = ConfigDict(extra="allow")


async def ask(session: Any, method: str, task_id: str) -> dict[str, Any]:
    request = Ask(method=method, params=Params.model_validate({"taskId": task_id}))
    state = await session.send_request(request, State)
    return dict(state.model_dump())


class Patient(ClientExtension):
    """A client that polls until a task has ended; ``cancels`` tells it to cancel instead."""

    identifier = mcp_tasks.EXTENSION

    def __init__(self, *, cancels: bool = False) -> None:
        self.states: list[dict[str, Any]] = []
        self._cancels = cancels

    def claims(self) -> list[ResultClaim[Handle]]:
        return [ResultClaim(result_type="task", model=Handle, resolve=self._resolve)]

    async def _resolve(self, handle: Handle, context: ClaimContext) -> CallToolResult:
        if self._cancels:
            await ask(context.session, "tasks/cancel", handle.task_id)
        while True:
            state = await ask(context.session, "tasks/get", handle.task_id)
            self.states.append(state)
            if state["status"] == "completed":
                return CallToolResult.model_validate(state["result"])
            if state["status"] != "working":
                return CallToolResult(content=[], is_error=True)
            await anyio.sleep(0.02)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_tasks, "PATIENCE", 0.2)


def server(model: ScriptedModel) -> Any:
    return mcp_server(Weaver(model, strategy="sequential"))


SLOW = Scripted("one two three four five", each=0.08)


async def test_a_long_run_becomes_a_task_and_its_result_comes_by_polling() -> None:
    client_side = Patient()
    async with Client(server(ScriptedModel(SLOW)), extensions=[client_side]) as client:
        result = await client.call_tool("run", {"question": "Well?"})
    assert result.structured_content["answer"] == "one two three four five"
    working = [state for state in client_side.states if state["status"] == "working"]
    assert working
    assert {"taskId", "createdAt", "lastUpdatedAt", "ttlMs", "pollIntervalMs"} <= working[0].keys()
    assert working[-1]["statusMessage"] == "writing the answer"


async def test_a_short_run_is_answered_at_once() -> None:
    client_side = Patient()
    async with Client(server(ScriptedModel("fine")), extensions=[client_side]) as client:
        result = await client.call_tool("run", {"question": "Well?"})
    assert result.structured_content["answer"] == "fine"
    assert client_side.states == []


async def test_a_client_without_the_extension_waits_for_the_result() -> None:
    async with Client(server(ScriptedModel(SLOW))) as client:
        result = await client.call_tool("run", {"question": "Well?"})
    assert result.structured_content["answer"] == "one two three four five"


async def test_cancelling_a_task_cancels_its_calls() -> None:
    model = ScriptedModel(Scripted("one two three", each=100))
    client_side = Patient(cancels=True)
    async with Client(server(model), extensions=[client_side]) as client:
        result = await client.call_tool("run", {"question": "Well?"})
        assert result.is_error
        assert client_side.states[-1]["status"] == "cancelled"
        with anyio.fail_after(2):
            while model.in_flight:
                await anyio.sleep(0.01)
    assert [r.closed for r in model.requests] == ["cancelled"]


async def test_an_unknown_task_is_an_error_of_the_protocol() -> None:
    async with Client(server(ScriptedModel("fine")), extensions=[Patient()]) as client:
        for method in ("tasks/get", "tasks/cancel", "tasks/update"):
            with pytest.raises(MCPError, match="no such task"):
                await ask(client.session, method, "0" * 32)


async def test_old_tasks_are_forgotten_and_no_more_are_made_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_tasks, "MAX_TASKS", 0)
    client_side = Patient()
    async with Client(server(ScriptedModel(SLOW)), extensions=[client_side]) as client:
        await client.call_tool("run", {"question": "Well?"})
        assert client_side.states == []
        monkeypatch.setattr(mcp_tasks, "MAX_TASKS", 10)
        monkeypatch.setattr(mcp_tasks, "KEPT_SECONDS", 0.0)
        with pytest.raises(MCPError, match="no such task"):
            await client.call_tool("run", {"question": "Well?"})
