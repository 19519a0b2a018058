"""Base URLs, proxies, heads and lists of models as the world has them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models.conftest import hear
from weaver._data.messages import user
from weaver._models.catalog.detect import list_models
from weaver._models.catalog.resolve import choose
from weaver._models.endpoint import endpoint
from weaver._models.http.proxies import proxy_for
from weaver._models.openai.model import OpenAIModel
from weaver._models.protocol import Request
from weaver._settings.settings import Settings
from weaver.errors import BadRequestError, ConfigurationError, ModelConnectionError

from .conftest import CAN, DONE, Answer, Raw, chunk

pytestmark = pytest.mark.anyio
HELLO = Request((user("Name a river."),))
FINE = [chunk({"content": "The Elbe."}), chunk({}, "stop"), DONE]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/v1?api-version=2026-01-01", "POST /v1/chat/completions?api-version=2026-01-01 "),
        ("?region=eu&tier=2", "POST /v1/chat/completions?region=eu&tier=2 "),
        (
            "/openai/deployments/d/chat/completions?api-version=1",
            "POST /openai/deployments/d/chat/completions?api-version=1 ",
        ),
        ("/team%2Fred/v1", "POST /team%2Fred/v1/chat/completions "),
    ],
)
async def test_the_base_url_is_kept_as_it_is(raw: Raw, path: str, line: str) -> None:
    server, model = await raw(*FINE, path=path, capabilities=None)
    await hear(model, HELLO)
    await model.capabilities()
    assert server.heads[0].startswith(line)
    assert server.heads[1].startswith("GET ")
    assert ("?" in path) == ("?" in server.heads[1].splitlines()[0])


async def test_values_of_the_query_are_secrets(raw: Raw) -> None:
    _, model = await raw(
        Answer([b'{"error": "bad key s3cr3t-value"}'], status=400), path="/v1?key=s3cr3t-value"
    )
    with pytest.raises(BadRequestError) as raised:
        await hear(model, HELLO)
    assert "s3cr3t" not in str(raised.value)
    assert "s3cr3t" not in repr(model)


@pytest.mark.parametrize("size", [9_000, 60_000])
async def test_large_heads(raw: Raw, size: int) -> None:
    _, model = await raw(Answer(FINE, headers={"X-Policy": "p" * size}))
    assert (await hear(model, HELLO)).text == "The Elbe."


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({"http_proxy": "proxy.test:3128"}, "http://proxy.test:3128"),
        ({"http_proxy": "http://proxy.test:3128"}, "http://proxy.test:3128"),
        ({"http_proxy": "me:pw@proxy.test:3128"}, "http://me:pw@proxy.test:3128"),
        ({"all_proxy": "proxy.test:1"}, "http://proxy.test:1"),
        ({"all_proxy": "http://all.test:1", "http_proxy": "http://own.test:2"}, "http://own.test:2"),
        ({"all_proxy": "http://all.test:1", "no_proxy": "llm.test"}, None),
        ({"http_proxy": "http://p.test:1", "no_proxy": ".test"}, None),
        ({"http_proxy": "http://p.test:1", "no_proxy": "llm.test:8080"}, None),
        ({"http_proxy": "http://p.test:1", "no_proxy": "*"}, None),
        ({"https_proxy": "http://p.test:1"}, None),
        ({"all_proxy": "socks5://p.test:1"}, None),
        ({}, None),
    ],
)
def test_proxies_are_read_as_curl_reads_them(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], proxy: str | None
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for("http://llm.test:8080/v1") == proxy


@pytest.mark.parametrize(
    "body",
    [b'[{"id": "one"}, {"id": "two"}]', b'{"models": [{"model": "one"}]}', b'{"data": ["one", "two"]}'],
)
async def test_lists_of_models(raw: Raw, body: bytes) -> None:
    server, _ = await raw(*FINE)
    server.models = body
    listed = await list_models(endpoint(server.url, place="test"))
    assert listed[0].id == "one"


async def test_own_headers_and_openais_account(raw: Raw) -> None:
    server, _ = await raw(*FINE)
    environ = {"OPENAI_API_KEY": "k" * 9, "OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT": "proj-1"}
    choice = await choose("openai/x", base_url=server.url, headers={"X-Team": "blue"}, environ=environ)
    await hear(choice.model, HELLO)
    await choice.model.aclose()
    head = server.heads[-1].lower()
    assert "openai-organization: org-1" in head
    assert "openai-project: proj-1" in head
    assert "x-team: blue" in head


@pytest.mark.parametrize("text", ['{"X-A": "1", "X-B": "2: 3"}', "X-A: 1\nX-B: 2: 3\n"])
def test_headers_from_the_environment(text: str, tmp_path: Any) -> None:
    settings = Settings.load({"WEAVER_HEADERS": text}, tmp_path)
    assert settings.own_headers == {"X-A": "1", "X-B": "2: 3"}
    assert "2: 3" not in repr(settings)


@pytest.mark.parametrize(
    "text", ["s3cr3t without a colon", '{"X-A": 1}', "X A: s3cr3t", '{"X-A": "s3\\ncr3t"}']
)
def test_headers_that_cannot_be_sent(text: str, tmp_path: Any) -> None:
    with pytest.raises(ConfigurationError, match="WEAVER_HEADERS") as raised:
        Settings.load({"WEAVER_HEADERS": text}, tmp_path)
    assert "s3" not in str(raised.value)


async def test_https_at_a_server_without_tls_ends_with_the_first_timeout(raw: Raw) -> None:
    server, _ = await raw(*FINE)
    model = OpenAIModel(
        "openai/raw", base_url=server.url.replace("http:", "https:"), connect_timeout=0.2, capabilities=CAN
    )
    with pytest.raises(ModelConnectionError, match="does not answer in TLS") as raised:
        await hear(model, HELLO)
    await model.aclose()
    assert not raised.value.retriable
