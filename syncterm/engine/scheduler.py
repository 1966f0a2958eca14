"""Turns due times into queued syncs.

What is due lives in the store (`connectors.next_fire_at`, indexed); APScheduler holds one wake-up for the earliest. Due connectors
are claimed in pieces that leave the loop to others in between. After downtime each connector catches up once at most.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select, type_coerce, update

from syncterm.engine.clock import Clock
from syncterm.engine.clockwork import Clockwork
from syncterm.engine.connector_setup import anchor_of, schedule_of
from syncterm.engine.errors import SynctermError
from syncterm.engine.failpoint import reach
from syncterm.engine.lifecycle import insert_sync, touch
from syncterm.engine.model import Activity, Reason, ScheduleKind, Trigger
from syncterm.engine.schedule import missed, next_fire
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import CHANGE_SEQUENCE, EPOCH, BigInteger, connectors

logger = logging.getLogger(__name__)

CLAIM_SIZE = 50
"""Due connectors a write transaction takes: a few milliseconds of the loop."""
LONGEST_SLEEP = timedelta(hours=1)
"""The wake-up never lies further ahead, so that a clock that was set back is noticed."""
MISSED_COUNTED = 50
"""Missed fire times of a cron expression are counted up to this many: some 5 ms of the loop a connector."""
FAR_AHEAD = timedelta(days=1)
"""A cron connector that is due later than this is looked at again when an engine begins, for the clock may have been set back."""
_MILLISECOND = timedelta(milliseconds=1)
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
        self._looked = clock.now(), clock.monotonic()

    async def begin(self) -> None:
        """Queue what is due, after due times that a wrong clock moved too far ahead were brought back."""
        self._earliest = self._clock.now()
        await self._bring_back(FAR_AHEAD)
        await self.run_due()

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
        """Run what is due where the clock went ahead of the wake-up: it was set, or the machine slept.

        Where it was set back, compute due times anew: what fired by the wrong clock would be silent until it is that late again.
        """
        (now_before, elapsed_before), now, elapsed = self._looked, self._clock.now(), self._clock.monotonic()
        if now_before + timedelta(seconds=elapsed - elapsed_before) - now > CLOCK_SLACK:
            await self._bring_back(timedelta())
            await self.set_wake_up()
        self._looked = now, elapsed
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

    async def _bring_back(self, slack: timedelta) -> None:
        """Let no connector be due later than its schedule says from now on; of cron ones those that are due after `slack`."""
        now = self._clock.now()
        instant = type_coerce(connectors.c.next_fire_at, BigInteger)
        too_far = or_(
            and_(
                connectors.c.schedule_kind == ScheduleKind.INTERVAL,
                instant - connectors.c.schedule_every_ms > (now - EPOCH) // _MILLISECOND,
            ),
            and_(connectors.c.schedule_kind == ScheduleKind.CRON, connectors.c.next_fire_at > now + slack),
        )
        last = ""
        while True:
            async with self._database.write() as connection:
                found = (
                    await connection.execute(
                        select(connectors).where(too_far, connectors.c.id > last).order_by(connectors.c.id).limit(CLAIM_SIZE)
                    )
                ).all()
                for row in found:
                    due = next_fire_of(row, now)
                    if due is not None and due < row.next_fire_at:
                        await connection.execute(
                            update(connectors).where(connectors.c.id == row.id).values(next_fire_at=due, changed_at=CHANGE_SEQUENCE)
                        )
            if not found:
                return
            last = found[-1].id
            self._advanced([row.id for row in found])

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
                try:
                    values: dict[str, Any] = {"next_fire_at": next_fire_of(row, now)}
                except (SynctermError, ValueError) as error:  # a zone that this machine does not know: nobody else waits for it
                    logger.warning("Connector %r has a schedule that cannot be computed: %s", row.name, error)
                    reason = f"its schedule cannot be computed: {error}"
                    values = {"next_fire_at": None, "configuration_complete": False, "incomplete_reason": reason}
                    await touch(connection, row.id, values)
                    advanced.append(row.id)
                    continue
                runnable = row.paused_by is None and row.deleted_at is None and row.configuration_complete
                skipped = missed(
                    schedule_of(row),
                    row.next_fire_at,
                    now,
                    anchor=anchor_of(row),
                    offset=timedelta(milliseconds=row.offset_ms),
                    limit=MISSED_COUNTED,
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
