"""The server process: shared, out of the event loop's way, and never left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from weaver.errors import ConfigurationError, ModelConnectionError
from weaver_local import engine as engines
from weaver_local.engine import Engine, Options, engine, start, stop_all

pytestmark = pytest.mark.anyio

STAND_IN = str(Path(__file__).parent / "stand_in")


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers import the stand-in instead of llama.cpp; all are ended after the test."""
    monkeypatch.setenv("PYTHONPATH", STAND_IN)
    yield
    stop_all()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that loads at once; `behaves` changes that."""
    return behaves(tmp_path / "model.gguf", "")


def behaves(model: Path, how: str) -> Path:
    model.write_bytes(b"GGUF" + how.encode())
    return model


def about(running: Engine) -> dict[str, Any]:
    """Return what the stand-in tells of itself: its pid and the parameters it got."""
    asked = Request(f"{running.url}/models", headers={"Authorization": f"Bearer {running.key}"})
    with urlopen(asked, timeout=5) as response:
        found: dict[str, Any] = json.load(response)["data"][0]["meta"]
    return found


def gone(pid: int, seconds: float = 5.0) -> bool:
    """Return True if a process that may not be our child ends in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


async def test_it_is_told_how_to_serve(model: Path) -> None:
    running = await engine(model, Options(slots=3, context=1000, threads=2))

    told = about(running)["params"]
    assert (running.slots, running.context, running.parameters) == (3, 1000, 494_000_000)
    assert running.url.startswith("http://127.0.0.1:")
    assert (told["n_parallel"], told["n_ctx"], told["hostnames"]) == (3, 3000, ["127.0.0.1"])
    assert told["api_keys"] == [running.key]
    assert len(running.key) >= 32
    assert told["cors_origins"] != "*"
    assert running.key not in repr(running)


async def test_everybody_shares_one_process(model: Path) -> None:
    first, *others = await asyncio.gather(*[engine(model, Options()) for _ in range(10)])
    other_options = await engine(model, Options(slots=2))

    assert all(other is first for other in others)
    assert about(other_options)["pid"] != about(first)["pid"]


async def test_loading_leaves_the_event_loop_free_and_outlives_a_cancelled_wait(model: Path) -> None:
    behaves(model, "slow")
    waiting = asyncio.create_task(engine(model, Options()))
    for _ in range(5):
        await asyncio.sleep(0.01)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    process = engines._running[str(model), Options()].process
    running = await engine(model, Options())

    assert about(running)["pid"] == process.pid


async def test_a_model_that_does_not_load_says_why_in_llama_cpps_words(model: Path) -> None:
    behaves(model, "fail")

    with pytest.raises(ConfigurationError) as caught:
        await engine(model, Options())

    assert caught.value.message == f"llama.cpp cannot load {model}: not enough fingers."
    assert "WEAVER_LOCAL_LOG" in caught.value.hint
    behaves(model, "")
    assert about(await engine(model, Options()))["pid"]  # the failure is not remembered


async def test_a_process_that_dies_while_loading_is_told_apart(model: Path) -> None:
    behaves(model, "die")

    with pytest.raises(ModelConnectionError, match=r"was loading .* ended \(signal 9\)") as caught:
        await engine(model, Options())

    assert "too little memory" in caught.value.hint


async def test_a_server_that_crashed_is_started_again(model: Path) -> None:
    first = about(await engine(model, Options()))["pid"]
    os.kill(first, signal.SIGKILL)
    engines._running[str(model), Options()].process.wait()

    assert about(await engine(model, Options()))["pid"] != first


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "There is no file"), (b"", "is not a GGUF file"), (b"PK\x03\x04", "is not a GGUF file")],
)
async def test_what_is_no_model_is_refused_at_once(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.gguf"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=message):
        await engine(path, Options())
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        await engine(tmp_path, Options())


def test_settings_come_from_the_environment() -> None:
    environ = {"WEAVER_LOCAL_SLOTS": "2", "WEAVER_LOCAL_THREADS": " 3 ", "WEAVER_LOCAL_LOG": "/tmp/log"}

    assert Options.from_environment(environ, 8192) == Options(2, 8192, 3, log=Path("/tmp/log"))
    assert Options.from_environment({"WEAVER_LOCAL_CONTEXT": "512"}, 8192).context == 512
    assert Options.from_environment({}) == Options()
    for wrong in ("0", "-1", "many", "1.5", "9" * 30):
        with pytest.raises(ConfigurationError, match="WEAVER_LOCAL_SLOTS must be a whole number from 1 to"):
            Options.from_environment({"WEAVER_LOCAL_SLOTS": wrong})


def test_the_log_is_kept_where_it_is_asked_for(model: Path, tmp_path: Path) -> None:
    behaves(model, "fail")

    with pytest.raises(ConfigurationError, match="cannot load"):
        start(model, Options(log=tmp_path / "llama.log")).result(10)
    with pytest.raises(ConfigurationError, match=r"WEAVER_LOCAL_LOG: .* cannot be written"):
        start(model, Options(log=tmp_path / "nowhere" / "llama.log"))

    assert "not enough fingers" in (tmp_path / "llama.log").read_text()


# ── the end of the program that started it ────────────────────────────────────────────────────────────

PROGRAM = """
import os, signal, sys, threading, time
from pathlib import Path
from weaver_local import engine as engines
running = engines.start(Path(sys.argv[1]), engines.Options()).result()
(found,) = engines._running.values()
print(found.process.pid, flush=True)
"""


def program(model: Path, rest: str, **options: Any) -> tuple[subprocess.Popen[str], int]:
    """A program that starts a server, and the server's pid."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-X", "dev", "-c", PROGRAM + rest, str(model)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        ("", 0),
        ("raise SystemExit(5)", 5),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("os._exit(7)", 7),
    ],
)
def test_the_server_ends_with_the_program_however_that_ends(rest: str, code: int, model: Path) -> None:
    process, server = program(model, rest)
    _, said = process.communicate(timeout=10)

    assert process.returncode == code
    assert said == ""
    assert gone(server)


def test_ctrl_c_reaches_the_program_only(model: Path) -> None:
    rest = (
        "try:\n    print('waiting', flush=True)\n    time.sleep(30)\nexcept KeyboardInterrupt: pass\n"
        "print('alive' if found.process.poll() is None else 'dead', flush=True)\n"
    )
    process, server = program(model, rest, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    os.killpg(process.pid, signal.SIGINT)
    out, said = process.communicate(timeout=10)

    assert (out, said) == ("alive\n", "")
    assert gone(server)


def test_a_forked_child_leaves_the_server_alone(model: Path) -> None:
    rest = (
        "child = os.fork()\n"
        "if child == 0:\n"
        "    assert not engines._running\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "print('alive' if found.process.poll() is None else 'dead', flush=True)\n"
    )
    process, server = program(model, rest)
    out, said = process.communicate(timeout=10)

    assert (out, said) == ("alive\n", "")
    assert gone(server)


def test_a_forked_child_that_lives_on_does_not_keep_the_server(model: Path) -> None:
    rest = "child = os.fork()\nif child == 0:\n    os.close(1); os.close(2); time.sleep(20)\nos._exit(0)\n"
    process, server = program(model, rest, start_new_session=True)
    process.communicate(timeout=10)

    try:
        assert gone(server)
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_start_can_be_used_without_an_event_loop(model: Path) -> None:
    assert about(start(model, Options()).result(10))["pid"]
