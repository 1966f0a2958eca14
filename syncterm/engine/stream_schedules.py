"""Schedules that streams have of their own, as the store keeps them beside their connector's.

A stream with a schedule of its own falls due by itself; one whose own schedule is manual, only when a person asks. It counts from
the instant its connector counts from, with the same offset, so that streams of one connector with the same interval are due
together and make one sync.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.connector_setup import schedule_of
from syncterm.engine.model import Schedule, ScheduleKind
from syncterm.engine.schedule import next_fire, spread_offset
from syncterm.engine.store.tables import connectors, streams

OWN_SCHEDULE_COLUMNS = (
    "schedule_kind",
    "schedule_every_ms",
    "schedule_expression",
    "schedule_timezone",
    "anchor_at",
    "offset_ms",
)
"""The columns of `streams` that decide when one is due by itself; all NULL: with its connector."""
_MILLISECOND = timedelta(milliseconds=1)


def own_schedule_values(schedule: Schedule | None, connector_id: str, anchor: datetime) -> dict[str, Any]:
    """The columns of a stream whose own schedule was set, changed or (None) taken away.

    `settle_stream_schedules` says afterwards when it is due.

    Args:
        anchor: what the connector's schedule counts from.
    """
    values: dict[str, Any] = dict.fromkeys((*OWN_SCHEDULE_COLUMNS, "next_fire_at", "due_since"))
    if schedule is not None:
        offset = spread_offset(connector_id, schedule.every) if schedule.every is not None else timedelta()
        values |= {
            "schedule_kind": schedule.kind,
            "schedule_every_ms": schedule.every // _MILLISECOND if schedule.every is not None else None,
            "schedule_expression": schedule.expression,
            "schedule_timezone": schedule.timezone,
            "anchor_at": anchor,
            "offset_ms": offset // _MILLISECOND,
        }
    return values


def next_fire_of_stream(row: Any, after: datetime) -> datetime | None:
    """When the stream in a row of `streams` is due next by its own schedule, strictly after an instant."""
    return next_fire(schedule_of(row), after, anchor=row.anchor_at or after, offset=timedelta(milliseconds=row.offset_ms or 0))


async def settle_stream_schedules(connection: AsyncConnection, connector_id: str, now: datetime) -> None:
    """Let each stream of a connector be due when it should be: say it after every change of a connector or of its streams.

    A connector that is paused, incomplete or deleted has no stream that is due; those of one that runs are due at the next time of
    their schedule after `now`, or when they were due already. Nothing fires by this itself.
    """
    row = (
        await connection.execute(
            select(connectors.c.paused_by, connectors.c.deleted_at, connectors.c.configuration_complete).where(
                connectors.c.id == connector_id
            )
        )
    ).first()
    runs = row is not None and row.paused_by is None and row.deleted_at is None and row.configuration_complete
    mine = streams.c.connector_id == connector_id
    idle = ~streams.c.selected | streams.c.schedule_kind.is_(None) | (streams.c.schedule_kind == ScheduleKind.MANUAL)
    await connection.execute(
        update(streams)
        .where(
            mine & idle if runs else mine,
            streams.c.next_fire_at.is_not(None) | streams.c.due_since.is_not(None),
        )
        .values(next_fire_at=None, due_since=None)
    )
    if not runs:
        return
    columns = [streams.c[name] for name in OWN_SCHEDULE_COLUMNS]
    waiting = mine & ~idle & streams.c.next_fire_at.is_(None)
    for group in (await connection.execute(select(*columns).where(waiting).distinct())).all():
        await connection.execute(
            update(streams).where(waiting, *same_schedule(group)).values(next_fire_at=next_fire_of_stream(group, now))
        )


def same_schedule(row: Any) -> list[Any]:
    """Conditions that a stream has exactly the schedule of its own that is in a row."""
    values: Mapping[str, Any] = row._mapping
    return [streams.c[name].is_not_distinct_from(values[name]) for name in OWN_SCHEDULE_COLUMNS]


async def without_own_schedule(connection: AsyncConnection, connector_id: str) -> list[str] | None:
    """The streams that are due with their connector, in order; None: all, for none has a schedule of its own."""
    selected = (streams.c.connector_id == connector_id) & streams.c.selected
    has_own = (await connection.execute(select(exists().where(selected, streams.c.schedule_kind.is_not(None))))).scalar()
    if not has_own:
        return None
    statement = select(streams.c.name).where(selected, streams.c.schedule_kind.is_(None)).order_by(streams.c.position)
    return list((await connection.execute(statement)).scalars())


async def all_as_none(connection: AsyncConnection, connector_id: str, names: Sequence[str]) -> list[str] | None:
    """The names; None where they are all the selected streams of the connector."""
    statement = select(func.count()).where(streams.c.connector_id == connector_id, streams.c.selected)
    return None if len(names) >= (await connection.execute(statement)).scalar_one() > 0 else list(names)


def join_names(parts: Iterable[Sequence[str] | None]) -> list[str] | None:
    """The names of all parts, each once, in order; None, which stands for all, where one part is that."""
    joined: dict[str, None] = {}
    for part in parts:
        if part is None:
            return None
        joined |= dict.fromkeys(part)
    return list(joined)


async def take_due_streams(connection: AsyncConnection, connector_id: str) -> tuple[list[str], datetime | None]:
    """The streams that fell due by themselves while a sync of their connector ran, and since when; they wait no more."""
    own = (streams.c.connector_id == connector_id) & streams.c.schedule_kind.is_not(None) & streams.c.due_since.is_not(None)
    rows = (await connection.execute(select(streams.c.name, streams.c.due_since).where(own).order_by(streams.c.position))).all()
    if rows:
        await connection.execute(update(streams).where(own).values(due_since=None))
    return [row.name for row in rows], min((row.due_since for row in rows), default=None)
