"""Totals: they equal what the raw facts add up to, and percentiles lie within a bin."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from syncterm.engine.clock import SystemClock
from syncterm.engine.model import Outcome, Trigger
from syncterm.engine.rollups import (
    BINS_PER_OCTAVE,
    FinishedSync,
    bin_of,
    duration_of_bin,
    merge_histograms,
    percentile,
    record_finished,
)
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import rollup_days, rollup_hours
from tests.engine.store_rows import NOW, add_connector, add_destination, add_source

HALF_A_BIN = 2 ** (0.5 / BINS_PER_OCTAVE)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path / "syncterm.db", clock=SystemClock())
    yield database
    await database.close()


@given(st.integers(1, 10**10))
def test_a_duration_lies_in_its_bin(milliseconds: int) -> None:
    middle = duration_of_bin(bin_of(milliseconds)) / timedelta(milliseconds=1)
    assert middle / HALF_A_BIN * 0.999 <= milliseconds <= middle * HALF_A_BIN * 1.001


@given(st.lists(st.integers(1, 10**8), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95, 1.0]))
def test_percentiles_are_within_half_a_bin_of_the_exact_ones(durations: list[int], share: float) -> None:
    histogram: dict[int, int] = {}
    for duration in durations:
        histogram[bin_of(duration)] = histogram.get(bin_of(duration), 0) + 1
    exact = sorted(durations)[math.ceil(share * len(durations)) - 1]
    found = percentile(histogram, share)
    assert found is not None
    assert exact / HALF_A_BIN * 0.999 <= found / timedelta(milliseconds=1) <= exact * HALF_A_BIN * 1.001


def test_a_percentile_of_nothing_is_none() -> None:
    assert percentile({}, 0.5) is None


async def test_totals_are_the_sums_of_the_syncs(database: Database) -> None:
    async with database.write() as connection:
        source, destination = await add_source(connection), await add_destination(connection)
        ids = [
            await add_connector(connection, name, source_id=source, destination_id=destination if name == "a" else None)
            for name in "abc"
        ]
    finished = [
        FinishedSync(
            connector_id=ids[number % 3],
            trigger=Trigger.MANUAL if number % 4 == 0 else Trigger.SCHEDULED,
            outcome=list(Outcome)[number % 7 % 3],
            finished_at=NOW + timedelta(minutes=37 * number),
            duration=timedelta(milliseconds=100 + number * 17),
            records=number,
            rejected=number % 5,
            bytes=number * 100,
        )
        for number in range(120)
    ]
    for sync in finished:
        async with database.write(durable=False) as connection:
            await record_finished(connection, sync)
    async with database.read() as connection:
        hours = (await connection.execute(select(rollup_hours))).all()
        days = (await connection.execute(select(rollup_days))).all()
    for rows in (hours, [row for row in days if row.subject_id in ids]):
        assert sum(row.records for row in rows) == sum(sync.records for sync in finished)
        assert sum(row.rejected for row in rows) == sum(sync.rejected for sync in finished)
        assert sum(row.bytes for row in rows) == sum(sync.bytes for sync in finished)
        assert sum(row.duration_ms for row in rows) == sum(sync.duration // timedelta(milliseconds=1) for sync in finished)
        for outcome, column in ((Outcome.SUCCESS, "succeeded"), (Outcome.FAILED, "failed"), (Outcome.CANCELLED, "cancelled")):
            assert sum(getattr(row, column) for row in rows) == sum(sync.outcome is outcome for sync in finished)
    for subject, members in ((ids[1], ids[1:2]), (source, ids), (destination, ids[:1])):
        expected = sum(sync.records for sync in finished if sync.connector_id in members)
        assert sum(row.records for row in days if row.subject_id == subject) == expected
    for hour in hours:
        of_hour = [
            sync
            for sync in finished
            if sync.trigger == hour.trigger and hour.hour_at <= sync.finished_at < hour.hour_at + timedelta(hours=1)
        ]
        assert hour.records == sum(sync.records for sync in of_hour)
        assert sum(merge_histograms([hour.histogram]).values()) == sum(sync.outcome is Outcome.SUCCESS for sync in of_hour)
    assert sum(merge_histograms(hour.histogram for hour in hours).values()) == sum(
        sync.outcome is Outcome.SUCCESS for sync in finished
    )


async def test_totals_belong_to_the_transaction(database: Database) -> None:
    async with database.write() as connection:
        connector = await add_connector(connection, "a")
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with database.write() as connection:
            sync = FinishedSync(connector, Trigger.MANUAL, Outcome.SUCCESS, NOW, timedelta(seconds=1), 1, 0, 1)
            await record_finished(connection, sync)
            raise ZeroDivisionError
    async with database.read() as connection:
        assert (await connection.execute(select(rollup_hours))).all() == []
        assert (await connection.execute(select(rollup_days))).all() == []
