"""Turns due times into queued syncs.

What is due lives in the store (`connectors.next_fire_at`, indexed); APScheduler holds one wake-up for the earliest. Due connectors
are claimed in pieces that leave the loop to others in between. After downtime each connector catches up once at most.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from syncterm.engine.clock import Clock
from syncterm.engine.clockwork import Clockwork
from syncterm.engine.connector_setup import anchor_of, schedule_of
from syncterm.engine.failpoint import reach
from syncterm.engine.lifecycle import insert_sync
from syncterm.engine.model import Activity, Reason, Trigger
from syncterm.engine.schedule import missed, next_fire
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import CHANGE_SEQUENCE, connectors

logger = logging.getLogger(__name__)

CLAIM_SIZE = 50
"""Due connectors a write transaction takes: a few milliseconds of the loop."""
LONGEST_SLEEP = timedelta(hours=1)
"""The wake-up never lies further ahead, so that a clock that was set back is noticed."""
CLOCK_SLACK = timedelta(seconds=1)
"""How late the wake-up may be before the clock is suspected."""
WAKE_UP = "due"


def next_fire_of(row: Any, after: datetime) -> datetime | None:
    """When the connector in a row of `connectors` is due next, strictly after an instant; None for manual ones."""
    return next_fire(schedule_of(row), after, anchor=anchor_of(row), offset=timedelta(milliseconds=row.offset_ms))


class Scheduler:
    """The engine's clockwork for due times.

    Args:
        clockwork: holds the wake-up.
        queued: called with the ids of connectors that a sync was queued for.
        advanced: called with the ids of connectors whose next due time moved.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        clockwork: Clockwork,
        queued: Callable[[Iterable[str]], None],
        advanced: Callable[[Iterable[str]], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._clockwork = clockwork
        self._queued = queued
        self._advanced = advanced
        self._earliest: datetime | None = None

    async def run_due(self) -> int:
        """Queue a sync for every connector that is due, then set the wake-up; the number of connectors that were due.

        Where the store cannot be used, `notice_clock` tries again.
        """
        self._earliest = self._clock.now()
        total = 0
        while taken := await self._claim():
            total += taken
        await self.set_wake_up()
        return total

    async def notice_clock(self) -> None:
        """Run what is due where the clock went ahead of the wake-up: it was set, or the machine slept."""
        if self._earliest is not None and self._earliest + CLOCK_SLACK <= self._clock.now():
            await self.run_due()

    async def set_wake_up(self) -> None:
        """Sleep until the earliest due time."""
        async with self._database.read() as connection:
            earliest: datetime | None = (
                await connection.execute(select(func.min(connectors.c.next_fire_at)).where(connectors.c.next_fire_at.is_not(None)))
            ).scalar()
        now = self._clock.now()
        self._earliest = earliest
        wait = min(max(earliest - now, timedelta()), LONGEST_SLEEP) if earliest is not None else LONGEST_SLEEP
        self._clockwork.after(wait, self.run_due, WAKE_UP)

    async def _claim(self) -> int:
        now = self._clock.now()
        queued, advanced = [], []
        async with self._database.write() as connection:
            due = (
                await connection.execute(
                    select(connectors)
                    .where(connectors.c.next_fire_at <= now)
                    .order_by(connectors.c.next_fire_at, connectors.c.id)
                    .limit(CLAIM_SIZE)
                )
            ).all()
            for row in due:
                values: dict[str, Any] = {"next_fire_at": next_fire_of(row, now)}
                runnable = row.paused_by is None and row.deleted_at is None and row.configuration_complete
                skipped = missed(
                    schedule_of(row),
                    row.next_fire_at,
                    now,
                    anchor=anchor_of(row),
                    offset=timedelta(milliseconds=row.offset_ms),
                )
                if not runnable:
                    values["next_fire_at"] = None
                elif row.catch_up == "skip" and skipped:
                    values["missed"] = skipped + 1
                elif row.activity != Activity.IDLE:
                    values["due_since"] = row.due_since or row.next_fire_at
                    values["missed"] = row.missed + 1 + skipped
                else:
                    values["missed"] = skipped
                await connection.execute(
                    update(connectors).where(connectors.c.id == row.id).values(**values, changed_at=CHANGE_SEQUENCE)
                )
                advanced.append(row.id)
                if "due_since" in values or not runnable or (row.catch_up == "skip" and skipped):
                    continue
                sync_id = await insert_sync(
                    connection,
                    connector_id=row.id,
                    trigger=Trigger.SCHEDULED,
                    reason=Reason.SCHEDULE,
                    requested_by="schedule",
                    now=now,
                    due_at=row.next_fire_at,
                    missed=skipped,
                )
                if sync_id is None:
                    continue
                queued.append(row.id)
                reach("due-queueing")
        if queued:
            reach("due-queued")
        if advanced:
            self._advanced(advanced)
        if queued:
            self._queued(queued)
        return len(due)
