"""A store with one connector whose every fact is known, and its screen, for the tests of the detail screens."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, update
from textual.pilot import Pilot

from syncterm.app import SyncTermApp
from syncterm.engine.engine import Engine
from syncterm.engine.model import Cursor, SyncMode
from syncterm.engine.schema import Field, LogicalType, StreamSchema
from syncterm.engine.store import tables
from syncterm.engine.store.database import Database
from syncterm.screens.connector import ConnectorScreen
from tests.screens.conftest import NOW, Stage, picture, until

CONNECTOR_ID = "0kdetailconnector000"
ERROR = "The source refused the credentials for user 'reader' (28P01)."


@dataclass(frozen=True)
class SeedStream:
    """A stream to be."""

    name: str
    fields: Sequence[tuple[str, str, str]] = (("id", "int64", "bigint"), ("name", "text", "character varying(200)"))
    selected: bool = True
    sync_mode: SyncMode = SyncMode.INCREMENTAL_UPSERT
    primary_key: Sequence[str] = ("id",)
    cursor_field: str | None = "updated_at"
    cursor: str | None = None
    columns: Sequence[str] | None = None
    casts: dict[str, str] = field(default_factory=dict)
    table: str | None = None


BILLING = (
    SeedStream(
        "orders",
        fields=(
            ("id", "int64", "bigint"),
            ("customer_id", "int64", "bigint"),
            ("state", "text", "character varying(20)"),
            ("total", "decimal(18,2)", "numeric(18,2)"),
            ("card_number", "text", "text"),
            ("placed_at", "text", "text"),
            ("updated_at", "timestamptz", "timestamp with time zone"),
        ),
        cursor="2026-03-04 10:58:41.120934+00",
        columns=("id", "customer_id", "state", "total", "placed_at", "updated_at"),
        casts={"placed_at": "timestamptz"},
        table="raw_orders",
    ),
    SeedStream(
        "customers",
        fields=(("id", "int64", "bigint"), ("email", "text", "citext"), ("updated_at", "timestamptz", "timestamp with time zone")),
        cursor="2026-03-04 10:41:07+00",
    ),
    SeedStream("countries", sync_mode=SyncMode.REPLACE, cursor_field=None, primary_key=()),
    SeedStream("audit_log", selected=False, sync_mode=SyncMode.APPEND, cursor_field=None, primary_key=()),
)


def schema_of(stream: SeedStream) -> StreamSchema:
    fields = []
    for name, type_, native in stream.fields:
        decimal = type_.startswith("decimal")
        logical = LogicalType("decimal", 18, 2) if decimal else LogicalType(type_)
        fields.append(Field(name, logical, name not in stream.primary_key, native))
    return StreamSchema(stream.name, tuple(fields), tuple(stream.primary_key))


async def add_connector(
    database: Database,
    *,
    name: str = "billing-pg",
    source_name: str = "billing-db",
    destination_name: str = "warehouse",
    collection: str = "analytics",
    streams: Sequence[SeedStream] = BILLING,
    **facts: Any,
) -> str:
    """Insert the connector, its ends and its streams."""
    made = {"created_at": NOW - timedelta(days=30), "created_by": "alice", "updated_at": NOW - timedelta(days=30)}
    async with database.write() as connection:
        for table, id_, end_name, type_ in (
            (tables.sources, "0ksource000000000000", source_name, "scripted"),
            (tables.destinations, "0kdestination0000000", destination_name, "duckdb"),
        ):
            await connection.execute(
                insert(table).values(id=id_, name=end_name, type=type_, config="{}", credentials="ok", credentials_at=NOW, **made)
            )
        values: dict[str, Any] = {
            "id": CONNECTOR_ID,
            "name": name,
            "source_id": "0ksource000000000000",
            "destination_id": "0kdestination0000000",
            "collection": collection,
            "configuration_complete": True,
            "schedule_kind": "interval",
            "schedule_every_ms": 3_600_000,
            "schedule_timezone": "Europe/Berlin",
            "anchor_at": datetime(2026, 1, 1, tzinfo=UTC),
            "offset_ms": 0,
            "next_fire_at": NOW + timedelta(hours=1),
            "changed_at": 1,
            **made,
        }
        await connection.execute(insert(tables.connectors).values(**{**values, **facts}))
        for position, stream in enumerate(streams):
            await connection.execute(insert(tables.streams).values(_stream_values(position, stream)))
    return CONNECTOR_ID


def _stream_values(position: int, stream: SeedStream) -> dict[str, Any]:
    return {
        "connector_id": CONNECTOR_ID,
        "name": stream.name,
        "position": position,
        "selected": stream.selected,
        "sync_mode": stream.sync_mode,
        "primary_key": json.dumps(list(stream.primary_key)),
        "cursor_field": stream.cursor_field,
        "columns": None if stream.columns is None else json.dumps(list(stream.columns)),
        "casts": json.dumps(stream.casts),
        "target_table": stream.table,
        "schema": schema_of(stream).to_text(),
        "cursor": None if stream.cursor is None else Cursor(stream.cursor).to_text(),
    }


def sync_id(number: int) -> str:
    """Ids that sort by number, newest last."""
    return f"0ksync{number:014d}"


async def add_syncs(database: Database, count: int, *, every: timedelta = timedelta(hours=1), failed: Sequence[int] = ()) -> None:
    """Insert finished syncs, the newest an hour before `NOW`; those numbered in `failed` (0 is the newest) failed."""
    rows = []
    for age in range(count):
        number = count - age
        created = NOW - every * age - timedelta(hours=1)
        read = 1200 + number * 37 % 400
        bad = age in failed
        took = 95_000 + number * 7919 % 60_000
        rows.append(
            {
                "id": sync_id(number),
                "connector_id": CONNECTOR_ID,
                "trigger": "manual" if age % 7 == 3 else "scheduled",
                "reason": "sync_now" if age % 7 == 3 else "schedule",
                "requested_by": "alice" if age % 7 == 3 else "schedule",
                "state": "completed",
                "created_at": created,
                "claimed_at": created + timedelta(seconds=1),
                "started_at": created + timedelta(seconds=2),
                "finished_at": created + timedelta(seconds=2, milliseconds=took),
                "duration_ms": 3_200 if bad else took,
                "attempt": 1,
                "outcome": "failed" if bad else "success",
                "error_class": "auth" if bad else None,
                "error_message": ERROR if bad else None,
                "error_fingerprint": "auth-28P01" if bad else None,
                "records_read": 0 if bad else read,
                "records_written": 0 if bad else read - 105,
                "records_unchanged": 0 if bad else 90,
                "records_filtered": 0 if bad else 12,
                "records_rejected": 0 if bad else 3,
                "bytes": 0 if bad else read * 912,
            }
        )
    async with database.write() as connection:
        await connection.execute(insert(tables.syncs), rows)
        newest = rows[0]
        await connection.execute(
            update(tables.connectors)
            .where(tables.connectors.c.id == CONNECTOR_ID)
            .values(
                last_sync_id=newest["id"],
                last_sync_at=newest["finished_at"],
                last_outcome=newest["outcome"],
                last_error_class=newest["error_class"],
                last_error_message=newest["error_message"],
                last_success_at=None if newest["outcome"] == "failed" else newest["finished_at"],
                last_duration_ms=newest["duration_ms"],
                last_records=newest["records_written"],
                last_bytes=newest["bytes"],
                last_rejected=newest["records_rejected"],
                changed_at=tables.CHANGE_SEQUENCE,
            )
        )


async def add_details(database: Database, sync: str) -> None:
    """Insert streams, an attempt, log lines and failed records of a sync."""
    start = NOW - timedelta(minutes=59)
    async with database.write() as connection:
        for name, mode, action, read, rejected in (
            ("orders", "incremental_upsert", "upsert", 1004, 3),
            ("customers", "incremental_upsert", "upsert", 233, 0),
            ("countries", "replace", "replace", 249, 0),
        ):
            await connection.execute(
                insert(tables.sync_streams).values(
                    sync_id=sync,
                    stream=name,
                    sync_mode=mode,
                    action=action,
                    outcome="success",
                    started_at=start,
                    finished_at=start + timedelta(seconds=41),
                    duration_ms=41_000,
                    records_read=read,
                    records_written=read - rejected,
                    records_rejected=rejected,
                    bytes=read * 900,
                    cursor_after=Cursor("2026-03-04 10:58:41+00").to_text(),
                )
            )
        await connection.execute(
            insert(tables.attempts).values(
                sync_id=sync,
                number=1,
                epoch=1,
                started_at=start,
                finished_at=start + timedelta(seconds=99),
                outcome="success",
                progressed=True,
            )
        )
        lines = [
            ("info", "Sync begins: 3 streams, attempt 1."),
            ("info", "orders: reading from 2026-03-04 09:58:40+00."),
            ("warning", "orders: 3 records set aside: total is not a number."),
            ("info", "orders: 1,001 records committed."),
            ("debug", "customers: 233 records committed."),
            ("info", "Success: 1,486 read = 1,483 written + 3 rejected."),
        ]
        await connection.execute(
            insert(tables.log_lines),
            [
                {
                    "sync_id": sync,
                    "connector_id": CONNECTOR_ID,
                    "at": start + timedelta(seconds=7 * n),
                    "level": level,
                    "message": text,
                }
                for n, (level, text) in enumerate(lines)
            ],
        )
        await connection.execute(
            insert(tables.failed_records),
            [
                {
                    "sync_id": sync,
                    "connector_id": CONNECTOR_ID,
                    "stream": "orders",
                    "at": start,
                    "key": str(4711 + n),
                    "action": "upsert",
                    "code": "cast_failed",
                    "message": f"Column 'total': 'n/a {n}' is not a decimal(18,2).",
                    "fingerprint": "cast_failed-total",
                    "payload": json.dumps({"id": 4711 + n, "customer_id": 17, "state": "paid", "total": f"n/a {n}"}),
                }
                for n in range(3)
            ],
        )


async def set_facts(engine: Engine, **facts: Any) -> None:
    """Change facts of the connector, and tell the screens."""
    from syncterm.engine.events import changed

    async with engine.database.write() as connection:
        await connection.execute(
            update(tables.connectors)
            .where(tables.connectors.c.id == CONNECTOR_ID)
            .values(**facts, changed_at=tables.CHANGE_SEQUENCE)
        )
    engine.notify(changed([CONNECTOR_ID]))


def fill(stage: Stage, *steps: Callable[[Database], Awaitable[object]]) -> None:
    """Run these on the stage's store, in order, before an app is opened on it; an engine of this process holds the lease."""

    async def write() -> None:
        stage.workspace.create()
        database = await Database.open(stage.workspace.store_path, clock=stage.clock)
        try:
            await hold_lease(database)
            for step in steps:
                await step(database)
        finally:
            await database.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(write())).result()


async def hold_lease(database: Database) -> None:
    """An engine that runs in this process, so that the screens do not say that there is none."""
    async with database.write() as connection:
        await connection.execute(tables.lease.delete())
        await connection.execute(
            insert(tables.lease).values(
                id=1,
                epoch=1,
                holder="test",
                pid=os.getpid(),
                host=socket.gethostname(),
                user_name="ana",
                acquired_at=NOW,
                heartbeat_at=NOW,
                expires_at=NOW + timedelta(days=1),
            )
        )


def standard(stage: Stage, syncs: int = 40) -> None:
    """The connector `billing-pg` with a history, of which three syncs failed, and the details of the newest."""

    async def write(database: Database) -> None:
        await add_connector(database)
        await add_syncs(database, syncs, failed=(4, 5, 17))
        await add_details(database, sync_id(syncs))

    fill(stage, write)


@asynccontextmanager
async def opened(
    stage: Stage, tab: str = "schema", *, size: tuple[int, int] = (80, 24), **options: Any
) -> AsyncIterator[Pilot[None]]:
    """An app on the stage, at the connector's screen, everything shown."""
    async with stage.open(size=size, **options) as pilot:
        await show(pilot, tab)
        yield pilot


async def show(pilot: Pilot[Any], tab: str = "schema") -> ConnectorScreen:
    """Open the connector's screen and wait until it is quiet."""
    app = pilot.app
    assert isinstance(app, SyncTermApp)
    app.open_connector(CONNECTOR_ID, tab=tab)
    await pilot.pause()
    screen = app.screen
    assert isinstance(screen, ConnectorScreen)
    await until(pilot, lambda: "Next" in "\n".join(picture(app)), "the head is there")
    await quiet(pilot)
    return screen


async def quiet(pilot: Pilot[Any]) -> None:
    """Wait until nothing works in the background, twice in a row."""
    for _ in range(2):
        await pilot.pause()
        await until(pilot, lambda: not any(worker.is_running for worker in pilot.app.workers), "nothing works in the background")
