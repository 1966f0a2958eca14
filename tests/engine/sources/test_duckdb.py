"""DuckDB: every type exact or rejected, windows in SQL, one writer at a time."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from syncterm.engine.errors import (
    CancelledSyncError,
    ConfigError,
    PermissionDeniedError,
    SchemaChangedError,
    SourceUnavailableError,
)
from syncterm.engine.model import StreamConfig, SyncMode, Window
from syncterm.engine.sources.duckdb import DuckDBSource
from tests.engine.sources.reading import make, read_stream


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.duckdb"


def run(path: Path, *statements: str) -> None:
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)


EXACT: list[tuple[str, str, str, Any]] = [
    ("boolean", "true", "boolean", True),
    ("utinyint", "255", "int16", 255),
    ("tinyint", "-128", "int16", -128),
    ("usmallint", "65535", "int32", 65535),
    ("uinteger", "4294967295", "int64", 2**32 - 1),
    ("ubigint", "18446744073709551615", "uint64", 2**64 - 1),
    ("hugeint", "99999999999999999999999999999999999999", "decimal(38,0)", Decimal("9" * 38)),
    ("uhugeint", "5", "decimal(38,0)", Decimal(5)),
    ("decimal(38,3)", "1.5", "decimal(38,3)", Decimal("1.500")),
    ("float", "0.1", "float32", pytest.approx(0.1)),
    ("double", "0.1", "float64", 0.1),
    ("varchar", "'a' || chr(0) || 'b'", "text", "a\x00b"),
    ("blob", "'\\x00\\xFF'::blob", "binary", b"\x00\xff"),
    ("uuid", "'00000000-0000-4000-8000-00000000000A'", "uuid", "00000000-0000-4000-8000-00000000000a"),
    ("json", "'{\"a\":  1.10}'", "json", '{"a":  1.10}'),
    ("struct(x int, y varchar)", "{'x': 1, 'y': 'a'}", "json", '{"x":1,"y":"a"}'),
    ("int[]", "[1, null]", "json", "[1,null]"),
    ("int[2]", "[1, 2]", "json", "[1,2]"),
    ("map(varchar, int)", "map {'a': 1}", "json", '{"a":1}'),
    ("union(num int, str varchar)", "'a'", "json", '{"str":"a"}'),
    ("enum('a', '')", "''", "text", ""),
    ("bit", "'1010'", "text", "1010"),
    ("interval", "interval '1 month 2 days'", "text", "1 month 2 days"),
    ("time", "'23:59:59.999999'", "time", datetime(2000, 1, 1, 23, 59, 59, 999999).time()),
    ("timetz", "'12:00:00+05:45'", "text", "12:00:00+05:45"),
    ("date", "'9999-12-31'", "date", date(9999, 12, 31)),
    ("timestamp", "'0001-01-01'", "timestamp", datetime(1, 1, 1)),
    ("timestamp_s", "'2025-01-01'", "timestamp", datetime(2025, 1, 1)),
    ("timestamp_ns", "'2025-01-01 00:00:00.123456'", "timestamp", datetime(2025, 1, 1, 0, 0, 0, 123456)),
    ("timestamptz", "'2025-01-01 00:00:00+02'", "timestamptz", datetime(2024, 12, 31, 22, tzinfo=UTC)),
]

UNFIT = [
    ("hugeint", "170141183460469231731687303715884105727"),
    ("timestamp_ns", "'2025-01-01 00:00:00.123456789'"),
    ("timestamp", "'infinity'"),
    ("timestamptz", "'-infinity'"),
    ("date", "'infinity'"),
    ("date", "'5000000-01-01'"),
    ("date", "'0044-03-15 (BC)'"),
    ("time", "'24:00:00'"),
    ("double[]", "['nan'::double]"),
]


@pytest.mark.parametrize(("type_", "value", "logical", "expected"), EXACT)
def test_types_arrive_exactly(path: Path, type_: str, value: str, logical: str, expected: Any) -> None:
    run(path, f"create table t (v {type_})", f"insert into t values ({value}), (null)")
    result = read_stream(make(DuckDBSource, path=path))
    assert result.types == {"v": logical}
    assert result.column("v") == [expected, None]
    assert not result.rejected


@pytest.mark.parametrize(("type_", "value"), UNFIT)
def test_values_beyond_a_type_are_rejected(path: Path, type_: str, value: str) -> None:
    run(path, f"create table t (id int primary key, v {type_})", f"insert into t values (1, null), (2, {value})")
    result = read_stream(make(DuckDBSource, path=path))
    assert result.rows == [{"id": 1, "v": None}]
    assert [record.key for record in result.rejected] == ['{"id": 2}']


def test_the_catalog(path: Path) -> None:
    run(
        path,
        "create schema other",
        'create table "we""ird" (a int, b text not null, moment timestamptz, primary key (b, a))',
        "create view looking as select 1 as x",
        "create table other.hidden (a int)",
        "create table numbered (id bigint primary key)",
        "insert into numbered select range from range(10)",
    )
    streams = {stream.name: stream for stream in make(DuckDBSource, path=path).discover().streams}
    assert sorted(streams) == ["looking", "numbered", 'we"ird']
    assert streams['we"ird'].primary_key == ("b", "a")
    assert streams['we"ird'].cursor_candidates == ("moment",)
    assert streams["numbered"].cursor_candidates == ("id",)
    assert streams["numbered"].estimated_rows == 10
    assert [stream.name for stream in make(DuckDBSource, path=path, schema="other").discover().streams] == ["hidden"]
    with pytest.raises(ConfigError, match="main, other"):
        make(DuckDBSource, path=path, schema="absent").discover()


def test_windows_and_the_highest_value(path: Path) -> None:
    run(
        path,
        "create table t (id int, moment timestamptz, d decimal(20,10), s varchar)",
        "insert into t select i, '2025-01-01'::timestamptz + to_days(i::int), i / 3::decimal(20,10), 'k' || i from range(10) r(i)",
        "insert into t values (100, null, null, null), (101, '2999-01-01', 0, 'a'), (102, 'infinity', 0, 'a')",
    )
    source = make(DuckDBSource, path=path)
    schema = source.discover().streams[0]

    def high(column: str) -> str | None:
        return source.high(StreamConfig("t", SyncMode.INCREMENTAL_APPEND, cursor_field=column), schema)

    assert high("moment") == "2025-01-10 00:00:00+00"
    assert high("s") == "k9"
    assert high("id") == "102"
    for column in ("moment", "d", "s"):
        top = high(column)
        assert read_stream(source, schema=schema, cursor=column, window=Window(top, top)).column("id") == [9, 100]
    assert read_stream(source, schema=schema, cursor="id", window=Window("5", "8")).column("id") == [5, 6, 7, 8]


def test_many_rows_in_one_snapshot(path: Path) -> None:
    run(path, "create table t as select range as id, 'x' || range as v from range(200000)")
    source = make(DuckDBSource, path=path)
    assert read_stream(source).column("id") == list(range(200_000))


def test_a_view_cannot_reach_other_files(path: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    run(path, f"create view v as select * from read_csv('{tmp_path}/secret.csv')")
    with pytest.raises(PermissionDeniedError):
        read_stream(make(DuckDBSource, path=path))


def test_what_this_process_writes_can_be_read(path: Path) -> None:
    with duckdb.connect(str(path)) as writer:
        writer.execute("create table t as select 1 as a")
        writer.execute("begin")
        writer.execute("insert into t values (2)")
        assert read_stream(make(DuckDBSource, path=path)).rows == [{"a": 1}]
        writer.execute("commit")
    assert len(read_stream(make(DuckDBSource, path=path)).rows) == 2


def test_what_another_process_writes_is_tried_again(path: Path) -> None:
    run(path, "create table t (a int)")
    code = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(SourceUnavailableError, match=str(other.pid)):
            make(DuckDBSource, path=path).discover()
        other.communicate("\n")
    assert len(make(DuckDBSource, path=path).discover().streams) == 1


def test_other_files_are_told_apart_and_nothing_is_created(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        make(DuckDBSource, path=tmp_path / "absent.duckdb").discover()
    assert not (tmp_path / "absent.duckdb").exists()
    (tmp_path / "x").write_bytes(b"SQLite format 3\x00" + b"\x00" * 4096)
    (tmp_path / "y").write_text("a,b\n" * 5000)
    (tmp_path / "z").write_bytes(b"")
    for name in ("x", "y", "z", "."):
        with pytest.raises(ConfigError):
            make(DuckDBSource, path=tmp_path / name).discover()


def test_a_column_that_is_gone_is_a_schema_change(path: Path) -> None:
    run(path, "create table t (a int, b int)")
    source = make(DuckDBSource, path=path)
    schema = source.discover().streams[0]
    run(path, "alter table t drop column b")
    with pytest.raises(SchemaChangedError):
        read_stream(source, schema=schema)


def test_an_endless_view_can_be_interrupted(path: Path) -> None:
    run(path, "create view t as select count(*) as n from range(10000000) a, range(10000000) b where a.range * b.range % 7 = 1")
    source = make(DuckDBSource, path=path)
    schema = source.discover().streams[0]
    threading.Timer(0.2, source.interrupt).start()
    with pytest.raises(CancelledSyncError):
        read_stream(source, schema=schema)


def test_the_connection_test_names_its_steps(path: Path) -> None:
    run(path, "create table t (a int)")
    steps = list(make(DuckDBSource, path=path).check())
    assert [step.title for step in steps] == ["Initiate test", "Authentication check", "Connectivity test"]
