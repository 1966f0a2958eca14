"""The audit trail: every row is kept, and no change of one goes unnoticed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from syncterm.engine import audit
from syncterm.engine.clock import SystemClock
from syncterm.engine.model import Actor, Role
from syncterm.engine.redaction import register_secret
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import audit_events
from tests.engine.store_rows import NOW

ADA = Actor("ada", Role.ADMINISTRATOR)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "syncterm.db", clock=SystemClock())
    yield database
    await database.close()


async def add(database: Database, count: int) -> None:
    for number in range(count):
        async with database.write(durable=False) as connection:
            await audit.record(
                connection,
                actor=ADA,
                operation="pause",
                object_type="connector",
                object_id=f"c{number}",
                object_name="naïve \x1b[31m",
                after={"paused": True, "number": number},
                refused=number % 2 == 1,
                now=NOW + timedelta(milliseconds=number),
            )


async def check(database: Database) -> audit.AuditCheck:
    async with database.read() as connection:
        return await audit.verify(connection)


async def test_an_untouched_trail_is_whole(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_PAGE", 3)
    assert await check(database) == audit.AuditCheck(0, None, "")
    for rows in (3, 7):
        await add(database, rows if rows == 3 else 4)
        found = await check(database)
        assert (found.rows, found.broken_id) == (rows, None)
        assert len(found.newest) == 64
    async with database.read() as connection:
        row = (await connection.execute(select(audit_events).where(audit_events.c.id == 2))).one()
    assert (row.actor, row.role, row.operation, row.object_id, row.refused) == ("ada", "administrator", "pause", "c1", True)
    assert row.object_name == "naïve \x1b[31m"
    assert json.loads(row.after) == {"paused": True, "number": 1}


CHANGES: dict[str, Any] = {
    "at": NOW + timedelta(days=1),
    "actor": "eve",
    "role": "viewer",
    "operation": "resume",
    "object_type": "source",
    "object_id": None,
    "object_name": "other",
    "refused": True,
    "before": "{}",
    "after": None,
    "hash": "0" * 64,
}


@pytest.mark.parametrize("column", sorted(CHANGES))
async def test_an_edited_column_is_noticed(database: Database, column: str) -> None:
    await add(database, 5)
    async with database.write() as connection:
        await connection.execute(update(audit_events).where(audit_events.c.id == 3).values({column: CHANGES[column]}))
    assert (await check(database)).broken_id == 3


def test_every_column_is_covered() -> None:
    assert set(CHANGES) | {"id"} == set(audit_events.c.keys())


async def test_a_removed_row_is_noticed(database: Database) -> None:
    await add(database, 5)
    async with database.write() as connection:
        await connection.execute(delete(audit_events).where(audit_events.c.id == 3))
    assert await check(database) == audit.AuditCheck(2, 4, (await check(database)).newest)


async def test_a_renumbered_gap_is_noticed(database: Database) -> None:
    await add(database, 5)
    async with database.write() as connection:
        await connection.execute(delete(audit_events).where(audit_events.c.id == 3))
        await connection.execute(update(audit_events).where(audit_events.c.id == 4).values(id=3))
    assert (await check(database)).broken_id == 3


async def test_an_inserted_row_is_noticed(database: Database) -> None:
    await add(database, 2)
    async with database.write() as connection:
        values = {name: value for name, value in CHANGES.items() if value is not None}
        await connection.execute(insert(audit_events).values(id=3, **values))
    assert (await check(database)).broken_id == 3


async def test_a_rolled_back_operation_leaves_no_row(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with database.write() as connection:
            await audit.record(connection, actor=ADA, operation="x", object_type="y", now=NOW)
            raise ZeroDivisionError
    assert (await check(database)).rows == 0


async def test_known_secrets_are_masked(database: Database) -> None:
    register_secret("CANARY-audit-secret")
    async with database.write() as connection:
        await audit.record(
            connection, actor=ADA, operation="x", object_type="y", before={"password": "CANARY-audit-secret"}, now=NOW
        )
    async with database.read() as connection:
        assert "CANARY" not in str((await connection.execute(select(audit_events))).all())
