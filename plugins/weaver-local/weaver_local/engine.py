"""llama.cpp as a part of this program: one server process per model, shared, gone when we are.

It runs beside the interpreter and not inside it (docs/decisions/0021-embedded-engine.md).
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from weaver.errors import ConfigurationError, ModelConnectionError
from weaver_local.worker import Job

SLOTS = 4
CONTEXT = 4096

_MAGIC = b"GGUF"
# llama.cpp's log: "0.01.234.567 E function: message"
_ERROR_LINE = re.compile(r"^\S+ E (?:srv|cmn|slot|que)?\s*(?:[\w~]+: )?(.*\S)\s*$")


@dataclass(frozen=True, slots=True)
class Options:
    """How a model is served.

    Args:
        slots: requests that are worked on at once.
        context: tokens, prompt and answer together, that each slot has.
        threads: processor threads; None leaves it to llama.cpp (one per physical core).
        host, port: where it listens; port 0 takes any free one.
        key: bearer token that requests must carry; None makes a random one, ``""`` asks for none.
        log: file for llama.cpp's log; None keeps only what explains a failure.
    """

    slots: int = SLOTS
    context: int = CONTEXT
    threads: int | None = None
    host: str = "127.0.0.1"
    port: int = 0
    key: str | None = None
    log: Path | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], context: int | None = None) -> Options:
        """``WEAVER_LOCAL_SLOTS``, ``_CONTEXT``, ``_THREADS`` and ``_LOG``.

        Args:
            environ: the environment.
            context: the model's own default for tokens per slot.

        Raises:
            ConfigurationError: one of them is not a number in its range.
        """
        log = environ.get("WEAVER_LOCAL_LOG", "").strip()
        return cls(
            slots=_number(environ, "WEAVER_LOCAL_SLOTS", 1, 256) or SLOTS,
            context=_number(environ, "WEAVER_LOCAL_CONTEXT", 256, 1 << 20) or context or CONTEXT,
            threads=_number(environ, "WEAVER_LOCAL_THREADS", 1, 1024),
            log=Path(log).expanduser() if log else None,
        )


@dataclass(frozen=True, slots=True)
class Engine:
    """A running server.

    Attributes:
        url: its base URL, with ``/v1``.
        key: bearer token that it wants; not shown in representations.
        slots, context: as in `Options`.
        parameters: number of the model's parameters, where llama.cpp says so.
    """

    url: str
    key: str = field(repr=False)
    slots: int
    context: int
    parameters: int | None


@dataclass(slots=True)
class _Running:
    """A server's process.

    ``lifeline`` is our end of its stdin, a plain descriptor: it must be possible to close it in a forked
    child, where a file object's lock may be held by a thread that does not exist.
    """

    process: subprocess.Popen[bytes]
    lifeline: int
    log: IO[bytes]
    ready: Future[Engine]

    def stop(self) -> None:
        self.process.kill()  # nothing to save; see worker._end_with_parent
        self.process.wait()
        os.close(self.lifeline)
        self.log.close()


_running: dict[tuple[str, Options], _Running] = {}
_lock = threading.Lock()


async def engine(path: Path, options: Options) -> Engine:
    """The server for a model's file; started when there is none yet in this process.

    Loading takes from a second to minutes, by the model's size, and does not hold up the event loop.
    Cancelling stops the waiting, not the loading: the next call gets the same server.

    Raises:
        ConfigurationError: the file does not exist, is not a GGUF file, or llama.cpp cannot load it.
        ModelConnectionError: the server's process ended before it was ready.
    """
    return await asyncio.wrap_future(start(path, options))


def start(path: Path, options: Options) -> Future[Engine]:
    """Like `engine`, without waiting."""
    path = _checked(path)
    with _lock:
        running = _running.get((str(path), options))
        if running is not None and running.process.poll() is None:
            return running.ready
        if running is not None:  # it crashed, or could not load the model
            running.stop()
        running = _started(path, options)
        _running[str(path), options] = running
        return running.ready


def alive(path: Path, options: Options) -> bool:
    """Return True if the server for a file is still there."""
    with _lock:
        running = _running.get((str(path.resolve()), options))
        return running is not None and running.process.poll() is None


def stop_all() -> None:
    """End all servers of this process. Models that used them fail; the next `engine` starts new ones."""
    with _lock:
        for running in _running.values():
            running.stop()
        _running.clear()


def _started(path: Path, options: Options) -> _Running:
    # Unbuffered, so without a lock: a forked child has to be able to close it.
    log = _log_file(options.log)
    key = secrets.token_urlsafe(24) if options.key is None else options.key
    theirs, lifeline = os.pipe()
    answers, answer_end = os.pipe()
    try:
        process = _process(theirs, answer_end, log)
    except OSError:
        log.close()
        for descriptor in (lifeline, answers):
            os.close(descriptor)
        raise
    finally:
        os.close(theirs)
        os.close(answer_end)
    job = Job(
        path=str(path),
        name=path.name,
        slots=options.slots,
        context=options.context,
        threads=options.threads,
        host=options.host,
        port=options.port,
        key=key or None,
        verbose=options.log is not None,
    )
    ready: Future[Engine] = Future()
    ready.set_running_or_notify_cancel()  # from here on nobody who waits can cancel it for the others
    os.write(lifeline, json.dumps(job).encode() + b"\n")
    running = _Running(process, lifeline, log, ready)
    threading.Thread(
        target=_wait_until_ready, args=(running, answers, job, key), name=f"load {path.name}", daemon=True
    ).start()
    return running


def _wait_until_ready(running: _Running, answers: int, job: Job, key: str) -> None:
    process, ready = running.process, running.ready
    try:
        said = _answer(answers)
        if "address" in said:
            ready.set_result(
                Engine(f"{said['address']}/v1", key, job["slots"], job["context"], said.get("parameters"))
            )
            return
        process.wait()
        ready.set_exception(_failure(job, process.returncode, running.log))
    except Exception as error:  # noqa: BLE001 - the caller that waits must get it
        ready.set_exception(error)


def _answer(answers: int) -> dict[str, Any]:
    """The worker's line of JSON; empty when it ended without one."""
    with open(answers, "rb") as lines:
        for line in lines:
            if line.startswith(b"{"):  # libraries may print, too
                answer: dict[str, Any] = json.loads(line)
                return answer
    return {}


def _failure(job: Job, code: int, log: IO[bytes]) -> ConfigurationError | ModelConnectionError:
    said = _last_errors(log, job)
    if code == 1 and said:
        return ConfigurationError(
            f"llama.cpp cannot load {job['path']}: {said}.",
            hint="Is it a whole GGUF file of a model that llama.cpp knows, and is there enough memory? "
            "WEAVER_LOCAL_LOG=FILE keeps the full log.",
        )
    end = f"signal {-code}" if code < 0 else f"exit code {code}"
    return ModelConnectionError(
        f"The process that was loading {job['path']} ended ({end}){': ' + said if said else ''}.",
        model=job["name"],
        hint="Often too little memory: try a smaller model, or a lower WEAVER_LOCAL_SLOTS or "
        "WEAVER_LOCAL_CONTEXT. WEAVER_LOCAL_LOG=FILE keeps the full log.",
    )


def _last_errors(log: IO[bytes], job: Job) -> str:
    try:
        log.seek(max(0, log.seek(0, os.SEEK_END) - 20_000))
        text = log.read().decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
    found: list[str] = []
    for line in text.splitlines():
        if (match := _ERROR_LINE.match(line)) and match[1] not in found and job["path"] not in match[1]:
            found.append(match[1].rstrip("."))
    if not found and text.strip():
        found = [text.strip().splitlines()[-1]]
    return "; ".join(found[:2])


def _checked(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except FileNotFoundError:
        raise ConfigurationError(f"There is no file {path}.", hint="Check the path after --model.") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}.") from None
    if magic != _MAGIC:
        raise ConfigurationError(
            f"{path} is not a GGUF file.", hint="llama.cpp needs models in the GGUF format (*.gguf)."
        )
    return path.resolve()


def _log_file(path: Path | None) -> IO[bytes]:
    if path is None:
        return tempfile.TemporaryFile(buffering=0)
    try:
        return path.open("a+b", buffering=0)
    except OSError as error:
        raise ConfigurationError(
            f"WEAVER_LOCAL_LOG: {path} cannot be written: {error.strerror or error}."
        ) from None


def _process(stdin: int, stdout: int, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    # -P: what lies in the working directory must not be imported in place of a library.
    command = [sys.executable, "-P", "-m", "weaver_local.worker"]
    # A group of its own, out of reach of Ctrl-C in the terminal: we decide when it ends.
    if sys.platform == "win32":
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True)


def _number(environ: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = environ.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ConfigurationError(
            f"{name} must be a whole number from {least} to {most:,}, not {text[:40]!r}."
        )
    return int(text)


def _forget() -> None:
    """In a forked child: the servers are the parent's. Let go of their lifelines without touching them."""
    global _lock  # noqa: PLW0603 - somebody may have held it when the process was forked
    _lock = threading.Lock()
    for running in _running.values():
        running.process.returncode = 0  # or its finalizer complains that it still runs
        os.close(running.lifeline)
        running.log.close()
    _running.clear()


atexit.register(stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
