"""Turns due times into queued syncs.

What is due lives in the store (`next_fire_at` of connectors, and of streams with schedules of their own; both indexed); APScheduler
holds one wake-up for the earliest. Due connectors are claimed in pieces that leave the loop to others in between. After downtime
each connector catches up once at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Table, and_, func, or_, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.clock import Clock
from syncterm.engine.clockwork import Clockwork
from syncterm.engine.due import answer, next_fire_of
from syncterm.engine.due_together import answer_plain
from syncterm.engine.failpoint import reach
from syncterm.engine.model import ScheduleKind
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import CHANGE_SEQUENCE, EPOCH, BigInteger, connectors, streams
from syncterm.engine.stream_schedules import OWN_SCHEDULE_COLUMNS, next_fire_of_stream, same_schedule

CLAIM_SIZE = 100
"""Due connectors a write transaction takes: a few milliseconds of the loop."""
STREAMS_LOOKED_AT = 500
"""Due streams looked at to find the connectors of one write transaction."""
LONGEST_SLEEP = timedelta(hours=1)
"""The wake-up never lies further ahead, so that a clock that was set back is noticed."""
FAR_AHEAD = timedelta(days=1)
"""A cron connector that is due later than this is looked at again when an engine begins, for the clock may have been set back."""
_MILLISECOND = timedelta(milliseconds=1)
CLOCK_SLACK = timedelta(seconds=1)
"""How late the wake-up may be before the clock is suspected."""
WAKE_UP = "due"


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
            times = [
                (await connection.execute(select(func.min(due)).where(due.is_not(None)))).scalar()
                for due in (connectors.c.next_fire_at, streams.c.next_fire_at)
            ]
        now = self._clock.now()
        earliest: datetime | None = min((time for time in times if time is not None), default=None)
        self._earliest = earliest
        wait = min(max(earliest - now, timedelta()), LONGEST_SLEEP) if earliest is not None else LONGEST_SLEEP
        self._clockwork.after(wait, self.run_due, WAKE_UP)

    async def _bring_back(self, slack: timedelta) -> None:
        """Let nothing be due later than its schedule says from now on; of cron schedules what is due after `slack`."""
        now = self._clock.now()
        too_far = _too_far(connectors, now, slack)
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
                break
            last = found[-1].id
            self._advanced([row.id for row in found])
        await self._bring_streams_back(now, slack)

    async def _bring_streams_back(self, now: datetime, slack: timedelta) -> None:
        too_far = _too_far(streams, now, slack)
        columns = [streams.c[name] for name in OWN_SCHEDULE_COLUMNS]
        async with self._database.read() as connection:
            groups = (await connection.execute(select(*columns).where(too_far).distinct())).all()
        for start in range(0, len(groups), CLAIM_SIZE):
            async with self._database.write() as connection:
                for group in groups[start : start + CLAIM_SIZE]:
                    due = next_fire_of_stream(group, now)
                    if due is not None:
                        later = and_(too_far, streams.c.next_fire_at > due, *same_schedule(group))
                        await connection.execute(update(streams).where(later).values(next_fire_at=due))

    async def _claim(self) -> int:
        now = self._clock.now()
        async with self._database.write() as connection:
            with_streams = await _due_by_streams(connection, now)
            ids = dict.fromkeys((*await _due_connectors(connection, now), *with_streams))
            rows = (await connection.execute(select(connectors).where(connectors.c.id.in_(list(ids)[:CLAIM_SIZE])))).all()
            taken = [row.id for row in rows]
            queued, others = await answer_plain(connection, rows, now, with_streams)
            for row in others:
                if await answer(connection, row, now, streams_due=row.id in with_streams):
                    queued.append(row.id)
        if queued:
            reach("due-queued")
        if taken:
            self._advanced(taken)
        if queued:
            self._queued(queued)
        return len(taken)


def _too_far(table: Table, now: datetime, slack: timedelta) -> ColumnElement[bool]:
    """What in `connectors` or `streams` is due later than it could be."""
    instant = type_coerce(table.c.next_fire_at, BigInteger)
    return or_(
        and_(
            table.c.schedule_kind == ScheduleKind.INTERVAL,
            instant - table.c.schedule_every_ms > (now - EPOCH) // _MILLISECOND,
        ),
        and_(table.c.schedule_kind == ScheduleKind.CRON, table.c.next_fire_at > now + slack),
    )


async def _due_connectors(connection: AsyncConnection, now: datetime) -> Sequence[str]:
    """Connectors that are due by their own schedule, the earliest first."""
    due = connectors.c.next_fire_at
    statement = select(connectors.c.id).where(due <= now).order_by(due, connectors.c.id).limit(CLAIM_SIZE)
    return (await connection.execute(statement)).scalars().all()


async def _due_by_streams(connection: AsyncConnection, now: datetime) -> Mapping[str, None]:
    """Connectors with streams that are due by themselves, the earliest first."""
    due = streams.c.next_fire_at
    statement = select(streams.c.connector_id).where(due <= now).order_by(due, streams.c.connector_id).limit(STREAMS_LOOKED_AT)
    return dict.fromkeys((await connection.execute(statement)).scalars())
