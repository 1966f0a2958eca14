"""Streams with schedules of their own, and blackout windows, on a real engine whose clock is set by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from syncterm.engine import lifecycle
from syncterm.engine.clockwork import Clockwork
from syncterm.engine.due import answer
from syncterm.engine.lifecycle import Ending
from syncterm.engine.model import Outcome
from syncterm.engine.operation_results import IfRunning
from syncterm.engine.queries import SyncRow
from syncterm.engine.scheduler import Scheduler
from syncterm.engine.store.tables import connectors, lease, streams
from syncterm.engine.stream_schedules import join_names
from syncterm.engine.testing import READS, FakeClock
from tests.engine.workbench import ADMINISTRATOR, Workbench, until, workbench

STREAMS = ("devices", "events", "software")
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""


def document(*, connector: str, own: dict[str, str], blackout: str = "[]", faults: str = "[]", catch_up: str = "once") -> str:
    """A connector of three streams; `own` is stream → cron expression."""
    READS.pop("s7", None)
    lines = "".join(
        f"      - {{name: {name}, sync_mode: replace"
        + (f", schedule: {{kind: cron, expression: '{own[name]}'}}" if name in own else "")
        + "}\n"
        for name in STREAMS
    )
    return f"""
version: 1
sources:
  s: {{type: scripted, config: {{script: s7, stream: devices, more_streams: [events, software], records: 10, faults: {faults}}}}}
destinations:
  d: {{type: duckdb, config: {{path: warehouse.duckdb}}}}
connectors:
  c:
    source: s
    destination: d
    catch_up: {catch_up}
    schedule: {connector}
    blackout: {blackout}
    streams:
{lines}"""


DAILY_AND_HOURLY = {"connector": "{kind: cron, expression: '0 6 * * *'}", "own": {"devices": "0 * * * *", "software": "0 4 * * *"}}
"""devices every hour, software at 4, events with the connector at 6."""


class Plan:
    """A store without an engine that executes, and the scheduler of one that would; syncs are run by hand."""

    def __init__(self, bench: Workbench, clock: FakeClock) -> None:
        self.bench = bench
        self.clock = clock
        self.scheduler = self.another_scheduler()

    def another_scheduler(self) -> Scheduler:
        return Scheduler(self.bench.engine.database, self.clock, Clockwork(), lambda _: None, lambda _: None)

    async def at(self, hour: int, minute: int = 0, *, day: int = 0) -> None:
        """Let the scheduler look at that time of the first day."""
        self.clock.jump(MIDNIGHT + timedelta(days=day, hours=hour, minutes=minute) - self.clock.now())
        await self.scheduler.run_due()

    async def history(self) -> list[SyncRow]:
        """All syncs, the oldest first."""
        return (await self.bench.engine.queries.sync_page(await self.bench.id_of("c")))[::-1]

    async def queued(self) -> list[tuple[str, tuple[str, ...] | None]]:
        """When each sync that has not ended was due, and its streams."""
        return [
            (f"{sync.due_at:%d %H:%M}" if sync.due_at else "by hand", sync.streams)
            for sync in await self.history()
            if not sync.outcome
        ]

    async def begin(self) -> str:
        """Let the first sync that waits run; its id."""
        connector_id = await self.bench.id_of("c")
        first = next(sync for sync in await self.history() if sync.state == "created")
        async with self.bench.engine.database.write() as connection:
            await connection.execute(lease.delete())
            await connection.execute(insert(lease).values(id=1, epoch=1, holder="test"))
            assert await lifecycle.claim(connection, first.id, connector_id, 1, self.clock.now())
            await lifecycle.begin_attempt(connection, first.id, connector_id, 1, self.clock.now())
        return first.id

    async def end(self, sync_id: str, outcome: Outcome = Outcome.SUCCESS) -> None:
        async with self.bench.engine.database.write() as connection:
            await lifecycle.finish(connection, sync_id, self.clock.now(), Ending(outcome))

    async def run_all(self) -> None:
        """Run what waits to its end."""
        while await self.queued():
            await self.end(await self.begin())

    async def due_times(self) -> dict[str, str | None]:
        """When each stream is due by itself."""
        async with self.bench.engine.database.read() as connection:
            rows = (await connection.execute(select(streams.c.name, streams.c.next_fire_at).order_by(streams.c.name))).all()
        return {row.name: f"{row.next_fire_at:%d %H:%M}" if row.next_fire_at else None for row in rows}


@asynccontextmanager
async def plan(folder: Path, **options: Any) -> AsyncIterator[Plan]:
    clock = FakeClock(MIDNIGHT)
    async with workbench(folder, clock=clock, execute=False) as bench:
        await bench.apply(document(**options))
        yield Plan(bench, clock)


async def test_a_stream_is_due_by_itself_and_the_connector_covers_the_others(tmp_path: Path) -> None:
    async with plan(tmp_path, **DAILY_AND_HOURLY) as day:
        assert await day.due_times() == {"devices": "02 01:00", "events": None, "software": "02 04:00"}
        await day.at(0, 59)
        assert await day.queued() == []
        await day.at(1)
        assert await day.queued() == [("02 01:00", ("devices",))]
        assert await day.due_times() == {"devices": "02 02:00", "events": None, "software": "02 04:00"}
        await day.run_all()
        for hour in (2, 3):
            await day.at(hour)
            await day.run_all()
        await day.at(4)
        assert await day.queued() == [("02 04:00", ("devices", "software"))], "due at the same moment: one sync"
        await day.run_all()
        await day.at(5)
        await day.run_all()
        await day.at(6)
        assert await day.queued() == [("02 06:00", ("events", "devices"))], "the connector's fire and a stream's: one sync"


async def test_streams_that_are_due_while_one_waits_join_it(tmp_path: Path) -> None:
    async with plan(tmp_path, **DAILY_AND_HOURLY) as day:
        await day.at(3)
        assert await day.queued() == [("02 01:00", ("devices",))]
        await day.at(4)
        assert await day.queued() == [("02 01:00", ("devices", "software"))]
        await day.at(6)
        assert await day.queued() == [("02 01:00", None)], "all streams are one word"
        (sync,) = await day.history()
        assert sync.missed >= 4


async def test_what_is_due_while_a_sync_runs_follows_as_one_for_the_union(tmp_path: Path) -> None:
    async with plan(tmp_path, **DAILY_AND_HOURLY) as day:
        await day.at(1)
        running = await day.begin()
        for hour in (2, 3, 4):
            await day.at(hour)
        assert [sync.id for sync in await day.history()] == [running], "no stack"
        await day.end(running)
        assert await day.queued() == [("02 02:00", ("devices", "software"))]
        again = await day.begin()
        await day.at(6)
        await day.end(again)
        assert await day.queued() == [("02 05:00", ("events", "devices"))] or await day.queued() == [
            ("02 06:00", ("events", "devices"))
        ]
        await day.run_all()
        assert await day.queued() == []


async def test_a_sync_that_a_person_queued_meanwhile_answers_what_fell_due(tmp_path: Path) -> None:
    async with plan(tmp_path, **DAILY_AND_HOURLY) as day:
        await day.at(1)
        running = await day.begin()
        await day.at(2)
        connector_id = await day.bench.id_of("c")
        (result,) = await day.bench.engine.operations.sync_now(ADMINISTRATOR, [connector_id], if_running=IfRunning.QUEUE)
        assert result.done
        await day.at(4)
        await day.end(running)
        assert await day.queued() == [("by hand", None)]
        await day.run_all()
        assert len(await day.history()) == 2


async def test_after_downtime_one_sync_catches_up_for_all(tmp_path: Path) -> None:
    async with plan(tmp_path, **DAILY_AND_HOURLY) as day:
        await day.at(9, day=2)
        assert await day.queued() == [("02 01:00", None)]
        (sync,) = await day.history()
        assert sync.missed >= 49
        assert await day.due_times() == {"devices": "04 10:00", "events": None, "software": "05 04:00"}


async def test_a_policy_of_skipping_skips_only_what_was_missed(tmp_path: Path) -> None:
    async with plan(tmp_path, catch_up="skip", **DAILY_AND_HOURLY) as day:
        await day.at(5, 30)
        assert await day.queued() == [("02 04:00", ("software",))], "devices missed four times; software only fell due late"


async def test_when_every_stream_has_its_own_schedule_the_connector_starts_nothing(tmp_path: Path) -> None:
    own = dict.fromkeys(STREAMS, "0 4 * * *")
    async with plan(tmp_path, connector="{kind: cron, expression: '0 3 * * *'}", own=own) as day:
        await day.at(3)
        assert await day.queued() == []
        await day.at(4)
        assert await day.queued() == [("02 04:00", None)]


async def test_streams_with_the_same_interval_are_due_together(tmp_path: Path) -> None:
    clock = FakeClock(MIDNIGHT)
    text = document(connector="{kind: manual}", own={}).replace(
        "sync_mode: replace", "sync_mode: replace, schedule: {kind: interval, every: 1h}"
    )
    async with workbench(tmp_path, clock=clock, execute=False) as bench:
        await bench.apply(text)
        day = Plan(bench, clock)
        first = await day.due_times()
        assert len(set(first.values())) == 1
        await day.at(2)
        assert [names for _, names in await day.queued()] == [None]


async def test_paused_incomplete_and_deleted_connectors_have_no_stream_that_is_due(tmp_path: Path) -> None:
    nothing = dict.fromkeys(STREAMS)
    async with plan(tmp_path, **DAILY_AND_HOURLY) as day:
        operations, connector_id = day.bench.engine.operations, await day.bench.id_of("c")
        await operations.pause(ADMINISTRATOR, [connector_id])
        assert await day.due_times() == nothing
        await day.at(5)
        assert await day.queued() == []
        await operations.resume(ADMINISTRATOR, [connector_id])
        assert await day.due_times() == {"devices": "02 06:00", "events": None, "software": "03 04:00"}, "not for those that passed"
        deletion = await operations.delete(ADMINISTRATOR, [connector_id])
        assert await day.due_times() == nothing
        await operations.undo(ADMINISTRATOR, deletion.token)
        assert await day.due_times() == {"devices": "02 06:00", "events": None, "software": "03 04:00"}
        async with day.bench.engine.database.write() as connection:
            await connection.execute(update(connectors).values(configuration_complete=False))
        await day.at(6)
        assert await day.queued() == []
        assert await day.due_times() == nothing


async def test_editing_a_schedule_never_fires(tmp_path: Path) -> None:
    async with plan(tmp_path, **DAILY_AND_HOURLY) as day:
        await day.at(0, 30)
        await day.bench.apply(
            document(connector="{kind: interval, every: 1h}", own={"devices": "30 0 * * *", "events": "29 0 * * *"})
        )
        await day.scheduler.run_due()
        assert await day.queued() == []
        assert await day.due_times() == {"devices": "03 00:30", "events": "03 00:29", "software": None}
        await day.bench.apply(document(connector="{kind: manual}", own={}))
        assert await day.due_times() == dict.fromkeys(STREAMS)


async def test_a_clock_set_back_brings_stream_times_back(tmp_path: Path) -> None:
    async with plan(tmp_path, connector="{kind: manual}", own={"devices": "0 * * * *"}) as day:
        await day.at(9, day=30)
        await day.run_all()
        assert await day.due_times() == {"devices": "01 10:00", "events": None, "software": None}
        await day.scheduler.notice_clock()
        day.clock.jump(MIDNIGHT + timedelta(hours=2) - day.clock.now())
        await day.scheduler.notice_clock()
        assert await day.due_times() == {"devices": "02 03:00", "events": None, "software": None}


async def test_two_schedulers_answer_a_due_time_once(tmp_path: Path) -> None:
    async with plan(tmp_path, **DAILY_AND_HOURLY) as day:
        other = day.another_scheduler()
        day.clock.jump(timedelta(hours=6))
        await asyncio.gather(*(scheduler.run_due() for scheduler in (day.scheduler, other, day.scheduler, other)))
        assert await day.queued() == [("02 01:00", None)]
        await day.run_all()
        # The last line of defence: the same due time once more, as an engine with old rows in its hands would have it.
        async with day.bench.engine.database.write() as connection:
            row = (await connection.execute(select(connectors))).one()
            await connection.execute(update(connectors).values(next_fire_at=MIDNIGHT + timedelta(hours=1)))
            row = (await connection.execute(select(connectors))).one()
            assert not await answer(connection, row, day.clock.now(), streams_due=True)
        assert len(await day.history()) == 1


async def test_thousands_of_streams_cost_few_statements(tmp_path: Path) -> None:
    async with plan(tmp_path, connector="{kind: cron, expression: '0 6 * * *'}", own={"devices": "0 * * * *"}) as day:
        connector_id = await day.bench.id_of("c")
        async with day.bench.engine.database.write() as connection:
            own = (await connection.execute(select(streams).where(streams.c.name == "devices"))).one()._mapping
            await connection.execute(
                insert(streams), [{**own, "name": f"s{number:05}", "position": 10 + number} for number in range(5000)]
            )
        await day.at(1)
        (queued,) = await day.queued()
        assert queued[1] is not None
        assert len(queued[1]) == 5001
        assert await day.scheduler.run_due() == 0
        detail = await day.bench.engine.queries.sync_page(connector_id, limit=1)
        assert len(detail) == 1


# Blackout windows -------------------------------------------------------------------------------------------------------------

NIGHT = "[{days: [monday, tuesday, wednesday, thursday, friday, saturday, sunday], start: '22:00', end: '06:00'}]"


async def test_a_scheduled_sync_waits_for_the_end_of_the_blackout_as_one_and_says_so(tmp_path: Path) -> None:
    clock = FakeClock(MIDNIGHT + timedelta(hours=21, minutes=30))
    async with workbench(tmp_path, clock=clock) as bench:
        await bench.apply(
            document(connector="{kind: cron, expression: '0 * * * *'}", own={"devices": "30 * * * *"}, blackout=NIGHT)
        )
        connector_id = await bench.id_of("c")

        async def waits() -> bool:
            return "blackout window" in ((await bench.row("c")).activity_reason or "")

        clock.advance(timedelta(minutes=31))
        await until(waits, "22:00 fell into the blackout")
        row = await bench.row("c")
        assert row.activity == "queued"
        assert "until 2026-03-03 06:00 UTC" in (row.activity_reason or "")
        for _ in range(7):
            clock.advance(timedelta(hours=1))
            await bench.engine.queries.engine_state()

        async def joined() -> bool:
            (sync,) = await bench.engine.queries.sync_page(connector_id)
            return sync.streams is None and sync.missed > 0

        await until(joined, "what fell due later joined the sync that waits")
        assert (await bench.row("c")).activity == "queued"
        clock.advance(timedelta(hours=1))

        async def ran() -> list[SyncRow]:
            page = await bench.engine.queries.sync_page(connector_id)
            return page if all(sync.outcome for sync in page) else []

        (only,) = await until(ran, "it ran when the blackout was over")
        assert only.outcome == "success"
        assert only.due_at == MIDNIGHT + timedelta(hours=22)
        assert only.started_at is not None
        assert only.started_at >= MIDNIGHT + timedelta(hours=30)


async def test_what_a_person_asks_for_runs_inside_a_blackout(tmp_path: Path) -> None:
    clock = FakeClock(MIDNIGHT + timedelta(hours=22, minutes=30))
    async with workbench(tmp_path, clock=clock) as bench:
        await bench.apply(document(connector="{kind: cron, expression: '0 * * * *'}", own={}, blackout=NIGHT))
        connector_id = await bench.id_of("c")
        (result,) = await bench.engine.operations.sync_now(ADMINISTRATOR, [connector_id])
        assert result.message == "Queued. A blackout window lasts until 2026-03-03 06:00 UTC; it holds only scheduled syncs."
        first = (await bench.engine.queries.sync_page(connector_id))[0]
        assert (await bench.completed(first.id)).row.outcome == "success"

        clock.advance(timedelta(minutes=31))

        async def waits() -> bool:
            return "blackout window" in ((await bench.row("c")).activity_reason or "")

        await until(waits, "23:00 fell into the blackout")
        (result,) = await bench.engine.operations.sync_now(ADMINISTRATOR, [connector_id])
        assert result.done
        assert result.message.startswith("The sync that waited starts now.")
        newest = (await bench.engine.queries.sync_page(connector_id))[0]
        done = await bench.completed(newest.id)
        assert (done.row.outcome, done.row.trigger, done.row.requested_by) == ("success", "manual", "tester")
        assert len(await bench.engine.queries.sync_page(connector_id)) == 2


async def test_a_blackout_of_many_does_not_hold_up_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncterm.engine.dispatcher.LOOK_AHEAD", 1)
    clock = FakeClock(MIDNIGHT + timedelta(hours=21, minutes=30))
    both = document(connector="{kind: cron, expression: '0 * * * *'}", own={}, blackout=NIGHT)
    free = both[both.index("  c:\n") :].replace("  c:\n", "  free:\n").replace(NIGHT, "[]")
    free = free.replace("destination: d\n", "destination: d\n    collection: other\n")
    async with workbench(tmp_path, clock=clock) as bench:
        await bench.apply(both + free)
        clock.advance(timedelta(minutes=31))

        async def free_ran() -> bool:
            return (await bench.row("free")).last_outcome == "success" and (await bench.row("c")).activity == "queued"

        await until(free_ran, "the connector without a blackout ran, the other waits")


async def test_a_running_sync_is_not_stopped_by_a_blackout(tmp_path: Path) -> None:
    clock = FakeClock(MIDNIGHT + timedelta(hours=21, minutes=30))
    faults = "[{kind: hang, after: 5, reads: 1}]"
    async with workbench(tmp_path, clock=clock) as bench:
        await bench.apply(document(connector="{kind: cron, expression: '45 21 * * *'}", own={}, blackout=NIGHT, faults=faults))
        clock.advance(timedelta(minutes=16))

        async def running() -> bool:
            return (await bench.row("c")).activity == "running"

        await until(running, "it began before the blackout")
        clock.jump(timedelta(minutes=20))
        await bench.engine.operations.sync_now(ADMINISTRATOR, [await bench.id_of("c")], if_running=IfRunning.LEAVE)
        assert (await bench.row("c")).activity == "running"
        await bench.engine.operations.cancel(ADMINISTRATOR, [await bench.id_of("c")])


@given(st.lists(st.one_of(st.none(), st.lists(st.sampled_from("abcde"))), max_size=4))
def test_joined_names_are_the_union_and_all_swallows_all(parts: list[list[str] | None]) -> None:
    joined = join_names(parts)
    if any(part is None for part in parts):
        assert joined is None
    else:
        assert joined is not None
        assert set(joined) == {name for part in parts if part for name in part}
        assert len(joined) == len(set(joined))
