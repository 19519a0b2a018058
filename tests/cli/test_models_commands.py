"""``weaver doctor`` and ``weaver models``, against real loopback servers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from weaver._cli import main
from weaver._cli.inspection.doctor import Check, diagnose
from weaver._cli.inspection.models import usable
from weaver._models.catalog import registry, resolve
from weaver._models.catalog.registry import Offer, Opening
from weaver._models.endpoint_memory import memory
from weaver._models.protocol import Model
from weaver.testing import Server

pytestmark = pytest.mark.anyio


class Embedded:
    """A stand-in for the embedded model; must never be opened by these commands."""

    def __init__(self, *, ready: bool = True) -> None:
        self.ready = ready

    def offers(self, environ: Mapping[str, str]) -> list[Offer]:
        return [Offer("local/tiny", self.ready, "1 MB, ready" if self.ready else "1 MB, not downloaded yet")]

    async def open(self, name: str, opening: Opening) -> Model:
        raise AssertionError("doctor and models only look")


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no settings, no server, no plugin, no litellm."""
    for name in list(os.environ):
        if name.startswith(("WEAVER_", "OPENAI_", "OLLAMA_", "OTEL_")) or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WEAVER_SERVERS", "")
    monkeypatch.setenv("WEAVER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "installed", dict)
    monkeypatch.setattr(resolve, "litellm_installed", lambda: False)


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> Embedded:
    found = Embedded()
    monkeypatch.setattr(registry, "installed", lambda: {"local": EntryPoint("local", "x:y", registry.GROUP)})
    monkeypatch.setattr(registry, "source", lambda _: found)
    return found


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(model="qwen").in_thread() as running:
        yield running


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def check(diagnosis: Any, name: str) -> Any:
    (found,) = [item for item in diagnosis["checks"] if item["name"] == name]
    return found


# ── doctor ────────────────────────────────────────────────────────────────────────────────────────────


def test_without_any_model_it_says_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 1

    said = capsys.readouterr().out
    assert "No model: No model was named, and none was found" in said
    assert "export OPENAI_API_KEY=" in said
    assert 'pip install "weaver-reasoning[' in said


def test_it_says_which_model_a_run_takes_and_why(
    capsys: pytest.CaptureFixture[str], embedded: Embedded
) -> None:
    assert main(["doctor"]) == 0
    assert "A run would take local/tiny: it is embedded;" in capsys.readouterr().out

    embedded.ready = False
    code, found = told(capsys, "doctor")
    assert (code, found["ok"], found["model"]) == (0, True, "local/tiny")
    assert found["reason"].endswith("the first run asks before it downloads it")
    assert check(found, "local/tiny")["state"] == "missing"
    assert check(found, "local/tiny")["hint"] == "weaver local pull tiny"


def test_keys_are_named_and_never_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "GROQ_API_KEY", "ANTHROPIC_API_KEY", "WEAVER_API_KEY"):
        monkeypatch.setenv(name, "hunter22")

    main(["doctor"])
    said = capsys.readouterr()
    code, found = told(capsys, "doctor")

    assert "hunter22" not in said.out + said.err + json.dumps(found)
    assert check(found, "GROQ_API_KEY")["state"] == "ok"
    assert check(found, "ANTHROPIC_API_KEY")["state"] == "missing"
    assert "litellm" in check(found, "ANTHROPIC_API_KEY")["hint"]
    assert (code, found["model"], found["reason"]) == (0, "openai/gpt-5-mini", "OPENAI_API_KEY is set")


def test_servers_are_looked_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setenv("WEAVER_SERVERS", f"http://127.0.0.1:9/v1,{server.url}")

    code, found = told(capsys, "doctor")

    assert (code, found["model"]) == (0, "openai/qwen")
    assert check(found, "llama.cpp")["found"] == f"{server.url} has qwen"
    assert "nothing answers there" in check(found, "server")["found"]


@pytest.mark.parametrize("reachable", [True, False])
def test_an_explicit_base_url_is_tried_without_showing_its_password(
    reachable: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    url = server.url if reachable else "http://127.0.0.1:9/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", url.replace("://", "://user:hunter22@"))

    code, found = told(capsys, "doctor")

    assert "hunter22" not in json.dumps(found)
    assert code == (0 if reachable else 1)
    assert check(found, "OPENAI_BASE_URL")["state"] == ("ok" if reachable else "missing")
    assert found["model"] == ("openai/qwen" if reachable else None)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WEAVER_MAX_TOTAL_TOKENS", "many", "WEAVER_MAX_TOTAL_TOKENS"),
        ("WEAVER_SERVERS", "ftp://x", "WEAVER_SERVERS begins with ftp://"),
        ("OPENAI_BASE_URL", "nowhere", "OPENAI_BASE_URL has no http://"),
        ("WEAVER_HOME", "/dev/null/weaver", "cannot be written"),
        ("WEAVER_MODEL", "opnai/gpt-5", "There is no model provider named 'opnai'"),
        ("WEAVER_MODEL", "groq/x", "GROQ_API_KEY is not set"),
        ("WEAVER_MODEL", "local/nope", "local/nope is neither a known model nor a file"),
        ("WEAVER_MODEL", "./nope.gguf", "./nope.gguf is neither a known model nor a file"),
    ],
)
def test_what_is_broken_is_named_and_fails(
    name: str,
    value: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    embedded: Embedded,
) -> None:
    monkeypatch.setenv(name, value)

    code, found = told(capsys, "doctor")

    assert (code, found["ok"]) == (1, False)
    assert said in json.dumps(found, ensure_ascii=False)


def test_a_model_in_the_settings_is_not_started(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    embedded: Embedded,
) -> None:
    (tmp_path / "own.gguf").touch()
    for name in ("local", "local/tiny", "./own.gguf"):
        monkeypatch.setenv("WEAVER_MODEL", name)

        code, found = told(capsys, "doctor")

        assert (code, found["model"], found["reason"]) == (0, name, "it is named in the settings")


async def test_an_exporter_is_missing_only_when_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, embedded: Embedded, tmp_path: Path
) -> None:
    def none_installed(name: str) -> str:
        if name == "weaver-reasoning":
            return "1"
        raise PackageNotFoundError(name)

    monkeypatch.setattr("weaver._cli.inspection.doctor.version_of", none_installed)
    environ = dict(os.environ)

    def exporter(checks: tuple[Check, ...]) -> Check:
        return next(check for check in checks if check.name == "OTLP export")

    unwanted = await diagnose(environ, tmp_path)
    wanted = await diagnose({**environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://key@collector"}, tmp_path)

    assert (exporter(unwanted.checks).state, unwanted.ok) == ("missing", True)
    assert (exporter(wanted.checks).state, wanted.ok) == ("problem", False)
    assert exporter(wanted.checks).hint == 'Get it with: pip install "weaver-reasoning[otlp]"'
    assert "key@collector" not in repr(wanted)


# ── models ────────────────────────────────────────────────────────────────────────────────────────────


def test_models_are_listed_source_by_source_as_they_are_typed(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    embedded: Embedded,
) -> None:
    monkeypatch.setenv("WEAVER_SERVERS", server.url)
    monkeypatch.setenv("GROQ_API_KEY", "k")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")

    assert main(["models"]) == 0

    assert capsys.readouterr().out.split("\n\n") == [
        "GROQ_API_KEY\n  --model groq/openai/gpt-oss-120b  (and every other model of this provider)",
        f"llama.cpp at {server.url}\n  --base-url {server.url} --model openai/qwen",
        "x:y\n  --model local/tiny  (1 MB, ready)\n",
    ]


def test_no_model_at_all_is_an_empty_list_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "models") == (1, [])
    assert main(["models"]) == 1
    assert "weaver doctor" in capsys.readouterr().err


async def test_a_server_at_its_usual_place_needs_no_base_url() -> None:
    async with Server(dialect="vllm", model="q") as server:
        environ = {"WEAVER_SERVERS": server.url}
        (elsewhere,) = await usable(environ)

    assert (elsewhere.name, elsewhere.base_url) == ("openai/q", server.url)


@pytest.mark.parametrize("place", ["url", "groq", "local"])
def test_one_place_can_be_asked_for_all_its_models(
    place: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    embedded: Embedded,
) -> None:
    monkeypatch.setenv("GROQ_API_BASE", server.url)

    code, found = told(capsys, "models", server.url if place == "url" else place)

    assert code == 0
    name = {"url": "openai/qwen", "groq": "groq/qwen", "local": "local/tiny"}[place]
    assert [model["name"] for model in found] == [name]


@pytest.mark.parametrize(
    ("place", "code", "said"),
    [
        ("grok", 2, "Did you mean 'groq'?"),
        ("groq", 2, "GROQ_API_KEY is not set"),
        ("bedrock", 2, "litellm"),
        ("ftp://host", 2, "URL begins with ftp://"),
        ("http://127.0.0.1:9", 1, "refuses connections"),
    ],
)
def test_a_place_that_cannot_be_asked(
    place: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", place]) == code

    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert "Traceback" not in told.err


def test_doctor_shows_what_was_learned_about_endpoints_and_forgets_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = memory()
    known.put("dialect", "http://one:1/v1", "big", {"without": ["seed", "top_p"], "stream": False})
    known.put("structured", "http://two:2/v1", "big", {"refused": ["json_schema"]})
    known.flush()
    main(["doctor"])
    out = capsys.readouterr().out
    assert "http://one:1/v1 big" in out
    assert "dialect: without: seed, top_p, stream: False (less than an hour ago)" in out
    main(["doctor", "--forget", "http://one:1/v1/"])
    captured = capsys.readouterr()
    assert "Forgot 1 fact about endpoints." in captured.err
    assert "http://one:1" not in captured.out
    assert "structured: refused: json_schema" in captured.out
    main(["doctor", "--forget"])
    assert "Learned about endpoints" not in capsys.readouterr().out
