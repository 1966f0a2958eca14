"""Running connectors: sync now, re-sync, cancel, pause, resume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import lifecycle
from syncterm.engine.authorisation import operation
from syncterm.engine.blackout import in_blackout, windows_from_text
from syncterm.engine.due import next_fire_of
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import Activity, Actor, PausedBy, Reason, Role, SyncState, Trigger
from syncterm.engine.operation_results import IfRunning, OperationResult
from syncterm.engine.operations.base import OperationsBase
from syncterm.engine.store.tables import OPEN_SYNC, destinations, sources, syncs
from syncterm.engine.stream_schedules import settle_stream_schedules, take_due_streams

BLACKOUT_NOTE = "A blackout window lasts until {:%Y-%m-%d %H:%M} UTC; it holds only scheduled syncs."


class RunningOperations(OperationsBase):
    """What makes connectors run, and stop."""

    @operation(Role.USER)
    async def sync_now(
        self, actor: Actor, connector_ids: Sequence[str], *, if_running: IfRunning = IfRunning.LEAVE
    ) -> tuple[OperationResult, ...]:
        """Queue a manual sync of each connector."""

        async def one(connection: AsyncConnection, row: Any) -> str:
            await _require_complete(connection, row)
            return await self._queue(connection, actor, row, Reason.SYNC_NOW, if_running)

        return await self._each(actor, "sync_now", connector_ids, one)

    @operation(Role.USER)
    async def historical_resync(self, actor: Actor, connector_ids: Sequence[str]) -> tuple[OperationResult, ...]:
        """Read everything again; readers of the destination see the old data until the new is complete."""

        async def one(connection: AsyncConnection, row: Any) -> str:
            await _require_complete(connection, row)
            queued = await self._queue(connection, actor, row, Reason.HISTORICAL_RESYNC, IfRunning.QUEUE)
            return f"Historical re-sync: {queued[0].lower()}{queued[1:]}"

        return await self._each(actor, "historical_resync", connector_ids, one)

    @operation(Role.USER)
    async def cancel(self, actor: Actor, connector_ids: Sequence[str]) -> tuple[OperationResult, ...]:
        """Cancel what runs or waits for each connector."""

        async def one(connection: AsyncConnection, row: Any) -> str:
            asked = await lifecycle.ask_to_cancel(connection, actor.name, row.id, self._clock.now())
            if not asked:
                raise ConfigError("Nothing runs or waits.")
            return "Cancelling." if asked == 1 else f"Cancelling {asked} syncs."

        return await self._each(actor, "cancel", connector_ids, one)

    @operation(Role.USER)
    async def cancel_sync(self, actor: Actor, sync_id: str) -> OperationResult:
        """Cancel one sync by its id.

        Raises:
            ConfigError: where there is no such sync.
        """
        async with self._database.read() as connection:
            connector_id = (await connection.execute(select(syncs.c.connector_id).where(syncs.c.id == sync_id))).scalar()
        if connector_id is None:
            raise ConfigError(f"There is no sync {sync_id!r}.", remedy="Take the Sync ID from the history.")

        async def one(connection: AsyncConnection, row: Any) -> str:
            if not await lifecycle.ask_to_cancel(connection, actor.name, row.id, self._clock.now(), sync_id):
                raise ConfigError(f"Sync {sync_id} is completed already.")
            return "Cancelling."

        return (await self._each(actor, "cancel_sync", [connector_id], one))[0]

    @operation(Role.USER)
    async def pause(self, actor: Actor, connector_ids: Sequence[str], reason: str = "") -> tuple[OperationResult, ...]:
        """Stop the schedule; a running sync ends at its next batch. Configuration and cursors stay."""

        async def one(connection: AsyncConnection, row: Any) -> str:
            if row.paused_by is not None:
                raise ConfigError("Paused already.")
            await lifecycle.touch(
                connection,
                row.id,
                {
                    "paused_by": PausedBy.PERSON,
                    "paused_reason": reason or f"Paused by {actor.name}.",
                    "paused_at": self._clock.now(),
                    "next_fire_at": None,
                    "due_since": None,
                },
            )
            await settle_stream_schedules(connection, row.id, self._clock.now())
            asked = await lifecycle.ask_to_cancel(connection, f"{actor.name} (paused)", row.id, self._clock.now())
            return "Paused; its sync ends at the next batch." if asked else "Paused."

        return await self._each(actor, "pause", connector_ids, one)

    @operation(Role.USER)
    async def resume(self, actor: Actor, connector_ids: Sequence[str]) -> tuple[OperationResult, ...]:
        """Take the schedule up again. It fires at its next time, not for those that passed."""

        async def one(connection: AsyncConnection, row: Any) -> str:
            if row.paused_by is None:
                raise ConfigError("Not paused.")
            due = next_fire_of(row, self._clock.now()) if row.configuration_complete else None
            await lifecycle.touch(
                connection,
                row.id,
                {
                    "paused_by": None,
                    "paused_reason": None,
                    "paused_at": None,
                    "next_fire_at": due,
                    "consecutive_failures": 0,
                    "failing_since": None,
                },
            )
            await settle_stream_schedules(connection, row.id, self._clock.now())
            return "Resumed."

        return await self._each(actor, "resume", connector_ids, one)

    async def _queue(self, connection: AsyncConnection, actor: Actor, row: Any, reason: Reason, if_running: IfRunning) -> str:
        busy = row.activity != Activity.IDLE
        blackout_ends = in_blackout(windows_from_text(row.blackout), self._clock.now())
        note = f" {BLACKOUT_NOTE.format(blackout_ends)}" if blackout_ends else ""
        if note and reason is Reason.SYNC_NOW and await self._start_held(connection, actor, row):
            return f"The sync that waited starts now.{note}"
        if busy and if_running is IfRunning.LEAVE:
            raise ConfigError("A sync runs or waits already; it was left as it is.")
        waiting = (
            await connection.execute(
                select(syncs.c.id).where(
                    OPEN_SYNC,
                    syncs.c.connector_id == row.id,
                    syncs.c.state == SyncState.CREATED,
                    syncs.c.cancel_requested_at.is_(None),
                    syncs.c.reason == reason,
                )
            )
        ).first()
        if waiting is not None:
            raise ConfigError("One is queued already; a second is not stacked on it.")
        if busy and if_running is IfRunning.RESTART:
            await lifecycle.ask_to_cancel(connection, f"{actor.name} (restart)", row.id, self._clock.now())
        await lifecycle.insert_sync(
            connection,
            connector_id=row.id,
            trigger=Trigger.MANUAL,
            reason=reason,
            requested_by=actor.name,
            now=self._clock.now(),
        )
        return f"Queued{' behind the running sync' if busy else ''}.{note}"

    async def _start_held(self, connection: AsyncConnection, actor: Actor, row: Any) -> bool:
        """Take the sync that a blackout holds back as the one that a person asks for; whether there was one."""
        waiting = await lifecycle.waiting_sync(connection, row.id) if row.activity == Activity.QUEUED else None
        if waiting is None or waiting.trigger != Trigger.SCHEDULED:
            return False
        values = {"trigger": Trigger.MANUAL, "reason": Reason.SYNC_NOW, "requested_by": actor.name, "streams": None}
        await connection.execute(update(syncs).where(syncs.c.id == waiting.id).values(**values))
        await take_due_streams(connection, row.id)
        await lifecycle.touch(connection, row.id, {"activity_reason": None, "due_since": None})
        return True


async def _require_complete(connection: AsyncConnection, row: Any) -> None:
    """Raises: ConfigError: where the set-up, or that of an end, cannot run."""
    reason = None
    if not row.configuration_complete:
        reason = row.incomplete_reason or "a required field is missing"
    else:
        for end, table, endpoint_id in (("source", sources, row.source_id), ("destination", destinations, row.destination_id)):
            statement = select(table.c.name, table.c.incomplete_reason).where(table.c.id == endpoint_id)
            found = (await connection.execute(statement)).first()
            if found is not None and found.incomplete_reason is not None:
                reason = f"its {end} {found.name!r} is unfinished: {found.incomplete_reason}"
    if reason is not None:
        raise ConfigError(f"Its set-up is incomplete: {reason}.", remedy="Complete it first.")
