"""Due connectors answered many at a time are answered as one by one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from syncterm.engine.due import answer
from syncterm.engine.due_together import answer_plain
from syncterm.engine.model import Activity
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import connectors, streams, syncs
from syncterm.engine.testing import FakeClock
from tests.engine.store_rows import NOW, add_connector, add_sync

HOUR = 3_600_000
DUE = NOW - timedelta(minutes=1)
LONG_AGO = NOW - timedelta(hours=5, minutes=1)
HOURLY = {"schedule_kind": "interval", "schedule_every_ms": HOUR, "anchor_at": LONG_AGO, "next_fire_at": DUE}
CASES: dict[str, dict[str, Any]] = {
    "interval": HOURLY,
    "interval with an offset": HOURLY | {"offset_ms": 30_000},
    "cron": HOURLY | {"schedule_kind": "cron", "schedule_expression": "*/7 * * * *", "schedule_every_ms": None},
    "cron in a zone": HOURLY
    | {
        "schedule_kind": "cron",
        "schedule_expression": "30 2 * * *",
        "schedule_timezone": "Europe/Berlin",
        "schedule_every_ms": None,
    },
    "missed": HOURLY | {"next_fire_at": LONG_AGO},
    "missed, not made up for": HOURLY | {"next_fire_at": LONG_AGO, "catch_up": "skip"},
    "on time, would not be made up for": HOURLY | {"catch_up": "skip"},
    "answered already": HOURLY,
    "running": HOURLY | {"activity": Activity.RUNNING},
    "paused": HOURLY | {"paused_by": "person"},
    "incomplete": HOURLY | {"configuration_complete": False},
    "a schema change waits": HOURLY | {"schema_change": "{}"},
    "an unknown zone": HOURLY
    | {"schedule_kind": "cron", "schedule_expression": "0 * * * *", "schedule_timezone": "Europe/Nowhere"},
    "a stream with a schedule of its own": HOURLY,
}


async def store(path: Path) -> Database:
    database = await Database.open(path, clock=FakeClock(NOW))
    async with database.write() as connection:
        for name, values in CASES.items():
            id_ = await add_connector(connection, name, id=name, **values)
            for stream in ("one", "two"):
                own = "cron" if name.startswith("a stream") and stream == "two" else None
                await connection.execute(
                    insert(streams).values(connector_id=id_, name=stream, position=0, sync_mode="replace", schedule_kind=own)
                )
        await add_sync(connection, "answered already", DUE, due_at=DUE)
    return database


async def rows(connection: Any) -> list[Any]:
    return list((await connection.execute(select(connectors).order_by(connectors.c.id))).all())


async def outcome(database: Database) -> tuple[list[Any], list[Any]]:
    """What the connectors and the syncs say, ids and change numbers aside."""
    async with database.read() as connection:
        found = [row._asdict() for row in await rows(connection)]
        queued = [
            row._asdict() for row in await connection.execute(select(syncs).order_by(syncs.c.connector_id, syncs.c.created_at))
        ]
    for row in found:
        assert (row.pop("active_sync_id") is None) == (row["activity"] in (Activity.IDLE, Activity.RUNNING)), row["name"]
        row.pop("changed_at")
        row.pop("listed_at")
    for row in queued:
        row.pop("id")
    return found, queued


async def test_together_is_as_one_by_one(tmp_path: Path) -> None:
    single, together = await store(tmp_path / "single" / "s.db"), await store(tmp_path / "together" / "s.db")
    async with single.write() as connection:
        alone = [row.id for row in await rows(connection) if await answer(connection, row, NOW, streams_due=False)]
    async with together.write() as connection:
        queued, others = await answer_plain(connection, await rows(connection), NOW, ())
        assert {row.id for row in others} == {
            "running",
            "paused",
            "incomplete",
            "a schema change waits",
            "an unknown zone",
            "a stream with a schedule of its own",
        }
        queued += [row.id for row in others if await answer(connection, row, NOW, streams_due=False)]
    assert sorted(queued) == sorted(alone)
    assert await outcome(together) == await outcome(single)
    await single.close()
    await together.close()


async def test_nothing_is_queued_while_a_schema_change_waits(tmp_path: Path) -> None:
    database = await store(tmp_path / "s.db")
    async with database.write() as connection:
        row = next(row for row in await rows(connection) if row.id == "a schema change waits")
        assert not await answer(connection, row, NOW, streams_due=False)
        found = next(row for row in await rows(connection) if row.id == "a schema change waits")
    assert (found.activity, found.next_fire_at) == (Activity.IDLE, NOW + timedelta(minutes=59))
    await database.close()


async def test_what_streams_are_due_of_is_left(tmp_path: Path) -> None:
    database = await store(tmp_path / "s.db")
    async with database.write() as connection:
        queued, others = await answer_plain(connection, await rows(connection), NOW, {"interval"})
    assert "interval" not in queued
    assert "interval" in {row.id for row in others}
    await database.close()
