"""SQLite database files, by the sqlite3 module, in pieces of some hundred rows.

Only this one SQLite library may open a file within a process: a second one (such as ADBC's) neither sees this one's locks nor keeps
them, since POSIX drops all of a process's locks on a file when any of its descriptors is closed
(sqlite.org/howtocorrupt.html, section 2.2). So nothing here opens the file by other means either.

A read is one transaction, so that it is one snapshot. A value that is not of its column's type, text that is not UTF-8, and a BLOB
in a column of text are rejected records. Text in a BLOB column arrives as its bytes.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote as quote_url

from pydantic import Field as ConfigField

from syncterm.engine.adapters import CONNECT_TIMEOUT
from syncterm.engine.errors import (
    ConfigError,
    PermissionDeniedError,
    SchemaChangedError,
    SourceDataError,
    SourceUnavailableError,
)
from syncterm.engine.model import CheckStep, StreamConfig, Window
from syncterm.engine.paths import PathConfig, check_path
from syncterm.engine.schema import Catalog, Field, StreamSchema
from syncterm.engine.sources.base import Source, SourceBatch, SourceCapabilities
from syncterm.engine.sources.sqlite_process import TableProcess, from_class_text, request
from syncterm.engine.sources.sqlite_rows import RowReader
from syncterm.engine.sources.sqlite_types import column_type

SAMPLE_ROWS = 1000
"""Rows looked at from the beginning, and from the end where the table has row ids."""
SAMPLE_SECONDS = 2.0
"""How long a view may compute its sample; then its columns have the types that they declare."""
FETCH_ROWS = 500
"""Rows fetched at a time: a few milliseconds of the interpreter lock."""
PROCESS_ROWS = 100_000
"""Rows from which a whole table is read by a process of its own, whose start costs half a second."""
BUSY_SECONDS = 0.2
"""How long SQLite itself waits for a lock; between two tries the sync can be stopped."""

_SYSTEM_NAMES = "sqlite\\_%"


def quote(name: str) -> str:
    """A SQLite identifier."""
    return '"' + name.replace('"', '""') + '"'


class SQLiteConfig(PathConfig):
    """Which database."""

    url_schemes: ClassVar[tuple[str, ...]] = ("file", "sqlite")

    path: str = ConfigField(
        title="Database file",
        description="An existing SQLite database; it is only read.",
        min_length=1,
        json_schema_extra={"path": "file", "placeholder": "/data/warehouse.sqlite"},
    )


class SQLiteSource(Source):
    """A SQLite database file."""

    type: ClassVar[str] = "sqlite"
    title: ClassVar[str] = "SQLite"
    summary: ClassVar[str] = "Tables and views of a SQLite database file."
    Config = SQLiteConfig
    capabilities = SourceCapabilities(incremental=True, deletes=True)

    config: SQLiteConfig
    _connection: sqlite3.Connection | None = None
    _child: TableProcess | None = None

    def check(self) -> Iterator[CheckStep]:
        started = time.monotonic()
        path = self._path()
        yield CheckStep("Initiate test", True, time.monotonic() - started, str(path))
        started = time.monotonic()
        _check_readable(path)
        yield CheckStep("Authentication check", True, time.monotonic() - started, f"Readable by uid {os.getuid()}.")
        started = time.monotonic()
        with self._transaction() as connection:
            count = len(self._tables(connection))
        yield CheckStep("Connectivity test", True, time.monotonic() - started, f"SQLite {sqlite3.sqlite_version}, {count} tables.")

    def interrupt(self) -> None:
        super().interrupt()
        child = self._child
        if child is not None:
            child.kill()
        connection = self._connection
        if connection is not None:
            try:
                connection.interrupt()
            except sqlite3.ProgrammingError:
                return  # closed in the meantime

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def discover(self) -> Catalog:
        with self._transaction() as connection:
            streams = [self._describe(connection, name, kind) for name, kind in self._tables(connection)]
        return Catalog(tuple(stream for stream in streams if stream is not None))

    def high(self, stream: StreamConfig, schema: StreamSchema) -> str | None:
        """The highest number, text or date; None for instants, whose text has no order across offsets and spellings."""
        if stream.cursor_field is None:
            return None
        field = schema.field(stream.cursor_field)
        column = f"s.{quote(field.name)} collate binary"
        if field.type.name in ("int64", "float64"):
            only = f"{column} < ''"  # numbers sort before text
        elif field.type.name == "text":
            only = f"{column} >= '' and {column} < x''"  # text sorts before BLOBs
        elif field.type.name == "date":
            only = f"{column} like '____-__-__'"
        else:
            return None
        with self._transaction() as connection:
            rows = connection.execute(f"select max({column}) from {quote(stream.name)} as s where {only}").fetchall()
        highest = rows[0][0]
        if highest is None:
            return None
        if field.type.name == "date":
            return min(str(highest), self.context.clock.now().date().isoformat())
        return repr(highest) if isinstance(highest, float) else str(highest)

    def indexed_columns(self, stream: StreamSchema) -> frozenset[str] | None:
        with self._transaction() as connection:
            if ("table",) not in connection.execute(
                "select type from pragma_table_list where schema = 'main' and name = ?", [stream.name]
            ).fetchall():
                return None
            rows = connection.execute(
                "select info.name from pragma_index_list(?) as list join pragma_index_info(list.name) as info"
                " where not list.partial and info.seqno = 0 and info.name is not null",
                [stream.name],
            ).fetchall()
            row_id = connection.execute(
                "select name from pragma_table_xinfo(?) where pk = 1 and upper(type) = 'INTEGER'", [stream.name]
            ).fetchall()
        return frozenset(str(row[0]) for row in [*rows, *row_id])

    def read(
        self, stream: StreamConfig, schema: StreamSchema, fields: tuple[Field, ...], window: Window | None
    ) -> Iterator[SourceBatch]:
        if not fields:
            return
        where, bound = _condition(stream, schema, window)
        columns = ", ".join(f"s.{quote(field.name)}" for field in fields)
        sql = f"select {columns} from {quote(stream.name)} as s{where}"
        reader = RowReader(stream, schema, fields)
        if (window is None or window.low is None) and (schema.estimated_rows or 0) >= PROCESS_ROWS:
            yield from self._read_in_process(stream, fields, where.removeprefix(" where "), bound, reader)
            return
        with self._transaction() as connection:
            try:
                yield from self._batches(connection.execute(sql, bound), reader)
            except sqlite3.OperationalError as error:
                if "decode to UTF-8" not in str(error):
                    raise
                # The same query in the same snapshot, with text that is not UTF-8 marked instead of refused.
                connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
                cursor = connection.execute(sql, bound)
                for _ in range(reader.delivered):
                    cursor.fetchone()
                yield from self._batches(cursor, reader)

    def _read_in_process(
        self, stream: StreamConfig, fields: tuple[Field, ...], where: str, bound: Sequence[Any], reader: RowReader
    ) -> Iterator[SourceBatch]:
        """A whole large table, by a process that leaves this one's interpreter lock alone."""
        path = self._path()
        _check_readable(path)
        columns = [(quote(field.name), kind) for field, kind in zip(fields, reader.storage, strict=True)]
        uri = f"file:{quote_url(str(path))}?mode=ro"
        with self._typed_errors(path):
            child = self._child = TableProcess(request(uri, quote(stream.name), columns, where, bound))
            try:
                self.raise_if_interrupted()
                for fitting, batch in child.batches():
                    self.raise_if_interrupted()
                    if fitting:
                        reader.add_batch(batch)
                    elif batch.num_rows:
                        values = ([from_class_text(text) for text in column.to_pylist()] for column in batch.columns)
                        reader.add(list(zip(*values, strict=True)))
                    if reader.full:
                        yield from reader.flush()
                yield from reader.flush()
            finally:
                self._child = None
                child.close()

    def _batches(self, cursor: sqlite3.Cursor, reader: RowReader) -> Iterator[SourceBatch]:
        while True:
            self.raise_if_interrupted()
            try:
                rows = cursor.fetchmany(FETCH_ROWS)
            except sqlite3.OperationalError:
                yield from reader.flush()
                raise
            if rows:
                reader.add(rows)
            if not rows or reader.full:
                yield from reader.flush()
            if not rows:
                return

    # The connection

    def _path(self) -> Path:
        path = check_path(self.config.path, self.context)
        if not path.exists():
            raise ConfigError(f"{path} does not exist.", remedy="Correct the path; a source's database is never created.")
        if not path.is_file():
            raise ConfigError(f"{path} is a folder.", remedy="Name a database file.")
        return path

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection within one transaction, closed at the end.

        Raises:
            ConfigError: no such file; SourceDataError: not a database, or a damaged one; SourceUnavailableError: locked too long;
            PermissionDeniedError: may not be read; SchemaChangedError: no such table or column; CancelledSyncError: interrupted.
        """
        path = self._path()
        _check_readable(path)
        self.raise_if_interrupted()
        self.close()
        with self._typed_errors(path):
            connection = sqlite3.connect(
                f"file:{quote_url(str(path))}?mode=ro",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection = connection
            try:
                self._begin(connection)
                yield connection
            finally:
                self.close()

    def _begin(self, connection: sqlite3.Connection) -> None:
        give_up = time.monotonic() + CONNECT_TIMEOUT
        connection.execute("pragma query_only = on")
        connection.execute("pragma trusted_schema = off")
        connection.execute("begin")
        while True:
            self.raise_if_interrupted()
            try:
                connection.execute("select count(*) from sqlite_master").fetchall()
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                    raise

    @contextmanager
    def _typed_errors(self, path: Path) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self.raise_if_interrupted()
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            text = str(error)
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise SourceUnavailableError(f"{path} is locked by another program ({text}).") from None
            if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise SourceDataError(
                    f"{path} is not a SQLite database, or is damaged: {text}.", remedy="Check the file."
                ) from None
            if code in (sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
                raise PermissionDeniedError(
                    f"{path} cannot be opened by uid {os.getuid()}: {text}.",
                    remedy="Allow reading it and, where it has a -wal or -journal file beside it, writing to its folder.",
                ) from None
            if "no such table" in text or "no such column" in text:
                raise SchemaChangedError(f"{path}: {text}.", remedy="Refresh the connector's streams.") from None
            if code == sqlite3.SQLITE_IOERR:
                raise SourceUnavailableError(f"{path} cannot be read: {text}.") from None
            raise SourceDataError(f"{path} cannot be read: {text}.") from None

    # The catalog

    def _tables(self, connection: sqlite3.Connection) -> list[tuple[str, str]]:
        """Name and kind of all tables and views; not SQLite's own, nor the shadow tables of virtual ones."""
        rows = connection.execute(
            "select name, type from pragma_table_list where schema = 'main' and type <> 'shadow'"
            " and name not like ? escape '\\' order by name",
            [_SYSTEM_NAMES],
        ).fetchall()
        return [(str(name), str(kind)) for name, kind in rows]

    def _describe(self, connection: sqlite3.Connection, name: str, kind: str) -> StreamSchema | None:
        """The stream, or None for a view that cannot be read (what it refers to is gone)."""
        self.raise_if_interrupted()
        try:
            columns = connection.execute(
                'select name, type, "notnull", pk from pragma_table_xinfo(?) where hidden <> 1 order by cid', [name]
            ).fetchall()
            sample = self._sample(connection, name, [str(column[0]) for column in columns])
        except sqlite3.OperationalError:
            self.raise_if_interrupted()
            if kind == "table":
                raise
            return None
        fields = tuple(
            Field(str(column), column_type(declared, values), not (required or key), declared)
            for (column, declared, required, key), values in zip(columns, sample, strict=True)
        )
        key = tuple(str(column[0]) for column in sorted(columns, key=lambda column: int(column[3])) if column[3])
        instants = [field.name for field in fields if field.type.name in ("timestamptz", "timestamp", "date")]
        integer_keys = [field.name for field in fields if key == (field.name,) and field.type.name == "int64"]
        estimate = self._estimate(connection, name, [field.name for field in fields])
        return StreamSchema(name, fields, key, tuple(instants + integer_keys), estimate)

    def _sample(self, connection: sqlite3.Connection, name: str, columns: Sequence[str]) -> list[list[Any]]:
        if not columns:
            return []
        selected = f"select {', '.join(f's.{quote(column)}' for column in columns)} from {quote(name)} as s"
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        give_up = time.monotonic() + SAMPLE_SECONDS
        connection.set_progress_handler(lambda: self.interrupted or time.monotonic() > give_up, 10_000)
        rows: list[tuple[Any, ...]] = []
        try:
            rows = connection.execute(f"{selected} limit {SAMPLE_ROWS}").fetchall()
            if len(rows) == SAMPLE_ROWS and (row_id := self._row_id(connection, name, columns)) is not None:
                rows += connection.execute(f"{selected} order by s.{row_id} desc limit {SAMPLE_ROWS}").fetchall()
        except sqlite3.OperationalError:
            self.raise_if_interrupted()
            if time.monotonic() <= give_up:
                raise
        finally:
            connection.set_progress_handler(None, 0)
            connection.text_factory = str
        return [[row[index] for row in rows] for index in range(len(columns))]

    def _row_id(self, connection: sqlite3.Connection, name: str, columns: Sequence[str]) -> str | None:
        """What the number of a row is called; None where rows have none, or where columns took all of its names."""
        found = connection.execute(
            "select type = 'table' and not wr from pragma_table_list where schema = 'main' and name = ?", [name]
        ).fetchall()
        taken = {column.lower() for column in columns}
        free = (each for each in ("rowid", "_rowid_", "oid") if each not in taken)
        return next(free, None) if found and found[0][0] else None

    def _estimate(self, connection: sqlite3.Connection, name: str, columns: Sequence[str]) -> int | None:
        """The highest row id: cheap, and the number of rows where few have been deleted."""
        row_id = self._row_id(connection, name, columns)
        if row_id is None:
            return None
        return int(connection.execute(f"select coalesce(max({row_id}), 0) from {quote(name)}").fetchall()[0][0])


def _check_readable(path: Path) -> None:
    if not os.access(path, os.R_OK):
        raise PermissionDeniedError(f"{path} cannot be read by uid {os.getuid()}.", remedy="Change its permissions.")


def _condition(stream: StreamConfig, schema: StreamSchema, window: Window | None) -> tuple[str, list[Any]]:
    """The part of a window that SQLite can decide, by the column's index: never too little, since the pipeline filters again.

    Whatever is not of the column's kind passes, so that it is rejected and counted and not lost.
    """
    if window is None or stream.cursor_field is None or (window.low is None and window.high is None):
        return "", []
    field = schema.field(stream.cursor_field)
    column = f"s.{quote(field.name)} collate binary"
    parse: Callable[[str], Any]
    if field.type.name in ("int64", "float64"):
        parse, others = (int if field.type.name == "int64" else float), f"{column} >= ''"
    elif field.type.name == "text":
        parse, others = str, f"{column} < '' or {column} >= x''"
    elif field.type.name in ("date", "timestamp", "timestamptz"):
        return _instant_condition(stream, column, window)
    else:
        return "", []
    limits, bound = [], []
    low = window.low if stream.look_back is None else None
    for operator, text in ((">=", low), ("<=", window.high)):
        if text is not None:
            limits.append(f"{column} {operator} ?")
            bound.append(parse(text))
    if not limits:
        return "", []
    return f" where ({' and '.join(limits)}) or {column} is null or {others}", bound


def _instant_condition(stream: StreamConfig, column: str, window: Window) -> tuple[str, list[Any]]:
    """ISO text sorts by its day, whatever follows; offsets move an instant by less than a day."""
    if window.low is None:
        return "", []
    try:
        first = date.fromisoformat(window.low[:10]) - timedelta(days=1) - (stream.look_back or timedelta())
    except (ValueError, OverflowError):
        return "", []
    return f" where {column} >= ? or {column} is null or {column} < '/\U0010ffff'", [first.isoformat()]
