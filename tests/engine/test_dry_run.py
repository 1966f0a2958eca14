"""A dry run shows the first records as they would arrive, and changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from syncterm.engine.drafts import ConnectorDraft, DryRun
from syncterm.engine.errors import ConfigError, SchemaChangedError
from syncterm.engine.model import StreamConfig, SyncMode
from syncterm.engine.store.tables import sources
from syncterm.engine.testing import READS
from tests.engine.workbench import ADMINISTRATOR, Workbench, workbench
from tests.servers.postgres import PostgresDatabase

SCRIPTED = """
version: 1
sources: {made: {type: scripted, config: {script: SCRIPT, records: 100000, batch_records: 1000, faults: FAULTS}}}
destinations: {}
connectors: {}
"""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with workbench(tmp_path, execute=False) as made:
        yield made


async def run(bench: Workbench, stream: StreamConfig, limit: int = 20) -> DryRun:
    async with bench.engine.database.read() as connection:
        source_id = (await connection.execute(select(sources.c.id))).scalar_one()
    draft = ConnectorDraft("unsaved", source_id=source_id, streams=(stream,))
    return await bench.engine.operations.dry_run(ADMINISTRATOR, draft, stream.name, limit)


async def test_the_first_records_arrive_with_casts_and_columns(bench: Workbench) -> None:
    await bench.apply(SCRIPTED.replace("SCRIPT", "dry").replace("FAULTS", "[]"))
    stream = StreamConfig("events", SyncMode.REPLACE, columns=("amount", "id"), casts={"id": "text", "amount": "float64"})
    found = await run(bench, stream, 3)
    assert [(field.name, str(field.type)) for field in found.fields] == [("amount", "float64"), ("id", "text")]
    assert found.records == (("0.01", "1"), ("0.02", "2"), ("0.03", "3"))
    assert (found.rejected, found.filtered) == ((), 0)


async def test_records_that_would_fail_are_told_with_their_reason(bench: Workbench) -> None:
    await bench.apply(SCRIPTED.replace("SCRIPT", "bad").replace("FAULTS", "[{kind: bad_rows, every: 2}]"))
    found = await run(bench, StreamConfig("events", SyncMode.REPLACE), 4)
    assert [record[0] for record in found.records] == ["1", "3", "5", "7"]
    assert "not a number" in found.rejected[0]
    found = await run(bench, StreamConfig("events", SyncMode.REPLACE, casts={"name": "int32"}), 4)
    assert found.records == ()
    assert "record 1" in found.rejected[0]


async def test_the_source_is_not_read_to_its_end(bench: Workbench) -> None:
    hangs = "[{kind: hang, after: 2000}]"
    await bench.apply(SCRIPTED.replace("SCRIPT", "hanging").replace("FAULTS", hangs))
    assert len((await run(bench, StreamConfig("events", SyncMode.REPLACE), 1000)).records) == 1000
    assert READS["hanging"] == 1


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_limits(bench: Workbench, limit: int) -> None:
    await bench.apply(SCRIPTED.replace("SCRIPT", "limits").replace("FAULTS", "[]"))
    with pytest.raises(ConfigError, match="not possible"):
        await run(bench, StreamConfig("events", SyncMode.REPLACE), limit)


async def test_a_stream_that_is_gone(bench: Workbench) -> None:
    await bench.apply(SCRIPTED.replace("SCRIPT", "gone").replace("FAULTS", "[]"))
    with pytest.raises(SchemaChangedError, match="no stream 'elsewhere' any more"):
        await run(bench, StreamConfig("elsewhere", SyncMode.REPLACE))


def sqlite_file(folder: Path) -> Path:
    path = folder / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute('create table "or;ders\'" (id integer primary key, at text, note blob)')
        connection.executemany(
            'insert into "or;ders\'" values (?, ?, ?)',
            [(1, "2025-01-01 00:00:00", b"\x00\xff"), (2, None, None), (3, "2025-01-03 00:00:00", b"")],
        )
    connection.close()
    return path


async def test_sqlite_with_hostile_names_and_records_without_a_cursor(bench: Workbench, tmp_path: Path) -> None:
    path = sqlite_file(tmp_path)
    await bench.apply(
        f"version: 1\nsources: {{s: {{type: sqlite, config: {{path: {path}}}}}}}\ndestinations: {{}}\nconnectors: {{}}\n"
    )
    stream = StreamConfig("or;ders'", SyncMode.INCREMENTAL_UPSERT, primary_key=("id",), cursor_field="at")
    found = await run(bench, stream)
    assert found.records == (("1", "2025-01-01 00:00:00", "\\x00ff"), ("3", "2025-01-03 00:00:00", "\\x"))
    (reason,) = found.rejected
    assert "NULL" in reason


async def test_a_row_filter_leaves_records_out(bench: Workbench, tmp_path: Path) -> None:
    path = sqlite_file(tmp_path)
    await bench.apply(
        f"version: 1\nsources: {{s: {{type: sqlite, config: {{path: {path}}}}}}}\ndestinations: {{}}\nconnectors: {{}}\n"
    )
    stream = StreamConfig("or;ders'", SyncMode.REPLACE, columns=("note",), row_filter="id >= 2")
    found = await run(bench, stream)
    assert ([field.name for field in found.fields], found.records, found.filtered) == (["note"], ((None,), ("\\x",)), 1)


async def test_postgres(bench: Workbench, postgres_database: PostgresDatabase) -> None:
    postgres_database.execute(
        """
        CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(12,2), at timestamptz, tags text[]);
        INSERT INTO orders
        SELECT n, n / 3.0, '2025-01-01 00:00+00'::timestamptz + n * interval '1 s', '{a}' FROM generate_series(1, 50) AS n;
        """
    )
    settings = {**postgres_database.parameters, "schema": "public", "sslmode": "disable"}
    text = "\n".join(f"      {key}: {value!r}" for key, value in settings.items())
    await bench.apply(
        f"version: 1\nsources:\n  pg:\n    type: postgres\n    config:\n{text}\ndestinations: {{}}\nconnectors: {{}}\n"
    )
    found = await run(bench, StreamConfig("orders", SyncMode.REPLACE, columns=("id", "total", "at")), 2)
    assert found.records == (("1", "0.33", "2025-01-01 00:00:01+00:00"), ("2", "0.67", "2025-01-01 00:00:02+00:00"))
