"""Decides which queued syncs run now: one a connector, N a source, N a destination, N overall; oldest first; none that a schedule
asked for inside a blackout window of its connector.

The queue is the store: a sync in state Created waits there. The dispatcher claims it, gives it a runner, and tells every sync that
waits which limit it waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, false, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import lifecycle
from syncterm.engine.attempt import Execution, describe_error, owned_write
from syncterm.engine.blackout import BLACKOUT_REASON, in_blackout, windows_from_text
from syncterm.engine.clock import Clock
from syncterm.engine.destinations.base import destination_class
from syncterm.engine.errors import CancelledSyncError, ConfigError, InterruptedSyncError, StoreError, SynctermError
from syncterm.engine.failpoint import reach
from syncterm.engine.lifecycle import Ending
from syncterm.engine.model import Activity, Outcome, SyncState, Trigger
from syncterm.engine.runner import Runner
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import OPEN_SYNC, connectors, destinations, syncs

logger = logging.getLogger(__name__)

LOOK_AHEAD = 500
"""Queued syncs looked at in one turn."""
NO_BLACKOUT = "[]"
"""`connectors.blackout` of one without windows."""
RETRY_INTERVAL = 1.0
"""Seconds until a store that could not be used is tried again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many syncs may run at the same time."""

    overall: int = 8
    per_source: int = 4


@dataclass
class _Running:
    runner: Runner
    task: asyncio.Task[None]
    source_id: str
    destination_id: str
    destination_limit: int
    holds_slot: bool = True


class Dispatcher:
    """Starts and stops runners."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        execution: Execution,
        limits: Limits,
        changed: Callable[[str], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._execution = execution
        self._limits = limits
        self._changed = changed
        self._running: dict[str, _Running] = {}
        """Connector id → what runs for it."""
        self._waiting: dict[str, str] = {}
        """Connector id → why its sync waits, as last told to the store."""
        self._blackout_ends: datetime | None = None
        """When the first of the blackouts that hold a sync back is over."""
        self._look_again = asyncio.Event()
        self._room = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()

    @property
    def running(self) -> int:
        """Syncs that have been claimed and are not completed."""
        return len(self._running)

    def start(self) -> None:
        self._task = asyncio.create_task(self._work(), name="dispatcher")
        self.look()

    def look(self) -> None:
        """Something may have been queued, cancelled or finished."""
        self._look_again.set()

    def notice_clock(self) -> None:
        """Look again where a blackout that holds a sync back is over."""
        if self._blackout_ends is not None and self._blackout_ends <= self._clock.now():
            self.look()

    async def stop(self, reason: SynctermError) -> None:
        """End every runner for that reason and wait for them."""
        self._ending.set()
        self.look()
        for entry in self._running.values():
            entry.runner.stop(reason)
        await self._notify_room()
        if self._task is not None:
            await self._task  # not cancelled: what it does with the store it does to the end
        tasks = [entry.task for entry in self._running.values()]
        for entry in self._running.values():
            entry.runner.stop(reason)
        if tasks:
            await asyncio.wait(tasks)

    async def _work(self) -> None:
        while not self._ending.is_set():
            await self._look_again.wait()
            self._look_again.clear()
            try:
                await self._pass_on_cancellations()
                await self._start_what_may_run()
            except Exception as error:
                if isinstance(error, SynctermError):
                    logger.warning("The dispatcher could not look at the queue: %s", error)
                else:
                    logger.exception("The dispatcher could not look at the queue.")
                await self._pause()
                self.look()

    async def _pause(self) -> None:
        """Wait before the store is tried again, or until this dispatcher ends."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), RETRY_INTERVAL)

    async def _pass_on_cancellations(self) -> None:
        """Stop runners whose sync somebody asked to cancel; drop queued syncs that were cancelled."""
        async with self._database.read() as connection:
            asked = (
                await connection.execute(
                    select(syncs.c.id, syncs.c.connector_id, syncs.c.state, syncs.c.cancel_requested_by).where(
                        OPEN_SYNC, syncs.c.state != SyncState.COMPLETED, syncs.c.cancel_requested_at.is_not(None)
                    )
                )
            ).all()
        for row in asked:
            reason = f"Cancelled by {row.cancel_requested_by}."
            entry = self._running.get(row.connector_id)
            if entry is not None and entry.runner.sync_id == row.id:
                entry.runner.stop(CancelledSyncError(reason))
                await self._notify_room()  # it may wait for a place
            elif row.state == SyncState.CREATED:
                async with self._database.write() as connection:
                    await lifecycle.finish(connection, row.id, self._clock.now(), Ending(Outcome.CANCELLED, message=reason))
                self._changed(row.connector_id)

    async def _start_what_may_run(self) -> None:
        async with self._database.read() as connection:
            blackouts = await _blackouts(connection, self._clock.now())
            held = _held(blackouts)
            queued = (
                await connection.execute(
                    select(
                        syncs.c.id,
                        syncs.c.connector_id,
                        connectors.c.source_id,
                        connectors.c.destination_id,
                        destinations.c.type.label("destination_type"),
                    )
                    .join_from(syncs, connectors, syncs.c.connector_id == connectors.c.id)
                    .outerjoin(destinations, destinations.c.id == connectors.c.destination_id)
                    .where(OPEN_SYNC, syncs.c.state == SyncState.CREATED, syncs.c.cancel_requested_at.is_(None), ~held)
                    .order_by(syncs.c.created_at, syncs.c.id)
                    .limit(LOOK_AHEAD)
                )
            ).all()
            waiting = await _waiting_for_blackouts(connection, blackouts, held) if blackouts else {}
        self._blackout_ends = min(blackouts.values(), default=None)
        slots = [entry for entry in self._running.values() if entry.holds_slot]
        overall = len(slots)
        per_source = Counter(entry.source_id for entry in slots)
        per_destination = Counter(entry.destination_id for entry in slots)
        started = False
        for position, row in enumerate(queued, 1):
            if self._ending.is_set():
                return
            if row.connector_id in self._running:
                continue
            limit = _parallel_loads(row.destination_type)
            if overall >= self._limits.overall:
                reason = f"{overall} of {self._limits.overall} syncs run; number {position} in the queue"
            elif per_source[row.source_id] >= self._limits.per_source:
                reason = f"{self._limits.per_source} syncs read from this source already; number {position} in the queue"
            elif per_destination[row.destination_id] >= limit:
                reason = f"{limit} sync writes to this destination already; number {position} in the queue"
            else:
                if await self._start(row, limit):
                    started = True
                    overall += 1
                    per_source[row.source_id] += 1
                    per_destination[row.destination_id] += 1
                continue
            waiting[row.connector_id] = reason
        await self._tell_waiting(waiting)
        if started and len(queued) == LOOK_AHEAD:
            self.look()

    async def _start(self, row: Any, destination_limit: int) -> bool:
        async with self._database.write() as connection:
            if not await lifecycle.claim(connection, row.id, row.connector_id, self._execution.epoch, self._clock.now()):
                return False
        reach("sync-claimed")
        runner = Runner(self._execution, row.id, row.connector_id)
        task = asyncio.create_task(self._run(runner), name=f"sync {row.id}")
        self._running[row.connector_id] = _Running(runner, task, row.source_id, row.destination_id, destination_limit)
        self._changed(row.connector_id)
        return True

    async def _run(self, runner: Runner) -> None:
        try:
            await runner.execute(lambda: self._slot(runner))
        except Exception as error:
            # The runner records what goes wrong with a sync; what arrives here went wrong with the record itself.
            logger.exception("Sync %s could not be recorded.", runner.sync_id)
            await self._close_unrecorded(runner, error)
        finally:
            del self._running[runner.connector_id]
            await self._notify_room()
            self._changed(runner.connector_id)
            self.look()

    async def _close_unrecorded(self, runner: Runner, error: Exception) -> None:
        """As soon as the store can be written: queue the sync once more where the store was the trouble, for what it moved may be
        committed; else close it as failed. Left to the next engine where this one ends before that.
        """
        while not self._ending.is_set() and not isinstance(error, InterruptedSyncError):
            now = self._clock.now()
            error_class, message = describe_error(error)
            try:
                async with owned_write(self._execution, runner.sync_id) as connection:
                    if isinstance(error, StoreError):
                        await lifecycle.reopen(
                            connection, runner.sync_id, runner.connector_id, self._execution.epoch, now, f"Interrupted: {message}"
                        )
                    else:
                        await lifecycle.finish(connection, runner.sync_id, now, Ending(Outcome.FAILED, error_class, message))
                return
            except InterruptedSyncError:
                return
            except Exception as obstacle:
                logger.warning("Sync %s still cannot be recorded: %s", runner.sync_id, obstacle)
            await self._pause()

    @asynccontextmanager
    async def _slot(self, runner: Runner) -> AsyncIterator[None]:
        """A runner's place among those that run. It gives it up while it backs off, and queues for it again."""
        entry = self._running[runner.connector_id]
        if not entry.holds_slot:
            async with self._room:
                await self._room.wait_for(lambda: runner.stopped or self._has_room(entry))
                entry.holds_slot = True
        try:
            yield
        finally:
            entry.holds_slot = False
            await self._notify_room()
            self.look()

    async def _notify_room(self) -> None:
        async with self._room:
            self._room.notify_all()

    def _has_room(self, wanting: _Running) -> bool:
        slots = [entry for entry in self._running.values() if entry.holds_slot]
        same_source = sum(entry.source_id == wanting.source_id for entry in slots)
        same_destination = sum(entry.destination_id == wanting.destination_id for entry in slots)
        return (
            len(slots) < self._limits.overall
            and same_source < self._limits.per_source
            and (same_destination < wanting.destination_limit)
        )

    async def _tell_waiting(self, waiting: dict[str, str]) -> None:
        """Write down why each sync waits, where that changed."""
        news = {connector: reason for connector, reason in waiting.items() if self._waiting.get(connector) != reason}
        self._waiting = waiting
        if not news:
            return
        async with self._database.write() as connection:
            for connector_id, reason in news.items():
                await lifecycle.touch(connection, connector_id, {"activity_reason": reason})
        for connector_id in news:
            self._changed(connector_id)

    # What the engine asks while syncs run ------------------------------------------------------------------------------------

    def progress(self) -> dict[str, dict[str, object]]:
        """Connector id → progress columns of the syncs that move."""
        return {
            connector_id: {
                "progress_stream": entry.runner.control.progress.stream,
                "progress_records": entry.runner.control.progress.records,
                "progress_bytes": entry.runner.control.progress.bytes,
                "progress_expected": entry.runner.control.progress.expected,
            }
            for connector_id, entry in self._running.items()
            if entry.runner.activity is Activity.RUNNING
        }


async def _blackouts(connection: AsyncConnection, now: datetime) -> dict[str, datetime]:
    """Blackout windows of connectors with queued syncs, as `connectors.blackout` writes them → when the present blackout ends."""
    texts = await connection.execute(
        select(connectors.c.blackout)
        .join_from(syncs, connectors, syncs.c.connector_id == connectors.c.id)
        .where(OPEN_SYNC, syncs.c.state == SyncState.CREATED, connectors.c.blackout != NO_BLACKOUT)
        .distinct()
    )
    found = {}
    for text in texts.scalars():
        try:
            end = in_blackout(windows_from_text(text), now)
        except (ConfigError, ValueError) as error:  # a zone that this machine does not know must not stop the others
            logger.warning("A blackout window cannot be computed: %s", error)
            continue
        if end is not None:
            found[text] = end
    return found


def _held(blackouts: Mapping[str, datetime]) -> ColumnElement[bool]:
    """Queued syncs that a blackout holds back: those that a schedule asked for."""
    if not blackouts:
        return false()
    return and_(syncs.c.trigger == Trigger.SCHEDULED, connectors.c.blackout.in_(list(blackouts)))


async def _waiting_for_blackouts(
    connection: AsyncConnection, blackouts: Mapping[str, datetime], held: ColumnElement[bool]
) -> dict[str, str]:
    """Connector id → why its sync waits, for those that have not been told yet."""
    reasons = {text: f"{BLACKOUT_REASON} until {end:%Y-%m-%d %H:%M} UTC" for text, end in blackouts.items()}
    reason = case(reasons, value=connectors.c.blackout)
    rows = await connection.execute(
        select(connectors.c.id, connectors.c.blackout)
        .join_from(syncs, connectors, syncs.c.id == connectors.c.active_sync_id)
        .where(
            OPEN_SYNC,
            syncs.c.state == SyncState.CREATED,
            held,
            connectors.c.activity == Activity.QUEUED,
            func.coalesce(connectors.c.activity_reason, "") != reason,
        )
        .limit(LOOK_AHEAD)
    )
    return {row.id: reasons[row.blackout] for row in rows}


def _parallel_loads(destination_type: str | None) -> int:
    try:
        return destination_class(destination_type).capabilities.parallel_loads if destination_type else 1
    except ConfigError:
        return 1  # the runner says what is wrong with the type
