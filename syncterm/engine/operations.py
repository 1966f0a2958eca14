"""What a person can do. Every operation names the role it needs, checks it, and writes the audit trail, also when it refuses.

Operations change the store and nothing else; the engine that holds the lease, in this process or another, acts on what it finds
there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import audit, lifecycle
from syncterm.engine.adapter_factory import AdapterFactory
from syncterm.engine.authorisation import may_manage, operation
from syncterm.engine.clock import Clock
from syncterm.engine.configuration import apply_document, export_document
from syncterm.engine.connection_test import test_connector
from syncterm.engine.document import Document
from syncterm.engine.document_plan import Plan
from syncterm.engine.errors import ConfigError, NotAllowedError
from syncterm.engine.events import EVERYTHING, Change, changed
from syncterm.engine.identifiers import new_id
from syncterm.engine.model import Activity, Actor, CheckReport, CheckStep, EndpointKind, PausedBy, Reason, Role, SyncState, Trigger
from syncterm.engine.operation_results import Deletion, IfRunning, OperationResult, Preview
from syncterm.engine.scheduler import next_fire_of
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import CHANGE_SEQUENCE, OPEN_SYNC, connectors, streams, syncs

UNDO_GRACE = timedelta(minutes=10)
"""How long a deletion can be undone."""


@dataclass
class _Deleted:
    until: datetime
    connector_ids: list[str] = field(default_factory=list)


class Operations:
    """The operations on one store.

    Args:
        told: awaited after each change, so that this process looks at the queue at once.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        adapters: AdapterFactory,
        told: Callable[[Change], Awaitable[None]],
    ) -> None:
        self._database = database
        self._clock = clock
        self._adapters = adapters
        self._told = told
        self._deletions: dict[str, _Deleted] = {}

    async def refuse(self, actor: Actor, name: str) -> None:
        """Record that an operation was refused."""
        async with self._database.write() as connection:
            await audit.record(
                connection, actor=actor, operation=name, object_type="connector", refused=True, now=self._clock.now()
            )

    # Running -----------------------------------------------------------------------------------------------------------------

    @operation(Role.USER)
    async def sync_now(
        self, actor: Actor, connector_ids: Sequence[str], *, if_running: IfRunning = IfRunning.LEAVE
    ) -> tuple[OperationResult, ...]:
        """Queue a manual sync of each connector."""

        async def one(connection: AsyncConnection, row: Any) -> str:
            self._require_complete(row)
            return await self._queue(connection, actor, row, Reason.SYNC_NOW, if_running)

        return await self._each(actor, "sync_now", connector_ids, one)

    @operation(Role.USER)
    async def historical_resync(self, actor: Actor, connector_ids: Sequence[str]) -> tuple[OperationResult, ...]:
        """Read everything again; readers of the destination see the old data until the new is complete."""

        async def one(connection: AsyncConnection, row: Any) -> str:
            self._require_complete(row)
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
            return "Resumed."

        return await self._each(actor, "resume", connector_ids, one)

    # Deleting ----------------------------------------------------------------------------------------------------------------

    @operation(Role.VIEWER)
    async def preview(self, actor: Actor, connector_ids: Sequence[str]) -> Preview:
        """What deleting or re-syncing these connectors would touch."""
        async with self._database.read() as connection:
            rows = (
                await connection.execute(
                    select(connectors)
                    .where(connectors.c.id.in_(connector_ids), connectors.c.deleted_at.is_(None))
                    .order_by(connectors.c.name)
                )
            ).all()
            targets = {(row.destination_id, row.collection) for row in rows}
            others = (
                await connection.execute(
                    select(connectors.c.name, connectors.c.destination_id, connectors.c.collection).where(
                        connectors.c.destination_id.in_({target for target, _ in targets}),
                        connectors.c.id.not_in(connector_ids),
                        connectors.c.deleted_at.is_(None),
                    )
                )
            ).all()
        durations = [row.last_duration_ms for row in rows if row.last_duration_ms is not None]
        return Preview(
            names=tuple(row.name for row in rows),
            running=tuple(row.name for row in rows if row.activity != Activity.IDLE),
            records=sum(row.last_records or 0 for row in rows),
            last_duration=timedelta(milliseconds=max(durations)) if durations else None,
            sharing=tuple(sorted(other.name for other in others if (other.destination_id, other.collection) in targets)),
        )

    @operation(Role.USER)
    async def delete(self, actor: Actor, connector_ids: Sequence[str]) -> Deletion:
        """Remove connectors; future syncs stop, what was synced stays in the destination. Can be undone for a while."""
        now = self._clock.now()

        async def one(connection: AsyncConnection, row: Any) -> str:
            await lifecycle.ask_to_cancel(connection, f"{actor.name} (deleted)", row.id, self._clock.now())
            await lifecycle.touch(
                connection, row.id, {"deleted_at": now, "deleted_by": actor.name, "next_fire_at": None, "due_since": None}
            )
            return "Deleted; its data stays in the destination."

        results = await self._each(actor, "delete", connector_ids, one)
        deletion = Deletion(new_id(now), now + UNDO_GRACE, results)
        self._deletions[deletion.token] = _Deleted(deletion.until, [result.connector_id for result in results if result.done])
        return deletion

    @operation(Role.USER)
    async def undo(self, actor: Actor, token: str) -> tuple[OperationResult, ...]:
        """Bring back what a deletion removed.

        Raises:
            ConfigError: where the time for it is over.
        """
        now = self._clock.now()
        deleted = self._deletions.pop(token, None)
        if deleted is None or deleted.until < now:
            raise ConfigError("This deletion cannot be undone any more.", remedy="Set the connectors up again.")

        async def one(connection: AsyncConnection, row: Any) -> str:
            taken = (
                await connection.execute(
                    select(connectors.c.id).where(connectors.c.name == row.name, connectors.c.deleted_at.is_(None))
                )
            ).first()
            if taken is not None:
                raise ConfigError(f"The name {row.name!r} was taken meanwhile.", remedy="Rename the other connector first.")
            due = next_fire_of(row, now) if row.configuration_complete and row.paused_by is None else None
            await lifecycle.touch(
                connection, row.id, {"deleted_at": None, "deleted_by": None, "next_fire_at": due, "listed_at": CHANGE_SEQUENCE}
            )
            return "Restored."

        return await self._each(actor, "undo", deleted.connector_ids, one, deleted=True)

    # Setting up --------------------------------------------------------------------------------------------------------------

    @operation(Role.USER)
    async def approve_schema(self, actor: Actor, connector_ids: Sequence[str]) -> tuple[OperationResult, ...]:
        """Accept what the source offers now as each connector's schema."""

        async def one(connection: AsyncConnection, row: Any) -> str:
            await connection.execute(update(streams).where(streams.c.connector_id == row.id).values(schema=None))
            await lifecycle.touch(connection, row.id, {"schema_change": None})
            return "Schema changes approved; the next sync reads with them."

        return await self._each(actor, "approve_schema", connector_ids, one)

    @operation(Role.USER)
    async def test_connection(
        self, actor: Actor, connector_id: str, on_step: Callable[[EndpointKind, CheckStep], None]
    ) -> CheckReport:
        """Test both ends of a connector, step by step; the result is kept with the connector.

        Args:
            on_step: called on the engine's loop with each step as it ends.
        """
        await self._permitted(actor, "test_connection", connector_id)
        report = await test_connector(self._database, self._clock, self._adapters, connector_id, on_step)
        async with self._database.write() as connection:
            name = (await connection.execute(select(connectors.c.name).where(connectors.c.id == connector_id))).scalar()
            await audit.record(
                connection,
                actor=actor,
                operation="test_connection",
                object_type="connector",
                object_id=connector_id,
                object_name=name,
                after={"result": report.result, "cause": report.cause},
                now=self._clock.now(),
            )
        await self._told(changed([connector_id]))
        return report

    @operation(Role.USER)
    async def apply(self, actor: Actor, document: Document, *, prune: bool = False, dry_run: bool = False) -> Plan:
        """Make the store what a document says; the plan of what was (or would be) done.

        Raises:
            ConfigError: naming the path; nothing was changed.
        """
        plan = await apply_document(
            self._database, self._clock, self._adapters.key_path, actor, document, prune=prune, dry_run=dry_run
        )
        if not dry_run:
            await self._told(EVERYTHING)
        return plan

    @operation(Role.USER)
    async def export(self, actor: Actor) -> Document:
        """All sources, destinations and connectors; `document.export` writes it without secrets."""
        return await export_document(self._database, self._adapters.key_path)

    # Shared ------------------------------------------------------------------------------------------------------------------

    async def _each(
        self,
        actor: Actor,
        name: str,
        connector_ids: Sequence[str],
        one: Callable[[AsyncConnection, Any], Awaitable[str]],
        *,
        deleted: bool = False,
    ) -> tuple[OperationResult, ...]:
        """Do `one` for each connector, in pieces; each done or refused with a message, each in the audit trail."""
        results: list[OperationResult] = []
        ids = list(dict.fromkeys(connector_ids))
        for start in range(0, len(ids), 100):
            async with self._database.write() as connection:
                for connector_id in ids[start : start + 100]:
                    results.append(await self._one(connection, actor, name, connector_id, one, deleted=deleted))
        order = name in ("delete", "undo")
        await self._told(changed((result.connector_id for result in results), order=order))
        return tuple(results)

    async def _one(
        self,
        connection: AsyncConnection,
        actor: Actor,
        name: str,
        connector_id: str,
        one: Callable[[AsyncConnection, Any], Awaitable[str]],
        *,
        deleted: bool,
    ) -> OperationResult:
        row = (await connection.execute(select(connectors).where(connectors.c.id == connector_id))).first()
        if row is None or (row.deleted_at is None) is deleted:
            return OperationResult(connector_id, connector_id, False, "It does not exist any more.")
        refused = not may_manage(actor, row.created_by)
        message = "It belongs to another user."
        done = False
        if not refused:
            try:
                message = await one(connection, row)
                done = True
            except ConfigError as error:
                message = str(error)
        if done or refused:
            await audit.record(
                connection,
                actor=actor,
                operation=name,
                object_type="connector",
                object_id=row.id,
                object_name=row.name,
                after={"result": message},
                refused=refused,
                now=self._clock.now(),
            )
        return OperationResult(row.id, row.name, done, message)

    async def _permitted(self, actor: Actor, name: str, connector_id: str) -> None:
        """Raises: NotAllowedError: where the connector belongs to somebody else. ConfigError: where there is none."""
        async with self._database.read() as connection:
            row = (
                await connection.execute(select(connectors.c.created_by, connectors.c.name).where(connectors.c.id == connector_id))
            ).first()
        if row is None:
            raise ConfigError(f"Connector {connector_id} does not exist any more.")
        if not may_manage(actor, row.created_by):
            await self.refuse(actor, name)
            raise NotAllowedError(f"Connector {row.name!r} belongs to another user.", remedy="Ask an administrator.")

    @staticmethod
    def _require_complete(row: Any) -> None:
        """Raises: ConfigError: where the set-up cannot run."""
        if not row.configuration_complete:
            raise ConfigError(
                f"Its set-up is incomplete: {row.incomplete_reason or 'a required field is missing'}.", remedy="Complete it first."
            )

    async def _queue(self, connection: AsyncConnection, actor: Actor, row: Any, reason: Reason, if_running: IfRunning) -> str:
        busy = row.activity != Activity.IDLE
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
        return "Queued behind the running sync." if busy else "Queued."
