"""The engine on a real store with real destinations: a sync's whole life, its faults, its schedule, its lease."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from sqlalchemy import func, select

from syncterm.engine.authorisation import NEEDED_ROLES
from syncterm.engine.model import Actor, Role
from syncterm.engine.operation_results import IfRunning
from syncterm.engine.store.tables import attempts, audit_events, connectors, failed_records, log_lines, syncs
from syncterm.engine.testing import READS, FakeClock
from tests.engine.workbench import ADMINISTRATOR, Workbench, until, workbench


def document(
    *,
    faults: str = "[]",
    mode: str = "incremental_upsert",
    schedule: str = "{kind: manual}",
    records: int = 1000,
    script: str = "s",
) -> str:
    READS.pop(script, None)
    return f"""
version: 1
sources:
  events: {{type: scripted, config: {{script: {script}, records: {records}, faults: {faults}}}}}
destinations:
  warehouse: {{type: duckdb, config: {{path: warehouse.duckdb}}}}
connectors:
  c:
    source: events
    destination: warehouse
    schedule: {schedule}
    streams:
      - {{name: events, sync_mode: {mode}, primary_key: [id], cursor_field: id}}
"""


def rows(folder: Path, sql: str = "select count(*), count(distinct id), coalesce(sum(id), 0) from events") -> tuple[object, ...]:
    connection = duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True)
    try:
        found: tuple[object, ...] = connection.sql(sql).fetchall()[0]
        return found
    finally:
        connection.close()


@pytest.mark.parametrize("mode", ["replace", "append", "incremental_append", "incremental_upsert"])
async def test_a_sync_delivers_every_record_once_and_balances(tmp_path: Path, mode: str) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(mode=mode))
        first = await bench.sync("c")
        assert (first.row.outcome, first.row.counts.written) == ("success", 1000)
        assert first.row.counts.balanced
        assert rows(tmp_path) == (1000, 1000, 500_500)
        again = await bench.sync("c")
        assert again.row.outcome == "success"
        assert again.row.counts.balanced
        assert rows(tmp_path) == ((2000, 1000, 1_001_000) if mode == "append" else (1000, 1000, 500_500))
        row = await bench.row("c")
        assert (row.status, row.activity, row.last_outcome) == ("Active", "idle", "success")


async def test_bad_records_are_set_aside_counted_and_kept_with_their_reason(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(faults="[{kind: bad_rows, every: 100}]"))
        done = await bench.sync("c")
        assert done.row.outcome == "success"
        assert (done.row.counts.written, done.row.counts.rejected) == (990, 10)
        kept = await bench.engine.queries.failed_records(sync_id=done.row.id)
        assert len(kept) == 10
        assert all("not a number" in record.message and "amount" in record.message for record in kept)


async def test_too_many_bad_records_fail_the_sync_and_publish_nothing(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(faults="[{kind: bad_rows, every: 2}]"))
        async with bench.engine.database.write() as connection:
            await connection.execute(connectors.update().values(reject_limit_count=100, reject_limit_share=10))
        done = await bench.sync("c")
        assert (done.row.outcome, done.row.error_class) == ("failed", "source_data")
        assert (await bench.row("c")).status == "Broken"
        with pytest.raises(duckdb.CatalogException):
            rows(tmp_path)


async def test_a_dropped_connection_is_tried_again_and_then_succeeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncterm.engine.retry.WAITS", (0.01,) * 4)
    async with workbench(tmp_path) as bench:
        await bench.apply(document(faults="[{kind: drop, after: 500, reads: 2}]", script="drop"))
        detail = await bench.sync("c")
        assert detail.row.outcome == "success"
        assert [attempt.outcome for attempt in detail.attempts] == ["failed", "failed", "success"]
        assert all(attempt.error_class == "source_transient" for attempt in detail.attempts[:2])
        assert rows(tmp_path) == (1000, 1000, 500_500)


@pytest.mark.parametrize(("fault", "error_class"), [("unauthorized", "auth"), ("forbidden", "permission"), ("crash", "internal")])
async def test_what_a_retry_cannot_mend_is_not_retried(tmp_path: Path, fault: str, error_class: str) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(faults=f"[{{kind: {fault}}}]", script=fault))
        done = await bench.sync("c")
        assert (done.row.outcome, done.row.error_class, done.row.attempt) == ("failed", error_class, 1)
        assert (await bench.row("c")).status == "Broken"


async def test_rejected_credentials_are_told_apart_by_end(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(faults="[{kind: unauthorized, reads: 1}]", script="once"))
        await bench.sync("c")
        (source,) = await bench.engine.queries.sources()
        assert source.credentials == "rejected"
        await bench.sync("c")
        (source,) = await bench.engine.queries.sources()
        assert source.credentials == "ok"


async def test_cancel_ends_a_hanging_source_soon_and_says_where_it_resumes(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(faults="[{kind: hang, after: 300, reads: 1}]", script="hang"))
        sync_id = await bench.start_sync("c")
        await _running_with_progress(bench)
        loop = asyncio.get_running_loop()
        asked = loop.time()
        result = await bench.engine.operations.cancel_sync(ADMINISTRATOR, sync_id)
        assert result.done
        detail = await bench.completed(sync_id)
        assert loop.time() - asked < 2
        assert detail.row.outcome == "cancelled"
        assert "Nothing was committed" in (detail.row.summary or "")
        assert (await bench.row("c")).status == "Active"
        assert (await bench.sync("c")).row.outcome == "success"
        assert rows(tmp_path) == (1000, 1000, 500_500)


async def _running_with_progress(bench: Workbench) -> None:
    async def moving() -> bool:
        row = await bench.row("c")
        return row.activity == "running" and bool(row.progress_records)

    await until(moving, "the sync has read some records")


async def test_a_sync_that_stalls_is_ended_with_the_reason(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(faults="[{kind: hang, after: 300}]", script="stall"))
        async with bench.engine.database.write() as connection:
            await connection.execute(connectors.update().values(stall_limit_ms=500))
        sync_id = await bench.start_sync("c")

        async def backing_off() -> bool:
            return (await bench.row("c")).activity == "backing_off"

        await until(backing_off, "the stalled attempt was ended")
        detail = await bench.engine.queries.sync(sync_id)
        assert detail is not None
        assert detail.attempts[0].error_class == "timeout"
        assert "neither bytes nor records" in (detail.attempts[0].error_message or "")


async def test_pausing_or_deleting_ends_a_running_sync_and_stops_the_schedule(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(faults="[{kind: hang, after: 300}]", schedule="{kind: interval, every: 1h}", script="pause"))
        sync_id = await bench.start_sync("c")
        await _running_with_progress(bench)
        connector_id = await bench.id_of("c")
        await bench.engine.operations.pause(ADMINISTRATOR, [connector_id])
        assert (await bench.completed(sync_id)).row.outcome == "cancelled"
        row = await bench.row("c")
        assert (row.status, row.next_fire_at) == ("Paused", None)
        await bench.engine.operations.resume(ADMINISTRATOR, [connector_id])
        row = await bench.row("c")
        assert row.status == "Active"
        assert row.next_fire_at is not None
        deletion = await bench.engine.operations.delete(ADMINISTRATOR, [connector_id])
        assert await bench.engine.queries.connector("c") is None
        (restored,) = await bench.engine.operations.undo(ADMINISTRATOR, deletion.token)
        assert restored.done
        assert (await bench.row("c")).next_fire_at is not None


async def test_sync_now_while_one_runs_never_stacks(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(faults="[{kind: hang, after: 300, reads: 1}]", script="stack"))
        first = await bench.start_sync("c")
        await _running_with_progress(bench)
        connector_id = await bench.id_of("c")
        operations = bench.engine.operations
        (left,) = await operations.sync_now(ADMINISTRATOR, [connector_id], if_running=IfRunning.LEAVE)
        assert not left.done
        (queued,) = await operations.sync_now(ADMINISTRATOR, [connector_id], if_running=IfRunning.QUEUE)
        assert queued.done
        (second,) = await operations.sync_now(ADMINISTRATOR, [connector_id], if_running=IfRunning.QUEUE)
        assert not second.done
        assert len(await bench.engine.queries.sync_page(connector_id)) == 2
        await operations.cancel_sync(ADMINISTRATOR, first)

        async def second_done() -> bool:
            newest = (await bench.engine.queries.sync_page(connector_id, limit=1))[0]
            return newest.outcome == "success"

        await until(second_done, "the queued sync ran after the first was cancelled")


async def test_due_times_queue_one_sync_each_and_missed_ones_run_once(tmp_path: Path) -> None:
    clock = FakeClock()
    async with workbench(tmp_path, clock=clock) as bench:
        await bench.apply(document(schedule="{kind: interval, every: 1m}", script="due"))

        async def done(count: int) -> bool:
            connector_id = await bench.id_of("c")
            page = await bench.engine.queries.sync_page(connector_id)
            return len(page) == count and all(sync.state == "completed" for sync in page)

        assert await done(0)
        clock.advance(timedelta(minutes=2))
        await until(lambda: done(1), "the first due time ran")
        clock.advance(timedelta(minutes=50))
        await until(lambda: done(2), "after downtime it caught up once")
        newest = (await bench.engine.queries.sync_page(await bench.id_of("c"), limit=1))[0]
        assert newest.missed >= 48
        row = await bench.row("c")
        assert row.next_fire_at is not None
        assert row.next_fire_at > clock.now()


async def test_a_second_engine_attaches_and_takes_over(tmp_path: Path) -> None:
    async with workbench(tmp_path) as first:
        await first.apply(document(script="two"))
        assert first.engine.executing
        async with workbench(tmp_path) as second:
            assert not second.engine.executing
            # Everything can be done from the attached one, and the executing one does the work.
            assert (await second.sync("c")).row.outcome == "success"
            await first.engine.stop()

            async def took_over() -> bool:
                return second.engine.executing

            await until(took_over, "the attached engine took the lease")
            assert (await second.sync("c")).row.outcome == "success"
            first.engine.stop = second.engine.stop  # type: ignore[method-assign] # stopped already; harmless twice


async def test_an_interrupted_sync_is_resumed_under_the_same_id_and_repeats_nothing(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(mode="append", faults="[{kind: hang, after: 300, reads: 1}]", script="resume"))
        sync_id = await bench.start_sync("c")
        await _running_with_progress(bench)
    async with workbench(tmp_path) as bench:
        detail = await bench.completed(sync_id)
        assert detail.row.outcome == "success"
        assert [attempt.error_class for attempt in detail.attempts] == ["interrupted", None]
        assert rows(tmp_path) == (1000, 1000, 500_500)
        assert len(await bench.engine.queries.sync_page(await bench.id_of("c"))) == 1


async def test_a_historical_resync_replaces_everything_in_one_step(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(mode="incremental_append", script="again"))
        await bench.sync("c")
        connector_id = await bench.id_of("c")
        (result,) = await bench.engine.operations.historical_resync(ADMINISTRATOR, [connector_id])
        assert result.done

        async def resynced() -> bool:
            newest = (await bench.engine.queries.sync_page(connector_id, limit=1))[0]
            return newest.reason == "historical_resync" and newest.outcome == "success"

        await until(resynced, "the historical re-sync is over")
        assert rows(tmp_path) == (1000, 1000, 500_500)


async def test_limits_hold_and_each_waiting_sync_says_why(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        text = document(faults="[{kind: slow, seconds: 0.01}]", script="many", records=500)
        connector = text[text.index("  c:\n") + 5 :]
        await bench.apply(text + "".join(f"  c{number}:\n{connector}      # {number}\n" for number in range(3)))
        ids = [await bench.id_of(name) for name in ("c", "c0", "c1", "c2")]
        await bench.engine.operations.sync_now(ADMINISTRATOR, ids)
        seen_running = 0

        async def all_done() -> bool:
            nonlocal seen_running
            found = await bench.engine.queries.connector_rows(ids)
            seen_running = max(seen_running, sum(row.activity == "running" for row in found.values()))
            return all(row.last_outcome == "success" for row in found.values())

        async def one_waits() -> bool:
            found = await bench.engine.queries.connector_rows(ids)
            return any("writes to this destination" in (row.activity_reason or "") for row in found.values())

        await until(one_waits, "a waiting sync says that the destination is taken")
        await until(all_done, "all four ran")
        assert seen_running == 1


async def test_operations_refuse_what_a_role_may_not_do_and_record_it(tmp_path: Path) -> None:
    from syncterm.engine.errors import NotAllowedError

    async with workbench(tmp_path, execute=False) as bench:
        await bench.apply(document())
        connector_id = await bench.id_of("c")
        with pytest.raises(NotAllowedError):
            await bench.engine.operations.delete(Actor("guest", Role.VIEWER), [connector_id])
        (other,) = (await bench.engine.operations.delete(Actor("colleague", Role.USER), [connector_id])).results
        assert not other.done
        async with bench.engine.database.read() as connection:
            refused = (await connection.execute(select(func.count()).where(audit_events.c.refused))).scalar()
        assert refused == 2


def test_every_operation_names_its_role() -> None:
    from syncterm.engine.operations import Operations

    public = {name for name in dir(Operations) if not name.startswith("_")} - {"refuse"}
    assert public == set(NEEDED_ROLES)


async def test_every_attempt_and_failed_record_belongs_to_a_sync(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(faults="[{kind: bad_rows, every: 10}]", script="belongs"))
        await bench.sync("c")
        async with bench.engine.database.read() as connection:
            for table in (attempts, failed_records):
                orphans = (
                    await connection.execute(
                        select(func.count()).select_from(table).where(table.c.sync_id.not_in(select(syncs.c.id)))
                    )
                ).scalar()
                assert orphans == 0


async def test_a_row_filter_that_is_none_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    from syncterm.engine.errors import ConfigError

    async with workbench(tmp_path, execute=False) as bench:
        with pytest.raises(ConfigError, match=r"'events'.*character 7: .*semicolon"):
            await bench.apply(document().replace("cursor_field: id}", "cursor_field: id, row_filter: 'id > 5; drop table x'}"))
        assert await bench.engine.queries.sources() == []


async def test_a_row_filter_leaves_records_out_and_the_sync_balances(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        filtered = document(mode="incremental_append", script="filtered").replace(
            "cursor_field: id}", "cursor_field: id, row_filter: \"id <= 100 or name like '%9'\"}"
        )
        await bench.apply(filtered)
        detail = await bench.sync("c")
        assert detail.row.outcome == "success"
        counts = detail.streams[0].counts
        assert (counts.read, counts.written, counts.filtered, counts.balanced) == (1000, 190, 810, True)
        assert (await bench.sync("c")).streams[0].counts.written == 0
        await bench.apply(filtered.replace("id <= 100", "idd <= 100"))
        async with bench.engine.database.read() as connection:
            said = (await connection.execute(select(log_lines.c.message).where(log_lines.c.sync_id.is_(None)))).scalars().all()
        assert [text for text in said if "Stream 'events': its row filter changed" in text]
        gone = await bench.sync("c")
        assert (gone.row.outcome, gone.row.error_class) == ("failed", "schema")
        assert "Did you mean id?" in (gone.row.error_message or "")


async def test_a_name_that_the_source_does_not_have_is_a_mistake_of_the_set_up(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(script="typo").replace("name: events,", "name: event,"))
        done = await bench.sync("c")
        assert done.row.error_class == "config"
        assert "no stream 'event'; it has 'events'" in (done.row.error_message or "")
        await bench.apply(document(script="typo").replace("cursor_field: id", "cursor_field: ids"))
        done = await bench.sync("c")
        assert "no column 'ids'; it has 'id'" in (done.row.error_message or "")
        assert (await bench.row("c")).status == "Broken"


async def test_a_cancelled_resync_is_withdrawn_and_shown_as_cancelled(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(mode="incremental_append", script="withdrawn", faults="[{kind: hang, after: 300, reads: 1}]"))
        connector_id = await bench.id_of("c")
        await bench.engine.operations.historical_resync(ADMINISTRATOR, [connector_id])
        await _running_with_progress(bench)
        await bench.engine.operations.cancel(ADMINISTRATOR, [connector_id])

        async def idle() -> bool:
            return (await bench.row("c")).activity == "idle"

        await until(idle, "the re-sync was cancelled")
        assert (await bench.row("c")).last_outcome == "cancelled"
        listed = await bench.engine.queries.connector_streams(connector_id)
        assert listed is not None
        assert not listed.resyncs
