"""Secrets never reach a span, the store or a message."""

from __future__ import annotations

import pytest

from weaver._tracing.record.redact import Redactor
from weaver.errors import ConfigurationError

REDACT = Redactor(environ={})


@pytest.mark.parametrize(
    "text",
    [
        "key sk-proj-{}",
        "key sk-ant-api03-{}",
        "key gsk_{}",
        "AIza{}abcdefgh",
        "hf_{}",
        "ghp_{}",
        "github_pat_{}",
        "glpat-{}",
        "xoxb-1234-{}",
        "Authorization: Bearer {}",
        "authorization: basic {}==",
        '{{"x-api-key": "{}"}}',
        "{{'api_key': '{}'}}",
        "https://host/v1?api_key={}&x=1",
        "https://host/v1?key={}",
        "https://user:{}@host/v1",
        "OPENAI_API_KEY={}",
        "password: {}",
        "client_secret={}",
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n{}",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.{}",
    ],
)
def test_the_shapes_of_secrets_are_known(text: str) -> None:
    secret = "q7Xw2mZp9Lk4Rt8Vb3Nc6Hd1"
    clean = REDACT(text.format(secret))

    assert secret not in clean
    assert "[redacted]" in clean


@pytest.mark.parametrize(
    "text",
    [
        "The key to success is patience.",
        "A token is four bytes; 2,000 tokens cost little.",
        "See https://example.com/a?page=2 and http://localhost:8080/v1.",
        "The secret of the sauce: butter.",
        "basic arithmetic and bearer bonds",
        "risk-averse, disk-based",
        "sk-learn",
    ],
)
def test_plain_language_survives(text: str) -> None:
    assert REDACT(text) == text


def test_what_stands_around_a_secret_stays() -> None:
    assert REDACT("POST https://me:pw12345@host/v1?api_key=abcdefgh&n=1") == (
        "POST https://[redacted]@host/v1?api_key=[redacted]&n=1"
    )


def test_values_of_secret_variables_are_known_wherever_they_turn_up() -> None:
    environ = {"MY_SERVICE_TOKEN": "correct horse battery", "PATH": "/usr/local/bin", "SHORT_KEY": "abc"}
    redact = Redactor(environ=environ)

    assert redact("he said: correct horse battery!") == "he said: [redacted]!"
    assert redact("/usr/local/bin abc") == "/usr/local/bin abc"


def test_otlp_headers_of_the_environment_are_secret() -> None:
    redact = Redactor(environ={"OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=blue-whale-42"})

    assert "blue-whale" not in redact("sent with x-tenant=blue-whale-42")


def test_patterns_of_the_users_own() -> None:
    redact = Redactor(environ={"WEAVER_REDACT": "CUST-\\d+\n\\b\\d{3}-\\d{2}-\\d{4}\\b"})

    assert redact("CUST-4711 has 123-45-6789") == "[redacted] has [redacted]"


def test_a_pattern_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="WEAVER_REDACT"):
        Redactor(environ={"WEAVER_REDACT": "("})


@pytest.mark.parametrize(
    "piece", ["a", "a.", "a-", "key ", "bearer ", "-----BEGIN ", "http://", "eyJa.", "sk-a ", "?key=", "_"]
)
def test_long_texts_of_anything_do_not_stall(piece: str) -> None:
    """With a quadratic pattern this would take hours, and run into the tests' timeout."""
    text = "secret token :// " + piece * (100_000 // len(piece))

    assert len(REDACT(text)) > 0
