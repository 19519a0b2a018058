"""A few connections of one event loop, made when they are needed and used again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection

CONNECT_SECONDS = 10


class Pool:
    """Connections to one database.

    Args:
        max_size: connections at once; who wants one more waits.
    """

    def __init__(self, url: str, max_size: int) -> None:
        self._url = url
        self._idle: list[AsyncConnection[Any]] = []
        self._room = asyncio.Semaphore(max_size)

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[AsyncConnection[Any]]:
        """Lend a connection for one transaction: committed at the end of the block, undone by an error.

        Raises:
            psycopg.Error: there is no connection to be had, or it was lost.
        """
        async with self._room:
            connection = self._idle.pop() if self._idle else await self._connected()
            try:
                yield connection
                await connection.commit()
            except BaseException:
                # Whatever state it is in, the server undoes what was not committed.
                await connection.close()
                raise
            self._idle.append(connection)

    async def aclose(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            await self._idle.pop().close()

    async def _connected(self) -> AsyncConnection[Any]:
        connection = await AsyncConnection.connect(self._url, connect_timeout=CONNECT_SECONDS)
        try:
            # What is acknowledged is on disk, whatever the server's default is.
            await connection.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
            await connection.commit()
        except BaseException:
            await connection.close()
            raise
        return connection
