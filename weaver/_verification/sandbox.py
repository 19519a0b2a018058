"""Running a program that a model wrote: in its own folder, without keys, with limits, never for long.

This limits accidents. It is not a wall against an attacker: for that, run weaver itself in a container.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc

from weaver.errors import ConfigurationError

MAX_OUTPUT = 20_000
"""Bytes of output that are kept: the last ones."""
_LAUNCHER = Path(__file__).with_name("launcher.py")
_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended.

    Attributes:
        code: exit code; negative for a signal.
        output: the end of what it printed, both streams.
        is_late: it was stopped after its time.
    """

    code: int
    output: str
    is_late: bool = False


async def run_sandboxed(
    command: Sequence[str],
    files: Mapping[str, str | bytes],
    *,
    timeout: float = 10.0,
    memory_mb: int = 1024,
) -> Finished:
    """Run a command in a temporary folder.

    It gets no environment but ``PATH`` and a home in that folder, no input, and (on Linux, where the kernel
    allows it) no network. Processor time, memory, file size and open files are limited on POSIX systems; on
    Windows only the time is. Its whole process group is killed at the end, also when the caller is
    cancelled.

    Args:
        command: program and arguments; ``python`` is this interpreter.
        files: what is put into the folder, by relative name.
        timeout: seconds.

    Raises:
        ConfigurationError: the program cannot be started, or a name leaves the folder.
    """
    with tempfile.TemporaryDirectory(prefix="weaver-check-", ignore_cleanup_errors=True) as folder:
        _write(folder, files)
        return await _run(command, folder, timeout, memory_mb)


def _write(where: str, files: Mapping[str, str | bytes]) -> None:
    folder = Path(where).resolve()
    for name, content in files.items():
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            raise ConfigurationError(f"The file {name!r} would be outside of the check's folder.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


async def _run(command: Sequence[str], folder: str, timeout: float, memory_mb: int) -> Finished:
    program = sys.executable if command[0] in {"python", "python3"} else command[0]
    limits = {
        "RLIMIT_CPU": int(timeout) + 1,
        "RLIMIT_AS": memory_mb * _MB,
        "RLIMIT_FSIZE": 50 * _MB,
        "RLIMIT_NOFILE": 256,
        "RLIMIT_CORE": 0,
    }
    launched = [sys.executable, "-I", "-S", str(_LAUNCHER), json.dumps(limits), program, *command[1:]]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": folder,
        "TMPDIR": folder,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if sys.platform == "win32":
        environment["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
    try:
        process = await anyio.open_process(
            launched,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigurationError(f"{command[0]} cannot be started: {error}.") from error
    output = bytearray()
    try:
        with anyio.move_on_after(timeout) as clock:
            await _read(process, output)
            await process.wait()
    finally:
        _kill(process)
        with anyio.CancelScope(shield=True):
            await process.wait()
            await process.aclose()
    text = bytes(output[-MAX_OUTPUT:]).decode("utf-8", "replace")
    return Finished(process.returncode or 0, text, clock.cancelled_caught)


async def _read(process: anyio.abc.Process, output: bytearray) -> None:
    assert process.stdout is not None
    async for chunk in process.stdout:
        output += chunk
        if len(output) > 2 * MAX_OUTPUT:
            del output[:-MAX_OUTPUT]


def _kill(process: anyio.abc.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
