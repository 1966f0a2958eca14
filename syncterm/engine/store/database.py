"""The store's connections: short reads, one writer, and what SQLite reports put into words.

Measured: deferred transactions of two writing processes fail in spite of a busy timeout, `BEGIN IMMEDIATE` ones wait their turn; a
reader that stays open makes the write-ahead log grow without bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from syncterm.engine.clock import Clock
from syncterm.engine.errors import StoreError
from syncterm.engine.store import files

logger = logging.getLogger(__name__)

READERS = 4
"""Connections that read at the same time."""
BUSY_TIMEOUT = 1.0
"""Seconds SQLite itself waits for a lock, in its thread, until it reports that the store is busy."""
BUSY_LIMIT = 15.0
"""Seconds a write waits for another process in all."""
CHECKPOINT_EVERY = 100
"""Commits between two checkpoints, which run beside the writer: within a commit they held it for up to 70 ms (measured)."""
_WRITER_CHECKPOINT = 16_000  # pages of the log (64 MB) at which a commit moves the little that is left, so that the log begins anew
_CACHE_SIZE = 8 * 1024 * 1024  # bytes of the store each connection keeps in memory: 10,000 connectors fit
_WAL_SIZE_LIMIT = 64 * 1024 * 1024  # bytes the write-ahead log is cut back to


class Database:
    """One store, opened: use it from one event loop. Transactions are short; nothing slow happens inside one."""

    def __init__(self, path: Path, clock: Clock, readers: AsyncEngine, writer: AsyncEngine) -> None:
        self.path = path
        self._clock = clock
        self._readers = readers
        self._writer = writer
        self._writing = asyncio.Lock()
        self._commits = 0
        self._checkpoint: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path, *, clock: Clock) -> Database:
        """Open the store at `path`; creates it (0600, in a 0700 folder) or upgrades it (after a backup) where needed.

        Raises:
            StoreTooNewError: written by a newer version; left as it is.
            StoreError: cannot be used; names the path, the reason, and what to do.
        """
        path = await asyncio.to_thread(files.prepare, path, clock.now())
        database = cls(path, clock, _engine(path, READERS, query_only=True), _engine(path, 1, query_only=False))
        try:
            await database.data_version()
        except BaseException:
            await database.close()
            raise
        return database

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection that cannot write and sees one moment of the store. Leave it soon: it keeps the log from shrinking.

        Raises:
            StoreError: damaged, or cannot be read.
        """
        return self._read()

    def write(self, *, durable: bool = True, busy_limit: float = BUSY_LIMIT) -> AbstractAsyncContextManager[AsyncConnection]:
        """The writing connection inside a transaction: committed at the end of the block, rolled back by an exception.

        Args:
            durable: on disk before it counts as committed, so that it survives a loss of power (default); False for progress, which
                may be lost then, though never torn.
            busy_limit: seconds to wait for another process that writes.

        Raises:
            StoreError: busy for too long, disk full, read-only, damaged.
        """
        return self._write(durable, busy_limit)

    @asynccontextmanager
    async def _read(self) -> AsyncIterator[AsyncConnection]:
        with _in_words(self.path):
            async with self._readers.connect() as connection:
                await connection.exec_driver_sql("BEGIN")
                yield connection

    @asynccontextmanager
    async def _write(self, durable: bool, busy_limit: float) -> AsyncIterator[AsyncConnection]:
        async with self._writing:
            with _in_words(self.path):
                async with self._writer.connect() as connection:
                    await self._begin(connection, "FULL" if durable else "NORMAL", busy_limit)
                    try:
                        yield connection
                    except BaseException:
                        await _to_the_end(connection.rollback())
                        raise
                    await _to_the_end(connection.commit())
        self._commits += 1
        if self._commits >= CHECKPOINT_EVERY and (self._checkpoint is None or self._checkpoint.done()):
            self._commits = 0
            self._checkpoint = asyncio.create_task(self._checkpoint_beside(), name="checkpoint")

    async def _begin(self, connection: AsyncConnection, synchronous: str, busy_limit: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + busy_limit
        state = (await connection.get_raw_connection()).info
        if state.get("synchronous") != synchronous:
            await connection.exec_driver_sql(f"PRAGMA synchronous = {synchronous}")
            state["synchronous"] = synchronous
        while True:
            try:
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except DBAPIError as error:
                await connection.rollback()
                if _primary_code(error) != sqlite3.SQLITE_BUSY or loop.time() >= deadline:
                    raise
            await asyncio.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - spreads the writers, no secret

    async def data_version(self) -> int:
        """A number that differs from the one before where another process has written to the store since."""
        async with self._writing:
            with _in_words(self.path):
                async with self._writer.connect() as connection:
                    return int((await connection.exec_driver_sql("PRAGMA data_version")).scalar_one())

    async def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the store, as far as readers allow; writers go on meanwhile."""
        with _in_words(self.path):
            async with self._readers.connect() as connection:  # SQLite lets read-only connections do this
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    async def _checkpoint_beside(self) -> None:
        try:
            await self.checkpoint()
        except (StoreError, DBAPIError) as error:
            logger.warning("The store's log could not be moved into it; the next attempt follows. %s", error)

    async def verify(self) -> list[str]:
        """What is damaged, in words; empty where nothing is. Reads the whole file: seconds for a large store."""
        try:
            async with self.read() as connection:
                found = [str(row[0]) for row in await connection.exec_driver_sql("PRAGMA quick_check")]
                dangling: Sequence[Any] = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).all()
        except StoreError as error:
            return [error.message]
        lost = [f"{row[0]} row {row[1]} refers to a missing row of {row[2]}" for row in dangling]
        return (found if found != ["ok"] else []) + lost

    async def backup(self) -> Path:
        """Copy the store beside itself, while it is in use; the copy's path.

        Raises:
            StoreError: where it cannot be written.
        """
        return await asyncio.to_thread(files.backup, self.path, self._clock.now())

    async def close(self) -> None:
        """Close every connection; open transactions end without an effect."""
        if self._checkpoint is not None:
            await asyncio.wait([self._checkpoint])
        await self._readers.dispose()
        await self._writer.dispose()


def _engine(path: Path, connections: int, *, query_only: bool) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(path)),
        pool_size=connections,
        pool_use_lifo=True,  # the connection whose cache is warm comes first
        max_overflow=0,
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT},  # None: BEGIN is said in this module, never implied
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(dbapi_connection: Any, _record: Any) -> None:
        cursor = dbapi_connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA journal_size_limit = {_WAL_SIZE_LIMIT}")
        cursor.execute(f"PRAGMA cache_size = {-_CACHE_SIZE // 1024}")
        cursor.execute(f"PRAGMA wal_autocheckpoint = {_WRITER_CHECKPOINT}")
        if query_only:
            cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    return engine


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await `work` to its end even where this task is cancelled meanwhile; the cancellation is raised afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        with contextlib.suppress(Exception):
            task.result()
        raise cancelled
    task.result()


def _primary_code(error: DBAPIError) -> int | None:
    code = getattr(error.orig, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Turn what SQLite reports about the file itself into a StoreError; faults of a statement pass."""
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        code, cause = _primary_code(error), error.orig
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise files.corrupt(path, error.orig or error) from error
        words = {
            sqlite3.SQLITE_BUSY: (
                f"The store {path} is locked by another process",
                "Close whatever else writes to it, then try again.",
            ),
            sqlite3.SQLITE_FULL: (f"The disk of the store {path} is full", "Free disk space; nothing was lost."),
            sqlite3.SQLITE_READONLY: (
                f"The store {path} became read-only",
                "Check the mode and the owner of the file and its folder.",
            ),
            sqlite3.SQLITE_IOERR: (f"The store {path} cannot be read or written", "Check the disk."),
            sqlite3.SQLITE_CANTOPEN: (f"The store {path} cannot be opened", "Check that the file and its folder exist."),
        }.get(code or 0)
        if words is None:
            raise
        raise StoreError(f"{words[0]}: {cause}.", remedy=words[1]) from error
