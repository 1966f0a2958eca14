"""What the check of a cursor finds: as a table of what was seen, and on real databases."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from syncterm.engine.cursor_check import CursorSample, findings
from syncterm.engine.model import StreamConfig, SyncMode
from syncterm.engine.schema import Field, LogicalType, StreamSchema
from syncterm.engine.store.tables import sources
from tests.engine.workbench import ADMINISTRATOR, Workbench, workbench
from tests.servers.postgres import PostgresDatabase

AT = Field("at", LogicalType("timestamptz"), nullable=False)
UPSERT = StreamConfig("orders", SyncMode.INCREMENTAL_UPSERT, primary_key=("id",), cursor_field="at")
APPEND = replace(UPSERT, sync_mode=SyncMode.INCREMENTAL_APPEND)
SCHEMA = StreamSchema("orders", (Field("id", LogicalType("int64"), nullable=False), AT), ("id",), estimated_rows=50_000)
GOOD = CursorSample(records=5000, indexed=frozenset({"at"}), ordered_by_key=True)
LATER = datetime(2031, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stream", "column", "sample", "future", "words"),
    [
        (UPSERT, AT, GOOD, [], []),
        (UPSERT, AT, replace(GOOD, nulls=12), [], ["at is empty in 12 of the first 5,000 records: each becomes a failed record"]),
        (replace(UPSERT, include_null_cursor=True), AT, replace(GOOD, nulls=12), [], ["those are read again at every sync"]),
        (UPSERT, replace(AT, nullable=True), GOOD, [], ["at may be empty (none of the first 5,000 records is)"]),
        (UPSERT, AT, GOOD, [LATER] * 3, ["in the future in 3 records (up to 2031-01-01 00:00:00 UTC): they wait"]),
        (UPSERT, AT, GOOD, [LATER], ["in the future in 1 record (up"]),
        (UPSERT, replace(AT, type=LogicalType("date")), GOOD, [], ["at holds days, not times"]),
        (UPSERT, AT, replace(GOOD, ties=999), [], []),
        (
            UPSERT,
            AT,
            replace(GOOD, ties=2500, most_alike=40),
            [],
            ["seconds: 50 % of the first 5,000 records", "up to 40 at once"],
        ),
        (UPSERT, AT, replace(GOOD, ties=2500, whole_seconds=False), [], ["few distinct times"]),
        (UPSERT, AT, replace(GOOD, backwards=7), [], []),
        (
            APPEND,
            AT,
            replace(GOOD, backwards=7, furthest_back=timedelta(hours=3)),
            [],
            ["at goes back 7 times within the first 5,000 records in the order of their key, by up to 3 hours"],
        ),
        (
            UPSERT,
            AT,
            replace(GOOD, indexed=frozenset({"id"})),
            [],
            ["No index begins with at", "about 50,000"],
        ),
        (UPSERT, AT, replace(GOOD, indexed=None), [], []),
        (UPSERT, replace(AT, name="id", type=LogicalType("int64")), replace(GOOD, indexed=None), [], ["id is part of the key"]),
        (UPSERT, replace(AT, name="version", type=LogicalType("int64")), replace(GOOD, indexed=None), [], ["version is a number"]),
        (APPEND, replace(AT, name="id", type=LogicalType("int64")), replace(GOOD, indexed=None), [], []),
    ],
)
def test_findings(stream: StreamConfig, column: Field, sample: CursorSample, future: list[Any], words: list[str]) -> None:
    found = " | ".join(findings(stream, column, SCHEMA, sample, future))
    assert bool(found) == bool(words)
    assert [word for word in words if word not in found] == []


def test_a_small_table_needs_no_index_and_a_slow_one_does() -> None:
    small = replace(SCHEMA, estimated_rows=100)
    unindexed = replace(GOOD, indexed=frozenset[str]())
    assert list(findings(UPSERT, AT, small, unindexed, [])) == []
    (slow,) = findings(UPSERT, AT, SCHEMA, unindexed, [], slow=True)
    assert "took more than" in slow


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with workbench(tmp_path, execute=False) as made:
        yield made


async def check(bench: Workbench, config: dict[str, Any], type_: str, stream: StreamConfig) -> str:
    text = "\n".join(f"      {key}: {value!r}" for key, value in config.items())
    await bench.apply(f"version: 1\nsources:\n  s:\n    type: {type_}\n    config:\n{text}\ndestinations: {{}}\nconnectors: {{}}\n")
    async with bench.engine.database.read() as connection:
        source_id = (await connection.execute(select(sources.c.id))).scalar_one()
    await bench.engine.operations.discover(ADMINISTRATOR, source_id)
    return " | ".join(await bench.engine.operations.check_cursor(ADMINISTRATOR, source_id, stream))


async def test_postgres(bench: Workbench, postgres_database: PostgresDatabase) -> None:
    postgres_database.execute(
        """
        CREATE TABLE orders (id bigint PRIMARY KEY, at timestamptz, day date NOT NULL, good timestamptz NOT NULL);
        INSERT INTO orders
        SELECT n, CASE WHEN n % 100 = 0 THEN NULL ELSE '2025-01-01'::timestamptz + n / 10 * interval '1 s' END, '2025-01-01',
               '2025-01-01'::timestamptz + n * interval '1 us'
          FROM generate_series(1, 12000) AS n;
        INSERT INTO orders VALUES (20000, date_trunc('second', now()) + interval '2 days', '2025-01-02', now());
        CREATE INDEX orders_good ON orders (good);
        ANALYZE orders;
        """
    )
    config = {**postgres_database.parameters, "schema": "public", "sslmode": "disable"}
    found = await check(bench, config, "postgres", UPSERT)
    assert "at is empty in 120 of the first 12,001 records" in found
    assert "in the future in 1 record" in found
    assert "at holds whole seconds: 98 % of the first 12,001 records" in found
    assert "No index begins with at: every sync reads the whole table of about 12,001 records" in found
    assert await check(bench, config, "postgres", replace(UPSERT, cursor_field="good")) == ""
    assert "day holds days" in await check(bench, config, "postgres", replace(UPSERT, cursor_field="day"))


async def test_postgres_views_have_no_index_to_miss(bench: Workbench, postgres_database: PostgresDatabase) -> None:
    postgres_database.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL); CREATE VIEW v AS SELECT * FROM t")
    config = {**postgres_database.parameters, "schema": "public", "sslmode": "disable"}
    stream = StreamConfig("v", SyncMode.INCREMENTAL_APPEND, cursor_field="at")
    assert "index" not in await check(bench, config, "postgres", stream)


async def test_sqlite(bench: Workbench, tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute('create table "or""ders" (id integer primary key, at datetime not null, "made;at" datetime not null)')
        rows = [
            (n, f"2025-01-01 {n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}.5", f"2025-01-01 0{n % 7}:00:00.{n:06}")
            for n in range(1, 11_001)
        ]
        connection.executemany('insert into "or""ders" values (?, ?, ?)', rows)
        connection.execute('create index i on "or""ders" (at)')
    connection.close()
    good = StreamConfig('or"ders', SyncMode.INCREMENTAL_APPEND, primary_key=("id",), cursor_field="at")
    config = {"path": str(path)}
    found = await check(bench, config, "sqlite", good)
    assert "index" not in found
    assert "back" not in found
    found = await check(bench, config, "sqlite", replace(good, cursor_field="made;at"))
    assert "made;at goes back 1,571 times within the first 11,000 records in the order of their key, by up to 6 hours" in found
    assert "No index begins with made;at" in found


async def test_a_stream_without_a_cursor_has_nothing_to_check(bench: Workbench) -> None:
    document = "version: 1\nsources: {s: {type: scripted, config: {script: none}}}\ndestinations: {}\nconnectors: {}\n"
    await bench.apply(document)
    async with bench.engine.database.read() as connection:
        source_id = (await connection.execute(select(sources.c.id))).scalar_one()
    stream = StreamConfig("events", SyncMode.REPLACE)
    assert await bench.engine.operations.check_cursor(ADMINISTRATOR, source_id, stream) == ()
