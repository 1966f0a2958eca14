"""The figures behind the advice on a connector's schedule: its newest syncs, and what others do with its source."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.advice import DAILY, Advice, History, SyncFigures, advise
from syncterm.engine.blackout import windows_from_text
from syncterm.engine.connector_setup import anchor_of, schedule_of
from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import Outcome, ScheduleKind, Trigger
from syncterm.engine.store.tables import BigInteger, connectors, syncs

NEWEST_SYNCS = 200
"""Syncs looked at."""
LOAD_PERIOD = timedelta(days=7)
NEIGHBOURS = 50
"""Other connectors of the source looked at."""
_HOUR_MS = 3_600_000


async def schedule_advice(connection: AsyncConnection, connector_id: str, now: datetime) -> tuple[Advice, ...]:
    """See `Queries.schedule_advice`."""
    row = (await connection.execute(select(connectors).where(connectors.c.id == connector_id))).first()
    if row is None or row.deleted_at is not None or row.schedule_kind == ScheduleKind.MANUAL:
        return ()
    statement = (
        select(syncs.c.started_at, syncs.c.duration_ms, syncs.c.records_written, syncs.c.outcome, syncs.c.error_class)
        .where(
            syncs.c.connector_id == connector_id,
            syncs.c.created_at >= anchor_of(row),
            syncs.c.trigger == Trigger.SCHEDULED,
            syncs.c.streams.is_(None),
            syncs.c.started_at.is_not(None),
            syncs.c.outcome.in_((Outcome.SUCCESS, Outcome.FAILED)),
        )
        .order_by(syncs.c.created_at.desc(), syncs.c.id.desc())
        .limit(NEWEST_SYNCS)
    )
    figures = [
        SyncFigures(
            sync.started_at,
            timedelta(milliseconds=sync.duration_ms or 0),
            sync.records_written > 0,
            None if sync.outcome == Outcome.SUCCESS else ErrorClass(sync.error_class or ErrorClass.INTERNAL),
        )
        for sync in reversed((await connection.execute(statement)).all())
    ]
    schedule = schedule_of(row)
    seldom = schedule.kind is ScheduleKind.CRON or (schedule.every is not None and schedule.every >= DAILY)
    load = await _source_load(connection, row.source_id, connector_id, now) if figures and seldom else [timedelta()] * 24
    return advise(schedule, windows_from_text(row.blackout), History(figures, load))


async def _source_load(connection: AsyncConnection, source_id: str | None, connector_id: str, now: datetime) -> list[timedelta]:
    """For each hour of the day in UTC, how long others read from a source in it, a day: each sync counts where it began."""
    others = (
        select(connectors.c.id)
        .where(connectors.c.source_id == source_id, connectors.c.id != connector_id, connectors.c.deleted_at.is_(None))
        .limit(NEIGHBOURS)
    )
    hour = (type_coerce(syncs.c.started_at, BigInteger) // _HOUR_MS % 24).label("hour")
    statement = (
        select(hour, func.sum(syncs.c.duration_ms).label("duration_ms"))
        .where(syncs.c.connector_id.in_(others), syncs.c.created_at >= now - LOAD_PERIOD, syncs.c.started_at.is_not(None))
        .group_by(hour)
    )
    load = [timedelta()] * 24
    for row in await connection.execute(statement):
        load[int(row.hour)] = timedelta(milliseconds=row.duration_ms or 0) / LOAD_PERIOD.days
    return load
