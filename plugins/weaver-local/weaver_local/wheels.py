"""A model's file from the package index: wheels that hold slices of it, unzipped and thrown away."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from weaver_local.attempt import Attempt, SourceError, without_credentials
from weaver_local.manifest import Slice, Wheels

_BLOCK = 1 << 20
_LOOK_SECONDS = 0.2
_FAREWELL_SECONDS = 3.0


def fetch(source: Wheels, attempt: Attempt) -> None:
    """Append the slices that are missing, one wheel after the other.

    Raises:
        SourceError: a wheel cannot be had, or does not hold what it should.
        Stopped: somebody asked to stop.
        OSError: a file cannot be written.
    """
    pip = pip_command()
    offset = 0
    for part in source.parts:
        end = offset + part.size
        if attempt.partial.done < end:
            if attempt.partial.done > offset:  # bytes of this slice that came from another source
                attempt.partial.cut(offset)
            # Beside the model and not in the system's temporary folder, which is often small.
            beside = attempt.partial.path
            with tempfile.TemporaryDirectory(prefix=workspace(beside), dir=beside.parent) as folder:
                wheel = _download(pip, part, source.version, Path(folder), attempt)
                _unzip(wheel, part, attempt)
        offset = end


def workspace(partial: Path) -> str:
    """Return how the names of the folders begin that wheels are unzipped in."""
    return f".{partial.name}-"


def pip_command() -> list[str]:
    """Return how pip can be run here: as a module, through uv, or as a program.

    Raises:
        SourceError: in no way.
    """
    if find_spec("pip") is not None and sys.executable:
        return [sys.executable, "-m", "pip"]
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "--quiet", "pip"]
    if pip := shutil.which("pip3") or shutil.which("pip"):
        return [pip]
    raise SourceError("needs pip or uv, and neither is installed")


def _download(pip: Sequence[str], part: Slice, version: str, folder: Path, attempt: Attempt) -> Path:
    temporary = folder / "tmp"
    temporary.mkdir()
    said = folder / "pip.log"
    command = [
        *pip,
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--no-input",
        "--no-color",
        "--retries=2",
        "--timeout=15",
        f"--dest={folder}",
        f"{part.distribution}=={version}",
    ]
    environ = {**os.environ, "TMPDIR": str(temporary), "TMP": str(temporary), "TEMP": str(temporary)}
    with said.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environ,
            start_new_session=True,  # Ctrl-C is ours: pip would report it as its own failure
        )
        try:
            while process.poll() is None:
                attempt.check()
                attempt.report.at(attempt.partial.done + min(_bytes_in(folder), part.size))
                time.sleep(_LOOK_SECONDS)
        finally:
            _end(process)
    wheels = sorted(folder.glob("*.whl"))
    if process.returncode != 0 or not wheels:
        raise SourceError(f"does not give {part.distribution} {version}: {_complaint(said)}")
    return wheels[0]


def _unzip(wheel: Path, part: Slice, attempt: Attempt) -> None:
    """Append the one member that is wanted; nothing else in the wheel is touched."""
    member = f"{part.distribution.replace('-', '_')}/{part.member}"
    partial = attempt.partial
    partial.mark()
    own = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(member).file_size != part.size:
                raise SourceError(f"{part.distribution} holds a file of another size")
            with archive.open(member) as file:
                while block := file.read(_BLOCK):
                    own.update(block)
                    attempt.take(block)
    except KeyError:
        raise SourceError(f"{part.distribution} does not hold {member}") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        partial.back()
        raise SourceError(f"{part.distribution} is damaged ({error})") from None
    except BaseException:
        partial.back()  # a slice is there whole or not at all
        raise
    if own.hexdigest() != part.sha256:
        partial.back()
        raise SourceError(f"{part.distribution} has the wrong checksum")


def _bytes_in(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except OSError:
                continue  # pip moved it meanwhile
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_FAREWELL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _complaint(log: Path) -> str:
    """Return what pip said is wrong, in one line."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    network = next((line for line in lines if "connection" in line.lower() and "WARNING" in line), None)
    said = (errors or lines or ["pip said nothing"])[0]
    if network is not None:
        said = "the package index cannot be reached"
    return without_credentials(said).rstrip(".")[:300]
