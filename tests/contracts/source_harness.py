"""What the contract suites need to know of a source: how to make one, and how to put rows into it from outside."""

from __future__ import annotations

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
from syncterm.engine.sources.base import Source, source_class
from tests.servers.postgres import PostgresDatabase

Record = tuple[int | None, str | None, int | None]
COLUMNS = ("id", "note", "seen")
"""`id` and `seen` are 64-bit integers, `note` is text."""


class SourceHarness(ABC):
    """A real source with one stream, whose rows can be set."""

    type_: ClassVar[str]
    stream: str = "orders"

    @abstractmethod
    def document(self) -> dict[str, Any]:
        """The source's configuration."""

    @abstractmethod
    def fill(self, rows: Sequence[Record]) -> None:
        """Make these the stream's rows, in this order, in the place of those that were there."""

    def make(self) -> Source:
        """A new adapter, as for a new sync; closed by `close_all`."""
        adapter = source_class(self.type_)
        made = adapter(parse_config(adapter, self.document()), AdapterContext())
        self._made.append(made)
        return made

    def close_all(self) -> None:
        """Close every adapter made so far."""
        while self._made:
            self._made.pop().close()

    @cached_property
    def _made(self) -> list[Source]:
        return []


class DuckDBSourceHarness(SourceHarness):
    type_ = "duckdb"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "source.duckdb"

    def document(self) -> dict[str, Any]:
        return {"path": str(self.path)}

    def fill(self, rows: Sequence[Record]) -> None:
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("create or replace table orders (id bigint, note varchar, seen bigint)")
            if rows:
                connection.register("given", pa.table(dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))))
                connection.execute("insert into orders select * from given")


class SQLiteSourceHarness(SourceHarness):
    type_ = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "source.sqlite"

    def document(self) -> dict[str, Any]:
        return {"path": str(self.path)}

    def fill(self, rows: Sequence[Record]) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("drop table if exists orders")
            connection.execute("create table orders (id bigint, note text, seen bigint)")
            connection.executemany("insert into orders values (?, ?, ?)", rows)


class FileSourceHarness(SourceHarness):
    type_ = "file"

    def __init__(self, folder: Path, file_format: str) -> None:
        self.format = file_format
        self.path = folder / f"orders.{file_format}"

    def document(self) -> dict[str, Any]:
        return {"path": str(self.path)}

    def fill(self, rows: Sequence[Record]) -> None:
        if self.format == "parquet":
            schema = pa.schema([("id", pa.int64()), ("note", pa.string()), ("seen", pa.int64())])
            columns = list(zip(*rows, strict=True)) or [(), (), ()]
            pq.write_table(pa.table([list(column) for column in columns], schema=schema), self.path)
            return
        with self.path.open("w", newline="", encoding="utf-8") as file:
            if self.format == "csv":
                file.writelines(",".join(map(_cell, row)) + "\n" for row in (COLUMNS, *rows))
            else:
                file.writelines(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows)


class PostgresSourceHarness(SourceHarness):
    type_ = "postgres"

    def __init__(self, database: PostgresDatabase) -> None:
        self.database = database
        database.execute("create schema shop")

    def document(self) -> dict[str, Any]:
        return {**self.database.parameters, "schema": "shop", "sslmode": "disable"}

    def fill(self, rows: Sequence[Record]) -> None:
        values = ", ".join(f"({_sql(i)}, {_sql(note)}, {_sql(seen)})" for i, note, seen in rows)
        insert = f"insert into shop.orders values {values};" if rows else ""
        self.database.execute(
            f"drop table if exists shop.orders; create table shop.orders (id bigint, note text, seen bigint); {insert}"
        )


def _cell(value: int | str | None) -> str:
    """A cell of CSV: nothing is NULL, a quoted nothing is the empty text."""
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return "" if value is None else str(value)


def _sql(value: int | str | None) -> str:
    if value is None:
        return "null"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
