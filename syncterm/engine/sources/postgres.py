"""PostgreSQL as a source: tables and views of one schema, by COPY, one snapshot a stream.

Types: integers, floats, booleans, dates, times, timestamps, uuid, json, bytea and numeric(p,s) with 0 ≤ s ≤ p ≤ 38 arrive as the
types of ours of the same range; everything else (numeric without limits, arrays, ranges, intervals, enums, addresses, composite
types, …) as text in PostgreSQL's own form. `character(n)` keeps its trailing blanks, as the server gives it.

Row-level security applies: rows that a policy hides from the user are not read. The connection test names the tables concerned.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from syncterm.engine.destinations.base import STATE_TABLE
from syncterm.engine.errors import (
    ConfigError,
    PermissionDeniedError,
    SchemaChangedError,
    SourceDataError,
    SourceUnavailableError,
)
from syncterm.engine.model import CheckStep, StreamConfig, Window
from syncterm.engine.postgres import PostgresConfig, Side, quote_name, quote_text
from syncterm.engine.postgres_session import Session
from syncterm.engine.postgres_types import logical_sql
from syncterm.engine.schema import Catalog, Field, LogicalType, StreamSchema, parse_type
from syncterm.engine.sources.base import Source, SourceBatch, SourceCapabilities
from syncterm.engine.sources.postgres_catalog import INDEXED_COLUMNS, RELATIONS, Relation, read_relations

if TYPE_CHECKING:
    from asyncpg import Connection

SIDE = Side(unavailable=SourceUnavailableError, failed=SourceDataError, missing=SchemaChangedError, busy=SourceUnavailableError)
_BEGIN = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD';"
    " SET LOCAL intervalstyle = 'postgres'; SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 3"
)
"""One snapshot, and one way to write every value, whatever the server, the database or the role are set to."""
_TEMPORAL = ("timestamptz", "timestamp", "date")
_NOW = {
    "timestamptz": "now()",
    "timestamp": "now() AT TIME ZONE {zone}",
    "date": "(now() AT TIME ZONE {zone})::date",
}
_SERVER_ZONE = "(SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'TimeZone')"
"""The zone that the server works in for this user: what its clock on the wall shows."""
_LISTED = 10
"""Tables that a message names."""


class PostgresSource(Source):
    """The tables and views of one schema of a PostgreSQL database (12 or newer)."""

    type: ClassVar[str] = "postgres"
    title: ClassVar[str] = "PostgreSQL"
    summary: ClassVar[str] = "Tables and views of a PostgreSQL database"
    Config = PostgresConfig
    capabilities: ClassVar[SourceCapabilities] = SourceCapabilities(incremental=True, deletes=True)

    config: PostgresConfig

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        self._session = Session(config, SIDE)

    def check(self) -> Iterator[CheckStep]:
        started = time.monotonic()
        yield CheckStep("Initiate test", True, time.monotonic() - started, self.config.place)
        started = time.monotonic()
        with self._session.connection() as connection:
            yield CheckStep("Authentication check", True, time.monotonic() - started, f"as {self.config.user!r}")
            started = time.monotonic()
            version = self._session.fetch(connection, "SELECT current_setting('server_version') AS version")[0]["version"]
            yield CheckStep("Connectivity test", True, time.monotonic() - started, f"PostgreSQL {version}")
            started = time.monotonic()
            detail = self._check_permissions(connection)
            yield CheckStep("Permission check", True, time.monotonic() - started, detail)

    def _check_permissions(self, connection: Connection) -> str:
        schema = self.config.schema_name
        found = self._session.fetch(
            connection,
            "SELECT has_schema_privilege(oid, 'USAGE') AS usable FROM pg_catalog.pg_namespace WHERE nspname = $1",
            schema,
        )
        if not found:
            raise ConfigError(f"{self.config.place}: there is no schema {schema!r}.", remedy="Correct the schema's name.")
        if not found[0]["usable"]:
            raise PermissionDeniedError(
                f"{self.config.place}: the user may not use schema {schema!r}.",
                remedy=f"Grant USAGE on schema {schema!r} to {self.config.user!r}.",
            )
        relations = self._session.fetch(connection, RELATIONS, schema, STATE_TABLE, None)
        refused = [relation["name"] for relation in relations if not relation["readable"]]
        if refused and len(refused) == len(relations):
            raise PermissionDeniedError(
                f"{self.config.place}: the user may read none of the {len(refused)} tables of schema {schema!r}:"
                f" {_listed(refused)}.",
                remedy=f"Grant SELECT on them to {self.config.user!r}.",
            )
        parts = [f"{len(relations) - len(refused)} of {len(relations)} tables can be read"]
        if refused:
            parts.append(f"no right to read {_listed(refused)}")
        hidden = [relation["name"] for relation in relations if relation["row_security"]]
        if hidden:
            parts.append(f"row-level security hides rows of {_listed(hidden)} from this user")
        return "; ".join(parts)

    def discover(self) -> Catalog:
        with self._session.connection() as connection:
            return Catalog(tuple(relation.stream for relation in self._describe(connection)))

    def _describe(self, connection: Connection, name: str | None = None) -> list[Relation]:
        """The relations of the schema, or the one of that name, in one snapshot of the catalog."""
        session = self._session
        session.execute(connection, f"{_BEGIN}; SET LOCAL search_path = pg_catalog")
        relations = read_relations(partial(session.fetch, connection), self.config.schema_name, name)
        session.execute(connection, "COMMIT")
        return relations

    def high(self, stream: StreamConfig, schema: StreamSchema) -> str | None:
        """The highest value of the cursor column that is finite and not after the server's clock, compared as its type compares."""
        if stream.cursor_field is None:
            return None
        expression, logical = _cursor(stream, schema)
        counted = "TRUE"
        if logical.name.startswith(("float", "decimal")):
            counted = f"{expression} < 'NaN' AND {expression}::float8 NOT IN ('Infinity', '-Infinity')"
        elif logical.name in _TEMPORAL:
            counted = f"{expression} > '-infinity' AND {expression} <= {_NOW[logical.name].format(zone=_SERVER_ZONE)}"
        query = f"SELECT max({expression})::text AS high FROM {self._table(stream.name)} WHERE {counted}"
        with self._session.connection() as connection:
            self._session.execute(connection, _BEGIN)
            rows = self._session.fetch(connection, query)
            self._session.execute(connection, "COMMIT")
        value: str | None = rows[0]["high"]
        return value

    def indexed_columns(self, stream: StreamSchema) -> frozenset[str] | None:
        with self._session.connection() as connection:
            self._session.execute(connection, f"{_BEGIN}; SET LOCAL search_path = pg_catalog")
            rows = self._session.fetch(connection, INDEXED_COLUMNS, self.config.schema_name, stream.name)
            self._session.execute(connection, "COMMIT")
        return frozenset(row["name"] for row in rows if row["name"] is not None) if rows else None

    def read(
        self, stream: StreamConfig, schema: StreamSchema, fields: tuple[Field, ...], window: Window | None
    ) -> Iterator[SourceBatch]:
        from syncterm.engine.sources.postgres_rows import RowParser

        with self._session.connection() as connection:
            relation = self._verify(connection, stream, schema, fields)
            if not fields:
                return  # a row without columns carries nothing
            parser = RowParser(stream, schema, fields)
            # ALTER and TRUNCATE are kept out before the snapshot is taken: they would empty it.
            lock = f"; LOCK TABLE {self._table(stream.name)} IN ACCESS SHARE MODE" if relation.lockable else ""
            self._session.execute(connection, _BEGIN + lock)
            for chunk in self._session.copy_out(connection, self._query(stream, schema, fields, window)):
                self.raise_if_interrupted()
                yield parser.parse(chunk)
            self._session.execute(connection, "COMMIT")

    def _verify(self, connection: Connection, stream: StreamConfig, schema: StreamSchema, fields: tuple[Field, ...]) -> Relation:
        """The relation, whose columns to be read are still what the catalog says. Raises: SchemaChangedError."""
        found = self._describe(connection, stream.name)
        if not found:
            raise SchemaChangedError(
                f"{self.config.place}: schema {self.config.schema_name!r} has no table {stream.name!r} any more.",
                remedy="Refresh the schema, and take the stream out of the connector or restore the table.",
            )
        now = {field.name: field for field in found[0].stream.fields}
        for field in fields:
            if field.name not in now:
                raise SchemaChangedError(
                    f"Table {stream.name!r} has no column {field.name!r} any more.",
                    remedy="Refresh the schema and approve the change.",
                )
            if now[field.name].type != schema.field(field.name).type:
                raise SchemaChangedError(
                    f"Column {field.name!r} of table {stream.name!r} has become {now[field.name].native}; it was"
                    f" {schema.field(field.name).native}.",
                    remedy="Refresh the schema and approve the change.",
                )
        return found[0]

    def _table(self, name: str) -> str:
        return f"{quote_name(self.config.schema_name)}.{quote_name(name)}"

    def _query(self, stream: StreamConfig, schema: StreamSchema, fields: tuple[Field, ...], window: Window | None) -> str:
        columns = ", ".join(_column(field, schema.field(field.name)) for field in fields)
        query = f"SELECT {columns} FROM {self._table(stream.name)}"
        if window is None or stream.cursor_field is None or (window.low is None and window.high is None):
            return query
        expression, logical = _cursor(stream, schema)
        bounds = []
        if window.low is not None:
            bounds.append(f"{expression} >= {_bound(window.low, logical, stream.look_back)}")
        if window.high is not None:
            bounds.append(f"{expression} <= {_bound(window.high, logical, None)}")
        return f"{query} WHERE ({' AND '.join(bounds)}) OR {quote_name(stream.cursor_field)} IS NULL"

    def interrupt(self) -> None:
        super().interrupt()
        self._session.interrupt()

    def close(self) -> None:
        self._session.close()


def _column(field: Field, found: Field) -> str:
    """A column of the query: as it is, or in the text form that a cast to text asks for."""
    name = quote_name(field.name)
    return f"{name}::text" if field.type.name == "text" and found.type.name != "text" else name


def _cursor(stream: StreamConfig, schema: StreamSchema) -> tuple[str, LogicalType]:
    """The cursor as an expression that compares as its logical type does in the pipeline, and that type.

    Text compares by its bytes, whatever the column's collation.
    """
    name = stream.cursor_field or ""
    natural = schema.field(name).type
    logical = parse_type(stream.casts[name]) if name in stream.casts else natural
    expression = quote_name(name)
    if logical.name in ("text", "uuid"):
        return f'({expression}::text COLLATE "C")', logical
    return (expression if logical == natural else f"({expression}::{logical_sql(logical)})"), logical


def _bound(text: str, logical: LogicalType, look_back: timedelta | None) -> str:
    """A cursor's value as a literal of its type, a look-back taken off."""
    if logical.name in ("text", "uuid"):
        return quote_text(text)
    literal = f"{quote_text(text)}::{logical_sql(logical)}"
    if look_back is not None and logical.name in _TEMPORAL:
        return f"({literal} - make_interval(secs => {look_back.total_seconds()!r}))"
    return literal


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
