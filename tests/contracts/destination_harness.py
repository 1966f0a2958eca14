"""What the destination contract needs to know of a destination: how to make one, and how to look into it from outside.

A third party writes one such class and subclasses `DestinationContract`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from syncterm.engine.adapters import AdapterContext, parse_config
from syncterm.engine.casting import cast
from syncterm.engine.destinations.base import STATE_TABLE, Destination, destination_class
from syncterm.engine.destinations.folder_names import folder_name
from syncterm.engine.schema import Field, arrow_type
from tests.servers.postgres import PostgresDatabase

Row = tuple[Any, ...]


class DestinationHarness(ABC):
    """A real target and an independent way to look into it."""

    type_: ClassVar[str]
    unsupported: ClassVar[frozenset[str]] = frozenset()
    """Codes with which `accept` refuses what this destination cannot store."""

    @abstractmethod
    def document(self) -> dict[str, Any]:
        """The destination's configuration."""

    @abstractmethod
    def rows(self, table: str, fields: Sequence[Field], collection: str = "") -> list[Row] | None:
        """What a reader sees: the rows of a table in the fields' types, sorted by their text; None where there is no such table."""

    @abstractmethod
    def make_foreign(self, table: str) -> None:
        """Make a table that syncterm knows nothing of: columns `id` (64-bit integers) and `note` (text), one row: 1, kept."""

    @abstractmethod
    def everything(self) -> dict[str, str]:
        """All that is there, apart from syncterm's own state: name → content as text."""

    def make(self) -> Destination:
        """A new adapter, as for a new sync; closed by `close_all`."""
        adapter = destination_class(self.type_)
        made = adapter(parse_config(adapter, self.document()), AdapterContext())
        self._made.append(made)
        return made

    def close_all(self) -> None:
        """Close every adapter made so far."""
        while self._made:
            self._made.pop().close()

    @cached_property
    def _made(self) -> list[Destination]:
        return []


def typed_rows(columns: Sequence[pa.Array], fields: Sequence[Field]) -> list[Row]:
    """Columns as they were read → rows of values in the fields' types, sorted."""
    arrays = [_typed(column, field) for column, field in zip(columns, fields, strict=True)]
    return sorted_rows(zip(*(comparable(array) for array in arrays), strict=True))


def _typed(column: pa.Array, field: Field) -> pa.Array:
    wanted = arrow_type(field.type)
    if pa.types.is_timestamp(column.type) and field.type.name == "timestamptz" and column.type.tz and column.type.unit == "us":
        return column.view(wanted)  # an instant is the same in every zone
    return column if column.type == wanted else cast(column, field.type)


def sorted_rows(rows: Any) -> list[Row]:
    return sorted((tuple(row) for row in rows), key=repr)


def comparable(array: pa.Array) -> list[Any]:
    """Values that compare equal exactly where they are the same: times as integers, NaN as text, -0.0 apart from 0.0."""
    kind = array.type
    if pa.types.is_temporal(kind):
        return array.view(pa.int32() if pa.types.is_date32(kind) else pa.int64()).to_pylist()  # type: ignore[no-any-return]
    if pa.types.is_floating(kind):
        return [None if value is None else value.hex() for value in array.to_pylist()]
    return array.to_pylist()  # type: ignore[no-any-return]


class DuckDBHarness(DestinationHarness):
    type_ = "duckdb"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "target.duckdb"

    def document(self) -> dict[str, Any]:
        return {"path": str(self.path)}

    def rows(self, table: str, fields: Sequence[Field], collection: str = "") -> list[Row] | None:
        if not self.path.exists():
            return None
        names = ", ".join(_quote(field.name) for field in fields)
        with duckdb.connect(str(self.path)) as connection:
            found = connection.execute(
                "select 1 from duckdb_tables() where schema_name = ? and table_name = ?", [collection or "main", table]
            ).fetchall()
            if not found:
                return None
            read = connection.sql(f"select {names} from {_quote(collection or 'main')}.{_quote(table)}").to_arrow_table()
        return typed_rows([column.combine_chunks() for column in read.columns], fields)

    def make_foreign(self, table: str) -> None:
        with duckdb.connect(str(self.path)) as connection:
            connection.execute(f"create table {_quote(table)} as select 1::bigint as id, 'kept' as note")

    def everything(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        with duckdb.connect(str(self.path)) as connection:
            names = connection.execute(
                "select schema_name, table_name from duckdb_tables() where table_name <> ?", [STATE_TABLE]
            ).fetchall()
            return {
                f"{schema}.{name}": repr(connection.execute(f"select * from {_quote(schema)}.{_quote(name)}").fetchall())
                for schema, name in names
            }


class SQLiteHarness(DestinationHarness):
    type_ = "sqlite"
    unsupported = frozenset({"not_a_number", "out_of_range"})

    def __init__(self, folder: Path) -> None:
        self.path = folder / "target.sqlite"

    def document(self) -> dict[str, Any]:
        return {"path": str(self.path)}

    def rows(self, table: str, fields: Sequence[Field], collection: str = "") -> list[Row] | None:
        if not self.path.exists():
            return None
        name = f"{collection}__{table}" if collection else table
        with closing(sqlite3.connect(self.path)) as connection:
            if not connection.execute("select 1 from sqlite_schema where name = ?", (name,)).fetchall():
                return None
            columns = ", ".join(_quote(field.name) for field in fields)
            rows = connection.execute(f"select {columns} from {_quote(name)}").fetchall()
        kinds = {
            "binary": pa.binary(),
            "float32": pa.float64(),
            "float64": pa.float64(),
            "boolean": pa.int64(),
            "uint64": pa.int64(),
        }
        whole = {"int16", "int32", "int64"}
        types = [pa.int64() if field.type.name in whole else kinds.get(field.type.name, pa.string()) for field in fields]
        return typed_rows([pa.array([row[at] for row in rows], kind) for at, kind in enumerate(types)], fields)

    def make_foreign(self, table: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(f"create table {_quote(table)} (id bigint, note text)")
            connection.execute(f"insert into {_quote(table)} values (1, 'kept')")

    def everything(self) -> dict[str, str]:
        if not self.path.exists():
            return {}
        with closing(sqlite3.connect(self.path)) as connection:
            names = connection.execute(
                "select name from sqlite_schema where type = 'table' and name <> ?", (STATE_TABLE,)
            ).fetchall()
            return {name: repr(connection.execute(f"select * from {_quote(name)}").fetchall()) for (name,) in names}


class FileHarness(DestinationHarness):
    type_ = "file"

    def __init__(self, folder: Path, file_format: str, compression: str = "automatic") -> None:
        self.path = folder / "target"
        self.format = file_format
        self.compression = compression

    @property
    def unsupported(self) -> frozenset[str]:  # type: ignore[override]  # depends on the format here
        return {"parquet": frozenset(), "csv": frozenset({"out_of_range"}), "jsonl": frozenset({"out_of_range", "not_json"})}[
            self.format
        ]

    def document(self) -> dict[str, Any]:
        return {"path": str(self.path), "format": self.format, "compression": self.compression}

    def parts(self, table: str, collection: str = "") -> list[Path]:
        """What a reader finds: `<table>/*.<format>*`."""
        folder = self.path / folder_name(collection) if collection else self.path
        return sorted((folder / folder_name(table)).glob(f"*.{self.format}*"))

    def rows(self, table: str, fields: Sequence[Field], collection: str = "") -> list[Row] | None:
        parts = self.parts(table, collection)
        if not parts:
            return None
        return sorted_rows(row for part in parts for row in self._part_rows(part, fields))

    def make_foreign(self, table: str) -> None:
        folder = self.path / folder_name(table)
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"id": [1], "note": ["kept"]}), folder / "theirs.parquet")

    def everything(self) -> dict[str, str]:
        found = {}
        for path in sorted(self.path.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(self.path).parts)
            if path.is_file() and not hidden:
                found[str(path.relative_to(self.path))] = path.read_bytes().hex()
        return found

    def _part_rows(self, part: Path, fields: Sequence[Field]) -> list[Row]:
        if self.format == "parquet":
            table = pq.ParquetFile(part).read()
            return typed_rows([_column(table, field) for field in fields], fields)
        data = part.read_bytes()
        text = (gzip.decompress(data) if part.suffix == ".gz" else data).decode()
        read = _csv_rows(text) if self.format == "csv" else _jsonl_rows(text, {f.name for f in fields if f.type.name == "json"})
        return typed_rows([pa.array([row.get(field.name) for row in read], pa.string()) for field in fields], fields)


class PostgresHarness(DestinationHarness):
    type_ = "postgres"
    unsupported = frozenset({"out_of_range", "nul_character"})

    def __init__(self, database: PostgresDatabase) -> None:
        self.database = database

    def document(self) -> dict[str, Any]:
        return {**self.database.parameters, "sslmode": "disable"}

    def rows(self, table: str, fields: Sequence[Field], collection: str = "") -> list[Row] | None:
        schema = collection or "public"
        if not self.database.query("select 1 from pg_tables where schemaname = $1 and tablename = $2", schema, table):
            return None
        columns = ", ".join(f"{_quote(field.name)}::text" for field in fields)
        rows = self.database.query(f"select {columns} from {_quote(schema)}.{_quote(table)}")
        return typed_rows([pa.array([row[at] for row in rows], pa.string()) for at in range(len(fields))], fields)

    def make_foreign(self, table: str) -> None:
        self.database.execute(f"create table {_quote(table)} as select 1::bigint as id, 'kept'::text as note")

    def everything(self) -> dict[str, str]:
        names = self.database.query(
            "select schemaname::text, tablename::text from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema') and tablename <> $1",
            STATE_TABLE,
        )
        return {
            f"{schema}.{name}": repr(self.database.query(f"select * from {_quote(schema)}.{_quote(name)}"))
            for schema, name in names
        }


def _column(table: pa.Table, field: Field) -> pa.Array:
    if field.name not in table.schema.names:
        return pa.nulls(table.num_rows)
    return table.column(field.name).combine_chunks()


def _csv_rows(text: str) -> list[dict[str, str | None]]:
    """The cells of a CSV text: nothing is NULL, `""` is an empty text; Python's own reader cannot tell them apart."""
    cells: list[list[str | None]] = [[]]
    at = 0
    while at < len(text):
        if text[at] == '"':
            end = at + 1
            while text[end] != '"' or text[end + 1 : end + 2] == '"':
                end += 2 if text[end] == '"' else 1
            cells[-1].append(text[at + 1 : end].replace('""', '"'))
            at = end + 1
        else:
            end = min(place for place in (text.find(",", at), text.find("\n", at)) if place >= 0)
            cells[-1].append(text[at:end] or None)
            at = end
        if text[at] == "\n":
            cells.append([])
        at += 1
    header = [str(name) for name in cells[0]]
    assert next(iter(csv.reader(io.StringIO(text)))) == header
    return [dict(zip(header, row, strict=True)) for row in cells[1:-1]]


def _jsonl_rows(text: str, documents_in: set[str]) -> list[dict[str, str | None]]:
    """The members of each line as text, numbers with all their digits; those in `documents_in` as JSON, its numbers in quotes."""

    def plain(name: str, value: Any) -> str | None:
        if value is None:
            return None
        if name in documents_in:
            return json.dumps(value, ensure_ascii=False)
        if isinstance(value, bool):
            return "true" if value else "false"
        assert isinstance(value, str)
        return value

    lines = text.split("\n")
    assert lines.pop() == ""
    documents = [json.loads(line, parse_int=str, parse_float=str) for line in lines]
    return [{name: plain(name, value) for name, value in document.items()} for document in documents]


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
