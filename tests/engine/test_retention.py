"""Retention: what is old goes, with all that is its own; what is recent, open, or kept for ever stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from syncterm.engine import audit, retention
from syncterm.engine.clock import SystemClock
from syncterm.engine.model import Actor, Outcome, Role, Trigger
from syncterm.engine.queries import Queries
from syncterm.engine.rollups import FinishedSync, record_finished
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import (
    attempts,
    audit_events,
    connectors,
    cursor_versions,
    failed_records,
    log_lines,
    rollup_days,
    rollup_hours,
    sources,
    streams,
    sync_streams,
    syncs,
)
from tests.engine.store_rows import NOW, add_connector, add_destination, add_source, add_sync

OLD = NOW - timedelta(days=61)
RECENT = NOW - timedelta(days=59)


class FixedClock(SystemClock):
    def now(self) -> datetime:
        return NOW


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "syncterm.db", clock=SystemClock())
    yield database
    await database.close()


async def rows(database: Database, table: Any) -> list[Any]:
    async with database.read() as connection:
        return list((await connection.execute(select(table))).all())


async def count(database: Database, table: Any) -> int:
    async with database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


async def add_history(connection: Any, connector_id: str, at: datetime) -> str:
    """A finished sync with everything that belongs to it."""
    sync_id = await add_sync(connection, connector_id, at)
    await connection.execute(insert(sync_streams).values(sync_id=sync_id, stream="s", sync_mode="replace", action="replace"))
    await connection.execute(insert(attempts).values(sync_id=sync_id, number=1, epoch=1, started_at=at))
    await connection.execute(
        insert(log_lines).values(sync_id=sync_id, connector_id=connector_id, at=at, level="info", message="hello")
    )
    await connection.execute(
        insert(failed_records).values(
            sync_id=sync_id,
            connector_id=connector_id,
            stream="s",
            at=at,
            action="insert",
            code="cast_failed",
            message="no",
            fingerprint="f",
            payload="{}",
        )
    )
    await record_finished(
        connection, FinishedSync(connector_id, Trigger.MANUAL, Outcome.SUCCESS, at, timedelta(seconds=1), 1, 0, 1)
    )
    return sync_id


async def test_old_history_goes_and_recent_stays(database: Database) -> None:
    async with database.write() as connection:
        connector = await add_connector(connection, "a")
        await add_history(connection, connector, OLD)
        kept = await add_history(connection, connector, RECENT)
        open_sync = await add_sync(connection, connector, OLD, state="executing", finished_at=None, duration_ms=None, outcome=None)
        await audit.record(
            connection, actor=Actor("ada", Role.USER), operation="pause", object_type="connector", now=OLD - timedelta(days=900)
        )
    removed = await retention.apply(database, FixedClock())
    assert removed.rows == {"log_lines": 1, "failed_records": 1, "syncs": 1, "rollup_hours": 1, "rollup_days": 1}
    assert {row.id for row in await rows(database, syncs)} == {kept, open_sync}
    for table in (sync_streams, attempts, log_lines, failed_records):
        assert [row.sync_id for row in await rows(database, table)] == [kept]
    for table in (rollup_hours, rollup_days, connectors, audit_events):
        assert await count(database, table) == 1
    assert (await retention.apply(database, FixedClock())).rows == {}


async def test_the_time_that_history_is_kept_can_be_set(database: Database) -> None:
    async with database.write() as connection:
        await add_history(connection, await add_connector(connection, "a"), RECENT)
    await retention.apply(database, FixedClock(), keep=timedelta(days=7))
    assert await count(database, syncs) == 0


async def test_the_newest_version_of_a_cursor_stays(database: Database) -> None:
    async with database.write() as connection:
        connector = await add_connector(connection, "a")
        await connection.execute(
            insert(cursor_versions),
            [
                {"connector_id": connector, "stream": stream, "version": version, "cursor": "x", "at": at}
                for stream, version, at in (("s", 1, OLD), ("s", 2, OLD), ("t", 1, OLD), ("t", 2, RECENT), ("t", 3, RECENT))
            ],
        )
    await retention.apply(database, FixedClock())
    kept = [(row.stream, row.version) for row in await rows(database, cursor_versions)]
    assert sorted(kept) == [("s", 2), ("t", 2), ("t", 3)]


async def test_long_deleted_connectors_go_with_all_that_is_theirs(database: Database) -> None:
    async with database.write() as connection:
        source, destination = await add_source(connection, deleted_at=OLD), await add_destination(connection)
        gone = await add_connector(connection, "gone", source_id=source, destination_id=destination, deleted_at=OLD)
        await connection.execute(insert(streams).values(connector_id=gone, name="s", position=0, sync_mode="replace"))
        await add_history(connection, gone, OLD)
        await add_history(connection, gone, RECENT)
        grace = await add_connector(connection, "grace", deleted_at=NOW - retention.KEEP - timedelta(minutes=5))
        undone = await add_connector(connection, "recent", deleted_at=RECENT)
        live = await add_connector(connection, "live")
    await retention.apply(database, FixedClock())
    assert {row.id for row in await rows(database, connectors)} == {grace, undone, live}
    for table in (streams, syncs, sync_streams, log_lines, failed_records, sources):
        assert await count(database, table) == 0
    assert {row.subject_id for row in await rows(database, rollup_days)} <= {source, destination}
    assert await database.verify() == []


async def test_the_sequence_of_changes_never_goes_back(database: Database) -> None:
    async with database.write() as connection:
        await add_connector(connection, "live")
        await add_connector(connection, "gone", deleted_at=OLD)
    queries = Queries(database, SystemClock())
    sequence, _, _ = await queries.changed_connectors(0)
    await retention.apply(database, FixedClock())
    async with database.write() as connection:
        changed = await add_connector(connection, "next")
    assert (await queries.changed_connectors(sequence))[1] == {changed}
    await retention.apply(database, FixedClock())
    assert await count(database, connectors) == 2


async def test_many_rows_go_in_pieces_and_others_write_between(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_LARGEST_PIECE", 50)
    async with database.write() as connection:
        line = {"at": OLD, "level": "info", "message": "x"}
        await connection.execute(insert(log_lines), [line] * 501)
        connector = await add_connector(connection, "a")
    pieces = 0
    write = database.write

    def counting(**options: Any) -> Any:
        nonlocal pieces
        pieces += 1
        return write(**options)

    monkeypatch.setattr(database, "write", counting)
    removed = await retention.apply(database, FixedClock())
    assert removed.rows == {"log_lines": 501}
    assert pieces >= 501 / 50
    async with write() as connection:
        await connection.execute(update(connectors).where(connectors.c.id == connector).values(name="b"))
