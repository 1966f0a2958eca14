"""Totals kept up to date while syncs finish, so that a week of trends and percentiles costs no scan of the history.

`rollup_hours`: one row an hour and trigger, with a logarithmic histogram of how long successful syncs took; `rollup_days`: one
row a UTC day and connector, source, and destination. Both change in the transaction that finishes a sync.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Table, and_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.model import Outcome, Trigger
from syncterm.engine.store.tables import connectors, rollup_days, rollup_hours

BINS_PER_OCTAVE = 16
"""Bins between a duration and twice that duration: a percentile read from them is within 2.2 % of the exact one."""

_MILLISECOND = timedelta(milliseconds=1)
_COLUMN_OF_OUTCOME = {Outcome.SUCCESS: "succeeded", Outcome.FAILED: "failed", Outcome.CANCELLED: "cancelled"}
_COUNTED = ("succeeded", "failed", "cancelled", "records", "rejected", "bytes", "duration_ms")
_INSERT: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@dataclass(frozen=True, slots=True)
class FinishedSync:
    """The facts of a finished sync that totals are made of."""

    connector_id: str
    trigger: Trigger
    outcome: Outcome
    finished_at: datetime
    duration: timedelta
    records: int
    rejected: int
    bytes: int


async def record_finished(connection: AsyncConnection, sync: FinishedSync) -> None:
    """Add a finished sync to the totals; once for each, in the transaction that finishes it."""
    milliseconds = max(0, sync.duration // _MILLISECOND)
    counts = dict.fromkeys(_COUNTED, 0) | {
        _COLUMN_OF_OUTCOME[sync.outcome]: 1,
        "records": sync.records,
        "rejected": sync.rejected,
        "bytes": sync.bytes,
        "duration_ms": milliseconds,
    }
    hour = sync.finished_at.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    before = (
        await connection.execute(
            select(connectors.c.source_id, connectors.c.destination_id, rollup_hours.c.histogram)
            .outerjoin(rollup_hours, and_(rollup_hours.c.hour_at == hour, rollup_hours.c.trigger == sync.trigger))
            .where(connectors.c.id == sync.connector_id)
        )
    ).one()
    histogram = Counter(parse_histogram(before.histogram or "{}"))
    if sync.outcome is Outcome.SUCCESS:
        histogram[bin_of(milliseconds)] += 1
    text = json.dumps(dict(sorted(histogram.items())), separators=(",", ":"))
    dialect = connection.dialect.name
    await connection.execute(
        _adding(dialect, rollup_hours), {"hour_at": hour, "trigger": sync.trigger, "histogram": text, **counts}
    )
    subjects = [subject for subject in (sync.connector_id, before.source_id, before.destination_id) if subject is not None]
    await connection.execute(
        _adding(dialect, rollup_days), [{"subject_id": subject, "day_at": day, **counts} for subject in subjects]
    )


@cache
def _adding(dialect: str, table: Table) -> Any:
    """A statement that inserts a row, or adds its counts to the row of the same key and takes its other values."""
    statement = _INSERT[dialect](table)
    values = {
        column.name: column + statement.excluded[column.name] if column.name in _COUNTED else statement.excluded[column.name]
        for column in table.columns
        if not column.primary_key
    }
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=values)


def bin_of(milliseconds: int) -> int:
    """The histogram's bin of a duration; everything up to a millisecond is in bin 0."""
    return int(math.log2(max(1, milliseconds)) * BINS_PER_OCTAVE)


def duration_of_bin(bin_: int) -> timedelta:
    """The duration in the (geometric) middle of a bin."""
    return timedelta(milliseconds=2 ** ((bin_ + 0.5) / BINS_PER_OCTAVE))


def parse_histogram(text: str) -> dict[int, int]:
    """The histogram that `rollup_hours` keeps: bin → successful syncs."""
    return {int(bin_): count for bin_, count in json.loads(text).items()}


def merge_histograms(texts: Iterable[str]) -> dict[int, int]:
    """The histograms of several rows as one."""
    merged: Counter[int] = Counter()
    for text in texts:
        merged.update(parse_histogram(text))
    return dict(merged)


def percentile(histogram: Mapping[int, int], share: float) -> timedelta | None:
    """The duration that `share` (0 to 1) of the syncs did not exceed; None where there are none.

    The nearest-rank percentile, within half a bin of the exact value.
    """
    rank = max(1, math.ceil(share * sum(histogram.values())))
    for bin_ in sorted(histogram):
        rank -= histogram[bin_]
        if rank <= 0:
            return duration_of_bin(bin_)
    return None
