"""What the database announces by NOTIFY: one connection that listens, and those who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress

import anyio
import psycopg
from psycopg import AsyncConnection

from weaver._environment.processes import owner
from weaver_postgres.text import plain

CHANNELS = ("weaver_run", "weaver_job")
OWNERS = "1466264943"
"""Class of the advisory locks that say which processes live: each holds that of its name while it listens."""
_RETRY_SECONDS = 0.5


class Notices:
    """Notifications of one database, for one event loop. It connects when somebody first waits.

    A lost connection is made again. What was announced meanwhile is lost, so everybody is then woken once:
    whoever waits looks at the tables after every wake-up, and now and then without one.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = {}
        self._listeners: set[Callable[[str, str], None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()

    @contextmanager
    def waiting(self, channel: str, payload: str) -> Generator[Callable[[float], Awaitable[None]]]:
        """Take note of announcements of ``payload`` from now on.

        Yields a function that waits for one, for at most so many seconds.
        """
        self.start()
        event = asyncio.Event()
        events = self._waiting.setdefault((channel, payload), set())
        events.add(event)

        async def wait(seconds: float) -> None:
            with anyio.move_on_after(seconds):
                await event.wait()

        try:
            yield wait
        finally:
            events.discard(event)
            if not events and self._waiting.get((channel, payload)) is events:
                del self._waiting[channel, payload]

    def listen(self, listener: Callable[[str, str], None]) -> Callable[[], None]:
        """Call ``listener`` with the channel and payload of every notification; returns how to stop it."""
        self.start()
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    async def connected(self, seconds: float) -> None:
        """Wait until notifications come in, at most so long."""
        self.start()
        with anyio.move_on_after(seconds):
            await self._connected.wait()

    def start(self) -> None:
        """Begin to listen."""
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    async def aclose(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            with suppress(psycopg.Error, OSError):
                async with await AsyncConnection.connect(self._url, autocommit=True) as connection:
                    for channel in CHANNELS:
                        await connection.execute(f"LISTEN {channel}")
                    await connection.execute(
                        f"SELECT pg_advisory_lock_shared({OWNERS}, hashtext(%s))", [plain(owner())]
                    )
                    self._connected.set()
                    self._wake_all()
                    async for notice in connection.notifies():
                        self._pass_on(notice.channel, notice.payload)
            self._connected.clear()
            await anyio.sleep(_RETRY_SECONDS)

    def _pass_on(self, channel: str, payload: str) -> None:
        for listener in tuple(self._listeners):
            listener(channel, payload)
        for event in self._waiting.get((channel, payload), ()):
            event.set()

    def _wake_all(self) -> None:
        for events in self._waiting.values():
            for event in events:
                event.set()
