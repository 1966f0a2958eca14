"""SQLite: one file; data and cursor in one transaction.

A load first fills a database of its own, in a private folder beside the file, without touching it. The commit copies the rows over
in one transaction that begins with the write lock (`begin immediate`): other writers of the file wait for the copy only, not for
the source. Readers never wait in a file that syncterm made (write-ahead log); others keep the journal mode that their owner chose.

SQLite has no schemas. A connector's collection becomes a prefix: `collection__table`; without a collection, the table's own name.
Two different collections and tables that come to the same name are refused.

Which value is kept how, and which are rejected, is told in `sqlite_values`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field as ConfigField

from syncterm.engine.destinations.base import STATE_TABLE, Destination, DestinationCapabilities, LoadTarget, StreamState
from syncterm.engine.destinations.rules import StateRow, check_epoch, check_name, check_target, disk_full, fold, quote
from syncterm.engine.errors import (
    CancelledSyncError,
    ConfigError,
    DestinationBusyError,
    DestinationError,
    PermissionDeniedError,
)
from syncterm.engine.model import CheckStep
from syncterm.engine.paths import PathConfig, check_path

if TYPE_CHECKING:
    from syncterm.engine.destinations.sqlite_load import SQLiteLoad

LOCK_WAIT = 10.0
"""Seconds to wait for another writer of the file."""
_LOCK_POLL_MS = 100
SEPARATOR = "__"
"""Between a collection and a table."""
_STATE_DDL = (
    f"create table if not exists main.{quote(STATE_TABLE)} (connector_id text not null, collection text not null,"
    " stream text not null, table_name text not null, epoch integer not null, sync_id text not null, cursor text,"
    " loads integer not null, rows integer not null, made_table integer not null, primary key (connector_id, collection, stream))"
)


class SQLiteDestinationConfig(PathConfig):
    """Where the rows go."""

    url_schemes: ClassVar[tuple[str, ...]] = ("file", "sqlite")

    path: str = ConfigField(
        title="Database file",
        description="Made at the first sync where it does not exist.",
        min_length=1,
        json_schema_extra={"path": "new_file", "placeholder": "/data/warehouse.sqlite"},
    )


class SQLiteDestination(Destination):
    """A SQLite database file."""

    type: ClassVar[str] = "sqlite"
    title: ClassVar[str] = "SQLite"
    summary: ClassVar[str] = "Tables in a SQLite database file"
    Config = SQLiteDestinationConfig
    capabilities: ClassVar[DestinationCapabilities] = DestinationCapabilities(
        transactions=True, upsert=True, deletes=True, parallel_loads=1
    )

    config: SQLiteDestinationConfig

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self._loads: set[SQLiteLoad] = set()

    def check(self) -> Iterator[CheckStep]:
        started = time.monotonic()
        path = self.path()
        exists = path.exists()
        if not path.parent.is_dir():
            raise ConfigError(f"The folder {path.parent} does not exist.", remedy="Create it, or correct the path.")
        if not os.access(path.parent, os.W_OK) or (exists and not os.access(path, os.R_OK | os.W_OK)):
            raise PermissionDeniedError(f"{path} cannot be written by uid {os.getuid()}.", remedy="Change its permissions.")
        yield CheckStep("Initiate test", True, time.monotonic() - started, str(path))
        started = time.monotonic()
        detail = "The file does not exist yet; the first sync makes it."
        if exists:
            with self.typed_errors(), closing(self.connect(path)) as connection, self.transaction(connection):
                tables = connection.execute("select count(*) from sqlite_schema where type = 'table'").fetchone()[0]
            detail = f"SQLite {sqlite3.sqlite_version}, {tables} tables"
        yield CheckStep("Connectivity test", True, time.monotonic() - started, detail)

    def state(self, connector_id: str, collection: str) -> dict[str, StreamState]:
        path = self.path()
        if not path.exists():
            return {}
        with self.typed_errors(), closing(self.connect(path)) as connection:
            rows = read_state(connection)
        return {
            row.stream: StreamState(row.stream, row.epoch, row.sync_id, row.cursor, row.loads)
            for of, row in rows
            if row.connector_id == connector_id and row.loads and of == collection
        }

    def open(self, target: LoadTarget) -> SQLiteLoad:
        from syncterm.engine.destinations.sqlite_load import SQLiteLoad

        check_target(target)
        table = table_name(target)
        self.raise_if_interrupted()
        path = self.path()
        with self.typed_errors():
            connection = self.connect(path, make=True)
            try:
                load = SQLiteLoad(self, connection, path, table, target)
                self._claim(connection, target, table, load)
                load.make_staging()
            except BaseException:
                connection.close()
                raise
        self._loads.add(load)
        return load

    def release(self, connector_id: str, collection: str) -> None:
        path = self.path()
        if not path.exists():
            return
        with self.typed_errors(), closing(self.connect(path)) as connection:
            if read_state(connection):
                with self.transaction(connection):
                    connection.execute(
                        f"delete from main.{quote(STATE_TABLE)} where connector_id = ? and collection = ?",
                        (connector_id, collection),
                    )

    def interrupt(self) -> None:
        super().interrupt()
        for load in tuple(self._loads):
            load.interrupt()

    def close(self) -> None:
        for load in tuple(self._loads):
            load.abort()

    def forget(self, load: SQLiteLoad) -> None:
        """Called by a load at its end."""
        self._loads.discard(load)

    def path(self) -> Path:
        """The database file. Raises: ConfigError: where it may not be written."""
        return check_path(self.config.path, self.context)

    def connect(self, path: Path, *, make: bool = False) -> sqlite3.Connection:
        """A connection in autocommit, to be used from one thread at a time.

        Raises:
            ConfigError: the folder does not exist.
            sqlite3.Error, OSError: to be typed by `typed_errors`.
        """
        if not path.parent.is_dir():
            raise ConfigError(f"The folder {path.parent} does not exist.", remedy="Create it, or correct the path.")
        made = False
        if make:
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                made = True
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=_LOCK_POLL_MS / 1000,
        )
        try:
            if made:
                connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            connection.execute("pragma trusted_schema = off")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        """A transaction that holds the write lock from its start; the wait for it, at most `LOCK_WAIT`, can be interrupted."""
        give_up = time.monotonic() + LOCK_WAIT
        while True:
            self.raise_if_interrupted()
            try:
                connection.execute("begin immediate")
                break
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                    raise
        try:
            yield
            connection.execute("commit")
        except BaseException:
            with suppress(sqlite3.Error):  # already rolled back
                connection.execute("rollback")
            raise

    @contextmanager
    def typed_errors(self) -> Iterator[None]:
        """Turn SQLite's and the system's errors into ours.

        Raises:
            CancelledSyncError: where `interrupt` caused it.
            DestinationBusyError: another writer held the file for longer than `LOCK_WAIT`.
            ConfigError: the file is no database.
            PermissionDeniedError, DestinationError: all else, with SQLite's own words.
        """
        path = self.config.path
        try:
            yield
        except sqlite3.Error as error:
            if self.interrupted:
                raise CancelledSyncError("The sync was cancelled.") from None
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise DestinationBusyError(
                    f"{path} is locked by another program.", remedy="Wait until it has finished, or end its transaction."
                ) from None
            if code == sqlite3.SQLITE_NOTADB:
                raise ConfigError(
                    f"{path} is not a SQLite database.", remedy="Correct the path; syncterm does not overwrite the file."
                ) from None
            if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
                raise PermissionDeniedError(f"{path} cannot be written: {error}.", remedy="Change its permissions.") from None
            if code == sqlite3.SQLITE_FULL:
                raise disk_full(path) from None
            raise DestinationError(f"SQLite could not write to {path}: {error}.") from None
        except OSError as error:
            if isinstance(error, PermissionError):
                raise PermissionDeniedError(
                    f"{path} cannot be written: {error.strerror}.", remedy="Change its permissions."
                ) from None
            if "No space left on device" in str(error):
                raise disk_full(path) from None
            raise DestinationError(f"{path} could not be written: {error}.") from None

    def _claim(self, connection: sqlite3.Connection, target: LoadTarget, table: str, load: SQLiteLoad) -> None:
        """Look at the table and write the target's epoch into the stream's state row, in one transaction.

        Raises:
            StaleEpochError, ConfigError, SchemaChangedError: see `Destination.open`.
        """
        state = f"main.{quote(STATE_TABLE)}"
        key = (target.connector_id, target.collection, target.stream)
        with self.transaction(connection):
            load.look()
            connection.execute(_STATE_DDL)
            found = connection.execute(
                f"select epoch from {state} where connector_id = ? and collection = ? and stream = ?", key
            ).fetchone()
            if found is not None:
                check_epoch(target, found[0])
            connection.execute(
                f"insert into {state} values (?, ?, ?, ?, ?, ?, null, 0, 0, ?)"
                " on conflict do update set epoch = excluded.epoch where epoch < excluded.epoch",
                (*key, table, target.epoch, target.sync_id, load.made_table),
            )


def table_name(target: LoadTarget) -> str:
    """The name of a target's table in the file.

    Raises:
        ConfigError: where it cannot be one.
    """
    name = f"{target.collection}{SEPARATOR}{target.table}" if target.collection else target.table
    check_name("table", name)
    if fold(name).startswith("sqlite_"):
        raise ConfigError(
            f"The table name {name!r} cannot be used: SQLite keeps `sqlite_` for itself.", remedy="Choose another one."
        )
    return name


def read_state(connection: sqlite3.Connection) -> list[tuple[str, StateRow]]:
    """All state rows of a file, each with its collection."""
    if not connection.execute("select 1 from main.sqlite_schema where type = 'table' and name = ?", (STATE_TABLE,)).fetchone():
        return []
    rows = connection.execute(
        "select collection, connector_id, stream, table_name, epoch, sync_id, cursor, loads, rows, made_table"
        f" from main.{quote(STATE_TABLE)}"
    ).fetchall()
    return [(row[0], StateRow(*row[1:])) for row in rows]
