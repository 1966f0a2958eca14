"""Schema changes on a real PostgreSQL: tables altered between syncs and during one, under each policy, into two destinations."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from syncterm.engine.model import Actor, ChangeState, LogLevel, Role, SchemaPolicy, SyncMode
from syncterm.engine.queries import SchemaChangeRow, SyncDetail
from tests.engine.workbench import ADMINISTRATOR, Workbench, until, workbench
from tests.servers.postgres import PostgresDatabase

TABLE = """
CREATE TABLE orders (id bigint PRIMARY KEY, updated timestamptz NOT NULL, note varchar(20), total integer);
INSERT INTO orders VALUES (1, '2026-01-01', 'one', 10), (2, '2026-01-02', 'two', 20);
"""
ORDERS = "{name: orders, sync_mode: incremental_upsert, primary_key: [id], cursor_field: updated}"
POLICIES = ("approve", "apply_additions", "apply_all", "pause")
APPLIED, WAITS, STOPS = "applied", "waits", "stops"

CHANGES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "column added": (
        "ALTER TABLE orders ADD extra text; INSERT INTO orders VALUES (3, '2026-01-03', 'three', 30, 'x')",
        "+ extra added (text)",
        (WAITS, APPLIED, APPLIED, STOPS),
    ),
    "column removed": (
        "ALTER TABLE orders DROP note; INSERT INTO orders VALUES (3, '2026-01-03', 30)",
        "- note removed (character varying(20))",
        (STOPS, STOPS, APPLIED, STOPS),
    ),
    "retyped, every value fits": (
        "ALTER TABLE orders ALTER total TYPE smallint; INSERT INTO orders VALUES (3, '2026-01-03', 'three', 30)",
        "~ total: integer → smallint",
        (WAITS, APPLIED, APPLIED, STOPS),
    ),
    "retyped, wider": (
        "ALTER TABLE orders ALTER total TYPE bigint; INSERT INTO orders VALUES (3, '2026-01-03', 'three', 30)",
        "~ total: integer → bigint",
        (WAITS, WAITS, APPLIED, STOPS),
    ),
    "retyped, another kind": (
        "ALTER TABLE orders ALTER total TYPE text; INSERT INTO orders VALUES (3, '2026-01-03', 'three', '30')",
        "~ total: integer → text",
        (WAITS, WAITS, APPLIED, STOPS),
    ),
    "longer text": (
        "ALTER TABLE orders ALTER note TYPE varchar(40); INSERT INTO orders VALUES (3, '2026-01-03', 'three', 30)",
        "~ note: character varying(20) → character varying(40)",
        (WAITS, WAITS, APPLIED, STOPS),
    ),
    "renamed": (
        "ALTER TABLE orders RENAME note TO remark; INSERT INTO orders VALUES (3, '2026-01-03', 'three', 30)",
        "- note removed (character varying(20)), + remark added (character varying(20))",
        (STOPS, STOPS, APPLIED, STOPS),
    ),
    "nullability": (
        "ALTER TABLE orders ALTER note SET NOT NULL; INSERT INTO orders VALUES (3, '2026-01-03', 'three', 30)",
        "~ note: may be NULL → never NULL",
        (APPLIED, APPLIED, APPLIED, STOPS),
    ),
    "key retyped": (
        "ALTER TABLE orders ALTER id TYPE integer; INSERT INTO orders VALUES (3, '2026-01-03', 'three', 30)",
        "~ id: bigint → integer",
        (STOPS,) * 4,
    ),
    "cursor retyped": (
        "ALTER TABLE orders ALTER updated TYPE date; INSERT INTO orders VALUES (3, '2026-01-03', 'three', 30)",
        "~ updated: timestamp with time zone → date",
        (STOPS,) * 4,
    ),
    "another key": (
        "ALTER TABLE orders DROP CONSTRAINT orders_pkey; ALTER TABLE orders ADD PRIMARY KEY (id, updated);"
        " INSERT INTO orders VALUES (3, '2026-01-03', 'three', 30)",
        "~ primary key: id → id, updated",
        (STOPS,) * 4,
    ),
    "key gone": (
        "ALTER TABLE orders DROP id; INSERT INTO orders VALUES ('2026-01-03', 'three', 30)",
        "- id removed (bigint), ~ primary key: id → none",
        (STOPS,) * 4,
    ),
    "cursor gone": (
        "ALTER TABLE orders DROP updated; INSERT INTO orders VALUES (3, 'three', 30)",
        "- updated removed (timestamp with time zone)",
        (STOPS,) * 4,
    ),
    "stream gone": ("DROP TABLE orders", "- stream is gone", (STOPS,) * 4),
}
"""What is done to the table, what is found, and what becomes of it under each of `POLICIES`."""
UNFIT = ("key gone", "cursor gone")
"""Changes that cannot be approved: the set-up has to be adapted."""


class Connected:
    """A connector `c` from a real database into a destination."""

    def __init__(self, bench: Workbench, database: PostgresDatabase, folder: Path, kind: str) -> None:
        self.bench = bench
        self.database = database
        self.folder = folder
        self.kind = kind

    def rows(self, columns: str = "id, note, total", table: str = "orders") -> list[tuple[Any, ...]]:
        """What the destination holds, in order."""
        query = f"SELECT {columns} FROM raw.{table} ORDER BY 1"
        if self.kind == "postgres":
            return self.database.query(query)
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(query).fetchall()

    async def changes(self) -> tuple[SchemaChangeRow, ...]:
        return await self.bench.engine.queries.schema_changes(await self.bench.id_of("c"))

    async def sync(self) -> SyncDetail:
        return await self.bench.sync("c")

    async def approve(self, **options: Any) -> str:
        (result,) = await self.bench.engine.operations.approve_schema(ADMINISTRATOR, [await self.bench.id_of("c")], **options)
        return ("" if result.done else "refused: ") + result.message

    async def reject(self) -> str:
        (result,) = await self.bench.engine.operations.reject_schema(ADMINISTRATOR, [await self.bench.id_of("c")])
        assert result.done, result.message
        return result.message

    async def status(self) -> str:
        return str((await self.bench.row("c")).status)

    async def logged(self, sync: SyncDetail) -> str:
        lines = await self.bench.engine.queries.log_lines(None, sync.row.id)
        return "\n".join(line.message for line in lines)


@asynccontextmanager
async def connected(
    folder: Path, database: PostgresDatabase, policy: str = "approve", *, kind: str = "duckdb", streams: tuple[str, ...] = (ORDERS,)
) -> AsyncIterator[Connected]:
    """A connector that has synced once."""
    warehouse = {"type": kind, "config": database.parameters if kind == "postgres" else {"path": "warehouse.duckdb"}}
    document = f"""
version: 1
sources:
  pg: {json.dumps({"type": "postgres", "config": database.parameters})}
destinations:
  warehouse: {json.dumps(warehouse)}
connectors:
  c:
    source: pg
    destination: warehouse
    collection: raw
    schema_policy: {policy}
    schedule: {{kind: manual}}
    streams: [{", ".join(streams)}]
"""
    async with workbench(folder) as bench:
        await bench.apply(document)
        one = Connected(bench, database, folder, kind)
        detail = await one.sync()
        assert detail.row.outcome == "success", detail.row.error_message
        yield one


def said(change: SchemaChangeRow) -> str:
    return ", ".join(f"{entry.sign} {entry.title}" for entry in change.entries)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", CHANGES)
async def test_each_policy_with_each_change(tmp_path: Path, postgres_database: PostgresDatabase, name: str, policy: str) -> None:
    alter, difference, outcomes = CHANGES[name]
    expected = outcomes[POLICIES.index(policy)]
    postgres_database.execute(TABLE)
    async with connected(tmp_path, postgres_database, policy) as one:
        before = one.rows()
        postgres_database.execute(alter)
        detail = await one.sync()
        (change,) = await one.changes()
        assert said(change) == difference
        assert change.sync_id == detail.row.id
        if expected == STOPS:
            assert (detail.row.outcome, detail.row.error_class) == ("failed", "schema")
            assert "Nothing was read." in (detail.row.error_message or "")
            assert (change.state, change.blocking) == (ChangeState.WAITING, True)
            assert await one.status() == "Incomplete"
            assert one.rows() == before  # no half sync
            # The next sync asks for the same once.
            again = await one.sync()
            assert again.row.outcome == "failed"
            assert [row.id for row in await one.changes()] == [change.id]
        else:
            assert detail.row.outcome == "success", detail.row.error_message
            assert detail.row.counts.rejected == 0
            assert difference.partition(" ")[2].partition(",")[0] in (detail.row.summary or "")
            assert difference.partition(" ")[2].partition(",")[0] in await one.logged(detail)
            assert await one.status() == "Active"
            assert change.state is (ChangeState.APPLIED if expected == APPLIED else ChangeState.WAITING)
            assert [row[0] for row in one.rows()] == [1, 2, 3]
        if expected == APPLIED:
            assert change.decided_by == f"policy {policy}"
            return
        answer = await one.approve()
        if name in UNFIT:
            assert answer.startswith("refused: ")
            assert "set-up" in answer
            assert await one.status() == "Incomplete"
            return
        assert not answer.startswith("refused"), answer
        assert (await one.changes())[0].state is ChangeState.APPROVED
        assert (await one.changes())[0].decided_by == ADMINISTRATOR.name
        if name == "stream gone":
            assert await one.status() == "Incomplete"
            assert (await one.bench.row("c")).status_reason
            assert one.rows() == before
            return
        assert await one.status() == ("Broken" if expected == STOPS else "Active")
        after = await one.sync()
        assert after.row.outcome == "success", after.row.error_message
        assert [row[0] for row in one.rows()] == [1, 2, 3]
        assert await one.status() == "Active"
        assert len(await one.changes()) == 1
        assert (await one.sync()).row.counts.written == 0


@pytest.mark.parametrize("name", [name for name, (_, _, outcomes) in CHANGES.items() if outcomes[2] == APPLIED])
async def test_what_is_applied_arrives_in_a_postgres_destination_too(
    tmp_path: Path, postgres_database: PostgresDatabase, name: str
) -> None:
    alter, _, _ = CHANGES[name]
    postgres_database.execute(TABLE)
    async with connected(tmp_path, postgres_database, "apply_all", kind="postgres") as one:
        postgres_database.execute(alter)
        detail = await one.sync()
        assert (detail.row.outcome, detail.row.counts.rejected) == ("success", 0), detail.row.error_message
        ids_notes = [row[:2] for row in one.rows()]
        dropped = name in ("column removed", "renamed")
        assert ids_notes == [(1, "one"), (2, "two"), (3, None if dropped else "three")]
        (column,) = postgres_database.query(
            "SELECT data_type FROM information_schema.columns WHERE (table_schema, table_name, column_name) ="
            " ('raw', 'orders', 'total')"
        )
        assert column == ("integer",)  # never changed under the feet of those who read it


async def test_values_that_do_not_fit_the_destinations_column_are_failed_records(
    tmp_path: Path, postgres_database: PostgresDatabase
) -> None:
    postgres_database.execute(TABLE)
    async with connected(tmp_path, postgres_database, "apply_all") as one:
        postgres_database.execute(
            "ALTER TABLE orders ALTER total TYPE text;"
            "INSERT INTO orders VALUES (3, '2026-01-03', 'three', '30'), (4, '2026-01-04', 'four', 'n/a')"
        )
        detail = await one.sync()
        assert detail.row.outcome == "success"
        assert (detail.row.counts.written, detail.row.counts.rejected) == (1, 1)
        assert "values that do not fit become failed records" in await one.logged(detail)
        assert one.rows("id, total") == [(1, 10), (2, 20), (3, 30)]
        (record,) = await one.bench.engine.queries.failed_records(await one.bench.id_of("c"))
        assert "n/a" in record.message
        # A historical re-sync gives the column the new type.
        await one.bench.engine.operations.historical_resync(ADMINISTRATOR, [await one.bench.id_of("c")])
        (sync, *_) = await one.bench.engine.queries.sync_page(await one.bench.id_of("c"), limit=1)
        assert (await one.bench.completed(sync.id)).row.counts.rejected == 0
        assert one.rows("id, total") == [(1, "10"), (2, "20"), (3, "30"), (4, "n/a")]
        postgres_database.execute("INSERT INTO orders VALUES (5, '2026-01-05', 'five', 'none')")
        assert (await one.sync()).row.counts.rejected == 0


async def test_a_rejected_addition_is_not_asked_again_until_the_source_changes_further(
    tmp_path: Path, postgres_database: PostgresDatabase
) -> None:
    postgres_database.execute(TABLE)
    async with connected(tmp_path, postgres_database) as one:
        postgres_database.execute(CHANGES["column added"][0])
        await one.sync()
        assert "goes on as it was approved" in await one.reject()
        again = await one.sync()
        assert again.row.outcome == "success"
        assert "approval" not in (again.row.summary or "")
        (rejected,) = await one.changes()
        assert (rejected.state, rejected.decided_by) == (ChangeState.REJECTED, ADMINISTRATOR.name)
        postgres_database.execute("ALTER TABLE orders ADD more integer")
        await one.sync()
        waiting, old = await one.changes()
        assert said(waiting) == "+ extra added (text), + more added (integer)"
        assert old.state is ChangeState.SUPERSEDED
        await one.approve()
        postgres_database.execute("UPDATE orders SET updated = '2026-02-01', more = 7")
        assert (await one.sync()).row.outcome == "success"
        assert one.rows("id, extra, more") == [(1, None, 7), (2, None, 7), (3, "x", 7)]


async def test_a_rejected_removal_says_what_to_do_and_ends_when_the_column_is_back(
    tmp_path: Path, postgres_database: PostgresDatabase
) -> None:
    postgres_database.execute(TABLE)
    async with connected(tmp_path, postgres_database) as one:
        postgres_database.execute("ALTER TABLE orders DROP note")
        assert (await one.sync()).row.outcome == "failed"
        assert "bring back" in await one.reject()
        assert await one.status() == "Incomplete"
        assert "bring back" in ((await one.sync()).row.error_message or "")
        assert [row.state for row in await one.changes()] == [ChangeState.REJECTED]
        postgres_database.execute("ALTER TABLE orders ADD note varchar(20)")
        assert (await one.sync()).row.outcome == "success"
        assert await one.status() == "Active"


async def test_only_what_was_shown_is_approved(tmp_path: Path, postgres_database: PostgresDatabase) -> None:
    postgres_database.execute(TABLE)
    async with connected(tmp_path, postgres_database) as one:
        postgres_database.execute("ALTER TABLE orders ADD extra text")
        await one.sync()
        (shown,) = await one.changes()
        operations = one.bench.engine.operations
        # The source goes on changing; no sync has seen that yet.
        postgres_database.execute("ALTER TABLE orders ADD secret text")
        (result,) = await operations.approve_schema_changes(ADMINISTRATOR, [shown.id])
        assert result.done
        await one.sync()
        waiting, approved = await one.changes()
        assert (said(waiting), approved.state) == ("+ secret added (text)", ChangeState.APPROVED)
        # What a sync has seen replaces what was shown before.
        postgres_database.execute("ALTER TABLE orders ADD third text")
        await one.sync()
        (late,) = await operations.approve_schema_changes(ADMINISTRATOR, [waiting.id])
        assert not late.done
        assert "further" in late.message
        (twice,) = await operations.approve_schema_changes(ADMINISTRATOR, [shown.id])
        assert not twice.done
        assert "approved by" in twice.message


async def test_who_decided_is_in_the_audit_trail(tmp_path: Path, postgres_database: PostgresDatabase) -> None:
    postgres_database.execute(TABLE)
    async with connected(tmp_path, postgres_database) as one:
        postgres_database.execute("ALTER TABLE orders ADD extra text")
        await one.sync()
        connector_id = await one.bench.id_of("c")
        (refused,) = await one.bench.engine.operations.approve_schema(Actor("mallory", Role.USER), [connector_id])
        assert not refused.done
        await one.approve(always=True)
        newest, before, *_ = await one.bench.engine.queries.audit(connector_id)
        assert (newest.operation, newest.actor, newest.refused) == ("approve_schema", ADMINISTRATOR.name, False)
        assert "extra added (text)" in (newest.before or "")
        assert "additions are applied by themselves" in (newest.after or "")
        assert (before.actor, before.refused) == ("mallory", True)
        detail = await one.bench.engine.queries.connector("c")
        assert detail is not None
        assert detail.schema_policy == "apply_additions"
        postgres_database.execute("ALTER TABLE orders ADD more text")
        await one.sync()
        assert (await one.changes())[0].state is ChangeState.APPLIED


async def test_an_approved_removal_of_a_selected_column_adapts_the_set_up(
    tmp_path: Path, postgres_database: PostgresDatabase
) -> None:
    postgres_database.execute(TABLE)
    chosen = ORDERS[:-1] + ", columns: [id, updated, note]}"
    async with connected(tmp_path, postgres_database, "apply_all", streams=(chosen,)) as one:
        postgres_database.execute("ALTER TABLE orders DROP note; INSERT INTO orders VALUES (3, '2026-01-03', 30)")
        assert (await one.sync()).row.outcome == "failed"
        assert "taken out of the set-up" in (await one.changes())[0].entries[0].effect
        await one.approve()
        assert (await one.sync()).row.outcome == "success"
        assert one.rows("id, note") == [(1, "one"), (2, "two"), (3, None)]


async def test_an_adapted_set_up_goes_on_without_the_column(tmp_path: Path, postgres_database: PostgresDatabase) -> None:
    postgres_database.execute(TABLE)
    async with connected(tmp_path, postgres_database) as one:
        postgres_database.execute("ALTER TABLE orders DROP updated; INSERT INTO orders VALUES (3, 'three', 30)")
        assert (await one.sync()).row.outcome == "failed"
        assert (await one.approve()).startswith("refused")
        assert await one.status() == "Incomplete"
        draft = await one.bench.engine.queries.connector_draft(await one.bench.id_of("c"))
        assert draft is not None
        whole = replace(draft.streams[0], sync_mode=SyncMode.REPLACE, cursor_field=None, schema_policy=SchemaPolicy.APPLY_ALL)
        await one.bench.engine.operations.save_connector(ADMINISTRATOR, replace(draft, streams=(whole,)))
        assert await one.status() == "Broken"  # by its last sync; nothing waits any more
        assert (await one.sync()).row.outcome == "success"
        assert [row[0] for row in one.rows()] == [1, 2, 3]
        assert await one.status() == "Active"


async def test_one_stream_gone_is_taken_out_and_the_others_go_on(tmp_path: Path, postgres_database: PostgresDatabase) -> None:
    postgres_database.execute(TABLE + "CREATE TABLE events (id bigint PRIMARY KEY); INSERT INTO events VALUES (1)")
    events = "{name: events, sync_mode: replace}"
    async with connected(tmp_path, postgres_database, streams=(ORDERS, events)) as one:
        postgres_database.execute("DROP TABLE events; INSERT INTO orders VALUES (3, '2026-01-03', 'three', 30)")
        assert (await one.sync()).row.outcome == "failed"
        assert len(one.rows()) == 2
        assert "its data stays" in await one.approve()
        assert (await one.sync()).row.outcome == "success"
        assert len(one.rows()) == 3
        assert one.rows("id", "events") == [(1,)]


@pytest.mark.parametrize(("policy", "state"), [("approve", "waiting"), ("apply_additions", "waiting"), ("apply_all", "applied")])
async def test_a_new_stream_is_offered_where_all_the_others_are_synced(
    tmp_path: Path, postgres_database: PostgresDatabase, policy: str, state: str
) -> None:
    postgres_database.execute(TABLE)
    async with connected(tmp_path, postgres_database, policy) as one:
        postgres_database.execute("CREATE TABLE payments (id bigint PRIMARY KEY); INSERT INTO payments VALUES (7)")
        detail = await one.sync()
        assert detail.row.outcome == "success"
        assert "New in the source: payments" in (detail.row.summary or "")
        (change,) = await one.changes()
        assert (change.stream, change.state, change.blocking) == ("payments", state, False)
        assert await one.status() == "Active"
        if policy != "apply_all":
            assert [stream.stream for stream in detail.streams] == ["orders"]  # never selected silently
            await one.approve()
        assert (await one.sync()).row.outcome == "success"
        assert one.rows("id", "payments") == [(7,)]
        assert len(await one.changes()) == 1


async def test_a_new_stream_is_not_offered_to_a_connector_that_picks_some(
    tmp_path: Path, postgres_database: PostgresDatabase
) -> None:
    postgres_database.execute(TABLE + "CREATE TABLE private (id bigint)")
    async with connected(tmp_path, postgres_database, "apply_all") as one:
        postgres_database.execute("CREATE TABLE payments (id bigint)")
        detail = await one.sync()
        assert not await one.changes()
        assert "New in the source" not in (detail.row.summary or "")


async def test_an_added_column_repeats_no_record_at_the_cursor(tmp_path: Path, postgres_database: PostgresDatabase) -> None:
    postgres_database.execute(TABLE)
    appended = "{name: orders, sync_mode: incremental_append, cursor_field: updated}"
    async with connected(tmp_path, postgres_database, "apply_all", streams=(appended,)) as one:
        postgres_database.execute("ALTER TABLE orders ADD extra text DEFAULT 'x'")
        assert (await one.sync()).row.counts.written == 0
        postgres_database.execute("INSERT INTO orders VALUES (3, '2026-01-02', 'three', 30)")
        assert (await one.sync()).row.counts.written == 1
        assert (await one.sync()).row.counts.written == 0
        assert [row[0] for row in one.rows()] == [1, 2, 3]


# During a sync ------------------------------------------------------------------------------------------------------------------


class Gate:
    """Holds the sync's threads at a named place of the pipeline until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

        def reach(name: str) -> None:
            if name == place:
                self.reached.set()
                self.open.wait()

        monkeypatch.setattr("syncterm.engine.pipeline.reach", reach)

    async def wait(self) -> None:
        async def reached() -> bool:
            return self.reached.is_set()

        await until(reached, "the sync has come to the gate")


def waiting_for_a_lock(database: PostgresDatabase) -> Callable[[], Any]:
    async def waits() -> bool:
        query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER%'"
        return bool(await asyncio.to_thread(database.query, query))

    return waits


async def test_a_table_altered_while_it_is_read_waits_for_the_end_of_the_read(
    tmp_path: Path, postgres_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_database.execute(TABLE)
    async with connected(tmp_path, postgres_database, "apply_all") as one:
        postgres_database.execute(
            "INSERT INTO orders SELECT n, '2026-01-03'::timestamptz + n * interval '1 s', repeat('x', 20), n"
            " FROM generate_series(3, 200000) AS n"
        )
        gate = Gate(monkeypatch, "batch-read")
        sync = await one.bench.start_sync("c")
        await gate.wait()
        altering = asyncio.create_task(
            asyncio.to_thread(postgres_database.execute, "ALTER TABLE orders ALTER total TYPE text, ADD extra text DEFAULT 'x'")
        )
        await until(waiting_for_a_lock(postgres_database), "the ALTER waits for the read")
        gate.open.set()
        detail = await one.bench.completed(sync)
        await altering
        assert detail.row.outcome == "success", detail.row.error_message
        assert one.rows("count(*), sum(id), sum(total)") == [(200_000, 20_000_100_000, 20_000_099_997 + 30)]
        postgres_database.execute("INSERT INTO orders VALUES (200001, '2026-02-01', 'new', '5', 'y')")
        after = await one.sync()
        assert after.row.outcome == "success"
        assert one.rows("count(*), count(DISTINCT id)") == [(200_001, 200_001)]
        assert (await one.changes())[0].state is ChangeState.APPLIED


@pytest.mark.parametrize(
    "alter",
    ["ALTER TABLE orders ALTER total TYPE text", "ALTER TABLE orders DROP note", "ALTER TABLE orders DROP updated"],
)
async def test_a_table_altered_between_looking_and_reading_fails_cleanly(
    tmp_path: Path, postgres_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, alter: str
) -> None:
    postgres_database.execute(TABLE)
    async with connected(tmp_path, postgres_database, "apply_all") as one:
        postgres_database.execute("INSERT INTO orders VALUES (3, '2026-01-03', 'three', 30)")
        before = one.rows("id, note, total")
        gate = Gate(monkeypatch, "load-opened")
        sync = await one.bench.start_sync("c")
        await gate.wait()
        postgres_database.execute(alter)
        gate.open.set()
        detail = await one.bench.completed(sync)
        assert (detail.row.outcome, detail.row.error_class) == ("failed", "schema")
        assert detail.row.counts.rejected == 0
        assert one.rows("id, note, total") == before
        # The next sync sees the change; nothing is lost, nothing comes twice.
        after = await one.sync()
        if "updated" in alter:
            assert await one.status() == "Incomplete"
            return
        assert after.row.outcome == "success"
        assert [row[0] for row in one.rows("id")] == [1, 2, 3]


# SQLite ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alter", "difference", "outcome"),
    [
        ("ALTER TABLE orders ADD extra TEXT", "+ extra added (TEXT)", "success"),
        ("ALTER TABLE orders RENAME note TO remark", "- note removed (TEXT), + remark added (TEXT)", "failed"),
        ("DROP TABLE orders", "- stream is gone", "failed"),
    ],
)
async def test_a_sqlite_source(tmp_path: Path, alter: str, difference: str, outcome: str) -> None:
    path = tmp_path / "shop.db"
    database = sqlite3.connect(path)
    database.executescript("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT); INSERT INTO orders VALUES (1, 'one');")
    document = f"""
version: 1
sources: {{shop: {{type: sqlite, config: {{path: {json.dumps(str(path))}}}}}}}
destinations: {{warehouse: {{type: duckdb, config: {{path: warehouse.duckdb}}}}}}
connectors:
  c:
    source: shop
    destination: warehouse
    schedule: {{kind: manual}}
    streams: [{{name: orders, sync_mode: replace}}]
"""
    async with workbench(tmp_path / "home") as bench:
        await bench.apply(document)
        assert (await bench.sync("c")).row.outcome == "success"
        database.executescript(alter)
        database.close()
        detail = await bench.sync("c")
        (change,) = await bench.engine.queries.schema_changes(await bench.id_of("c"))
        assert (said(change), detail.row.outcome) == (difference, outcome)
        lines = await bench.engine.queries.log_lines(None, detail.row.id)
        assert any(line.level in (LogLevel.WARNING, LogLevel.ERROR) for line in lines)
