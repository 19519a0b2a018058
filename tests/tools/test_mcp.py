"""MCP both ways: servers' tools in a run, and weaver as a server, with the official SDK on the other side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from weaver import Weaver, mcp
from weaver._models.protocol import Request
from weaver._settings.settings import Settings
from weaver.errors import ConfigurationError, ToolServerError, UnknownNameError
from weaver.testing import Scripted, ScriptedModel

pytest.importorskip("mcp")
from mcp import Client, StdioServerParameters

from tests.tools.shop_server import server as shop
from weaver._serving.mcp_server import mcp_server

pytestmark = pytest.mark.anyio
SERVER = [sys.executable, str(Path(__file__).with_name("shop_server.py"))]


def sent(model: ScriptedModel) -> list[Request]:
    return [recorded.request for recorded in model.requests]


def results(model: ScriptedModel) -> list[str]:
    return [str(m.content) for m in sent(model)[-1].messages if m.role == "tool"]


def caller(*calls: tuple[str, dict[str, Any]]) -> ScriptedModel:
    replies = [Scripted(tool_calls=((name, json.dumps(arguments)),), times=1) for name, arguments in calls]
    return ScriptedModel([*replies, Scripted("done")])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


async def gone(pid: int) -> bool:
    for _ in range(100):
        if not alive(pid):
            return True
        await anyio.sleep(0.05)
    return False


async def test_tools_of_a_subprocess_are_called_and_the_server_ends_with_the_run(tmp_path: Path):
    pid = tmp_path / "pid"
    model = caller(
        ("shop_price", {"item": "tea"}),
        ("shop_price", {"item": "gold"}),
        ("shop_die", {}),
        ("shop_price", {"item": "tea"}),
    )
    server = mcp(command=[*SERVER, str(pid)], prefix="shop_")
    result = await Weaver(model, strategy="sequential").run("q", tools=[server])
    assert result.answer == "done"
    first, wrong, dead, again = results(model)
    assert (first, again) == ("3.5", "3.5")
    assert wrong.startswith("Error: Tool 'shop_price' failed: ")
    assert dead == "Error: Tool 'shop_die' failed: Connection closed."
    names = [tool.name for tool in sent(model)[0].tools]
    assert names == ["shop_price", "shop_page", "shop_buy", "shop_slow", "shop_die"]
    assert await gone(int(pid.read_text()))


async def test_only_allowed_tools_are_offered_and_unknown_ones_are_named():
    model = caller()
    await Weaver(model, strategy="sequential").run("q", tools=[mcp(shop, allow=["buy", "price"])])
    assert [tool.name for tool in sent(model)[0].tools] == ["price", "buy"]
    with pytest.raises(ConfigurationError, match=r"no tool 'sell'.*It has: price, page"):
        await Weaver(model).run("q", tools=[mcp(shop, allow=["sell"])])


async def test_effects_after_a_page_was_read_need_approval():
    model = caller(("buy", {"item": "tea"}), ("page", {}), ("buy", {"item": "gold"}))
    result = await Weaver(model, strategy="sequential").run("q", tools=[mcp(shop)])
    receipt, _, refused = results(model)
    assert receipt == "bought tea"
    assert refused == "Error: The call of tool 'buy' was not approved: nobody can be asked."
    assert any("'buy' was not approved" in note for note in result.notes)


async def test_a_call_is_cut_by_its_timeout_and_by_the_deadline():
    model = caller(("slow", {}))
    await Weaver(model, strategy="sequential").run("q", tools=[mcp(shop, timeout=0.2)])
    assert results(model) == ["Error: Tool 'slow' took longer than 0.2 s."]
    began = anyio.current_time()
    async with Weaver(caller(("slow", {})), strategy="sequential") as weaver:
        server = mcp(shop)
        began = anyio.current_time()
        with pytest.raises(Exception, match="deadline"):
            await weaver.run("q", tools=[server], deadline=0.3)
        assert anyio.current_time() - began < 1.3
        await server.aclose()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"command": ["no-such-program-here"]}, "No such file"),
        ({"url": "http://127.0.0.1:9/mcp"}, "cannot be reached"),
        ({"command": ["sh", "-c", "cat > /dev/null"], "connect_timeout": 0.3}, "no answer within 0.3 s"),
        ({"command": ["echo", "hello"]}, "cannot be reached"),
    ],
)
async def test_a_server_that_cannot_be_used_is_a_clear_error(arguments: dict[str, Any], message: str, capfd):
    with pytest.raises(ToolServerError, match=message):
        await Weaver(ScriptedModel("x")).run("q", tools=[mcp(**arguments)])
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "arguments", [{}, {"url": "http://x/mcp", "command": ["x"]}, {"url": "x"}, {"command": "uvx x"}]
)
def test_wrong_arguments_are_refused_at_once(arguments: dict[str, Any]):
    with pytest.raises(ConfigurationError):
        mcp(**arguments)


async def test_servers_of_a_settings_file_start_only_when_they_are_named(tmp_path: Path):
    command = json.dumps(SERVER)
    (tmp_path / "weaver.toml").write_text(f"[mcp_servers.shop]\ncommand = {command}\nallow = ['price']\n")
    model = ScriptedModel("no tools")
    settings = Settings.load({}, tmp_path, model=model, strategy="sequential")
    await Weaver(settings=settings).run("q")
    assert sent(model)[0].tools == ()

    model = caller(("price", {"item": "tea"}))
    settings = Settings.load({"WEAVER_MCP": "shop"}, tmp_path, model=model, strategy="sequential")
    await Weaver(settings=settings).run("q")
    assert results(model) == ["3.5"]

    with pytest.raises(UnknownNameError, match="MCP server named 'shp'"):
        Weaver(settings=Settings.load({}, tmp_path, model=model, mcp="shp"))
    (tmp_path / "weaver.toml").write_text("mcp = ['shop']\n[mcp_servers.shop]\nurl = 'http://x/mcp'\n")
    with pytest.raises(ConfigurationError, match="may describe MCP servers"):
        Settings.load({}, tmp_path)
    (tmp_path / "weaver.toml").write_text("[mcp_servers.shop]\ncomand = ['x']\n")
    with pytest.raises(ConfigurationError, match=r"mcp_servers\.shop\.comand"):
        Settings.load({}, tmp_path)


@pytest.mark.heavy
async def test_a_killed_program_leaves_no_server_behind(tmp_path: Path):
    pid = tmp_path / "pid"
    code = (
        "import asyncio, sys\nfrom weaver import mcp\n"
        f"async def main():\n    s = mcp(command={[*SERVER, str(pid)]!r})\n"
        "    await s.client()\n    print('up', flush=True)\n    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen(  # noqa: ASYNC220 - it is killed at once
        [sys.executable, "-c", code], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert await gone(int(pid.read_text()))


async def test_weaver_serves_run_plan_and_compare():
    model = ScriptedModel([Scripted("forty-two")])
    heard: list[str | None] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with Client(mcp_server(Weaver(model, strategy="sequential", deadline=5))) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["run", "plan", "compare"]
        ran = await client.call_tool(
            "run", {"question": "6 x 7?", "deadline": 60}, progress_callback=progress
        )
        assert ran.structured_content is not None
        assert ran.structured_content["answer"] == "forty-two"
        assert ran.structured_content["status"] == "complete"
        rows = await client.call_tool("compare", {"question": "6 x 7?", "strategies": ["sequential", "nope"]})
        assert rows.structured_content is not None
        by_name = {row["strategy"]: row for row in rows.structured_content["result"]}
        assert by_name["sequential"]["answer"] == "forty-two"
        assert by_name["nope"]["status"] == "failed"
        for wrong in ("x.py:run", "best_of_n:verifier=os:system", "../x"):
            failed = await client.call_tool("run", {"question": "q", "strategy": wrong})
            assert failed.is_error
            assert "is not the name of a strategy" in str(failed.content)
        assert (await client.call_tool("plan", {"question": " "})).is_error


async def test_a_client_that_cancels_cancels_the_run():
    model = ScriptedModel([Scripted("late", first=60)])
    async with Client(mcp_server(Weaver(model, strategy="sequential"))) as client:
        with anyio.move_on_after(0.3):
            await client.call_tool("run", {"question": "q"})
        for _ in range(100):
            if model.requests and model.requests[0].closed == "cancelled":
                break
            await anyio.sleep(0.02)
    assert model.requests[0].closed == "cancelled"


@pytest.mark.heavy
async def test_the_command_serves_a_client_over_stdin(tmp_path: Path):
    from weaver.testing import Server

    async with Server([Scripted("forty-two")]) as server:
        program = Path(sys.executable).with_name("weaver")
        parameters = StdioServerParameters(
            command=str(program),
            args=["mcp", "--base-url", server.url, "--model", "openai/mock", "--strategy", "sequential"],
            env={"WEAVER_HOME": str(tmp_path), "OPENAI_API_KEY": "none"},
        )
        began = time.monotonic()
        async with Client(parameters) as client:
            result = await client.call_tool("run", {"question": "6 x 7?"})
        assert result.structured_content is not None
        assert result.structured_content["answer"] == "forty-two"
        assert time.monotonic() - began < 60
