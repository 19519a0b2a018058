"""Base URLs as users write them."""

from __future__ import annotations

import base64

import pytest

from weaver._models.endpoint import endpoint
from weaver.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://localhost:8080", "http://localhost:8080/v1"),
        ("http://localhost:8080/", "http://localhost:8080/v1"),
        ("https://host/api/v1/", "https://host/api/v1"),
        ("https://host/v1/chat/completions", "https://host/v1"),
        ("HTTP://Host:80/v1", "http://host:80/v1"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("  http://host/v1 ", "http://host/v1"),
    ],
)
def test_a_url_is_tidied(given: str, url: str) -> None:
    assert endpoint(given, place="base_url").url == url


def test_credentials_become_a_header_and_leave_the_url() -> None:
    at = endpoint("https://user:p%40ss@host/v1?api-version=secret", place="base_url")

    assert at.url == "https://host/v1"
    assert at.headers == {"Authorization": "Basic " + base64.b64encode(b"user:p@ss").decode()}
    assert at.at("/models") == "https://host/v1/models?api-version=secret"


@pytest.mark.parametrize(
    "given",
    [
        "ftp://user:hunter22@host",
        "file:///etc/hunter22",
        "hunter22",
        "user:hunter22@host/v1",
        "http://",
        "http://user:hunter22@",
        "http://user:hunter22@host:port/v1",
        "http://user:hunter22@[::1/v1",
        "http://host name/hunter22",
        "javascript:hunter22",
    ],
)
def test_what_is_no_web_address_is_refused_without_repeating_it(given: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^base_url ") as caught:
        endpoint(given, place="base_url")

    assert "hunter22" not in str(caught.value)
    assert "http://localhost:8080/v1" in caught.value.hint


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("box:1234", "http://box:1234/v1"),
        ("http://box", "http://box:11434/v1"),
        ("https://box", "https://box/v1"),
    ],
)
def test_a_host_variable_may_hold_less_than_a_url(given: str, url: str) -> None:
    assert endpoint(given, place="OLLAMA_HOST", port=11434).url == url


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("localhost.com", False),
    ],
)
def test_it_knows_this_machine(host: str, loopback: bool) -> None:
    assert endpoint(f"http://{host}/v1", place="base_url").loopback is loopback
