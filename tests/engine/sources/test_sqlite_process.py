"""A table read by a process of its own arrives exactly as when it is read row by row."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from syncterm.engine.adapters import AdapterContext, parse_config
from syncterm.engine.errors import CancelledSyncError, SchemaChangedError
from syncterm.engine.model import StreamConfig, SyncMode, Window
from syncterm.engine.schema import StreamSchema
from syncterm.engine.sources import sqlite as module
from syncterm.engine.sources.sqlite import SQLiteSource

VALUES = [
    None,
    0,
    -1,
    2**63 - 1,
    -(2**63),
    1.5,
    1e308,
    2**53 + 1,
    "",
    "text",
    "12",
    "nul\0x",
    "é\U0001f600",
    b"",
    b"\x00\xff",
    "2025-01-01",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "hostile name ? # %.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute('CREATE TABLE "t ""x" (id INTEGER PRIMARY KEY, i INTEGER, r REAL, "s ""q" TEXT, b BLOB, n)')
        fitting = [(1, 1.5, "a", b"x", None), (None, None, None, None, None), (-5, -0.25, "nul\0x é", b"", None)]
        connection.executemany('INSERT INTO "t ""x" (i, r, "s ""q", b, n) VALUES (?, ?, ?, ?, ?)', fitting * 50)
        for value in VALUES:  # each value in each column
            connection.execute('INSERT INTO "t ""x" (i, r, "s ""q", b, n) VALUES (?, ?, ?, ?, ?)', (value,) * 5)
        connection.execute('INSERT INTO "t ""x" ("s ""q") VALUES (cast(x\'ff61\' AS TEXT))')
    return path


@pytest.fixture
def source(path: Path) -> Iterator[SQLiteSource]:
    found = SQLiteSource(parse_config(SQLiteSource, {"path": str(path)}), AdapterContext())
    yield found
    found.close()


def everything(source: SQLiteSource, window: Window | None = None) -> tuple[list[Any], list[Any]]:
    """Records and rejected records, both in an order of their own."""
    stream = source.discover().streams[0]
    config = StreamConfig(stream.name, SyncMode.INCREMENTAL_APPEND, cursor_field="id")
    records: list[Any] = []
    rejected: list[Any] = []
    for batch in source.read(config, stream, stream.fields, window):
        batch.records.validate(full=True)
        records += [repr(row) for row in batch.records.to_pylist()]
        rejected += [(record.key, record.code, record.payload) for record in batch.rejected]
    return sorted(records), sorted(rejected)


@pytest.mark.parametrize("window", [None, Window(None, "160")])
def test_both_ways_give_the_same(source: SQLiteSource, monkeypatch: pytest.MonkeyPatch, window: Window | None) -> None:
    by_rows = everything(source, window)
    assert by_rows[0]
    monkeypatch.setattr(module, "PROCESS_ROWS", 0)
    assert everything(source, window) == by_rows


def test_every_row_is_read_or_rejected(source: SQLiteSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROCESS_ROWS", 0)
    records, rejected = everything(source)
    assert len(records) + len(rejected) == 150 + len(VALUES) + 1
    assert len(rejected) > 5


def test_a_table_that_is_gone_is_a_change_of_schema(source: SQLiteSource, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROCESS_ROWS", 0)
    stream = source.discover().streams[0]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute('DROP TABLE "t ""x"')
    with pytest.raises(SchemaChangedError, match="no such table"):
        list(source.read(StreamConfig(stream.name, SyncMode.REPLACE), stream, stream.fields, None))


def test_interrupt_ends_a_reading_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROCESS_ROWS", 0)
    path = tmp_path / "slow.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE numbers (n INTEGER)")
        connection.executemany("INSERT INTO numbers VALUES (?)", ((number,) for number in range(2000)))
        connection.execute("CREATE VIEW slow AS SELECT max(a.n + b.n + c.n) AS n FROM numbers a, numbers b, numbers c")
    source = SQLiteSource(parse_config(SQLiteSource, {"path": str(path)}), AdapterContext())
    (numbers,) = (stream for stream in source.discover().streams if stream.name == "numbers")
    slow = StreamSchema("slow", numbers.fields)
    outcome: list[BaseException] = []

    def read() -> None:
        try:
            list(source.read(StreamConfig("slow", SyncMode.REPLACE), slow, slow.fields, None))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    while source._child is None:
        time.sleep(0)
    asked = time.monotonic()
    source.interrupt()
    thread.join()
    assert time.monotonic() - asked < 2
    assert isinstance(outcome[0], CancelledSyncError)
