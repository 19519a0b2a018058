"""Clients of others: LiteLLM, LangChain, the Agents SDK, and requests as chat programs send them."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.conftest import Served, Start
from weaver._models.protocol import Request
from weaver.testing import Scripted

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def wants_tool(request: Request) -> bool:
    return (
        bool(request.tools) and request.messages[-1].role != "tool" and request.tools[0].name == "get_weather"
    )


HELPER = [
    Scripted(tool_calls=(("get_weather", '{"city": "Oslo"}'),), when=wants_tool),
    Scripted("It is sunny.", when=lambda r: r.messages[-1].role == "tool"),
    Scripted('{"alpha": 17}', when=lambda r: "JSON" in str(r.messages) or r.output is not None),
    Scripted("plain answer", each=0.01),
]


CACHE = Path(os.environ.get("WEAVER_CI_CACHE") or Path.home() / ".cache/weaver-ci")
"""Where `.ci/run` keeps the clients of others: installing them takes minutes."""
SLOW = Scripted("count " * 2000, each=0.02, when="Count slowly.")


def all_left(server: Served) -> None:
    """Check that no call goes on at the model's server."""
    patience = time.monotonic() + 5
    while server.models.in_flight and time.monotonic() < patience:
        time.sleep(0.01)
    assert server.models.in_flight == 0, "a client has left, and the model goes on"


@pytest.mark.filterwarnings("ignore::UserWarning:pydantic")  # LiteLLM's own types
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # LiteLLM leaves an event loop behind
def test_litellm_gets_text_streams_reasoning_tools_usage_and_errors(
    start: Start, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm: Any = pytest.importorskip("litellm")
    server = start([SLOW, *HELPER])
    options: dict[str, Any] = {
        "model": "openai/weaver/adaptive",
        "api_base": server.url,
        "api_key": "none",
        "num_retries": 0,
        "max_retries": 0,
    }
    hello = [{"role": "user", "content": "hello"}]
    answer = litellm.completion(messages=hello, **options)
    assert answer.choices[0].message.content == "plain answer"
    assert answer.usage.total_tokens > 0
    chunks = list(
        litellm.completion(messages=hello, stream=True, stream_options={"include_usage": True}, **options)
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "plain answer"
    assert chunks[-1].usage.total_tokens > 0
    weather = [{"role": "user", "content": "What is the weather in Oslo?"}]
    called = litellm.completion(messages=weather, tools=[WEATHER], **options).choices[0]
    assert called.finish_reason == "tool_calls"
    assert json.loads(called.message.tool_calls[0].function.arguments) == {"city": "Oslo"}
    with pytest.raises(litellm.exceptions.BadRequestError, match="n must be 1"):
        litellm.completion(messages=hello, n=3, **options)
    schema = {"type": "object", "properties": {"alpha": {"type": "integer"}}, "required": ["alpha"]}
    form = {"type": "json_schema", "json_schema": {"name": "code", "schema": schema}}
    code = [{"role": "user", "content": "Give the code as JSON."}]
    typed = litellm.completion(messages=code, response_format=form, **options)
    assert json.loads(typed.choices[0].message.content) == {"alpha": 17}

    async def leave() -> None:
        slow = [{"role": "user", "content": "Count slowly."}]
        stream = await litellm.acompletion(messages=slow, stream=True, **options)
        async for _ in stream:
            break
        await stream.aclose()

    asyncio.run(leave())
    all_left(server)
    gc.collect()  # its loop goes here, where that is no error


def run_client(server: Served, *command: str | Path) -> str:
    """Run a program with a server's URL as its last argument; what it printed."""
    done = subprocess.run(
        [*command, server.url], capture_output=True, text=True, check=False, timeout=200, cwd=CACHE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    all_left(server)
    return done.stdout


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_langchain_and_the_agents_sdk(start: Start):
    python = CACHE / "clients-venv/bin/python"
    if not python.exists():
        pytest.skip(f"MISSING: LangChain and the Agents SDK in {python.parent.parent} (.ci/run makes it)")
    out = run_client(start([SLOW, *HELPER]), python, Path(__file__).with_name("other_clients.py"))
    assert out.count(": ok") == 4


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_the_vercel_ai_sdk(start: Start):
    node, packages = shutil.which("node"), CACHE / "vercel"
    if node is None or not (packages / "node_modules/ai").exists():
        pytest.skip(f"MISSING: node, or the Vercel AI SDK in {packages} (.ci/run installs it)")
    script = shutil.copy(Path(__file__).with_name("vercel_client.mjs"), packages)
    assert run_client(start([SLOW, *HELPER]), node, script).count(": ok") == 3


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_open_webui(start: Start):
    """As `backend/open_webui/routers/openai.py` sends it; reasoning comes back in the history as a block."""
    server = start([Scripted("plain answer", reasoning="hm"), Scripted("x")])
    headers = {
        "Authorization": "Bearer none",
        "Content-Type": "application/json",
        "X-OpenWebUI-User-Name": "Ada",
        "X-OpenWebUI-User-Id": "1",
    }
    models = httpx.get(f"{server.url}/models", headers=headers).json()
    assert models["object"] == "list"
    assert {"id", "object", "created", "owned_by"} <= set(models["data"][0])
    earlier = (
        '<details type="reasoning" done="true" duration="3">\n<summary>Thought for 3 seconds</summary>\n'
        "> Started: Alpha\n</details>\nFour."
    )
    chat = {
        "stream": True,
        "model": "weaver/direct",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "2 and 2?"},
            {"role": "assistant", "content": earlier},
            {"role": "user", "content": [{"type": "text", "text": "and 3 and 3?"}]},
        ],
        "stream_options": {"include_usage": True},
        "temperature": 0.7,
        "chat_id": "local",
        "session_id": "s",
        "features": {"web_search": False},
        "metadata": {"user_id": "1", "features": {}},
        "user": {"name": "Ada", "id": "1", "email": "a@example.org", "role": "admin"},
    }
    chunks = events_of(httpx.post(f"{server.url}/chat/completions", json=chat, headers=headers))
    deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
    assert "".join(d.get("reasoning_content", "") for d in deltas) == "hm"
    assert "".join(d.get("content", "") for d in deltas) == "plain answer"
    assert chunks[-1]["usage"]["total_tokens"] > 0
    sent = server.models.requests[0].request.messages
    assert [m.content for m in sent] == ["Be brief.", "2 and 2?", "Four.", "and 3 and 3?"]
    title = {
        "model": "weaver/direct",
        "messages": [{"role": "user", "content": "### Task: Generate a concise title"}],
        "stream": False,
        "max_completion_tokens": 1000,
    }
    answer = httpx.post(f"{server.url}/chat/completions", json=title, headers=headers).json()
    assert answer["choices"][0]["message"]["content"]
    assert len(server.models.requests) == 2


def test_open_webui_calls_tools_by_index(start: Start):
    server = start(HELPER)
    chat = {
        "stream": True,
        "model": "weaver/adaptive",
        "messages": [{"role": "user", "content": "weather in Oslo?"}],
        "tools": [WEATHER],
        "params": {"function_calling": "native"},
    }
    chunks = events_of(httpx.post(f"{server.url}/chat/completions", json=chat))
    parts = [p for c in chunks for p in c["choices"][0]["delta"].get("tool_calls", [])]
    assert all(p["index"] == 0 for p in parts)
    assert parts[0]["function"]["name"] == "get_weather"
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_librechat(start: Start):
    """As its agents client (LangChain.js) and its title call send it; `addParams` may add other fields."""
    server = start([Scripted("plain answer")])
    headers = {"Authorization": "Bearer none", "HTTP-Referer": "https://librechat.ai", "X-Title": "LibreChat"}
    chat = {
        "model": "weaver/adaptive",
        "user": "662a5",
        "stream": True,
        "stream_options": {"include_usage": True},
        "reasoning": {"effort": "low", "summary": None},
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_p": 1,
        "n": 1,
        "tools": [],
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "You are helpful."}]},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "Hello!", "reasoning_content": "greeting"},
            {"role": "user", "content": "hello"},
        ],
    }
    answer = httpx.post(f"{server.url}/chat/completions", json=chat, headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    chunks = events_of(answer)
    assert (
        "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]) == "plain answer"
    )
    assert chunks[-1]["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
    assert chunks[-2]["weaver"]["notes"] == []
    title = {
        "model": "weaver/direct",
        "temperature": 0.2,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "max_tokens": 16,
        "messages": [
            {"role": "system", "content": "Write a concise title. User: hi"},
            {"role": "user", "content": "t"},
        ],
    }
    assert httpx.post(f"{server.url}/chat/completions", json=title, headers=headers).status_code == 200
