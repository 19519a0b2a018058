"""The page that follows a run."""

from __future__ import annotations

import json
import socket
from typing import Any

import aiohttp
import pytest
from opentelemetry.sdk.trace import TracerProvider

from weaver._tracing.export.live import LiveFeed, LiveServer
from weaver._tracing.tracer import Tracing
from weaver.errors import ConfigurationError

pytestmark = pytest.mark.anyio


@pytest.fixture
def feed() -> LiveFeed:
    return LiveFeed("What is it?")


@pytest.fixture
def tracing(feed: LiveFeed) -> Tracing:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(feed)
    return Tracing(provider)


async def get(url: str, **options: Any) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url, **options) as answer:
        return answer.status, await answer.text()


async def test_the_page_and_what_it_asks_for(feed: LiveFeed, tracing: Tracing) -> None:
    with LiveServer(feed) as server:
        assert server.url.startswith("http://127.0.0.1:")
        status, page = await get(server.url)
        assert status == 200
        assert "connect-src 'self'" in page
        assert json.loads((await get(f"{server.url}data"))[1])["runs"] == []

        root = tracing.runs.start(run_id="r", strategy="s", model="m", question="q")
        thread = tracing.threads.start(root, id="t1", title="One", agent="", depth=1)
        first = json.loads((await get(f"{server.url}data?since=0"))[1])
        assert [p["st"] for p in first["runs"][0]["pieces"]] == ["running", "running"]
        assert (first["runs"][0]["status"], first["runs"][0]["question"]) == ("running", "What is it?")
        assert (await get(f"{server.url}data?since={first['revision']}"))[0] == 204

        tracing.steps.end(thread)
        tracing.steps.end(root)
        last = json.loads((await get(f"{server.url}data?since={first['revision']}"))[1])
        assert [p["st"] for p in last["runs"][0]["pieces"]] == ["succeeded", "succeeded"]
        assert last["runs"][0]["complete"] is True


async def test_a_second_run_takes_the_place_of_the_first(feed: LiveFeed, tracing: Tracing) -> None:
    for name in ("one", "two"):
        tracing.steps.end(tracing.runs.start(run_id=name, strategy="s", model="m", question="q"))
    _, view = feed.view()

    assert view is not None
    assert (view.run_id, len(view.pieces)) == ("two", 1)


async def test_strangers_get_nothing(feed: LiveFeed) -> None:
    with LiveServer(feed) as server:
        base = server.url.rsplit("/", 2)[0]
        assert (await get(f"{base}/"))[0] == 404
        assert (await get(f"{base}/guess/data"))[0] == 404
        # A page of another site, whose name was made to point here.
        assert (await get(server.url, headers={"Host": "evil.example"}))[0] == 403
        assert (await get(f"{server.url}data", headers={"Host": "evil.example:80"}))[0] == 403
        assert (await get(f"{server.url}data?since=x"))[0] == 400


async def test_only_one_address_is_listened_to(feed: LiveFeed) -> None:
    """A socket on all addresses would answer at 127.0.0.2 as well."""
    with LiveServer(feed) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", port), timeout=1):
            pass


async def test_a_port_that_is_taken(feed: LiveFeed) -> None:
    with LiveServer(feed) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}"), LiveServer(feed, port=port):
            pass
