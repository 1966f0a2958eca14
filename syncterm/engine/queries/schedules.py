"""When a connector starts next, and what its history advises: blackout windows, and streams with schedules of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.blackout import Start, starts, windows_from_text
from syncterm.engine.connector_setup import anchor_of, schedule_of
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import BlackoutWindow
from syncterm.engine.schedule import fires
from syncterm.engine.store.tables import Instant, streams


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """What of a connector's schedule is not in its own row."""

    blackout: tuple[BlackoutWindow, ...]
    starts: tuple[Start, ...]
    """When its next scheduled syncs begin; empty where it is not due by itself."""
    own_schedules: int
    """Streams that have a schedule of their own."""
    next_own_stream: str | None
    """The one of them that is due next, and when."""
    next_own_at: datetime | None
    own_due_since: datetime | None
    """Since when one of them waits for the sync that runs."""


async def schedule_facts(connection: AsyncConnection, row: Any, now: datetime, count: int) -> ScheduleFacts:
    """The facts of the connector in a row of `connectors`, with the next `count` starts of its own schedule."""
    own = (streams.c.connector_id == row.id) & streams.c.schedule_kind.is_not(None) & streams.c.selected
    totals = (
        await connection.execute(
            select(func.count().label("number"), func.min(streams.c.due_since, type_=Instant()).label("due_since")).where(own)
        )
    ).one()
    following = None
    if totals.number:
        statement = select(streams.c.name, streams.c.next_fire_at).where(own, streams.c.next_fire_at.is_not(None))
        following = (await connection.execute(statement.order_by(streams.c.next_fire_at, streams.c.position).limit(1))).first()
    windows = windows_from_text(row.blackout)
    return ScheduleFacts(
        blackout=windows,
        starts=_starts(row, windows, now, count) if row.next_fire_at is not None else (),
        own_schedules=totals.number,
        next_own_stream=following.name if following is not None else None,
        next_own_at=following.next_fire_at if following is not None else None,
        own_due_since=totals.due_since,
    )


def _starts(row: Any, windows: tuple[BlackoutWindow, ...], now: datetime, count: int) -> tuple[Start, ...]:
    schedule, anchor, offset = schedule_of(row), anchor_of(row), timedelta(milliseconds=row.offset_ms)
    try:
        return tuple(starts(schedule, now, count, windows, anchor=anchor, offset=offset))
    except ConfigError:  # a window whose zone this machine does not know; the why sentence says so
        return tuple(Start(at) for at in fires(schedule, now, count, anchor=anchor, offset=offset))
