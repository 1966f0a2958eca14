"""Executes one sync: attempts, back-off, stall limit, cancellation, and the record of it all.

`Runner.execute` needs the store and nothing else; what it is told while it runs (cancel, pause, delete) reaches it through the
store as well.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import credentials, lifecycle
from syncterm.engine.attempt import Attempt, Execution, SyncLog, describe_error, owned_write
from syncterm.engine.control import Control
from syncterm.engine.errors import CancelledSyncError, ErrorClass, InterruptedSyncError, StalledError, SynctermError
from syncterm.engine.failpoint import reach
from syncterm.engine.lifecycle import Ending
from syncterm.engine.model import Activity, Cursor, LogLevel, Outcome, StreamResult
from syncterm.engine.retry import LIMITS, Attempts, decide_retry, is_transient
from syncterm.engine.source_versions import leads_to_present_account
from syncterm.engine.store.tables import connectors

logger = logging.getLogger(__name__)

STALL_CHECK_INTERVAL = 1.0
"""Seconds between two looks at whether a sync still moves."""
CLOCK_CHECK_INTERVAL = 1.0
"""Seconds between two looks at the clock, which may be set, while a sync backs off."""


class Runner:
    """One sync on its way from Pending to Completed."""

    def __init__(self, execution: Execution, sync_id: str, connector_id: str) -> None:
        self.sync_id = sync_id
        self.connector_id = connector_id
        self.control = Control()
        self.activity = Activity.QUEUED
        self._execution = execution
        self._log = SyncLog(execution.clock)
        self._attempts = Attempts()
        self._notes: list[str] = []
        """What the summary says of the last attempt beside what it committed."""
        self._reason: SynctermError | None = None
        self._told_to_stop = asyncio.Event()

    def _write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return owned_write(self._execution, self.sync_id)

    @property
    def stopped(self) -> bool:
        """Whether the sync as a whole is to end; an attempt that stalled is not the end of its sync."""
        return self._reason is not None

    def stop(self, reason: SynctermError) -> None:
        """End the sync for that reason, at the next batch or by interrupting what hangs."""
        self._reason = self._reason or reason
        self.control.stop(reason)
        self._told_to_stop.set()

    async def execute(self, slot: Callable[[], Any]) -> None:
        """Run attempts until one succeeds, the policy gives up, or the sync is stopped. `slot()` is an async context manager that
        waits for the dispatcher's limits.

        A lost lease ends it without a word to the store: the new holder closes the sync.
        """
        wait_until: datetime | None = None
        while True:
            async with slot():
                if self.stopped:
                    await self._end_before_an_attempt()
                    return
                wait_until = await self._attempt()
            if wait_until is None:
                return
            await self._back_off(wait_until)

    async def _attempt(self) -> datetime | None:
        """One attempt; when to try again, or None where the sync has ended."""
        execution = self._execution
        async with self._write() as connection:
            number = await lifecycle.begin_attempt(
                connection, self.sync_id, self.connector_id, execution.epoch, execution.clock.now()
            )
        reach("attempt-begun")
        self.activity = Activity.RUNNING
        execution.changed(self.connector_id)
        attempt = Attempt(execution, self.sync_id, self.connector_id, self.control, self._log)
        watch = asyncio.create_task(self._watch_for_stall())
        try:
            await attempt.run()
        finally:
            watch.cancel()
        results, errors = attempt.results, attempt.errors
        self._notes = attempt.notes
        if isinstance(self._reason, InterruptedSyncError):
            return None
        # What a retry cannot mend decides.
        error = next((error for error in errors if not is_transient(error)), errors[0] if errors else None)
        progressed = any(result.outcome is Outcome.SUCCESS and result.counts.read for result in results)
        now = execution.clock.now()
        ending, retry_at = self._judge(error, results, progressed, now, number)
        closing = ending or Ending(Outcome.FAILED, *describe_error(error or InterruptedSyncError("Interrupted.")))
        async with self._write() as connection:
            await lifecycle.end_attempt(connection, self.sync_id, number, now, closing, progressed=progressed, retry_at=retry_at)
            if ending is not None:
                await self._record(connection, ending)
            else:
                await lifecycle.add_log(connection, self.connector_id, self.sync_id, self._log.take())
                await lifecycle.touch(
                    connection,
                    self.connector_id,
                    {"activity": Activity.BACKING_OFF, "activity_reason": closing.message, "back_off_until": retry_at},
                )
        if ending is not None:
            reach("sync-completed")
        execution.changed(self.connector_id)
        return retry_at

    def _judge(
        self, error: Exception | None, results: Sequence[StreamResult], progressed: bool, now: datetime, number: int
    ) -> tuple[Ending | None, datetime | None]:
        if error is None:
            return Ending(Outcome.SUCCESS, summary=_summary(results, self._notes)), None
        if self.stopped:
            return self._stopped_ending(results), None
        error = self.control.reason or error
        error_class, message = describe_error(error)
        self._log.add(LogLevel.ERROR, message)
        if not isinstance(error, SynctermError):
            logger.error("Sync %s failed unexpectedly.", self.sync_id, exc_info=error)
        decision = decide_retry(self._attempts, error, progress=progressed, now=now, random=random.random)
        self._attempts = decision.attempts
        if decision.retry_at is not None and number < LIMITS.with_progress:
            self.control = Control()
            self._log.add(LogLevel.WARNING, f"Trying again at {decision.retry_at:%H:%M:%S} UTC. {decision.reason}")
            return None, decision.retry_at
        refused_by = getattr(error, "end", None) if error_class is ErrorClass.AUTH else None
        return Ending(Outcome.FAILED, error_class, message, _summary(results, self._notes), refused_by), None

    def _stopped_ending(self, results: Sequence[StreamResult]) -> Ending:
        reason = self._reason or CancelledSyncError("The sync was cancelled.")
        return Ending(Outcome.CANCELLED, None, str(reason), _summary(results, self._notes))

    async def _end_before_an_attempt(self) -> None:
        """Record a sync that was stopped while it waited; one whose engine ends is left to the next engine."""
        if isinstance(self._reason, InterruptedSyncError):
            return
        async with self._write() as connection:
            await self._record(connection, self._stopped_ending([]))
        self._execution.changed(self.connector_id)

    async def _record(self, connection: AsyncConnection, ending: Ending) -> None:
        """Executing → Completed, with its log and what it tells of the credentials."""
        now = self._execution.clock.now()
        level = LogLevel.INFO if ending.outcome is Outcome.SUCCESS else LogLevel.WARNING
        self._log.add(level, f"Completed: {ending.outcome}. {ending.summary or ''}".strip())
        await lifecycle.add_log(connection, self.connector_id, self.sync_id, self._log.take())
        await lifecycle.finish(connection, self.sync_id, now, ending)
        await _note_credentials(connection, self.connector_id, ending, now)

    async def _back_off(self, until: datetime) -> None:
        """Wait for the next attempt, or until the sync is stopped."""
        self.activity = Activity.BACKING_OFF
        clock = self._execution.clock
        stopping = asyncio.create_task(self._told_to_stop.wait())
        while not self.stopped and (left := (until - clock.now()).total_seconds()) > 0:
            sleeping = asyncio.ensure_future(clock.sleep(min(left, CLOCK_CHECK_INTERVAL)))
            await asyncio.wait({sleeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
            sleeping.cancel()
        stopping.cancel()

    async def _watch_for_stall(self) -> None:
        """Stop an attempt that moves neither bytes nor records within the connector's stall limit."""
        clock = self._execution.clock
        async with self._execution.database.read() as connection:
            limit_ms = (
                await connection.execute(select(connectors.c.stall_limit_ms).where(connectors.c.id == self.connector_id))
            ).scalar_one()
        beat, since = self.control.progress.beat, clock.monotonic()
        while not self.control.stopped:
            await clock.sleep(STALL_CHECK_INTERVAL)
            if self.control.progress.beat != beat or self.control.committing:
                beat, since = self.control.progress.beat, clock.monotonic()
            elif clock.monotonic() - since > limit_ms / 1000:
                stream = self.control.progress.stream
                self.control.stop(
                    StalledError(f"Stream {stream!r} moved neither bytes nor records for {timedelta(milliseconds=limit_ms)}.")
                )


def _summary(results: Sequence[StreamResult], notes: Sequence[str]) -> str:
    """What was committed, and where the next sync resumes."""
    committed = [result for result in results if result.outcome is Outcome.SUCCESS]
    if not committed:
        return " ".join(("Nothing was committed; the next sync resumes where the last committed one ended.", *notes))
    parts = []
    for result in committed:
        cursor = Cursor.from_text(result.cursor_after).value if result.cursor_after else None
        parts.append(f"{result.stream} {result.counts.written:,}" + (f" up to {cursor}" if cursor is not None else ""))
    return " ".join(("Committed: " + ", ".join(parts) + ".", *notes))


async def _note_credentials(connection: AsyncConnection, connector_id: str, ending: Ending, now: datetime) -> None:
    """A sync that succeeded proves the credentials of both ends; one that an end refused disproves that end's.

    A connector on an older version of its source that leads to another account says nothing of the present one.
    """
    columns = (connectors.c.source_id, connectors.c.source_version, connectors.c.destination_id)
    row = (await connection.execute(select(*columns).where(connectors.c.id == connector_id))).one()
    for end, endpoint_id in (("source", row.source_id), ("destination", row.destination_id)):
        if end == "source" and not await leads_to_present_account(connection, row.source_id, row.source_version):
            continue
        if ending.outcome is Outcome.SUCCESS:
            await credentials.accepted(connection, end, endpoint_id, now)
        elif ending.refused_by == end:
            await credentials.refused(connection, end, endpoint_id, now, ending.message)
