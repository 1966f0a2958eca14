"""Queries: order, filters, counts, pages and details; names from outside are data."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import fields as fields_of
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from syncterm.engine import audit
from syncterm.engine.clock import SystemClock
from syncterm.engine.errors import ConfigError, ErrorClass
from syncterm.engine.lease import Lease
from syncterm.engine.model import Activity, Actor, Outcome, Role, StreamCounts, SyncMode, SyncState, Trigger
from syncterm.engine.queries import ConnectorQuery, ConnectorRow, Queries
from syncterm.engine.queries.connectors import FIELDS, SORTS
from syncterm.engine.rollups import FinishedSync, record_finished
from syncterm.engine.schema import Field, StreamSchema, parse_type
from syncterm.engine.status import ConnectorStatus, JobStatus, LogStatus, SourceStatus, SyncStatus
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import (
    CHANGE_SEQUENCE,
    attempts,
    connectors,
    failed_records,
    log_lines,
    sources,
    streams,
    sync_streams,
    syncs,
)
from tests.engine.store_rows import BEFORE, NOW, add_connector, add_destination, add_source, add_sync
from tests.samples import SAMPLES

HOSTILE = [
    case["s"]
    for case in json.loads((SAMPLES / "hostile_names.json").read_text(encoding="utf-8"))["cases"]
    if isinstance(case.get("s"), str) and case["s"] and not any("\ud800" <= letter <= "\udfff" for letter in case["s"])
]


class FixedClock(SystemClock):
    def now(self) -> datetime:
        return NOW


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "syncterm.db", clock=SystemClock())
    yield database
    await database.close()


@pytest.fixture
def queries(database: Database) -> Queries:
    return Queries(database, FixedClock())


async def seed(database: Database, count: int) -> dict[str, dict[str, Any]]:
    """Connectors with few distinct values, many ties and many NULLs; id → what was stored."""
    chance = random.Random(7)
    stored: dict[str, dict[str, Any]] = {}
    async with database.write() as connection:
        ends = [None, *[await add_source(connection, f"Source {letter}", type=f"type{letter}") for letter in "bAc"]]
        targets = [None, *[await add_destination(connection, f"Target {letter}") for letter in "ba"]]
        for number in range(count):
            maybe = [None, NOW - timedelta(hours=chance.randrange(3)), NOW + timedelta(hours=chance.randrange(3))]
            values: dict[str, Any] = {
                "source_id": chance.choice(ends),
                "destination_id": chance.choice(targets),
                "collection": chance.choice(["", "raw", "Mart"]),
                "created_at": BEFORE + timedelta(hours=chance.randrange(4)),
                "created_by": chance.choice(["ada", "Bob"]),
                "next_fire_at": chance.choice(maybe),
                "last_sync_at": chance.choice(maybe),
                "last_outcome": chance.choice([None, Outcome.SUCCESS, Outcome.FAILED]),
                "last_duration_ms": chance.choice([None, 1, 1500]),
                "last_records": chance.choice([None, 0, 10]),
                "paused_by": chance.choice([None, None, "person"]),
                "configuration_complete": chance.random() < 0.8,
                "activity": chance.choice(list(Activity)),
                "schedule_kind": (kind := chance.choice(["manual", "interval", "cron"])),
                "schedule_every_ms": chance.choice([60_000, 3_600_000]) if kind == "interval" else None,
                "schedule_expression": chance.choice(["0 6 * * *", "30 7 * * *"]) if kind == "cron" else None,
            }
            name = f"{chance.choice(['orders', 'Orders', 'events'])} {number}"
            stored[await add_connector(connection, name, **values)] = values | {"name": name}
        await add_connector(connection, "deleted", deleted_at=NOW)
    return stored


def sort_value(sort: str, row: ConnectorRow) -> Any:
    """What a row sorts by, worked out from the row that is shown."""
    kinds = {"Every": 0, "Manual": 2}
    return {
        "name": row.name.lower(),
        "source": row.source_name and row.source_name.lower(),
        "destination": row.destination_name and row.destination_name.lower(),
        "status": list(ConnectorStatus).index(row.status),
        "last_sync": row.last_sync_at,
        "next_sync": row.next_fire_at,
        "schedule": (
            kinds.get(row.schedule_text.split()[0], 1),
            {"Every minute": 1, "Every hour": 2}.get(row.schedule_text, 0),
            row.schedule_text,
        ),
        "records": row.last_records,
        "duration": row.last_duration,
        "created": row.created_at,
        "user": row.created_by.lower(),
        "collection": row.collection.lower(),
        "type": row.source_type,
    }[sort]


# Order ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", sorted(SORTS))
async def test_every_sort_in_both_directions(database: Database, queries: Queries, sort: str, descending: bool) -> None:
    stored = await seed(database, 120)
    keys = await queries.connector_keys(ConnectorQuery(sort=sort, descending=descending))
    rows = await queries.connector_rows(keys)
    assert list(rows) == keys
    assert set(keys) == set(stored)
    values = {key: sort_value(sort, row) for key, row in rows.items()}
    present = sorted((key for key in keys if values[key] is not None), key=lambda key: (values[key], key), reverse=descending)
    absent = sorted((key for key in keys if values[key] is None), reverse=descending)
    assert keys == present + absent


async def test_an_unknown_sort_or_field_is_refused(queries: Queries) -> None:
    with pytest.raises(ConfigError, match=r"sorted by 'id; DROP TABLE connectors'.*Use one of name"):
        await queries.connector_keys(ConnectorQuery(sort="id; DROP TABLE connectors"))
    with pytest.raises(ConfigError, match=r"'colour' is not a field.*Use one of id"):
        await queries.connector_keys(ConnectorQuery(fields={"colour": "red"}))


# Filters --------------------------------------------------------------------------------------------------------------------


def text_of(row: ConnectorRow) -> list[str]:
    return [row.name, row.collection, row.id, row.source_name or "", row.destination_name or ""]


@pytest.mark.parametrize("text", ["ORDERS", "source a", "target", "raw", "mart", "events 1", "%", "_", "nothing"])
@pytest.mark.parametrize("inverse", [False, True])
async def test_text_filters(database: Database, queries: Queries, text: str, inverse: bool) -> None:
    stored = await seed(database, 80)
    rows = await queries.connector_rows(list(stored))
    keys = await queries.connector_keys(ConnectorQuery(text=text, inverse=inverse))
    expected = {id_ for id_, row in rows.items() if any(text.lower() in part.lower() for part in text_of(row)) != inverse}
    assert set(keys) == expected
    counts = await queries.connector_counts(ConnectorQuery(text=text, inverse=inverse))
    assert (counts.total, counts.matching) == (80, len(expected))


FIELD_TEXTS: dict[str, Callable[[ConnectorRow], list[str]]] = {
    "id": lambda row: [row.id],
    "name": lambda row: [row.name],
    "source": lambda row: [row.source_name or "", row.source_type or ""],
    "destination": lambda row: [row.destination_name or "", row.destination_type or ""],
    "collection": lambda row: [row.collection],
    "user": lambda row: [row.created_by],
    "type": lambda row: [row.source_type or "", row.destination_type or ""],
    "schedule": lambda row: [row.schedule_text],
}


def test_every_field_is_tested() -> None:
    assert FIELD_TEXTS.keys() == FIELDS.keys()


@pytest.mark.parametrize("inverse", ["", "!"])
@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("id", "0"),
        ("name", "orders 1"),
        ("source", "SOURCE B"),
        ("source", "typec"),
        ("destination", "target a"),
        ("destination", "sqlite"),
        ("collection", "mart"),
        ("user", "bob"),
        ("type", "typea"),
        ("schedule", "every hour"),
        ("schedule", "30 7"),
        ("schedule", "manual"),
    ],
)
async def test_field_filters(database: Database, queries: Queries, field: str, text: str, inverse: str) -> None:
    rows = await queries.connector_rows(list(await seed(database, 80)))
    keys = await queries.connector_keys(ConnectorQuery(fields={field: inverse + text}))
    matches = {id_ for id_, row in rows.items() if any(text.lower() in part.lower() for part in FIELD_TEXTS[field](row))}
    assert set(keys) == (set(rows) - matches if inverse else matches)
    assert matches


async def test_status_filters_and_counts(database: Database, queries: Queries) -> None:
    rows = (await queries.connector_rows(list(await seed(database, 150)))).values()
    for status in ConnectorStatus:
        keys = await queries.connector_keys(ConnectorQuery(statuses=frozenset({status})))
        assert set(keys) == {row.id for row in rows if row.status is status}
    for job in JobStatus:
        keys = await queries.connector_keys(ConnectorQuery(job_statuses=frozenset({job})))
        assert set(keys) == {row.id for row in rows if row.job_status is job}
    broken = {row.id for row in rows if row.status is ConnectorStatus.BROKEN or row.last_outcome is Outcome.FAILED}
    assert set(await queries.connector_keys(ConnectorQuery(failures_only=True))) == broken
    counts = await queries.connector_counts(
        ConnectorQuery(text="orders", statuses=frozenset({ConnectorStatus.BROKEN, ConnectorStatus.ACTIVE}))
    )
    orders = [row for row in rows if "orders" in row.name.lower()]
    assert counts.total == 150
    assert counts.by_status == {status: sum(row.status is status for row in orders) for status in ConnectorStatus}
    assert counts.by_job_status == {job: sum(row.job_status is job for row in orders) for job in JobStatus}
    assert counts.matching == sum(row.status in (ConnectorStatus.BROKEN, ConnectorStatus.ACTIVE) for row in orders)
    assert counts.queued == sum(row.activity is Activity.QUEUED for row in rows)
    assert counts.running == sum(row.activity not in (Activity.QUEUED, Activity.IDLE) for row in rows)
    failures = await queries.connector_counts(ConnectorQuery(failures_only=True))
    assert failures.matching == len(broken)


async def test_paused_and_broken_shows_both(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        both = await add_connector(
            connection, "a", paused_by="engine", paused_reason="Too many failures.\nMore.", last_outcome="failed"
        )
    row = (await queries.connector_rows([both]))[both]
    assert (row.status, row.paused_and_broken) == (ConnectorStatus.PAUSED, True)
    assert row.status_reason == "Paused by the engine. Too many failures."


REASONS: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"configuration_complete": False, "incomplete_reason": "No stream."}, "No stream."),
    ({"configuration_complete": False}, "The set-up is not finished."),
    ({"schema_change": "{}"}, "A schema change waits for approval."),
    ({"last_outcome": "failed", "last_error_message": "disk full\nat line 2"}, "disk full"),
    ({"last_outcome": "failed"}, "The last sync failed."),
    ({"last_outcome": "failed", "last_error_message": "x" * 500}, "x" * 199 + "…"),
    ({"check_result": "Connection timeout", "check_at": NOW, "check_message": "no answer"}, "Connection timeout: no answer"),
]


@pytest.mark.parametrize(("values", "reason"), REASONS)
async def test_reasons_are_one_line(database: Database, queries: Queries, values: dict[str, Any], reason: str) -> None:
    async with database.write() as connection:
        connector = await add_connector(connection, "a", **values)
    assert (await queries.connector_rows([connector]))[connector].status_reason == reason


async def test_a_refused_source_is_the_reason(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        source = await add_source(connection, credentials="rejected", credentials_message="Password expired.")
        connector = await add_connector(connection, "a", source_id=source)
    row = (await queries.connector_rows([connector]))[connector]
    assert (row.status, row.status_reason) == (ConnectorStatus.BROKEN, "The source's credentials were refused. Password expired.")


# Hostile names ----------------------------------------------------------------------------------------------------------------


async def test_hostile_names_are_data(database: Database, queries: Queries) -> None:
    assert len(HOSTILE) > 50
    names = list(dict.fromkeys(name[:200] for name in HOSTILE))
    async with database.write() as connection:
        ids = {name: await add_connector(connection, name) for name in names}
    rows = await queries.connector_rows(list(ids.values()))
    assert [row.name for row in rows.values()] == names
    for name, id_ in ids.items():
        if "\0" not in name:  # SQLite's text functions stop there
            assert id_ in await queries.connector_keys(ConnectorQuery(text=name)), name
            assert id_ in await queries.connector_keys(ConnectorQuery(fields={"name": name.lstrip("!")})), name
        detail = await queries.connector(name)
        assert detail is not None
        assert detail.row.id == id_
    assert (await queries.connector_counts(ConnectorQuery())).total == len(names)


async def test_an_endless_text_matches_nothing(database: Database, queries: Queries) -> None:
    await seed(database, 5)
    assert await queries.connector_keys(ConnectorQuery(text="%" * 1_000_000)) == []
    assert len(await queries.connector_keys(ConnectorQuery(text="x" * 1_000_000, inverse=True))) == 5


# Changes ----------------------------------------------------------------------------------------------------------------------


async def test_changes_are_told_once(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        first, second = await add_connector(connection, "a"), await add_connector(connection, "b")
    start, ids, listed = await queries.changed_connectors(0)
    assert (set(ids), listed) == ({first, second}, True)
    assert await queries.changed_connectors(start) == (start, frozenset(), False)

    async def change(**values: Any) -> tuple[int, frozenset[str], bool]:
        async with database.write() as connection:
            await connection.execute(update(connectors).where(connectors.c.id == first).values(**values))
        return await queries.changed_connectors(start)

    start, ids, listed = await change(activity="running")
    assert (set(ids), listed) == ({first}, False)
    start, ids, listed = await change(deleted_at=NOW)
    assert (set(ids), listed) == ({first}, True)
    start, ids, listed = await change(deleted_at=None, listed_at=CHANGE_SEQUENCE)
    assert (set(ids), listed) == ({first}, True)
    async with database.write() as connection:
        third = await add_connector(connection, "c")
    start, ids, listed = await queries.changed_connectors(start)
    assert (set(ids), listed) == ({third}, True)


async def test_deleted_connectors_have_no_row(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        gone, kept = await add_connector(connection, "a", deleted_at=NOW), await add_connector(connection, "b")
    assert list(await queries.connector_rows([gone, "unknown", kept])) == [kept]
    assert await queries.connector(gone) is None


async def test_many_rows_in_their_order(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        ids = [await add_connector(connection, f"{number}") for number in range(1100)]
    random.Random(1).shuffle(ids)
    assert list(await queries.connector_rows(ids)) == ids
    assert await queries.connector_rows([]) == {}


# Histories --------------------------------------------------------------------------------------------------------------------


async def test_pages_follow_each_other_while_syncs_come_and_go(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        one, other = await add_connector(connection, "a"), await add_connector(connection, "b")
        made = [
            await add_sync(connection, one if number % 3 else other, NOW + timedelta(seconds=number // 5)) for number in range(100)
        ]
    for connector, expected in ((None, set(made)), (one, {id_ for number, id_ in enumerate(made) if number % 3})):
        seen: list[str] = []
        before: str | None = None
        while page := await queries.sync_page(connector, before=before, limit=7):
            seen += [row.id for row in page]
            before = seen[-1]
            async with database.write() as connection:  # newer ones and the removal of a row already seen move nothing
                newer = await add_sync(connection, one, NOW + timedelta(days=1))
                await connection.execute(delete(syncs).where(syncs.c.id == newer))
                await add_sync(connection, one, NOW + timedelta(days=2))
        assert len(seen) == len(set(seen))
        assert set(seen) >= expected
        assert [id_ for id_ in seen if id_ in expected] == sorted(
            expected, key=lambda id_: (made.index(id_) // 5, id_), reverse=True
        )
    assert await queries.sync_page(None, before="gone") == []


async def test_pages_by_outcome(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        connector = await add_connector(connection, "a")
        made: dict[Outcome | None, list[str]] = {}
        for number, outcome in enumerate([*Outcome, None] * 3):
            values: dict[str, Any] = {"outcome": outcome}
            if outcome is None:
                values |= {"state": "executing", "finished_at": None, "duration_ms": None}
            made.setdefault(outcome, []).insert(0, await add_sync(connection, connector, NOW + timedelta(minutes=number), **values))
    for outcome in Outcome:
        for of in (None, connector):
            assert [row.id for row in await queries.sync_page(of, outcome=outcome)] == made[outcome]
    assert [row.id for row in await queries.sync_page(None, only_open=True)] == made[None]


async def test_a_sync_in_detail(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        connector = await add_connector(connection, "a")
        sync_id = await add_sync(
            connection,
            connector,
            NOW,
            outcome="failed",
            error_class="timeout",
            error_message="no answer",
            streams='["orders"]',
            records_read=5,
            records_written=3,
            records_rejected=2,
            bytes=99,
            attempt=2,
        )
        await connection.execute(
            insert(sync_streams).values(
                sync_id=sync_id, stream="orders", sync_mode="replace", action="replace", outcome="success", duration_ms=250
            )
        )
        for number in (1, 2):
            await connection.execute(
                insert(attempts).values(sync_id=sync_id, number=number, epoch=1, started_at=NOW, outcome="failed")
            )
    detail = await queries.sync(sync_id)
    assert detail is not None
    row = detail.row
    assert (row.connector_name, row.status, row.log_status) == ("a", SyncStatus.FAILED, LogStatus.ERROR)
    assert (row.state, row.outcome, row.error_class) == (SyncState.COMPLETED, Outcome.FAILED, ErrorClass.TIMEOUT)
    assert (row.trigger, row.streams, row.duration) == (Trigger.SCHEDULED, ("orders",), timedelta(seconds=1))
    assert row.counts == StreamCounts(5, 3, 0, 0, 2, 99)
    assert (detail.streams[0].stream, detail.streams[0].duration) == ("orders", timedelta(milliseconds=250))
    assert [attempt.number for attempt in detail.attempts] == [1, 2]
    assert await queries.sync("unknown") is None


async def test_trends_are_the_newest_finished_syncs(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        connector = await add_connector(connection, "a")
        for number in range(10):
            await add_sync(connection, connector, NOW + timedelta(hours=number), duration_ms=number * 1000, records_written=number)
        await add_sync(connection, connector, NOW + timedelta(days=1), started_at=None, outcome="cancelled")
        await add_sync(connection, connector, NOW + timedelta(days=1), state="executing", finished_at=None, outcome=None)
    points = await queries.duration_trend(connector, 4)
    assert [(point.duration, point.records) for point in points] == [(6.0, 6), (7.0, 7), (8.0, 8), (9.0, 9)]
    assert points[0].at == NOW + timedelta(hours=6)


async def test_failures_are_grouped(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        one, other = await add_connector(connection, "a"), await add_connector(connection, "b")
        for number in range(6):
            newest = await add_sync(
                connection,
                one,
                NOW + timedelta(hours=number),
                outcome="failed",
                error_class="timeout",
                error_message=f"no answer after {number} s",
                error_fingerprint="slow",
            )
        await add_sync(connection, other, NOW, outcome="failed", error_message="refused", error_fingerprint="auth")
        await add_sync(connection, one, NOW - timedelta(days=9), outcome="failed", error_fingerprint="old")
        await add_sync(connection, one, NOW, outcome="cancelled", error_fingerprint="slow")
    slow, auth = await queries.failure_groups(None, NOW - timedelta(days=7))
    assert (slow.count, slow.message, slow.error_class) == (6, "no answer after 5 s", ErrorClass.TIMEOUT)
    assert (slow.first, slow.last, slow.last_sync_id) == (NOW, NOW + timedelta(hours=5), newest)
    assert (auth.count, auth.fingerprint) == (1, "auth")
    assert [group.fingerprint for group in await queries.failure_groups(one, NOW - timedelta(days=10))] == ["slow", "old"]
    assert await queries.failure_groups(other, NOW + timedelta(days=1)) == []


async def test_log_lines_forwards_backwards_and_the_newest(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        await connection.execute(
            insert(log_lines),
            [
                {"connector_id": "ab"[number % 2], "sync_id": f"s{number % 3}", "at": NOW, "level": "info", "message": str(number)}
                for number in range(20)
            ],
        )

    async def ids(*args: Any, **options: Any) -> list[int]:
        return [line.id for line in await queries.log_lines(*args, **options)]

    assert await ids(None, limit=3) == [18, 19, 20]
    assert await ids(None, before_id=18, limit=3) == [15, 16, 17]
    assert await ids(None, after_id=2, limit=3) == [3, 4, 5]
    assert await ids(None, after_id=16, before_id=19) == [17, 18]
    assert await ids("a", limit=2) == [17, 19]
    assert await ids("a", "s0") == [1, 7, 13, 19]
    assert await ids("nobody") == []


async def test_failed_records_by_page(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        connector = await add_connector(connection, "a")
        row = {
            "connector_id": connector,
            "at": NOW,
            "action": "insert",
            "code": "cast_failed",
            "message": "no",
            "fingerprint": "f",
            "payload": "{}",
        }
        await connection.execute(
            insert(failed_records), [{**row, "sync_id": f"s{number % 2}", "stream": f"t{number % 3}"} for number in range(10)]
        )
    first = await queries.failed_records(connector, limit=4)
    assert [record.id for record in first] == [10, 9, 8, 7]
    assert [record.id for record in await queries.failed_records(before_id=7, limit=2)] == [6, 5]
    assert [record.id for record in await queries.failed_records(connector, "s0")] == [9, 7, 5, 3, 1]
    assert [record.id for record in await queries.failed_records(sync_id="s0", stream="t0")] == [7, 1]
    assert (first[0].connector_name, first[0].state) == ("a", "open")


# Details ----------------------------------------------------------------------------------------------------------------------


async def test_a_connector_in_detail(database: Database, queries: Queries) -> None:
    schema = StreamSchema("orders", (Field("id", parse_type("int64"), False, "bigint"),), ("id",))
    async with database.write() as connection:
        source, destination = await add_source(connection), await add_destination(connection)
        connector = await add_connector(
            connection,
            "a",
            source_id=source,
            destination_id=destination,
            schedule_kind="interval",
            schedule_every_ms=3_600_000,
            anchor_at=BEFORE,
            offset_ms=17_000,
            next_fire_at=NOW + timedelta(seconds=17),
        )
        await connection.execute(
            insert(streams),
            [
                {"connector_id": connector, "name": "zeta", "position": 0, "sync_mode": "replace", "selected": False}
                | {"schema": None, "cursor": None, "primary_key": "[]"},
                {"connector_id": connector, "name": "orders", "position": 1, "sync_mode": "incremental_upsert", "selected": True}
                | {"schema": schema.to_text(), "cursor": '{"value":"7","hashes":{}}', "primary_key": '["id"]'},
            ],
        )
    assert await queries.connector(connector) == await queries.connector("a")
    detail = await queries.connector("a")
    assert detail is not None
    assert detail.row == (await queries.connector_rows([connector]))[connector]
    assert (detail.streams_selected, detail.streams_total) == (1, 2)
    listed = await queries.connector_streams(connector)
    assert listed is not None
    assert (list(listed.saved), list(listed.unselected), dict(listed.cursors)) == (["orders"], ["zeta"], {"orders": "7"})
    assert listed.saved["orders"].sync_mode is SyncMode.INCREMENTAL_UPSERT
    assert listed.saved["orders"] is listed.saved["orders"]
    assert await queries.stream_schema(connector, "orders") == schema
    assert await queries.stream_schema(connector, "zeta") is None
    assert detail.source is not None
    assert detail.destination is not None
    assert (detail.source.id, detail.source.status, detail.destination.id) == (source, SourceStatus.LIVE, destination)
    assert detail.next_fires == tuple(NOW + timedelta(hours=hours, seconds=17) for hours in range(5))
    assert detail.why.startswith("No engine runs on this store")
    lease = Lease(database, SystemClock(), holder="engine")
    await lease.acquire()
    detail = await queries.connector("a")
    assert detail is not None
    assert detail.why.startswith("Waits: it is due at 2026-03-10 12:00:17 UTC, in 17 s.")
    assert await queries.connector("nobody") is None


async def test_an_id_wins_over_a_name(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        first = await add_connector(connection, "first")
        await add_connector(connection, first)
    detail = await queries.connector(first)
    assert detail is not None
    assert detail.row.name == "first"


async def test_sources_and_destinations(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        busy, idle = await add_source(connection, "Busy"), await add_source(connection, "also idle")
        setup = await add_source(connection, "setup", credentials="never_tested", credentials_ok_at=None)
        refused = await add_source(connection, "refused", credentials="rejected", credentials_message="no\nmore")
        await add_source(connection, "deleted", deleted_at=NOW)
        near, far = await add_destination(connection, "near"), await add_destination(connection, "Far")
        one = await add_connector(connection, "1", source_id=busy, destination_id=near, last_success_at=BEFORE)
        await add_connector(connection, "2", source_id=busy, destination_id=far, last_success_at=NOW, last_outcome="failed")
        await add_connector(connection, "3", source_id=busy, destination_id=far, paused_by="person", last_outcome="failed")
        await add_connector(connection, "4", source_id=busy, destination_id=far, deleted_at=NOW)
        await add_connector(connection, "5", source_id=refused, destination_id=near)
        for days in (0, 30, 31, 40):
            finished = FinishedSync(
                one, Trigger.MANUAL, Outcome.SUCCESS, NOW - timedelta(days=days), timedelta(seconds=1), 10 ** (days % 7), 0, 1
            )
            await record_finished(connection, finished)
    rows = {row.id: row for row in await queries.sources()}
    assert [row.name for row in rows.values()] == ["also idle", "Busy", "refused", "setup"]
    assert [rows[id_].status for id_ in (busy, idle, setup, refused)] == [
        SourceStatus.LIVE,
        SourceStatus.AUTHENTICATED,
        SourceStatus.SETUP,
        SourceStatus.REAUTH_REQUIRED,
    ]
    assert (rows[busy].connectors, rows[busy].enabled, rows[busy].broken) == (3, 2, 1)
    assert (rows[busy].other_ends, rows[busy].last_run, rows[busy].records_30_days) == (("Far", "near"), NOW, 101)
    assert (rows[refused].status_reason, rows[refused].broken) == ("no", 1)
    assert (rows[idle].connectors, rows[idle].other_ends, rows[idle].last_run) == (0, (), None)
    ends = {row.id: row for row in await queries.destinations()}
    assert [row.name for row in ends.values()] == ["Far", "near"]
    assert (ends[far].status, ends[near].status) == (SourceStatus.ERROR, SourceStatus.LIVE)
    assert (ends[near].other_ends, ends[near].records_30_days) == (("Busy", "refused"), 101)
    assert ends[near].catalog_at is None


async def test_the_engines_state(database: Database, queries: Queries) -> None:
    state = await queries.engine_state()
    assert (state.holder, state.running, state.queued, state.failed, state.next_fire_at) == (None, 0, 0, 0, None)
    await Lease(database, SystemClock(), holder="engine", user="ada").acquire()
    async with database.write() as connection:
        await add_connector(connection, "1", activity="running", next_fire_at=NOW + timedelta(hours=2))
        await add_connector(connection, "2", activity="queued", next_fire_at=NOW + timedelta(hours=1), last_outcome="failed")
        await add_connector(connection, "3", activity="backing_off", paused_by="person", last_outcome="failed")
        await add_connector(connection, "4", activity="running", deleted_at=NOW)
    state = await queries.engine_state()
    assert (state.running, state.queued, state.failed, state.next_fire_at) == (2, 1, 1, NOW + timedelta(hours=1))
    assert state.holder is not None
    assert (state.holder.holder, state.holder.user, state.holder.alive) == ("engine", "ada", True)


async def test_the_audit_trail_newest_first(database: Database, queries: Queries) -> None:
    for number in range(5):
        async with database.write() as connection:
            await audit.record(
                connection,
                actor=Actor("ada", Role.USER),
                operation="pause",
                object_type="connector",
                object_id="ab"[number % 2],
                after={"number": number},
                now=NOW,
            )
    rows = await queries.audit(limit=2)
    assert [row.id for row in rows] == [5, 4]
    assert [row.id for row in await queries.audit(before_id=4)] == [3, 2, 1]
    assert [row.id for row in await queries.audit("b")] == [4, 2]
    assert (rows[0].actor, rows[0].role, rows[0].after, rows[0].refused) == ("ada", "user", '{"number": 4}', False)
    assert [field.name for field in fields_of(rows[0])][:3] == ["id", "at", "actor"]


async def test_a_removed_source_leaves_its_connectors_shown(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        source = await add_source(connection)
        connector = await add_connector(connection, "a", source_id=source)
        await connection.execute(update(sources).values(deleted_at=NOW))
    assert (await queries.connector_rows([connector]))[connector].source_name == "source"
    detail = await queries.connector(connector)
    assert detail is not None
    assert detail.source is None


async def test_listed_streams_are_the_same_until_a_set_up_differs(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        connector = await add_connector(connection, "a")
        rows = [{"connector_id": connector, "name": name, "position": at, "sync_mode": "replace"} for at, name in enumerate("ab")]
        await connection.execute(insert(streams), rows)

    async def listed(**values: Any) -> Any:
        async with database.write() as connection:
            if values:
                await connection.execute(update(streams).where(streams.c.name == "a").values(**values))
        found = await queries.connector_streams(connector)
        assert found is not None
        return found

    first = await listed()
    assert first.saved["a"] is first.saved["a"]
    moved = await listed(cursor='{"value":"7","hashes":{}}', resync_requested=True, deletes_withheld=4)
    assert (moved.saved, moved.cursors, moved.resyncs, moved.withheld) == (first.saved, {"a": "7"}, frozenset("a"), {"a": 4})
    changed = await listed(target_table="t")
    assert changed.saved != first.saved
    assert changed.saved.tables() == {"a": "t"}
    left = await listed(selected=False, resync_requested=False)
    assert (list(left.saved), list(left.unselected)) == (["b"], ["a"])


async def test_how_much_streams_hold_at_least_is_the_most_that_a_sync_read(database: Database, queries: Queries) -> None:
    async with database.write() as connection:
        connector, other = await add_connector(connection, "a"), await add_connector(connection, "b")
        for owner, records in ((connector, 30), (connector, 700), (connector, 2), (other, 9_000)):
            sync = await add_sync(connection, owner, NOW, records_read=records)
            made = {"sync_id": sync, "sync_mode": "replace", "action": "replace"}
            await connection.execute(
                insert(sync_streams),
                [
                    made | {"stream": "orders", "records_read": records, "bytes": 8 * records},
                    made | {"stream": "empty", "records_read": 0, "bytes": 0},
                ],
            )
    assert await queries.stream_volumes(connector, {"orders", "empty", "unheard of"}) == {"orders": (700, 5_600)}
    assert await queries.stream_volumes(connector, {"empty"}) == {}
    assert await queries.stream_volumes(connector, {"orders", *map(str, range(1_000))}) == {"orders": (700, 5_600)}
