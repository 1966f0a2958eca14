"""Deleting connectors: what it would touch, the deletion, and its undoing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import lifecycle
from syncterm.engine.adapter_factory import AdapterFactory
from syncterm.engine.authorisation import operation
from syncterm.engine.clock import Clock
from syncterm.engine.due import next_fire_of
from syncterm.engine.errors import ConfigError
from syncterm.engine.events import Change
from syncterm.engine.identifiers import new_id
from syncterm.engine.model import Activity, Actor, Role
from syncterm.engine.operation_results import Deletion, OperationResult, Preview
from syncterm.engine.operations.base import OperationsBase
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import CHANGE_SEQUENCE, connectors
from syncterm.engine.stream_schedules import settle_stream_schedules

UNDO_GRACE = timedelta(minutes=10)
"""How long a deletion can be undone."""


@dataclass
class _Deleted:
    until: datetime
    connector_ids: list[str] = field(default_factory=list)


class DeletingOperations(OperationsBase):
    """What removes connectors, and brings them back."""

    def __init__(
        self, database: Database, clock: Clock, adapters: AdapterFactory, told: Callable[[Change], Awaitable[None]]
    ) -> None:
        super().__init__(database, clock, adapters, told)
        self._deletions: dict[str, _Deleted] = {}

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
            await settle_stream_schedules(connection, row.id, now)
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
            await settle_stream_schedules(connection, row.id, now)
            return "Restored."

        return await self._each(actor, "undo", deleted.connector_ids, one, deleted=True)
