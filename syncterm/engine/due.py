"""What is due of one connector, answered by at most one sync: its own fire time, and those of streams with schedules of their own.

Everything that is due together makes one sync of all those streams. Where a sync of the connector waits to begin, it takes them in;
where one runs, they are noted (`due_since`) and one sync follows for all of them. Each function works in a write transaction.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.connector_setup import anchor_of, schedule_of
from syncterm.engine.errors import SynctermError
from syncterm.engine.failpoint import reach
from syncterm.engine.lifecycle import insert_sync, touch, waiting_sync
from syncterm.engine.model import Activity, Reason, Trigger
from syncterm.engine.schedule import missed, next_fire
from syncterm.engine.store.tables import Instant, streams, syncs
from syncterm.engine.stream_schedules import (
    OWN_SCHEDULE_COLUMNS,
    all_as_none,
    join_names,
    next_fire_of_stream,
    same_schedule,
    settle_stream_schedules,
    without_own_schedule,
)

logger = logging.getLogger(__name__)

MISSED_COUNTED = 50
"""Missed fire times of a cron expression are counted up to this many: some 5 ms of the loop a connector."""
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class _Fallen:
    """One schedule that fell due."""

    at: datetime
    """Its earliest fire time that was not answered."""
    missed: int
    """Fire times after that one which have passed as well."""
    names: Sequence[str] | None
    """The streams it covers; None: all that are selected."""
    of_connector: bool = False
    """Whether it is the connector's own schedule."""


def next_fire_of(row: Any, after: datetime) -> datetime | None:
    """When the connector in a row of `connectors` is due next, strictly after an instant; None for manual ones."""
    return next_fire(schedule_of(row), after, anchor=anchor_of(row), offset=timedelta(milliseconds=row.offset_ms))


async def answer(connection: AsyncConnection, row: Any, now: datetime, *, streams_due: bool) -> bool:
    """Move every due time of a connector on, and queue, widen or note the one sync that answers them; whether one was queued.

    Args:
        row: the connector's, of this transaction.
        streams_due: whether streams of it may be due by schedules of their own.
    """
    if row.paused_by is not None or row.deleted_at is not None or not row.configuration_complete:
        await touch(connection, row.id, {"next_fire_at": None})
        await settle_stream_schedules(connection, row.id, now)
        return False
    busy = row.activity != Activity.IDLE
    waiting = await waiting_sync(connection, row.id) if busy else None
    noting = busy and waiting is None
    values: dict[str, Any] = {}
    fallen: list[_Fallen] = []
    try:
        if row.next_fire_at is not None and row.next_fire_at <= now:
            values["next_fire_at"] = next_fire_of(row, now)
            fallen.append(await _connector_fallen(connection, row, now))
        if streams_due:
            fallen += await _streams_fallen(connection, row, now, noting=noting)
    except (SynctermError, ValueError) as error:  # a zone that this machine does not know: nobody else waits for it
        logger.warning("Connector %r has a schedule that cannot be computed: %s", row.name, error)
        reason = f"its schedule cannot be computed: {error}"
        await touch(connection, row.id, {"next_fire_at": None, "configuration_complete": False, "incomplete_reason": reason})
        await settle_stream_schedules(connection, row.id, now)
        return False
    if row.schema_change is not None:  # nothing is read before a person decides; then the next fire time counts
        await touch(connection, row.id, values)
        return False
    answered = [one for one in fallen if not is_skipped(row, one.missed)]
    names = join_names(one.names for one in answered)
    if names is not None:
        names = await all_as_none(connection, row.id, names)
    if names == []:  # all of it was skipped; or no stream goes with the connector
        if fallen and not answered:
            values["missed"] = max(one.missed for one in fallen) + 1
        await touch(connection, row.id, values)
        return False
    since, passed = min(one.at for one in answered), max(one.missed for one in answered)
    values["missed"] = row.missed + 1 + passed if busy else passed
    if noting and answered[0].of_connector:
        values["due_since"] = row.due_since or answered[0].at
    await touch(connection, row.id, values)
    if waiting is not None:
        await widen(connection, waiting, names, 1 + passed)
    if busy:
        return False
    sync_id = await insert_sync(
        connection,
        connector_id=row.id,
        trigger=Trigger.SCHEDULED,
        reason=Reason.SCHEDULE,
        requested_by="schedule",
        now=now,
        due_at=since,
        missed=passed,
        stream_names=names,
    )
    if sync_id is not None:
        reach("due-queueing")
    return sync_id is not None


def is_skipped(row: Any, passed: int) -> bool:
    """Whether fire times that were missed are not made up for: the connector's catch-up policy."""
    return row.catch_up == "skip" and passed > 0


async def _connector_fallen(connection: AsyncConnection, row: Any, now: datetime) -> _Fallen:
    passed = missed(
        schedule_of(row),
        row.next_fire_at,
        now,
        anchor=anchor_of(row),
        offset=timedelta(milliseconds=row.offset_ms),
        limit=MISSED_COUNTED,
    )
    return _Fallen(row.next_fire_at, passed, await without_own_schedule(connection, row.id), of_connector=True)


async def _streams_fallen(connection: AsyncConnection, row: Any, now: datetime, *, noting: bool) -> list[_Fallen]:
    """The streams of a connector that are due by themselves, those with the same schedule as one; their next times are set.

    Args:
        noting: whether a sync runs, so that they wait for its end.
    """
    due = and_(streams.c.connector_id == row.id, streams.c.next_fire_at <= now)
    await connection.execute(update(streams).where(due, ~streams.c.selected).values(next_fire_at=None))
    columns = [streams.c[name] for name in OWN_SCHEDULE_COLUMNS]
    earliest = func.min(streams.c.next_fire_at, type_=Instant()).label("earliest")
    fallen = []
    groups: Sequence[Any] = (await connection.execute(select(*columns, earliest).where(due).group_by(*columns))).all()
    for group in groups:
        values: dict[str, Any] = {"next_fire_at": next_fire_of_stream(group, now)}
        passed = missed(
            schedule_of(group),
            group.earliest,
            now,
            anchor=group.anchor_at or now,
            offset=timedelta(milliseconds=group.offset_ms or 0),
            limit=MISSED_COUNTED,
        )
        if noting and not is_skipped(row, passed):
            values["due_since"] = func.coalesce(streams.c.due_since, literal(group.earliest, Instant()))
        same = and_(due, *same_schedule(group))
        names = (await connection.execute(select(streams.c.name).where(same).order_by(streams.c.position))).scalars().all()
        await connection.execute(update(streams).where(same).values(**values))
        fallen.append(_Fallen(group.earliest, passed, names))
    return fallen


async def widen(connection: AsyncConnection, waiting: Any, names: Sequence[str] | None, passed: int) -> None:
    """Let a sync that has not begun answer these streams and so many fire times, too."""
    present = json.loads(waiting.streams) if waiting.streams is not None else None
    joined = join_names((present, names))
    if joined is not None:
        joined = await all_as_none(connection, waiting.connector_id, joined)
    values: dict[str, Any] = {"streams": json.dumps(joined) if joined is not None else None}
    if waiting.trigger == Trigger.SCHEDULED:
        values["missed"] = waiting.missed + passed
    await connection.execute(update(syncs).where(syncs.c.id == waiting.id).values(**values))
