"""``local/...``: which file a name means, who is asked, and what the model can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from weaver._models.catalog import registry
from weaver.errors import ConfigurationError, DownloadError, UnknownNameError
from weaver.models import Capabilities, Offer, OpenAIModel, Opening, Prices, choose
from weaver_local import source as source_module
from weaver_local.engine import stop_all
from weaver_local.manifest import entries
from weaver_local.source import LocalModels, find, source

from .conftest import CONTENT, FileServer, entry
from .test_engine import STAND_IN

pytestmark = pytest.mark.anyio

BUILT_IN = "qwen2.5-coder-0.5b-instruct"


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONPATH", STAND_IN)
    yield
    stop_all()


@pytest.fixture
def environ(home: Path, files: FileServer) -> dict[str, str]:
    """A home whose manifest has one more model, ``tiny``, at a loopback server."""
    home.mkdir()
    (home / "models.toml").write_text(manifest(url=f"{files.url}/tiny.gguf"))
    return {"WEAVER_HOME": str(home)}


def manifest(**changes: Any) -> str:
    made = {"name": "tiny", "file": "tiny.gguf", "licence": "MIT", "size": len(CONTENT), **changes}
    fields = {"sha256": entry().sha256, "url": "http://127.0.0.1:9/", "kind": "url", **made}
    lines = [f"{key} = {fields[key]!r}" for key in ("name", "file", "licence", "size", "sha256")]
    lines += ["[[model.source]]", f"kind = {fields['kind']!r}", f"url = {fields['url']!r}"]
    return "[[model]]\n" + "\n".join(lines)


# ── the manifest ──────────────────────────────────────────────────────────────────────────────────────


def test_the_built_in_manifest_holds_the_default_model(tmp_path: Path) -> None:
    first = entries(tmp_path)[0]

    assert (first.name, first.size, first.licence) == (BUILT_IN, 491_400_064, "Apache-2.0")
    assert [s.kind for s in first.source] == ["hub", "wheels"]
    assert sum(part.size for part in first.slices) == first.size


def test_an_entry_of_the_users_replaces_ours(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(manifest(name=BUILT_IN))

    (only,) = entries(tmp_path)

    assert only.licence == "MIT"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[model]", "is not valid TOML"),
        (manifest(sha256="abc"), "model.0.sha256"),
        (manifest(file="../../evil.gguf"), "model.0.file"),
        (manifest(name="a/b"), "model.0.name"),
        (manifest(size=0), "model.0.size"),
        (manifest(url="file:///etc/passwd"), "model.0.source.0.url.url"),
        (manifest(kind="ftp"), "model.0.source.0"),
        ("[[model]]\nname = 'x'", "model.0.file"),
        ("surprise = 1", "surprise"),
    ],
)
def test_a_wrong_manifest_names_the_place(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(text)

    with pytest.raises(ConfigurationError) as caught:
        entries(tmp_path)

    assert str(tmp_path / "models.toml") in caught.value.message
    assert complaint in caught.value.message


def test_parts_must_add_up(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not add up"):
        entry(size=5)


# ── which file a name means ───────────────────────────────────────────────────────────────────────────


def test_it_is_installed_as_a_source() -> None:
    assert registry.source("local") is source
    assert isinstance(source, registry.ModelSource)


def test_names_and_paths(
    environ: dict[str, str], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = home / "models"
    models.mkdir()
    (models / "mine.gguf").touch()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.gguf").touch()

    def found(name: str) -> tuple[str | None, Path]:
        known, path = find(name, environ)
        return (known.name if known else None), path

    built_in = models / "qwen2.5-coder-0.5b-instruct-q4.gguf"
    assert found("") == found(BUILT_IN) == found(BUILT_IN.upper()) == (BUILT_IN, built_in)
    assert found("tiny") == found("tiny.gguf") == ("tiny", models / "tiny.gguf")
    assert found("mine") == found("mine.gguf") == (None, models / "mine.gguf")
    assert found("here.gguf") == (None, Path("here.gguf"))
    assert found("/abs/x") == (None, Path("/abs/x"))
    assert found("~/x.gguf") == (None, Path.home() / "x.gguf")
    for name in ("nope", "..", "sub/nope", "mine\0"):
        with pytest.raises(UnknownNameError, match="There is no local model"):
            find(name, environ)


def test_a_close_name_is_suggested(environ: dict[str, str]) -> None:
    with pytest.raises(UnknownNameError, match=f"Did you mean '{BUILT_IN}'"):
        find("qwen2.5-coder-0.5b", environ)


def test_offers(environ: dict[str, str], home: Path) -> None:
    (home / "models").mkdir()
    (home / "models" / "tiny.gguf").write_bytes(CONTENT)
    (home / "models" / "mine.gguf").write_bytes(b"x" * 3_000_000)
    (home / "models" / "other.gguf.partial").touch()

    assert source.offers(environ) == [
        Offer(f"local/{BUILT_IN}", False, "491 MB, Apache-2.0, not downloaded yet"),
        Offer("local/tiny", True, "1 MB, MIT, ready"),
        Offer("local/mine", True, "3 MB, your file"),
    ]


# ── asking ────────────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_is_downloaded_without_being_asked(environ: dict[str, str], files: FileServer) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await source.open("tiny", Opening(environ))

    assert caught.value.exit_code == 2
    assert "1 MB (MIT)" in caught.value.message
    for way in ("--yes", "WEAVER_YES=1", "weaver local pull"):
        assert way in caught.value.hint
    assert files.asked == []


async def test_the_question_says_what_how_big_and_under_which_licence(
    environ: dict[str, str], files: FileServer, home: Path
) -> None:
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    with pytest.raises(ConfigurationError, match="was not downloaded"):
        await source.open("tiny", Opening(environ, no))

    (question,) = asked
    for part in ("tiny", "1 MB", "licence MIT", str(home / "models")):
        assert part in question
    assert files.asked == []


@pytest.mark.parametrize("agreed", ["confirm", "environment"])
async def test_after_a_yes_it_is_fetched_once_and_served(
    agreed: str, environ: dict[str, str], files: FileServer, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    confirm = (lambda _: True) if agreed == "confirm" else None
    environ |= {"WEAVER_YES": "1"} if agreed == "environment" else {}

    model = await source.open("tiny", Opening(environ, confirm))
    again = await source.open("tiny", Opening({"WEAVER_HOME": str(home)}))

    assert (home / "models" / "tiny.gguf").read_bytes() == CONTENT
    assert len(files.gets()) == 1
    assert model.endpoint == again.endpoint
    said = capsys.readouterr()
    assert said.out == ""
    assert "tiny: 1 of 1 MB (100 %)" in said.err


async def test_a_failed_download_is_not_a_configuration_error(
    environ: dict[str, str], files: FileServer
) -> None:
    files.status = 404

    with pytest.raises(DownloadError, match="answers HTTP 404") as caught:
        await source.open("tiny", Opening({**environ, "WEAVER_YES": "1"}))

    assert caught.value.exit_code == 1


# ── the model ─────────────────────────────────────────────────────────────────────────────────────────


async def test_what_the_model_is_and_can(tmp_path: Path, environ: dict[str, str]) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(b"GGUF")

    choice = await choose(str(path), environ={**environ, "WEAVER_LOCAL_SLOTS": "3"})
    model = choice.model

    assert isinstance(model, OpenAIModel)
    assert (model.name, model.provider, model.prices) == (f"local/{path}", "llama_cpp", Prices(0.0, 0.0))
    assert await model.capabilities() == Capabilities(
        json_schema=True,
        json_object=True,
        tools=True,
        logprobs=True,
        completions=True,
        prefill=True,
        slots=3,
        context=4096,
        small=True,
        vision=False,
        audio=False,
        files=False,
    )
    await model.aclose()


@pytest.mark.parametrize(("limit", "small"), [(100, False), (10**12, True)])
async def test_small_is_told_by_the_number_of_parameters(
    limit: int, small: bool, tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "_SMALL_PARAMETERS", limit)
    (tmp_path / "own.gguf").write_bytes(b"GGUF")

    model = await LocalModels().open(str(tmp_path / "own.gguf"), Opening(environ))

    assert (await model.capabilities()).small is small


async def test_the_manifests_context_is_the_default(environ: dict[str, str], home: Path) -> None:
    (home / "models").mkdir()
    (home / "models.toml").write_text(
        manifest().replace("[[model.source]]", "context = 2048\n[[model.source]]")
    )
    (home / "models" / "tiny.gguf").write_bytes(CONTENT)

    model = await source.open("tiny", Opening(environ))

    can = await model.capabilities()
    assert (can.slots, can.context) == (4, 2048)
