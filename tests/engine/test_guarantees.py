"""The engine's promises under bad timing: no row lost or doubled, no request forgotten, no sync left open, no stop that hangs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from syncterm.engine import lifecycle
from syncterm.engine.control import Control
from syncterm.engine.destinations.duckdb_load import DuckDBLoad
from syncterm.engine.errors import StoreError
from syncterm.engine.model import Reason, Trigger
from syncterm.engine.queries import SyncDetail
from syncterm.engine.store.tables import connectors, streams, syncs
from syncterm.engine.testing import READS, FakeClock
from syncterm.engine.threads import in_thread
from tests.engine.test_engine import rows
from tests.engine.workbench import ADMINISTRATOR, Workbench, until, workbench

EVENTS = "{name: events, sync_mode: incremental_append, primary_key: [id], cursor_field: id}"
OTHER = "{name: other, sync_mode: incremental_append, primary_key: [id], cursor_field: id}"


def document(
    *wanted: str,
    script: str,
    faults: str = "[]",
    records: int = 1000,
    schedule: str = "{kind: manual}",
    more: str = "",
    paused: bool = False,
) -> str:
    listed = "\n".join(f"      - {stream}" for stream in wanted or (EVENTS,))
    return f"""
version: 1
sources:
  events: {{type: scripted, config: {{script: {script}, records: {records}, more_streams: [other], faults: {faults}}}}}
destinations:
  warehouse: {{type: duckdb, config: {{path: warehouse.duckdb}}}}
connectors:
  c:
    source: events
    destination: warehouse
    schedule: {schedule}
    paused: {str(paused).lower()}
    streams:
{listed}
{more}
"""


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
        await until(self._is_reached, "the sync has come to the gate")

    async def _is_reached(self) -> bool:
        return self.reached.is_set()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncterm.engine.retry.WAITS", (0.01,) * 4)
    READS.clear()


async def newest(bench: Workbench, count: int) -> list[SyncDetail]:
    """The newest syncs of the connector `c`, the newest first, once that many are completed."""
    page = await bench.engine.queries.sync_page(await bench.id_of("c"), limit=count)
    return [await bench.completed(row.id) for row in page]


async def runner_of(bench: Workbench) -> Any:
    """What runs for the connector `c`, once something does."""

    async def running() -> Any:
        dispatcher = bench.engine._dispatcher
        return dispatcher and dispatcher._running.get(await bench.id_of("c"))

    return (await until(running, "the sync was claimed")).runner


# Requests ---------------------------------------------------------------------------------------------------------------------


async def test_a_resync_asked_for_while_a_sync_runs_reads_everything_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, "commit-begun")
    async with workbench(tmp_path) as bench:
        await bench.apply(document(script="asked"))
        first = await bench.start_sync("c")
        await gate.wait()
        (asked,) = await bench.engine.operations.historical_resync(ADMINISTRATOR, [await bench.id_of("c")])
        assert asked.done
        gate.open.set()
        assert (await bench.completed(first)).row.counts.written == 1000
        resync, _ = await newest(bench, 2)
        assert (resync.row.reason, resync.row.outcome) == ("historical_resync", "success")
        assert (resync.row.counts.written, resync.row.counts.unchanged) == (1000, 0)
        assert rows(tmp_path) == (1000, 1000, 500_500)
        after = await bench.sync("c")
        assert after.row.counts.written == 0  # the request is answered


async def test_a_second_resync_asked_for_while_the_first_runs_is_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, "commit-begun")
    async with workbench(tmp_path) as bench:
        await bench.apply(document(script="twice"))
        connector_id = await bench.id_of("c")
        await bench.engine.operations.historical_resync(ADMINISTRATOR, [connector_id])
        await gate.wait()
        (asked,) = await bench.engine.operations.historical_resync(ADMINISTRATOR, [connector_id])
        assert asked.done
        gate.open.set()
        second, first = await newest(bench, 2)
        assert (first.row.counts.written, second.row.counts.written) == (1000, 1000)
        assert (await bench.sync("c")).row.counts.written == 0


async def test_a_cancel_during_a_commit_ends_the_sync_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, "commit-begun")
    async with workbench(tmp_path) as bench:
        await bench.apply(document(EVENTS, OTHER, script="during"))
        sync_id = await bench.start_sync("c")
        await gate.wait()
        runner = await runner_of(bench)
        await bench.engine.operations.cancel_sync(ADMINISTRATOR, sync_id)

        async def told() -> bool:
            return bool(runner.stopped)

        await until(told, "the runner knows that it is to stop")
        gate.open.set()
        done = await bench.completed(sync_id)
        assert done.row.outcome == "cancelled"
        assert "events 1,000" in (done.row.summary or "")
        assert READS["during"] == 1  # the other stream was not begun


async def test_a_cancel_of_a_stalled_attempt_ends_the_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncterm.engine.retry.WAITS", (600.0,) * 4)
    async with workbench(tmp_path) as bench:
        await bench.apply(document(script="stubborn", faults="[{kind: stubborn, after: 300, seconds: 20}]"))
        async with bench.engine.database.write() as connection:
            await connection.execute(update(connectors).values(stall_limit_ms=200))
        sync_id = await bench.start_sync("c")

        async def stalled() -> bool:
            return bool((await runner_of(bench)).control.stopped)

        await until(stalled, "the attempt was found to have stalled")
        await bench.engine.operations.cancel_sync(ADMINISTRATOR, sync_id)
        assert (await bench.completed(sync_id)).row.outcome == "cancelled"


async def test_a_cancel_reaches_a_sync_that_waits_for_its_place_again(tmp_path: Path) -> None:
    second = """  d:
    source: hanging
    destination: warehouse
    schedule: {kind: manual}
    streams:
      - {name: events, table: others, sync_mode: append}
"""
    text = document(script="place", faults="[{kind: rate_limited, after: 300, seconds: 1}]", more=second).replace(
        "sources:\n", "sources:\n  hanging: {type: scripted, config: {script: hanging, faults: [{kind: hang, after: 100}]}}\n"
    )
    async with workbench(tmp_path) as bench:
        await bench.apply(text)
        sync_id = await bench.start_sync("c")  # the destination takes one load at a time
        hanging = await bench.start_sync("d")

        async def waits() -> bool:
            dispatcher = bench.engine._dispatcher
            assert dispatcher is not None
            own = dispatcher._running.get(await bench.id_of("c"))
            other = dispatcher._running.get(await bench.id_of("d"))
            return bool(own and other and other.holds_slot and not own.holds_slot and dispatcher._room._waiters)

        await until(waits, "the sync waits for a place behind the other")
        await bench.engine.operations.cancel_sync(ADMINISTRATOR, sync_id)
        assert (await bench.completed(sync_id)).row.outcome == "cancelled"
        await bench.engine.operations.cancel_sync(ADMINISTRATOR, hanging)
        await bench.completed(hanging)


@pytest.mark.parametrize("what", ["pruned", "paused"])
async def test_applying_a_document_that_pauses_or_deletes_ends_the_running_sync(tmp_path: Path, what: str) -> None:
    from syncterm.engine.document import load_document

    async with workbench(tmp_path) as bench:
        faults = "[{kind: hang, after: 300}]"
        await bench.apply(document(script="applied", faults=faults))
        sync_id = await bench.start_sync("c")
        text = document(script="applied", faults=faults, paused=True)
        if what == "pruned":
            text = text[: text.index("connectors:")]
        await bench.engine.operations.apply(ADMINISTRATOR, load_document(text), prune=what == "pruned")
        assert (await bench.completed(sync_id)).row.outcome == "cancelled"


# The cursor and its table -----------------------------------------------------------------------------------------------------


async def test_a_stream_that_comes_back_with_another_cursor_column_reads_everything_again(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(script="back").replace("cursor_field: id}", "cursor_field: name}"))
        assert (await bench.sync("c")).row.outcome == "success"
        await bench.apply(document(OTHER, script="back"))
        await bench.apply(document(EVENTS.replace("cursor_field: id", "cursor_field: at"), script="back"))
        done = await bench.sync("c")
        assert (done.row.outcome, done.row.counts.written) == ("success", 1000)
        assert rows(tmp_path) == (1000, 1000, 500_500)


async def test_a_stream_that_the_store_forgot_does_not_go_on_from_another_cursor_column(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(script="back").replace("cursor_field: id}", "cursor_field: name}"))
        assert (await bench.sync("c")).row.outcome == "success"
        await bench.apply(document(OTHER, script="back"))
        async with bench.engine.database.write() as connection:
            await connection.execute(delete(streams).where(streams.c.name == "events"))
        await bench.apply(document(EVENTS.replace("cursor_field: id", "cursor_field: at"), script="back"))
        done = await bench.sync("c")
        assert (done.row.outcome, done.row.error_class) == ("failed", "config")
        assert "of column 'name'; its cursor is 'at' now" in (done.row.error_message or "")
        await bench.engine.operations.historical_resync(ADMINISTRATOR, [await bench.id_of("c")])
        (resync,) = await newest(bench, 1)
        assert resync.row.outcome == "success"
        assert rows(tmp_path) == (1000, 1000, 500_500)


async def test_a_cursor_column_changed_while_the_mode_was_another_reads_everything_again(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(script="detour"))
        await bench.sync("c")
        by_instant = EVENTS.replace("cursor_field: id", "cursor_field: at")
        await bench.apply(document(by_instant.replace("incremental_append", "replace"), script="detour"))
        await bench.apply(document(by_instant, script="detour"))
        done = await bench.sync("c")
        assert (done.row.outcome, done.row.counts.written) == ("success", 1000)
        assert rows(tmp_path) == (1000, 1000, 500_500)


async def test_from_replace_to_incremental_append_no_row_is_doubled(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(EVENTS.replace("incremental_append", "replace"), script="mode"))
        await bench.sync("c")
        await bench.apply(document(script="mode"))
        assert (await bench.sync("c")).row.outcome == "success"
        assert (await bench.sync("c")).row.outcome == "success"
        assert rows(tmp_path) == (1000, 1000, 500_500)


async def test_a_stream_sent_to_another_table_does_not_go_on_from_its_cursor(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(EVENTS, OTHER, script="renamed"))
        await bench.sync("c")
        await bench.apply(document(EVENTS.replace("name: events", "name: events, table: other"), script="renamed"))
        done = await bench.sync("c")
        assert done.row.outcome == "failed"
        assert "leave out older rows" in (done.row.error_message or "")
        assert rows(tmp_path, "select count(*) from other") == (1000,)


async def test_a_destination_that_stops_early_commits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = DuckDBLoad.write

    def first_batch_only(self: DuckDBLoad, batches: Any) -> None:
        whole(self, iter([next(batches)]))

    monkeypatch.setattr(DuckDBLoad, "write", first_batch_only)
    async with workbench(tmp_path) as bench:
        await bench.apply(document(script="early"))
        done = await bench.sync("c")
        assert (done.row.outcome, done.row.error_class) == ("failed", "internal")
        assert "before the end of stream" in (done.row.error_message or "")
    import duckdb

    with pytest.raises(duckdb.CatalogException):
        rows(tmp_path)


# The store fails --------------------------------------------------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, name: str, error: Callable[[], Exception], times: int) -> None:
    """Let a function of the life cycle raise that often, then do its work."""
    left = times
    whole = getattr(lifecycle, name)

    async def function(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        if left:
            left -= 1
            raise error()
        return await whole(*arguments, **named)

    monkeypatch.setattr(lifecycle, name, function)


def locked() -> Exception:
    return StoreError("The store is locked by another process.")


async def test_a_commit_that_the_store_could_not_record_is_recorded_by_the_next_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "finish_stream", locked, 1)
    async with workbench(tmp_path) as bench:
        await bench.apply(document(EVENTS.replace("incremental_append", "append"), script="recorded"))
        done = await bench.sync("c")
        assert (done.row.outcome, done.row.attempt) == ("success", 2)
        assert done.row.counts.written == 1000
        assert rows(tmp_path) == (1000, 1000, 500_500)
        assert READS["recorded"] == 1


async def test_a_sync_that_the_store_could_not_close_goes_on_when_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncterm.engine.dispatcher.RETRY_INTERVAL", 0.01)
    failing(monkeypatch, "end_attempt", locked, 1)
    failing(monkeypatch, "reopen", locked, 2)
    async with workbench(tmp_path) as bench:
        await bench.apply(document(EVENTS.replace("incremental_append", "append"), script="closed"))
        done = await bench.sync("c")
        assert done.row.outcome == "success"
        assert [attempt.error_class for attempt in done.attempts] == ["interrupted", None]
        assert rows(tmp_path) == (1000, 1000, 500_500)
        assert (await bench.row("c")).activity == "idle"


async def test_an_unforeseen_fault_does_not_end_the_dispatcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncterm.engine.dispatcher.RETRY_INTERVAL", 0.01)
    failing(monkeypatch, "claim", lambda: KeyError("unforeseen"), 1)
    async with workbench(tmp_path) as bench:
        await bench.apply(document(script="unforeseen"))
        assert (await bench.sync("c")).row.outcome == "success"


async def test_an_engine_that_lost_its_lease_claims_nothing(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        epoch = bench.engine.lease.epoch
        assert epoch is not None
        await bench.apply(document(script="lost"))
        connector_id = await bench.id_of("c")
        async with bench.engine.database.write() as connection:  # in one transaction, so that the dispatcher sees nothing of it
            now = bench.engine.clock.now()
            sync_id = await lifecycle.insert_sync(
                connection,
                connector_id=connector_id,
                trigger=Trigger.MANUAL,
                reason=Reason.SYNC_NOW,
                requested_by="tester",
                now=now,
            )
            assert sync_id is not None
            assert not await lifecycle.claim(connection, sync_id, connector_id, epoch - 1, now)
            assert await lifecycle.claim(connection, sync_id, connector_id, epoch, now)
            await connection.execute(update(syncs).values(state="created"))
        bench.engine._queued([connector_id])
        assert (await bench.completed(sync_id)).row.outcome == "success"


# Time -------------------------------------------------------------------------------------------------------------------------


async def test_a_due_time_that_comes_twice_is_answered_once_and_the_schedule_goes_on(tmp_path: Path) -> None:
    clock = FakeClock()
    async with workbench(tmp_path, clock=clock) as bench:
        await bench.apply(document(script="again", schedule="{kind: interval, every: 1m}"))
        connector_id = await bench.id_of("c")

        async def completed(count: int) -> bool:
            page = await bench.engine.queries.sync_page(connector_id)
            return len(page) >= count and all(sync.state == "completed" for sync in page)

        clock.advance(timedelta(minutes=2))
        await until(lambda: completed(1), "the first due time ran")
        clock.jump(timedelta(minutes=-2))
        for operation in (bench.engine.operations.pause, bench.engine.operations.resume):
            (result,) = await operation(ADMINISTRATOR, [connector_id])
            assert result.done

        async def answered_again() -> bool:
            waiting = len(await bench.engine.queries.sync_page(connector_id)) == 1
            clock.advance(timedelta(seconds=30) if waiting else timedelta(milliseconds=20))  # a leap may cost it an attempt
            return await completed(2)

        await until(answered_again, "a later due time ran")
        async with bench.engine.database.read() as connection:
            due = (await connection.execute(select(syncs.c.due_at).order_by(syncs.c.due_at))).scalars().all()
        assert len(set(due)) == len(due) >= 2


async def test_a_clock_set_back_during_a_sync_makes_no_negative_duration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch, "commit-begun")
    clock = FakeClock()
    async with workbench(tmp_path, clock=clock) as bench:
        await bench.apply(document(script="clock"))
        sync_id = await bench.start_sync("c")
        await gate.wait()
        clock.jump(timedelta(hours=-1))
        gate.open.set()
        done = await bench.completed(sync_id)
        assert done.row.outcome == "success"
        async with bench.engine.database.read() as connection:
            assert (await connection.execute(select(syncs.c.duration_ms))).scalar_one() == 0


@pytest.mark.parametrize("schedule", ["{kind: interval, every: 1h}", '{kind: cron, expression: "0 * * * *"}'])
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_clock_that_was_years_ahead_for_a_moment_silences_no_connector(
    tmp_path: Path, schedule: str, restarted: bool
) -> None:
    clock = FakeClock()
    ten_years = timedelta(days=3650)

    async def due_soon(bench: Workbench) -> bool:
        due = (await bench.row("c")).next_fire_at
        return due is not None and due <= clock.now() + timedelta(hours=2)

    async with workbench(tmp_path, clock=clock) as bench:
        await bench.apply(document(script="years", schedule=schedule))
        clock.jump(ten_years)
        (fired,) = await newest_of_any(bench)
        assert fired.row.outcome == "success"
        if not restarted:
            clock.jump(-ten_years)
            await until(lambda: due_soon(bench), "the running engine brought the due time back")
    if restarted:
        clock.jump(-ten_years)
        async with workbench(tmp_path, clock=clock) as bench:
            assert await due_soon(bench)


async def newest_of_any(bench: Workbench) -> list[SyncDetail]:
    async def queued() -> bool:
        return bool(await bench.engine.queries.sync_page(await bench.id_of("c"), limit=1))

    await until(queued, "a due time was noticed")
    return await newest(bench, 1)


async def test_a_schedule_that_cannot_be_computed_holds_up_nobody_else(tmp_path: Path) -> None:
    clock = FakeClock()
    other = """  d:
    source: events
    destination: warehouse
    schedule: {kind: cron, expression: "* * * * *"}
    streams:
      - {name: other, sync_mode: append}
"""
    async with workbench(tmp_path, clock=clock) as bench:
        await bench.apply(document(script="zone", schedule="{kind: interval, every: 1m}", more=other))
        async with bench.engine.database.write() as connection:
            await connection.execute(
                update(connectors).where(connectors.c.name == "d").values(schedule_timezone="Mars/Olympus_Mons")
            )
        clock.advance(timedelta(minutes=2))
        (done,) = await newest_of_any(bench)
        assert done.row.outcome == "success"
        row = await bench.row("d")
        assert (row.status, row.next_fire_at) == ("Incomplete", None)
        async with bench.engine.database.read() as connection:
            reason = (await connection.execute(select(connectors.c.incomplete_reason).where(connectors.c.name == "d"))).scalar_one()
        assert "Mars/Olympus_Mons" in reason


# Threads ----------------------------------------------------------------------------------------------------------------------


async def test_an_adapter_that_exits_ends_its_sync_and_not_the_engine(tmp_path: Path) -> None:
    async with workbench(tmp_path) as bench:
        await bench.apply(document(script="exit", faults="[{kind: exit, after: 100, reads: 1}]"))
        done = await bench.sync("c")
        assert (done.row.outcome, done.row.error_class) == ("failed", "internal")
        assert "SystemExit" in (done.row.error_message or "")
        assert (await bench.sync("c")).row.outcome == "success"


@pytest.mark.parametrize("error", [StopIteration(), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_whatever_a_thread_raises_arrives_as_an_exception(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(RuntimeError, match=type(error).__name__):
        await asyncio.wait_for(in_thread(fail, Control(), "failing"), 10)


async def test_ten_thousand_failed_records_leave_the_loop_free(tmp_path: Path) -> None:
    """What is counted is the longest piece of work, in failed records, that the loop is given at once: no clock decides."""
    pieces: list[int] = []
    async with workbench(tmp_path) as bench:
        whole = lifecycle.save_rejected

        async def save(connection: Any, rows: Any) -> None:
            pieces.append(len(rows))
            await whole(connection, rows)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lifecycle, "save_rejected", save)
            await bench.apply(
                document(script="rejects", faults="[{kind: bad_rows, every: 1}]", records=900).replace(
                    "records: 900", "records: 900, batch_records: 900"
                )
            )
            async with bench.engine.database.write() as connection:
                await connection.execute(update(connectors).values(reject_limit_share=100))
            done = await bench.sync("c")
        assert done.row.counts.rejected == sum(pieces) == 900
        assert max(pieces) <= 50
