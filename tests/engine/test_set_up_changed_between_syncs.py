"""Set-ups that change between syncs, or while one runs: no record is left out, none arrives twice."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import select

from syncterm.engine.drafts import ConnectorDraft
from syncterm.engine.model import Outcome, StreamConfig, SyncMode
from syncterm.engine.store.tables import destinations, sources
from syncterm.engine.testing import READS
from tests.engine.workbench import ADMINISTRATOR, Workbench, until, workbench

ORDERS = StreamConfig("orders", SyncMode.INCREMENTAL_APPEND, cursor_field="number")
OTHERS = StreamConfig("others", SyncMode.REPLACE)
DOCUMENT = """
version: 1
sources:
  first: {type: sqlite, config: {path: FOLDER/first.db}}
  second: {type: sqlite, config: {path: FOLDER/second.db}}
  slow:
    type: scripted
    config: {script: meanwhile, stream: events, records: 20, batch_records: 10, faults: [{kind: slow, seconds: 1, reads: 1}]}
destinations:
  warehouse: {type: duckdb, config: {path: FOLDER/warehouse.duckdb}}
connectors: {}
"""


def fill(path: Path, first: int, last: int) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("orders", "others"):
            connection.execute(f"create table {table} (number integer primary key)")
            connection.executemany(f"insert into {table} values (?)", [(number,) for number in range(first, last + 1)])


async def identifier(bench: Workbench, table: Any, name: str) -> str:
    async with bench.engine.database.read() as connection:
        return str((await connection.execute(select(table.c.id).where(table.c.name == name))).scalar_one())


async def save(bench: Workbench, draft: ConnectorDraft) -> ConnectorDraft:
    saved = await bench.engine.operations.save_connector(ADMINISTRATOR, draft)
    found = await bench.engine.queries.connector_draft(saved.id)
    assert found is not None
    return found


def numbers(folder: Path, table: str, column: str) -> list[int]:
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        return [number for (number,) in connection.execute(f"select {column} from {table} order by 1").fetchall()]


@pytest.mark.parametrize("between", ["another source", "no source"])
async def test_a_stream_that_was_left_out_before_the_source_changed_begins_anew(tmp_path: Path, between: str) -> None:
    fill(tmp_path / "first.db", 1, 100)
    fill(tmp_path / "second.db", 1, 5)
    async with workbench(tmp_path) as bench:
        await bench.apply(DOCUMENT.replace("FOLDER", str(tmp_path)))
        first, second = await identifier(bench, sources, "first"), await identifier(bench, sources, "second")
        draft = await save(
            bench,
            ConnectorDraft("copy", first, await identifier(bench, destinations, "warehouse"), "", (ORDERS, OTHERS)),
        )
        before = await bench.engine.queries.connector_streams(str(draft.id))
        assert (await bench.sync("copy")).row.outcome == Outcome.SUCCESS
        after = await bench.engine.queries.connector_streams(str(draft.id))
        assert before is not None
        assert after is not None
        assert before.fingerprint.split()[0] != after.fingerprint.split()[0]  # of the schemas that were applied
        draft = await save(bench, replace(draft, streams=(OTHERS,)))
        if between == "no source":
            draft = await save(bench, replace(draft, source_id=None, streams=()))
        draft = await save(bench, replace(draft, source_id=second, streams=(OTHERS,)))
        listed = await bench.engine.queries.connector_streams(str(draft.id))
        assert listed is not None
        assert (list(listed.saved), list(listed.unselected)) == (["others"], [])
        draft = await save(bench, replace(draft, streams=(ORDERS, OTHERS)))
        assert (await bench.sync("copy")).row.outcome == Outcome.SUCCESS
        assert numbers(tmp_path, "orders", "number") == [1, 2, 3, 4, 5]


async def test_a_mode_that_is_changed_while_a_sync_runs_holds_for_the_next(tmp_path: Path) -> None:
    READS["meanwhile"] = 0
    async with workbench(tmp_path) as bench:
        await bench.apply(DOCUMENT.replace("FOLDER", str(tmp_path)))
        source = await identifier(bench, sources, "slow")
        draft = await save(
            bench,
            ConnectorDraft(
                "copy", source, await identifier(bench, destinations, "warehouse"), "", (StreamConfig("events", SyncMode.REPLACE),)
            ),
        )
        sync_id = await bench.start_sync("copy")

        async def reading() -> bool:
            return READS["meanwhile"] > 0

        await until(reading, "the sync reads")
        await save(bench, replace(draft, streams=(StreamConfig("events", SyncMode.INCREMENTAL_APPEND, cursor_field="id"),)))
        assert (await bench.completed(sync_id)).row.outcome == Outcome.SUCCESS
        assert (await bench.sync("copy")).row.outcome == Outcome.SUCCESS
        assert numbers(tmp_path, "events", "id") == list(range(1, 21))


async def test_a_column_that_is_left_out_makes_no_delivered_record_new(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "first.db")) as connection, connection:
        connection.execute("create table orders (number integer, note text)")
        connection.executemany("insert into orders values (?, ?)", [(1, "a"), (2, "b"), (2, "c")])
    async with workbench(tmp_path) as bench:
        await bench.apply(DOCUMENT.replace("FOLDER", str(tmp_path)))
        first = await identifier(bench, sources, "first")
        draft = await save(bench, ConnectorDraft("copy", first, await identifier(bench, destinations, "warehouse"), "", (ORDERS,)))
        assert (await bench.sync("copy")).row.outcome == Outcome.SUCCESS
        await save(bench, replace(draft, streams=(replace(ORDERS, columns=("number",)),)))
        assert (await bench.sync("copy")).row.outcome == Outcome.SUCCESS
        assert numbers(tmp_path, "orders", "number") == [1, 2, 2]
