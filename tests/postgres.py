"""A real PostgreSQL in a temporary folder, on its own port: no system service, nothing is left behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

USER = "postgres"
_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))


def programs() -> Path | None:
    """The folder with initdb and pg_ctl, or None where PostgreSQL is not installed."""
    if _FOLDERS:
        return _FOLDERS[-1]
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


class Server:
    """A server that is running.

    Attributes:
        port: on 127.0.0.1.
    """

    def __init__(self, folder: Path, bin_: Path, *, syncs: bool = False) -> None:
        self._folder, self._bin, self._syncs = folder, bin_, syncs
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @classmethod
    def prepared(cls, folder: Path, bin_: Path, *, syncs: bool = False) -> Self:
        """The server of a new cluster; not started yet."""
        server = cls(folder, bin_, syncs=syncs)
        if os.geteuid() == 0:
            shutil.chown(folder, USER)
        server._as_user("initdb", "-D", str(folder / "data"), "-U", USER, "--auth=trust", "-E", "UTF8", "-N")
        return server

    def url(self, database: str = USER) -> str:
        """Where a database is reached."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start and wait until it accepts connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        options += " -c max_connections=200"
        if not self._syncs:
            options += " -c fsync=off"
        log = str(self._folder / "log")
        self._as_user("pg_ctl", "-D", str(self._folder / "data"), "-o", options, "-l", log, "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop; with mode ``immediate`` as after a crash."""
        self._as_user("pg_ctl", "-D", str(self._folder / "data"), "-m", mode, "-w", "stop")

    def new_database(self, name: str) -> str:
        """Make an empty database; returns its URL."""
        import psycopg  # of the plugin, which need not be installed

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def _as_user(self, program: str, *arguments: str) -> None:
        # initdb refuses to run as root.
        prefix = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
        command = [*prefix, str(self._bin / program), *arguments]
        # Its output goes to a file: a server that it starts keeps a pipe open.
        with (self._folder / "commands").open("w+") as output:
            done = subprocess.run(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            )
            output.seek(0)
            if done.returncode:
                raise RuntimeError(f"{program} failed: {output.read()}")


@contextmanager
def running(*, syncs: bool = False) -> Iterator[Server]:
    """A server with an empty cluster; it and its files are gone afterwards.

    Args:
        syncs: it waits for the disk, as a server that survives power failures does.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    bin_ = programs()
    if bin_ is None:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="weaver-postgres-"))
    try:
        server = Server.prepared(folder, bin_, syncs=syncs)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
