"""SQLite: typed although it promises no types; one snapshot; windows that lose nothing; reads that can be stopped."""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncterm.engine.errors import (
    CancelledSyncError,
    ConfigError,
    SchemaChangedError,
    SourceDataError,
    SourceUnavailableError,
)
from syncterm.engine.model import StreamConfig, SyncMode, Window
from syncterm.engine.sources import sqlite as sqlite_source
from syncterm.engine.sources.sqlite import SQLiteSource
from tests.engine.sources.reading import ReadStream, make, read_stream


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "data #1%.db", isolation_level=None)
    connection.execute("pragma synchronous = off")
    yield connection
    connection.close()


def source_of(connection: sqlite3.Connection) -> SQLiteSource:
    return make(SQLiteSource, path=connection.execute("pragma database_list").fetchall()[0][2])


def test_edge_values_are_exact(database: sqlite3.Connection) -> None:
    database.execute("create table t (id integer primary key, r real, s text, b blob)")
    rows: list[tuple[Any, ...]] = [
        (-(2**63), math.inf, "a\x00b", b""),
        (0, 0.1, "", b"\x00\xff"),
        (1, 5e-324, "é\U0001f600", None),
        (2**63 - 1, None, None, b"text"),
    ]
    database.executemany("insert into t values (?, ?, ?, ?)", rows)
    result = read_stream(source_of(database))
    assert [tuple(row.values()) for row in result.rows] == rows
    assert not result.rejected


def test_values_of_another_kind_are_rejected_with_their_key(database: sqlite3.Connection) -> None:
    database.execute("create table t (id integer primary key, i int, r real, s text, b blob)")
    database.execute("insert into t values (1, 1, 1.5, 'x', x'00'), (2, null, null, null, null)")
    database.execute("insert into t (id, i) values (3, 'many'), (4, 2.5), (5, x'01')")
    database.execute("insert into t (id, r) values (6, 'n/a')")
    database.execute("insert into t (id, s) values (7, x'6869'), (8, cast(x'ff41' as text))")
    database.execute("insert into t (id, b) values (9, 'text'), (10, 5)")
    result = read_stream(source_of(database))
    assert result.column("id") == [1, 2, 9]
    assert result.rows[2]["b"] == b"text"
    assert sorted((record.key, record.code) for record in result.rejected) == [
        ('{"id": 10}', "cast_failed"),
        ('{"id": 3}', "cast_failed"),
        ('{"id": 4}', "cast_failed"),
        ('{"id": 5}', "cast_failed"),
        ('{"id": 6}', "cast_failed"),
        ('{"id": 7}', "cast_failed"),
        ('{"id": 8}', "invalid_utf8"),
    ]


def test_text_that_is_not_utf8_far_behind_rejects_its_record_only(database: sqlite3.Connection) -> None:
    database.execute("create table t (id integer primary key, s text)")
    database.execute("begin")
    database.executemany("insert into t values (?, ?)", ((number, "x" * 200) for number in range(40_000)))
    database.execute("commit")
    database.execute("update t set s = cast(x'c3' as text) where id in (30000, 39999)")
    result = read_stream(source_of(database))
    assert result.column("id") == [number for number in range(40_000) if number not in (30_000, 39_999)]
    assert [record.key for record in result.rejected] == ['{"id": 30000}', '{"id": 39999}']


VALUE = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=4), st.binary(max_size=4)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(VALUE, VALUE, VALUE), max_size=12),
    st.sampled_from(["", "int", "real", "text", "blob", "datetime", "boolean", "decimal(5,2)"]),
)
def test_whatever_a_column_holds_every_row_arrives_or_is_rejected(
    database: sqlite3.Connection, rows: list[tuple[Any, ...]], declared: str
) -> None:
    database.execute("drop table if exists t")
    database.execute(f"create table t (a {declared}, b {declared} collate nocase, c)")
    database.executemany("insert into t values (?, ?, ?)", [tuple(_encodable(value) for value in row) for row in rows])
    stored = database.execute("select * from t").fetchall()
    result = read_stream(source_of(database))
    assert result.read == len(rows)
    arrived = iter([tuple(row.values()) for row in result.rows])
    if not result.rejected:
        for row in stored:
            assert all(map(_same, row, next(arrived)))


def _encodable(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _same(stored: Any, arrived: Any) -> bool:
    if isinstance(stored, str) and isinstance(arrived, bytes):
        return stored.encode() == arrived
    if isinstance(arrived, str) and isinstance(stored, int | float):
        return arrived == repr(stored)
    return bool(stored == arrived) or str(stored).replace("T", " ")[:10] == str(arrived)[:10]


TYPES: list[tuple[str, list[Any], str]] = [
    ("integer", [1], "int64"),
    ("bigint", [], "int64"),
    ("varchar(10)", ["1"], "text"),
    ("double precision", [1.5], "float64"),
    ("blob", [], "binary"),
    ("boolean", [0, 1, None], "boolean"),
    ("boolean", [2], "int64"),
    ("date", ["2025-01-31"], "date"),
    ("datetime", ["2025-01-31 01:02:03"], "timestamp"),
    ("timestamp", ["2025-01-31T01:02:03Z"], "timestamptz"),
    ("datetime", [1735689600], "int64"),
    ("datetime", ["yesterday"], "text"),
    ("decimal(10,2)", [1.5, 2], "float64"),
    ("decimal(10,2)", [2], "float64"),
    ("numeric", [2], "int64"),
    ("", [1, 2.5], "float64"),
    ("", [2**60, 2.5], "text"),
    ("", ["x", 1], "text"),
    ("", [b"x"], "binary"),
    ("", [], "text"),
]


@pytest.mark.parametrize(("declared", "values", "expected"), TYPES)
def test_types(database: sqlite3.Connection, declared: str, values: list[Any], expected: str) -> None:
    database.execute(f"create table t (v {declared})")
    database.executemany("insert into t values (?)", [(value,) for value in values])
    result = read_stream(source_of(database))
    assert result.types == {"v": expected}
    assert not result.rejected


def test_the_catalog(database: sqlite3.Connection) -> None:
    database.executescript(
        """
        create table plain (id integer primary key, "we""ird [a]" text not null, g int generated always as (id * 2) stored);
        create table keyed (a int, b text, primary key (b, a)) without rowid;
        create table strict_one (a int, b any) strict;
        create table "select" ("from" int);
        create view looking as select id, 'x' as y from plain;
        create view broken as select * from absent_table;
        create virtual table search using fts5(words);
        insert into plain (id, "we""ird [a]") values (5, 'x');
        insert into search values ('hello');
        """
    )
    streams = {stream.name: stream for stream in source_of(database).discover().streams}
    assert sorted(streams) == ["keyed", "looking", "plain", "search", "select", "strict_one"]
    assert streams["plain"].primary_key == ("id",)
    assert streams["plain"].cursor_candidates == ("id",)
    assert streams["plain"].estimated_rows == 5
    assert [(field.name, field.nullable) for field in streams["plain"].fields] == [
        ("id", False),
        ('we"ird [a]', False),
        ("g", True),
    ]
    assert streams["keyed"].primary_key == ("b", "a")
    assert read_stream(source_of(database), "plain").rows == [{"id": 5, 'we"ird [a]': "x", "g": 10}]
    assert read_stream(source_of(database), "looking").rows == [{"id": 5, "y": "x"}]
    assert read_stream(source_of(database), "search").rows == [{"words": "hello"}]


def window_of(result: ReadStream, column: str) -> set[Any]:
    return set(result.column(column)) | {record.key for record in result.rejected}


def test_a_window_never_leaves_out_what_belongs_to_it(database: sqlite3.Connection) -> None:
    database.execute("create table t (id integer primary key, n int, s text collate nocase, d datetime)")
    database.executemany(
        "insert into t values (?, ?, ?, ?)",
        [(number, number * 10, chr(65 + number), f"2025-01-{number + 1:02}T00:00:00+0{number % 9}:00") for number in range(20)],
    )
    database.execute("insert into t values (50, null, null, null), (51, 'odd', x'00', 'n/a')")
    source = source_of(database)
    schema = source.discover().streams[0]

    def ids(cursor: str, low: str | None, high: str | None) -> set[Any]:
        return window_of(read_stream(source, schema=schema, cursor=cursor, window=Window(low, high)), "id")

    assert ids("n", "50", "100") == {*range(5, 11), 50, '{"id": 51}'}
    assert ids("s", "F", "K") == {*range(5, 11), 50, '{"id": 51}'}
    assert ids("n", None, None) == {*range(20), 50, '{"id": 51}'}
    instants = ids("d", "2025-01-10 00:00:00+00:00", None)
    assert {*range(9, 20), 50} <= instants
    assert 0 not in instants


def test_the_highest_cursor_value(database: sqlite3.Connection) -> None:
    database.execute("create table t (id integer primary key, n int, r real, s text, d date, i datetime)")
    database.executemany(
        "insert into t values (?, ?, ?, ?, ?, ?)",
        [
            (1, 5, 1.5, "b", "2025-01-31", "2025-01-31 00:00:00"),
            (2, "odd", None, b"z", "2999-01-01", None),
            (3, 7, 0.1, "C", None, None),
        ],
    )
    source = source_of(database)
    schema = source.discover().streams[0]

    def high(column: str) -> str | None:
        return source.high(StreamConfig("t", SyncMode.INCREMENTAL_APPEND, cursor_field=column), schema)

    assert [high(column) for column in ("id", "n", "r", "s", "d", "i")] == ["3", "7", "1.5", "b", "2025-06-15", None]
    database.execute("delete from t")
    assert high("n") is None


def test_a_read_is_one_snapshot(database: sqlite3.Connection) -> None:
    database.execute("pragma journal_mode = wal")
    database.execute("create table t (id integer primary key, v text)")
    database.execute("begin")
    database.executemany("insert into t values (?, ?)", ((number, "x" * 500) for number in range(30_000)))
    database.execute("commit")
    source = source_of(database)
    schema = source.discover().streams[0]
    batches = source.read(StreamConfig("t", SyncMode.REPLACE), schema, schema.fields, None)
    count = next(batches).records.num_rows
    database.execute("delete from t")
    assert count + sum(batch.records.num_rows for batch in batches) == 30_000


def test_a_column_that_is_gone_is_a_schema_change(database: sqlite3.Connection) -> None:
    """Also where SQLite would take its quoted name for a text."""
    database.execute("create table t (a int, b int)")
    database.execute("insert into t values (1, 2)")
    source = source_of(database)
    schema = source.discover().streams[0]
    database.execute("alter table t drop column b")
    with pytest.raises(SchemaChangedError):
        read_stream(source, schema=schema)
    database.execute("drop table t")
    with pytest.raises(SchemaChangedError):
        read_stream(source, schema=schema)


def test_nothing_is_created_and_other_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        make(SQLiteSource, path=tmp_path / "absent.db").discover()
    assert not (tmp_path / "absent.db").exists()
    with pytest.raises(ConfigError):
        make(SQLiteSource, path=tmp_path).discover()
    (tmp_path / "x.db").write_text("this is no database" * 100)
    with pytest.raises(SourceDataError):
        make(SQLiteSource, path=tmp_path / "x.db").discover()


def test_a_damaged_database_is_a_matter_of_its_data(database: sqlite3.Connection, tmp_path: Path) -> None:
    database.execute("create table t (id integer primary key, v text)")
    database.execute("begin")
    database.executemany("insert into t values (?, ?)", ((number, "x" * 500) for number in range(2000)))
    database.execute("commit")
    source = source_of(database)
    schema = source.discover().streams[0]
    path = Path(source.config.path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20_000] = b"\xff" * 20_000
    path.write_bytes(data)
    with pytest.raises(SourceDataError):
        read_stream(source, schema=schema)


def test_a_locked_database_is_tried_again(database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_source, "CONNECT_TIMEOUT", 0.0)
    database.execute("create table t (a int)")
    database.execute("begin exclusive")
    with pytest.raises(SourceUnavailableError) as caught:
        source_of(database).discover()
    assert caught.value.transient


def test_an_endless_view_can_be_interrupted(database: sqlite3.Connection) -> None:
    database.execute("create table t (a int)")
    source = source_of(database)
    schema = source.discover().streams[0]
    database.execute("drop table t")
    database.execute("create view t as with recursive n(a) as (select 1 union all select a + 1 from n) select a from n where a < 0")
    threading.Timer(0.2, source.interrupt).start()
    with pytest.raises(CancelledSyncError):
        read_stream(source, schema=schema)


def test_the_connection_test_names_its_steps(database: sqlite3.Connection) -> None:
    database.execute("create table t (a int)")
    steps = list(source_of(database).check())
    assert [step.title for step in steps] == ["Initiate test", "Authentication check", "Connectivity test"]
    assert "1 tables" in steps[-1].detail


def test_columns_may_bear_the_names_of_the_row_number(database: sqlite3.Connection) -> None:
    database.execute('create table some (id integer primary key, "RowId" text)')
    database.execute("insert into some values (4, 'v')")
    database.execute("create table every (rowid text, _rowid_ text, oid text)")
    database.execute("insert into every values ('a', 'b', 'c')")
    every, some = source_of(database).discover().streams
    assert (every.name, every.estimated_rows, some.name, some.estimated_rows) == ("every", None, "some", 4)
