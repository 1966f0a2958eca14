"""Advice on schedules: what is recommended from which history, with which figures, and when nothing is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, update

from syncterm.engine.advice import Advice, AdviceKind, History, SyncFigures, advise
from syncterm.engine.blackout import describe_window, parse_window
from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import MANUAL_SCHEDULE, Schedule, ScheduleKind
from syncterm.engine.schedule import INTERVALS, describe
from syncterm.engine.store.tables import connectors, syncs
from syncterm.engine.testing import FakeClock
from tests.engine.test_engine import document
from tests.engine.workbench import workbench

START = datetime(2026, 3, 2, 0, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def every(length: timedelta) -> Schedule:
    return Schedule(ScheduleKind.INTERVAL, every=length)


def history(
    count: int,
    step: timedelta,
    *,
    moved: int = 1_000_000,
    takes: timedelta = MINUTE,
    fails: frozenset[int] = frozenset(),
    seldom: int = 0,
    load: dict[int, timedelta] | None = None,
) -> History:
    """`count` syncs, `step` apart; the first `moved` of them moved something; in the hours of `fails` they fail; of the last
    `seldom` each took 20 times as long."""
    figures = []
    for number in range(count):
        at = START + step * number
        failed = ErrorClass.SOURCE_TRANSIENT if at.hour in fails else None
        long = 20 if number >= count - seldom else 1
        figures.append(SyncFigures(at, takes * long, number < moved and failed is None, failed))
    return History(figures, [(load or {}).get(hour, timedelta()) for hour in range(24)])


@pytest.mark.parametrize(
    ("schedule", "past", "kind", "title", "reason"),
    [
        (
            every(HOUR),
            history(60, HOUR, moved=14),
            AdviceKind.MOSTLY_EMPTY,
            "Every 6 hours",
            "14 of 60 syncs moved anything; every 6 hours would have delivered the same rows at most 5 h later.",
        ),
        (
            every(MINUTE),
            history(200, MINUTE, moved=0, takes=timedelta(seconds=1)),
            AdviceKind.MOSTLY_EMPTY,
            "Every day",
            "None of 200 syncs moved anything; every day would have delivered the same rows at most 23 h 59 min later.",
        ),
        (
            every(5 * MINUTE),
            history(40, 5 * MINUTE, takes=4 * MINUTE),
            AdviceKind.TAKES_LONG,
            "Every 15 minutes",
            "A sync takes 4 min, 95 of 100 at most 4 min: 80% of the 5 min between two. Every 15 minutes it would be 27%.",
        ),
        (
            every(15 * MINUTE),
            history(40, 15 * MINUTE, takes=MINUTE, seldom=3),
            AdviceKind.TAKES_LONG,
            "Every hour",
            "A sync takes 1 min, 95 of 100 at most 20 min: 7% of the 15 min between two. Every hour it would be 2%.",
        ),
        (
            Schedule(ScheduleKind.CRON, expression="*/15 * * * *"),
            history(60, 15 * MINUTE, moved=5),
            AdviceKind.MOSTLY_EMPTY,
            "Every 6 hours",
            "5 of 60 syncs moved anything; every 6 hours would have delivered the same rows at most 5 h 45 min later.",
        ),
        (
            every(HOUR),
            history(120, HOUR, fails=frozenset({2, 3})),
            AdviceKind.FAILING_HOURS,
            "No syncs 02:00–04:00 UTC",
            "10 of 10 failures fell into these hours, with 10 of 120 syncs: a blackout window, every day 02:00–04:00 UTC,"
            " keeps out of them.",
        ),
        (
            every(24 * HOUR),
            history(10, 24 * HOUR, load={0: 42 * MINUTE, 23: 5 * MINUTE} | dict.fromkeys(range(1, 23), 12 * MINUTE)),
            AdviceKind.BUSY_SOURCE,
            "Daily at 23:05 UTC",
            "Between 00:00 and 01:00 UTC others read from this source for 42 min a day, between 23:00 and 00:00 for 5 min.",
        ),
    ],
)
def test_advice_comes_with_its_figures(schedule: Schedule, past: History, kind: AdviceKind, title: str, reason: str) -> None:
    first = advise(schedule, (), past)[0]
    assert (first.kind, first.title, first.reason) == (kind, title, reason)


@pytest.mark.parametrize(
    ("schedule", "past"),
    [
        (MANUAL_SCHEDULE, history(60, HOUR, moved=0)),
        (every(HOUR), history(19, HOUR, moved=0)),
        (every(HOUR), History(())),
        (Schedule(ScheduleKind.CRON, expression="0 * * * *"), History(())),
        (every(HOUR), history(60, HOUR)),
        (every(HOUR), history(60, HOUR, moved=20)),
        (every(24 * HOUR), history(60, 24 * HOUR, moved=0)),
        (every(24 * HOUR), history(60, 24 * HOUR, takes=23 * HOUR)),
        (every(HOUR), history(120, HOUR, fails=frozenset(range(0, 24, 3)))),
        (every(24 * HOUR), history(6, 24 * HOUR, load={0: 42 * MINUTE})),
        (every(24 * HOUR), history(9, 24 * HOUR, load=dict.fromkeys(range(24), 42 * MINUTE))),
    ],
    ids=["manual", "little", "none", "none, cron", "well", "enough", "no longer", "no room", "any hour", "few days", "all busy"],
)
def test_where_all_is_well_or_little_is_known_there_is_no_advice(schedule: Schedule, past: History) -> None:
    assert advise(schedule, (), past) == ()


def test_failures_inside_a_blackout_window_that_exists_advise_nothing_more() -> None:
    past = history(120, HOUR, fails=frozenset({2, 3}))
    (found,) = advise(every(HOUR), (), past)
    assert found.blackout is not None
    assert describe_window(found.blackout) == "every day 02:00–04:00 UTC"
    assert advise(every(HOUR), (parse_window("daily", "1:30", "4:30", "UTC"),), past) == ()


figures = st.builds(
    SyncFigures,
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 2, 1)).map(lambda at: at.replace(tzinfo=UTC)),
    st.timedeltas(timedelta(), timedelta(days=2)),
    st.booleans(),
    st.sampled_from([None, None, *ErrorClass]),
)


@given(
    st.lists(figures, min_size=20, max_size=60).map(lambda found: sorted(found, key=lambda sync: sync.started_at)),
    st.sampled_from([*map(every, INTERVALS), Schedule(ScheduleKind.CRON, expression="7 4 * * *")]),
    st.lists(st.timedeltas(timedelta(), HOUR), min_size=24, max_size=24),
)
def test_advice_never_raises_the_frequency_and_always_says_what_to_take(
    past: list[SyncFigures], schedule: Schedule, load: list[timedelta]
) -> None:
    for one in advise(schedule, (), History(past, load)):
        assert isinstance(one, Advice)
        assert (one.schedule is None) != (one.blackout is None)
        assert one.reason.endswith(".")
        if one.schedule is not None and one.schedule.every is not None and schedule.every is not None:
            assert one.schedule.every > schedule.every
            assert one.title == describe(one.schedule)


async def test_the_store_gives_the_figures_of_the_present_schedule_only(tmp_path: Path) -> None:
    clock = FakeClock(START)
    async with workbench(tmp_path, clock=clock, execute=False) as bench:
        await bench.apply(document(schedule="{kind: interval, every: 1h}"))
        connector_id = await bench.id_of("c")
        row = {"connector_id": connector_id, "trigger": "scheduled", "reason": "schedule", "requested_by": "schedule"}
        row |= {"state": "completed", "outcome": "success"}
        rows = [
            row
            | {
                "id": f"s{number}",
                "created_at": START + HOUR * number,
                "started_at": START + HOUR * number,
                "finished_at": START + HOUR * number + MINUTE,
                "duration_ms": 1000,
                "records_written": int(number < 14),
            }
            for number in range(60)
        ]
        async with bench.engine.database.write() as connection:
            await connection.execute(insert(syncs), rows)
        (found,) = await bench.engine.queries.schedule_advice(connector_id)
        assert found.reason.startswith("14 of 60 syncs moved anything")
        async with bench.engine.database.write() as connection:
            await connection.execute(update(connectors).values(anchor_at=START + HOUR * 45))
        assert await bench.engine.queries.schedule_advice(connector_id) == ()
        assert await bench.engine.queries.schedule_advice("nobody") == ()


async def test_the_load_of_a_source_is_what_others_read_from_it_by_the_hour(tmp_path: Path) -> None:
    clock = FakeClock(START + timedelta(days=10))
    text = document(schedule="{kind: interval, every: 1d}")
    block = text[text.index("  c:\n") :]
    async with workbench(tmp_path, clock=clock, execute=False) as bench:
        await bench.apply(text + block.replace("  c:\n", "  other:\n    collection: other\n"))
        row = {"trigger": "scheduled", "reason": "schedule", "requested_by": "schedule", "state": "completed", "outcome": "success"}
        async with bench.engine.database.write() as connection:
            await connection.execute(update(connectors).values(anchor_at=START))
            for name, minutes in (("c", 1), ("other", 30)):
                connector_id = await bench.id_of(name)
                for day in range(10):
                    at = START + timedelta(days=day)
                    values = {
                        "id": f"{name}{day}",
                        "connector_id": connector_id,
                        "created_at": at,
                        "started_at": at,
                        "finished_at": at,
                    }
                    values |= {"duration_ms": minutes * 60_000, "records_written": 1}
                    await connection.execute(insert(syncs).values(**row, **values))
        (found,) = await bench.engine.queries.schedule_advice(await bench.id_of("c"))
        assert found.kind is AdviceKind.BUSY_SOURCE
        assert "for 30 min a day" in found.reason
