"""Saving connectors: what is written, what is refused, what it fires (nothing), and how thousands of streams fare."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select

from syncterm.engine.drafts import ConnectorDraft
from syncterm.engine.errors import ConfigError, NotAllowedError
from syncterm.engine.model import (
    Actor,
    DeleteHandling,
    Role,
    Schedule,
    ScheduleKind,
    SchemaPolicy,
    StreamConfig,
    SyncMode,
)
from syncterm.engine.store.tables import connectors, destinations, sources, streams, syncs
from syncterm.engine.testing import FakeClock
from tests.engine.workbench import ADMINISTRATOR, Workbench, workbench

HOURLY = Schedule(ScheduleKind.INTERVAL, every=timedelta(hours=1))
ENDS = """
version: 1
sources:
  shop: {type: scripted, config: {script: saving, stream: events, more_streams: [orders, customers], records: 10}}
  other: {type: scripted, config: {script: other, stream: events, records: 3}}
destinations:
  warehouse: {type: duckdb, config: {path: FOLDER/warehouse.duckdb}}
  texts: {type: file, config: {path: FOLDER/texts, format: csv}}
connectors: {}
"""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with workbench(tmp_path, clock=FakeClock(), execute=False) as made:
        await made.apply(ENDS.replace("FOLDER", str(tmp_path)))
        yield made


async def draft(bench: Workbench, *names: str, **changes: Any) -> ConnectorDraft:
    async with bench.engine.database.read() as connection:
        source = (await connection.execute(select(sources.c.id).where(sources.c.name == "shop"))).scalar_one()
        destination = (await connection.execute(select(destinations.c.id).where(destinations.c.name == "warehouse"))).scalar_one()
    chosen = tuple(StreamConfig(name, SyncMode.REPLACE) for name in names)
    made = ConnectorDraft("copy", source_id=source, destination_id=destination, streams=chosen)
    return replace(made, **changes)


async def end_id(bench: Workbench, table: Any, name: str) -> str:
    async with bench.engine.database.read() as connection:
        return str((await connection.execute(select(table.c.id).where(table.c.name == name))).scalar_one())


async def save(bench: Workbench, wanted: ConnectorDraft, **options: Any) -> Any:
    return await bench.engine.operations.save_connector(ADMINISTRATOR, wanted, **options)


async def again(bench: Workbench, connector_id: str) -> ConnectorDraft:
    found = await bench.engine.queries.connector_draft(connector_id)
    assert found is not None
    return found


async def stored(bench: Workbench, connector_id: str) -> Any:
    async with bench.engine.database.read() as connection:
        return (await connection.execute(select(connectors).where(connectors.c.id == connector_id))).one()


async def stream_rows(bench: Workbench, connector_id: str) -> dict[str, Any]:
    async with bench.engine.database.read() as connection:
        found = await connection.execute(select(streams).where(streams.c.connector_id == connector_id))
        return {row.name: row for row in found}


async def test_what_is_saved_is_read_back(bench: Workbench) -> None:
    events = StreamConfig(
        "events",
        SyncMode.INCREMENTAL_UPSERT,
        primary_key=("id",),
        cursor_field="at",
        columns=("id", "at", "name"),
        casts={"name": "text"},
        look_back=timedelta(minutes=5),
        table="all_events",
        delete_handling=DeleteHandling.MARK,
        schema_policy=SchemaPolicy.PAUSE,
        schedule=Schedule(ScheduleKind.CRON, expression="0 6 * * *", timezone="Europe/Berlin"),
    )
    wanted = await draft(bench, "orders", schedule=HOURLY, collection="raw", catch_up="skip", schema_policy=SchemaPolicy.APPLY_ALL)
    wanted = replace(wanted, streams=(events, *wanted.streams))
    saved = await save(bench, wanted)
    assert (saved.version, saved.incomplete_reason) == (1, None)
    assert await again(bench, saved.id) == replace(wanted, id=saved.id, version=1)
    row = await stored(bench, saved.id)
    assert row.configuration_complete
    assert row.source_version == 1
    assert row.next_fire_at > bench.engine.clock.now()
    assert f"first sync at {row.next_fire_at:%Y-%m-%d %H:%M} UTC" in saved.message


async def test_an_unfinished_one_is_kept_as_incomplete(bench: Workbench) -> None:
    saved = await save(bench, ConnectorDraft("someday", schedule=HOURLY), sync_now=True)
    assert saved.incomplete_reason == "no source is chosen"
    row = await stored(bench, saved.id)
    assert (row.configuration_complete, row.next_fire_at) == (False, None)
    shown = await bench.row("someday")
    assert shown.status == "Incomplete"
    async with bench.engine.database.read() as connection:
        assert (await connection.execute(select(syncs))).all() == []
    wanted = await draft(bench, "events", name="someday", schedule=HOURLY, id=saved.id, version=1)
    assert (await save(bench, wanted)).incomplete_reason is None
    assert (await stored(bench, saved.id)).next_fire_at is not None


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (StreamConfig("events", SyncMode.INCREMENTAL_APPEND), "stream events is incremental and has no cursor column"),
        (
            StreamConfig("events", SyncMode.INCREMENTAL_UPSERT, cursor_field="at"),
            "stream events is upserted and has no primary key",
        ),
    ],
)
async def test_a_stream_that_lacks_something_says_so(bench: Workbench, stream: StreamConfig, reason: str) -> None:
    saved = await save(bench, replace(await draft(bench), streams=(stream,)))
    assert saved.incomplete_reason == reason


async def test_csv_files_are_not_upserted(bench: Workbench) -> None:
    upsert = StreamConfig("events", SyncMode.INCREMENTAL_UPSERT, primary_key=("id",), cursor_field="at")
    texts = await end_id(bench, destinations, "texts")
    saved = await save(bench, replace(await draft(bench), streams=(upsert,), destination_id=texts))
    assert saved.incomplete_reason == "stream events is upserted, which its destination cannot do"
    assert not (await bench.engine.operations.abilities(ADMINISTRATOR, None, texts)).upsert


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "The name is empty"),
        ({"name": "a\x1b[31mb"}, "control character U+001B"),
        ({"name": "x" * 201}, "201 characters; 200 are allowed"),
        ({"collection": "raw\n"}, "The collection holds the control character"),
        ({"catch_up": "twice"}, "'twice' is no way to catch up"),
        ({"schedule": Schedule(ScheduleKind.CRON, expression="61 * * * *")}, "61"),
        ({"schedule": replace(HOURLY, timezone="Mars/Base")}, "'Mars/Base' is not a time zone"),
        ({"streams": (StreamConfig("a", SyncMode.REPLACE), StreamConfig("a", SyncMode.REPLACE))}, "'a' is listed twice"),
        (
            {"streams": (StreamConfig("a", SyncMode.REPLACE), StreamConfig("b", SyncMode.REPLACE, table="a"))},
            "'a' and 'b' have the same table",
        ),
        ({"streams": (StreamConfig("a", SyncMode.REPLACE, columns=()),)}, "no column is selected"),
        ({"streams": (StreamConfig("a", SyncMode.REPLACE, casts={"x": "money"}),)}, "'money' is not a type"),
        ({"streams": (StreamConfig("a", SyncMode.REPLACE, columns=("x",), casts={"y": "text"}),)}, "cast and not selected"),
        ({"streams": (StreamConfig("a", SyncMode.APPEND, look_back=timedelta(hours=1)),)}, "has no look-back"),
        ({"source_id": "gone"}, "The source that was chosen does not exist any more"),
    ],
)
async def test_nonsense_is_refused_and_nothing_is_written(bench: Workbench, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        await save(bench, await draft(bench, **changes))
    async with bench.engine.database.read() as connection:
        assert (await connection.execute(select(connectors))).all() == []


async def test_a_name_that_is_taken_is_refused_and_renaming_works(bench: Workbench) -> None:
    first = await save(bench, await draft(bench, "events"))
    second = await save(bench, await draft(bench, "orders", name="second"))
    with pytest.raises(ConfigError, match="There is a connector 'copy' already"):
        await save(bench, replace(await again(bench, second.id), name="copy"))
    await save(bench, replace(await again(bench, first.id), name="first"))
    saved = await save(bench, replace(await again(bench, second.id), name="copy"))
    assert (await bench.id_of("first"), await bench.id_of("copy")) == (first.id, saved.id)


async def test_a_newer_version_is_not_written_over(bench: Workbench) -> None:
    saved = await save(bench, await draft(bench, "events"))
    mine, theirs = await again(bench, saved.id), await again(bench, saved.id)
    await bench.engine.operations.save_connector(Actor("rosa", Role.ADMINISTRATOR), replace(theirs, collection="raw"))
    with pytest.raises(ConfigError, match=r"was changed meanwhile \(by rosa, 2025-01-01 00:00 UTC\); nothing was saved.*Open it"):
        await save(bench, replace(mine, collection="staging"))
    assert (await again(bench, saved.id)).collection == "raw"


async def test_whose_connector_it_is(bench: Workbench) -> None:
    saved = await save(bench, await draft(bench, "events"))
    mine = await again(bench, saved.id)
    for actor in (Actor("eve", Role.USER), Actor("guest", Role.VIEWER)):
        with pytest.raises(NotAllowedError):
            await bench.engine.operations.save_connector(actor, mine)
    refused = [row for row in await bench.engine.queries.audit() if row.refused]
    assert {row.actor for row in refused} == {"eve", "guest"}
    own = await bench.engine.operations.save_connector(Actor("eve", Role.USER), replace(mine, name="hers", id=None, version=None))
    assert (await stored(bench, own.id)).created_by == "eve"


async def test_editing_a_schedule_fires_nothing_and_another_edit_leaves_it(bench: Workbench) -> None:
    clock = bench.engine.clock
    assert isinstance(clock, FakeClock)
    saved = await save(bench, await draft(bench, "events", schedule=HOURLY))
    due = (await stored(bench, saved.id)).next_fire_at
    clock.jump(timedelta(minutes=50))
    await save(bench, replace(await again(bench, saved.id), collection="raw"))
    assert (await stored(bench, saved.id)).next_fire_at == due
    await save(bench, replace(await again(bench, saved.id), schedule=replace(HOURLY, every=timedelta(minutes=5))))
    row = await stored(bench, saved.id)
    assert clock.now() < row.next_fire_at <= clock.now() + timedelta(minutes=10)
    await save(bench, replace(await again(bench, saved.id), schedule=Schedule(ScheduleKind.MANUAL)))
    assert (await stored(bench, saved.id)).next_fire_at is None
    async with bench.engine.database.read() as connection:
        assert (await connection.execute(select(syncs))).all() == []


async def test_saving_a_paused_one_leaves_it_paused(bench: Workbench) -> None:
    saved = await save(bench, await draft(bench, "events", schedule=HOURLY))
    await bench.engine.operations.pause(ADMINISTRATOR, [saved.id])
    saved = await save(bench, replace(await again(bench, saved.id), schedule=replace(HOURLY, every=timedelta(minutes=5))))
    row = await stored(bench, saved.id)
    assert (row.paused_by, row.next_fire_at, saved.message) == ("person", None, "Saved; it stays paused.")


async def test_resaving_applies_the_sources_present_version(bench: Workbench, tmp_path: Path) -> None:
    saved = await save(bench, await draft(bench, "events"))
    await bench.apply(ENDS.replace("FOLDER", str(tmp_path)).replace("records: 10", "records: 11"))
    assert (await stored(bench, saved.id)).source_version == 1
    await save(bench, await again(bench, saved.id))
    assert (await stored(bench, saved.id)).source_version == 2


async def test_only_streams_that_change_are_written(bench: Workbench) -> None:
    saved = await save(bench, await draft(bench, *(f"table {number}" for number in range(250))))
    mine = await again(bench, saved.id)
    written: list[tuple[str, int]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if " streams" in statement and not statement.startswith("SELECT"):
            written.append((statement.split()[0], len(parameters) if many else 1))

    engine = bench.engine.database._writer.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    changed = [*mine.streams[:100], replace(mine.streams[100], table="elsewhere"), *mine.streams[102:]]
    saved = await save(bench, replace(mine, streams=(*changed, StreamConfig("table 999", SyncMode.REPLACE))))
    event.remove(engine, "before_cursor_execute", note)
    rows = sum(number for verb, number in written if verb in ("INSERT", "UPDATE") and number < 100)
    assert rows <= 4  # one added, one changed, one deselected, and the look whether a schedule of a stream's own is due
    assert [stream.name for stream in (await again(bench, saved.id)).streams] == [*(s.name for s in changed), "table 999"]


async def test_a_stream_that_is_deselected_keeps_its_set_up(bench: Workbench) -> None:
    saved = await save(bench, await draft(bench, "events", "orders"))
    mine = await again(bench, saved.id)
    await save(bench, replace(mine, streams=(mine.streams[0], replace(mine.streams[1], table="kept"))))
    await save(bench, replace(await again(bench, saved.id), streams=mine.streams[:1]))
    assert [stream.name for stream in (await again(bench, saved.id)).streams] == ["events"]
    row = (await stream_rows(bench, saved.id))["orders"]
    assert (row.selected, row.target_table) == (False, "kept")
    await save(bench, replace(await again(bench, saved.id), streams=mine.streams))
    assert len((await again(bench, saved.id)).streams) == 2


async def test_the_order_of_streams_is_kept(bench: Workbench) -> None:
    saved = await save(bench, await draft(bench, "events", "orders", "customers"))
    mine = await again(bench, saved.id)
    turned = tuple(reversed(mine.streams))
    await save(bench, replace(mine, streams=turned))
    assert (await again(bench, saved.id)).streams == turned


async def test_what_is_remembered_of_a_stream_stays(bench: Workbench) -> None:
    upsert = StreamConfig("events", SyncMode.INCREMENTAL_UPSERT, primary_key=("id",), cursor_field="at")
    saved = await save(bench, replace(await draft(bench), streams=(upsert,)))
    async with bench.engine.database.write() as connection:
        await connection.execute(streams.update().values(cursor='{"value":"7","hashes":{},"column":"at"}', schema="{}"))
    await save(bench, replace(await again(bench, saved.id), streams=(replace(upsert, table="t"),)))
    row = (await stream_rows(bench, saved.id))["events"]
    assert (row.cursor is not None, row.schema, row.resync_requested) == (True, "{}", False)
    await save(bench, replace(await again(bench, saved.id), streams=(replace(upsert, cursor_field="id"),)))
    assert (await stream_rows(bench, saved.id))["events"].resync_requested  # values of another column say nothing


async def test_another_source_is_read_from_its_beginning(bench: Workbench) -> None:
    upsert = StreamConfig("events", SyncMode.INCREMENTAL_UPSERT, primary_key=("id",), cursor_field="at")
    saved = await save(bench, replace(await draft(bench), streams=(upsert,)))
    async with bench.engine.database.write() as connection:
        await connection.execute(streams.update().values(cursor='{"value":"7","hashes":{}}', schema="{}"))
    other = await end_id(bench, sources, "other")
    await save(bench, replace(await again(bench, saved.id), source_id=other))
    row = (await stream_rows(bench, saved.id))["events"]
    assert (row.schema, row.resync_requested) == (None, True)


async def test_the_audit_trail_says_what_changed(bench: Workbench) -> None:
    saved = await save(bench, await draft(bench, "events", "orders"))
    mine = await again(bench, saved.id)
    changed = replace(mine, collection="raw", schedule=HOURLY, streams=(replace(mine.streams[0], table="t"),))
    await save(bench, changed)
    change, creation = [row for row in await bench.engine.queries.audit(saved.id) if row.object_type == "connector"]
    assert (creation.operation, creation.before) == ("create_connector", None)
    assert change.operation == "save_connector"
    before, after = json.loads(str(change.before)), json.loads(str(change.after))
    assert (before["collection"], after["collection"]) == ("", "raw")
    assert (before["schedule.kind"], after["schedule.kind"], after["schedule.every"]) == ("manual", "interval", "1:00:00")
    assert (before["streams.events"], after["streams.events"]) == ({"target_table": None}, {"target_table": "t"})
    assert (before["streams.orders"]["sync_mode"], after["streams.orders"]) == ("replace", None)


async def test_saving_five_thousand_streams_holds_the_loop_for_moments_only(bench: Workbench) -> None:
    names = [f"schema table {number}" for number in range(5000)]
    wanted = await draft(bench, *names)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    saved = await save(bench, wanted)
    task.cancel()
    assert turns >= 50  # the work was done in pieces
    assert len(await stream_rows(bench, saved.id)) == 5000
    audited = (await bench.engine.queries.audit(saved.id))[0]
    assert "4,950 more streams changed" in str(audited.after)


async def test_saving_and_syncing_at_once(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(ENDS.replace("FOLDER", str(tmp_path)))
        saved = await save(bench, await draft(bench, "events"), sync_now=True)
        assert saved.message == "Created. Queued."
        (row,) = await bench.engine.queries.sync_page(saved.id)
        assert (await bench.completed(row.id)).row.outcome == "success"


async def test_discovery_keeps_what_the_source_offers(bench: Workbench) -> None:
    source_id = await end_id(bench, sources, "shop")
    assert await bench.engine.queries.source_streams(source_id) == ()
    assert await bench.engine.operations.discover(ADMINISTRATOR, source_id) == 3
    entries = await bench.engine.queries.source_streams(source_id)
    assert [(entry.name, entry.column_count) for entry in entries] == [("events", 4), ("orders", 4), ("customers", 4)]
    schema = await bench.engine.queries.source_stream(source_id, "orders")
    assert schema is not None
    assert schema.primary_key == ("id",)


async def test_a_discovery_that_fails_leaves_what_was_known(bench: Workbench, tmp_path: Path) -> None:
    source_id = await end_id(bench, sources, "shop")
    await bench.engine.operations.discover(ADMINISTRATOR, source_id)
    refusing = "records: 10, faults: [{kind: unauthorized}]"
    await bench.apply(ENDS.replace("FOLDER", str(tmp_path)).replace("records: 10", refusing))
    with pytest.raises(Exception, match="refused the credentials"):
        await bench.engine.operations.discover(ADMINISTRATOR, source_id)
    assert len(await bench.engine.queries.source_streams(source_id)) == 3
    async with bench.engine.database.read() as connection:
        row = (await connection.execute(select(sources).where(sources.c.id == source_id))).one()
    assert (row.credentials, row.credentials_error_class) == ("rejected", "auth")


async def test_tables_that_another_connector_fills_are_named(bench: Workbench) -> None:
    first = await save(bench, await draft(bench, "events", "orders", collection="raw"))
    destination = await end_id(bench, destinations, "warehouse")
    shared = bench.engine.queries.shared_tables
    assert await shared(destination, "raw", ["Events", "other"]) == (("Events", "copy"),)
    assert await shared(destination, "raw", ["events"], first.id) == ()
    assert await shared(destination, "", ["events"]) == ()
