"""COPY through asyncpg, in both directions, for a caller in another thread: bounded queues, and time-outs that count only while the
server is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from syncterm.engine.adapters import READ_TIMEOUT

if TYPE_CHECKING:
    from asyncpg import Connection

CHUNK_BYTES = 4 * 1024 * 1024
"""About how much is handed from the connection to the parser, and back, at once."""
CHUNKS_AHEAD = 2
"""Chunks between the connection and the thread that parses or makes them."""
SEND_BYTES = 64 * 1024
"""Bytes that are sent at once; after each the flow control of the connection has its say."""


async def begin_copy_out(connection: Connection, query: str) -> asyncio.Queue[bytes | BaseException | None]:
    """Start copying; the queue ends with None or with the error."""
    chunks: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue(CHUNKS_AHEAD)

    async def copy() -> None:
        loop = asyncio.get_running_loop()
        parts: list[bytes] = []
        size = 0
        ending: BaseException | None = None
        try:
            async with asyncio.timeout(READ_TIMEOUT) as limit:

                async def take(data: bytes) -> None:
                    nonlocal size, parts
                    parts.append(data)
                    size += len(data)
                    if size >= CHUNK_BYTES:
                        limit.reschedule(None)  # it is not the server that is waited for
                        await chunks.put(b"".join(parts))
                        parts, size = [], 0
                    limit.reschedule(loop.time() + READ_TIMEOUT)

                await connection.copy_from_query(query, output=take, format="csv", encoding="utf8")
                limit.reschedule(None)
                if parts:
                    await chunks.put(b"".join(parts))
        except TimeoutError:
            ending = TimeoutError(f"no byte came for {READ_TIMEOUT:g} s")
        except Exception as error:
            ending = error
        await chunks.put(ending)

    _keep(asyncio.get_running_loop().create_task(copy()))
    return chunks


class CopyIn:
    """A COPY … FROM STDIN under way."""

    def __init__(self, connection: Connection, command: dict[str, Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(CHUNKS_AHEAD)
        self._moved = self._loop.time()
        """When the last bytes went out."""
        self._copy = self._loop.create_task(connection.copy_to_table(**command, source=self._sent()))
        _keep(self._copy)

    async def _sent(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            for start in range(0, len(piece), SEND_BYTES):
                self._moved = self._loop.time()
                yield piece[start : start + SEND_BYTES]
        self._moved = self._loop.time()

    async def put(self, piece: bytes | None) -> None:
        """Add a piece, waiting for room. Raises: whatever ended the copy; TimeoutError where nothing moves."""
        self._moved = max(self._moved, self._loop.time() if self._pieces.empty() else self._moved)
        adding = self._loop.create_task(self._pieces.put(piece))
        try:
            await self._wait(adding)
        finally:
            adding.cancel()
        if self._copy.done():
            self._copy.result()

    async def finish(self) -> int:
        """The count of rows that were taken."""
        await self.put(None)
        await self._wait(self._copy)
        return int(self._copy.result().rpartition(" ")[2])

    async def _wait(self, task: asyncio.Task[Any]) -> None:
        """Wait for the task or for the end of the copy, as long as bytes move."""
        while not task.done() and not self._copy.done():
            left = self._moved + READ_TIMEOUT - self._loop.time()
            if left <= 0:
                raise TimeoutError(f"it took no byte for {READ_TIMEOUT:g} s")
            await asyncio.wait({task, self._copy}, timeout=left, return_when=asyncio.FIRST_COMPLETED)


async def begin_copy_in(connection: Connection, command: dict[str, Any]) -> CopyIn:
    """Start copying to a table; `command` as in `asyncpg.Connection.copy_to_table`, without its source."""
    return CopyIn(connection, command)


_tasks: set[asyncio.Task[Any]] = set()
"""Tasks under way; a loop itself keeps weak references only."""


def _keep(task: asyncio.Task[Any]) -> None:
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
