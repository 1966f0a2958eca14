"""DuckDB database files, read-only, each stream as one snapshot.

DuckDB lets either one process write to a file or several read it. Where another process has it open for writing, a read ends in a
`SourceUnavailableError`, which is tried again. Where this process has it open for writing (as a destination), the read shares that.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict
from pydantic import Field as ConfigField

from syncterm.engine.errors import (
    ConfigError,
    PermissionDeniedError,
    SchemaChangedError,
    SourceDataError,
    SourceUnavailableError,
    SynctermError,
)
from syncterm.engine.model import CheckStep, StreamConfig, Window
from syncterm.engine.paths import PathConfig, check_path
from syncterm.engine.schema import Catalog, Field, StreamSchema
from syncterm.engine.sources.base import Source, SourceBatch, SourceCapabilities
from syncterm.engine.sources.duckdb_types import column_type, select_expression

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_OPTIONS = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""A view in the file must not read other files, nor the file's kind fetch an extension."""
_VALUES_A_BATCH = 500_000
_MIN_ROWS, _MAX_ROWS = 2048, 32_768
_CURSOR_TYPES = ("int16", "int32", "int64", "uint64", "decimal", "float64", "text", "date", "timestamp", "timestamptz")
_HOLDER = re.compile(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")


def quote(name: str) -> str:
    """A DuckDB identifier."""
    return '"' + name.replace('"', '""') + '"'


class DuckDBSourceConfig(PathConfig):
    """Which database and schema."""

    model_config = ConfigDict(populate_by_name=True)

    url_schemes: ClassVar[tuple[str, ...]] = ("file", "duckdb")

    path: str = ConfigField(
        title="Database file",
        description="An existing DuckDB database; it is only read.",
        min_length=1,
        json_schema_extra={"path": "file", "placeholder": "/data/warehouse.duckdb"},
    )
    schema_name: str = ConfigField(
        default="main", alias="schema", title="Schema", description="Its tables and views are the streams.", min_length=1
    )


class DuckDBSource(Source):
    """A DuckDB database file."""

    type: ClassVar[str] = "duckdb"
    title: ClassVar[str] = "DuckDB"
    summary: ClassVar[str] = "Tables and views of one schema of a DuckDB database file."
    Config = DuckDBSourceConfig
    capabilities = SourceCapabilities(incremental=True, deletes=True)

    config: DuckDBSourceConfig
    _connection: DuckDBPyConnection | None = None

    def check(self) -> Iterator[CheckStep]:
        import duckdb

        started = time.monotonic()
        path = self._path()
        yield CheckStep("Initiate test", True, time.monotonic() - started, str(path))
        started = time.monotonic()
        _check_readable(path)
        yield CheckStep("Authentication check", True, time.monotonic() - started, f"Readable by uid {os.getuid()}.")
        started = time.monotonic()
        with self._transaction() as connection:
            self._check_schema(connection)
            tables = len(self._tables(connection))
        yield CheckStep("Connectivity test", True, time.monotonic() - started, f"DuckDB {duckdb.__version__}, {tables} tables.")

    def interrupt(self) -> None:
        super().interrupt()
        connection = self._connection
        if connection is not None:
            import duckdb

            with suppress(duckdb.Error):  # closed in the meantime
                connection.interrupt()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def discover(self) -> Catalog:
        with self._transaction() as connection:
            self._check_schema(connection)
            tables = self._tables(connection)
            columns = connection.execute(
                "select table_name, column_name, data_type, is_nullable from duckdb_columns()"
                " where database_name = current_database() and schema_name = ? order by table_name, column_index",
                [self.config.schema_name],
            ).fetchall()
            keys = connection.execute(
                "select table_name, constraint_column_names from duckdb_constraints()"
                " where database_name = current_database() and schema_name = ? and constraint_type = 'PRIMARY KEY'",
                [self.config.schema_name],
            ).fetchall()
        fields: dict[str, list[Field]] = {name: [] for name, _ in tables}
        for table, name, data_type, nullable in columns:
            if table in fields:
                fields[table].append(Field(name, column_type(data_type), bool(nullable), data_type))
        key_of = {table: tuple(names) for table, names in keys}
        return Catalog(tuple(_stream(name, rows, tuple(fields[name]), key_of.get(name, ())) for name, rows in tables))

    def high(self, stream: StreamConfig, schema: StreamSchema) -> str | None:
        if stream.cursor_field is None:
            return None
        field = schema.field(stream.cursor_field)
        if field.type.name not in _CURSOR_TYPES:
            return None
        column = f"s.{quote(field.name)}"
        limit, bound = "", []
        if field.type.name in ("date", "timestamp", "timestamptz"):
            limit = f" where {column} <= ?::{_comparable(field)} and {column} > '-infinity'"
            bound = [_instant_text(self.context.clock.now(), field)]
        with self._transaction() as connection:
            rows = connection.execute(f"select max({column})::varchar from {self._table(stream)} as s{limit}", bound).fetchall()
        return None if rows[0][0] is None else str(rows[0][0])

    def read(
        self, stream: StreamConfig, schema: StreamSchema, fields: tuple[Field, ...], window: Window | None
    ) -> Iterator[SourceBatch]:
        from syncterm.engine.convert import convert, value_at

        if not fields:
            return
        columns = ", ".join(select_expression(f"s.{quote(field.name)}", schema.field(field.name).native) for field in fields)
        where, bound = _condition(stream, schema, window)
        key_names = stream.primary_key or schema.primary_key
        key_columns = [index for index, field in enumerate(fields) if field.name in key_names]
        rows = max(_MIN_ROWS, min(_MAX_ROWS, _VALUES_A_BATCH // len(fields)))
        with self._transaction() as connection:
            relation = connection.sql(f"select {columns} from {self._table(stream)} as s{where}", params=bound)
            with relation.to_arrow_reader(rows) as reader:
                for batch in reader:
                    self.raise_if_interrupted()

                    def key(row: int, columns: list[Any] = batch.columns) -> str:
                        values = {fields[index].name: value_at(columns[index], row) for index in key_columns}
                        return json.dumps(values, default=str)

                    piece = convert(batch.columns, fields, stream=stream.name, keys=key if key_columns else None)
                    yield replace(piece, bytes=batch.nbytes)

    # The connection

    def _path(self) -> Path:
        path = check_path(self.config.path, self.context)
        if not path.exists():
            raise ConfigError(f"{path} does not exist.", remedy="Correct the path; a source's database is never created.")
        if not path.is_file():
            raise ConfigError(f"{path} is a folder.", remedy="Name a database file.")
        return path

    @contextmanager
    def _transaction(self) -> Iterator[DuckDBPyConnection]:
        """A connection within one transaction, closed at the end.

        Raises:
            ConfigError: no such file, or not a DuckDB database; SourceUnavailableError: in use by a process that writes;
            PermissionDeniedError: may not be read; SchemaChangedError: no such table or column; CancelledSyncError: interrupted.
        """
        import duckdb

        path = self._path()
        _check_readable(path)
        self.raise_if_interrupted()
        self.close()
        try:
            self._connection = connection = _connect(path)
            try:
                connection.execute("set TimeZone = 'UTC'")
                connection.execute("begin transaction read only")
                yield connection
            finally:
                self.close()
        except duckdb.Error as error:
            self.raise_if_interrupted()
            raise _typed(path, error) from None

    def _table(self, stream: StreamConfig) -> str:
        return f"{quote(self.config.schema_name)}.{quote(stream.name)}"

    def _check_schema(self, connection: DuckDBPyConnection) -> None:
        rows = connection.execute(
            "select schema_name from duckdb_schemas() where database_name = current_database() and "
            " (not internal or schema_name = 'main')"
        ).fetchall()
        names = sorted({str(row[0]) for row in rows})
        if self.config.schema_name not in names:
            raise ConfigError(
                f"There is no schema {self.config.schema_name!r} in {self.config.path}.", remedy=f"Use one of {', '.join(names)}."
            )

    def _tables(self, connection: DuckDBPyConnection) -> list[tuple[str, int | None]]:
        """Name and estimated rows of the schema's tables and views (None for views)."""
        rows = connection.execute(
            "select table_name, estimated_size from duckdb_tables()"
            " where database_name = current_database() and schema_name = $1 and not internal"
            " union all select view_name, null from duckdb_views()"
            " where database_name = current_database() and schema_name = $1 and not internal order by 1",
            [self.config.schema_name],
        ).fetchall()
        return [(str(name), None if size is None else int(size)) for name, size in rows]


def _stream(name: str, rows: int | None, fields: tuple[Field, ...], key: tuple[str, ...]) -> StreamSchema:
    instants = [field.name for field in fields if field.type.name in ("timestamptz", "timestamp", "date")]
    numbers = [field.name for field in fields if key == (field.name,) and field.type.name in ("int16", "int32", "int64", "uint64")]
    return StreamSchema(name, fields, key, tuple(instants + numbers), rows)


def _check_readable(path: Path) -> None:
    if not os.access(path, os.R_OK):
        raise PermissionDeniedError(f"{path} cannot be read by uid {os.getuid()}.", remedy="Change its permissions.")


def _connect(path: Path) -> DuckDBPyConnection:
    import duckdb

    try:
        return duckdb.connect(str(path), read_only=True, config=dict(_OPTIONS))
    except duckdb.ConnectionException as error:
        if "different configuration" not in str(error):
            raise
        # This process writes to it: another connection to the same database, as the destination opened it.
        return duckdb.connect(str(path))


def _comparable(field: Field) -> str:
    """The SQL type in which a cursor's text is compared with the column."""
    return field.native or {"timestamptz": "TIMESTAMP WITH TIME ZONE"}.get(field.type.name, field.type.name)


def _instant_text(now: datetime, field: Field) -> str:
    if field.type.name == "date":
        return now.date().isoformat()
    return (now if field.type.name == "timestamptz" else now.replace(tzinfo=None)).isoformat(sep=" ")


def _condition(stream: StreamConfig, schema: StreamSchema, window: Window | None) -> tuple[str, list[Any]]:
    """The window as SQL; where a look-back applies, only its upper end: the pipeline filters again."""
    if window is None or stream.cursor_field is None:
        return "", []
    field = schema.field(stream.cursor_field)
    if field.type.name not in _CURSOR_TYPES:
        return "", []
    column = f"s.{quote(field.name)}"
    limits = [
        (f"{column} {operator} ?::{_comparable(field)}", text)
        for operator, text in ((">=", window.low if stream.look_back is None else None), ("<=", window.high))
        if text is not None
    ]
    if not limits:
        return "", []
    condition = " and ".join(limit for limit, _ in limits)
    return f" where ({condition}) or {column} is null", [text for _, text in limits]


def _typed(path: Path, error: Exception) -> SynctermError:
    import duckdb

    words = str(error)
    first = words.splitlines()[0] if words else type(error).__name__
    holder = _HOLDER.search(words)
    if holder is not None or "Could not set lock" in words:
        who = f": {holder['program']}, PID {holder['pid']}" if holder else ""
        return SourceUnavailableError(
            f"{path} is open for writing in another process{who}.", remedy="It can be read when that process has closed it."
        )
    if "different configuration" in words or "Unique file handle conflict" in words:
        return SourceUnavailableError(f"{path} is open in this process in another way.", remedy="Try again when that has ended.")
    if "not a valid DuckDB database" in words or "external extensions" in words:
        return ConfigError(f"{path} is not a DuckDB database.", remedy="Correct the path.")
    if "Permission denied" in words or isinstance(error, duckdb.PermissionException):
        return PermissionDeniedError(f"{path}: {first}.", remedy="Change its permissions.")
    if isinstance(error, duckdb.CatalogException | duckdb.BinderException):
        return SchemaChangedError(f"{path}: {first}.", remedy="Refresh the connector's streams.")
    return SourceDataError(f"{path} cannot be read: {first}.")
