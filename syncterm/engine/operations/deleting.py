"""Deleting connectors, sources and destinations: what it would touch, the deletion, and its undoing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import lifecycle
from syncterm.engine.adapter_factory import AdapterFactory
from syncterm.engine.authorisation import operation
from syncterm.engine.clock import Clock
from syncterm.engine.due import next_fire_of
from syncterm.engine.endpoint_writing import TABLES, USED_BY
from syncterm.engine.errors import ConfigError
from syncterm.engine.events import Change
from syncterm.engine.identifiers import new_id
from syncterm.engine.model import Activity, Actor, EndpointKind, Role
from syncterm.engine.operation_results import Deletion, OperationResult, Preview
from syncterm.engine.operations.base import OperationsBase
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import CHANGE_SEQUENCE, LIVE_CONNECTOR, connectors
from syncterm.engine.stream_schedules import settle_stream_schedules

UNDO_GRACE = timedelta(minutes=10)
"""How long a deletion can be undone."""
_NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Deleted:
    until: datetime
    kind: EndpointKind | None
    """None: connectors."""
    ids: tuple[str, ...]


class DeletingOperations(OperationsBase):
    """What removes connectors, sources and destinations, and brings them back."""

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

        return self._deletion(None, now, await self._each(actor, "delete", connector_ids, one))

    @operation(Role.USER)
    async def delete_endpoints(self, actor: Actor, kind: EndpointKind, ids: Sequence[str]) -> Deletion:
        """Remove sources or destinations that no connector uses. Can be undone for a while."""
        now = self._clock.now()
        table = TABLES[kind]

        async def one(connection: AsyncConnection, row: Any) -> str:
            uses = select(connectors.c.name).where(LIVE_CONNECTOR, USED_BY[kind] == row.id).order_by(func.lower(connectors.c.name))
            names = [use.name for use in await connection.execute(uses)]
            if names:
                shown = ", ".join(repr(name) for name in names[:_NAMES_SHOWN])
                more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
                many = "1 connector uses it" if len(names) == 1 else f"{len(names):,} connectors use it"
                raise ConfigError(f"{many}: {shown}{more}.", remedy="Delete them, or give them another one, first.")
            values = {"deleted_at": now, "deleted_by": actor.name}
            await connection.execute(update(table).where(table.c.id == row.id).values(values))
            return "Deleted; nothing in the system itself was touched."

        return self._deletion(kind, now, await self._each(actor, "delete_endpoints", ids, one, kind=kind))

    def _deletion(self, kind: EndpointKind | None, now: datetime, results: tuple[OperationResult, ...]) -> Deletion:
        deletion = Deletion(new_id(now), now + UNDO_GRACE, results)
        ids = tuple(result.connector_id for result in results if result.done)
        self._deletions[deletion.token] = _Deleted(deletion.until, kind, ids)
        return deletion

    @operation(Role.USER)
    async def undo(self, actor: Actor, token: str) -> tuple[OperationResult, ...]:
        """Bring back what a deletion removed; what cannot be now, with a later call.

        Raises:
            ConfigError: where the time for it is over.
        """
        now = self._clock.now()
        deleted = self._deletions.pop(token, None)
        if deleted is None or deleted.until < now:
            raise ConfigError("This deletion cannot be undone any more.", remedy="Set up again what it removed.")
        kind = deleted.kind

        async def one(connection: AsyncConnection, row: Any) -> str:
            table = connectors if kind is None else TABLES[kind]
            taken = await connection.execute(select(table.c.id).where(table.c.name == row.name, table.c.deleted_at.is_(None)))
            if taken.first() is not None:
                raise ConfigError(
                    f"The name {row.name!r} was taken meanwhile.", remedy=f"Rename the other {kind or 'connector'} first."
                )
            if kind is not None:
                await connection.execute(update(table).where(table.c.id == row.id).values(deleted_at=None, deleted_by=None))
                return "Restored."
            for end in EndpointKind:
                ends, own = TABLES[end], getattr(row, USED_BY[end].name)
                gone = await connection.execute(select(ends.c.name).where(ends.c.id == own, ends.c.deleted_at.is_not(None)))
                if (name := gone.scalar()) is not None:
                    raise ConfigError(f"Its {end} {name!r} was deleted meanwhile.", remedy=f"Bring the {end} back first.")
            due = next_fire_of(row, now) if row.configuration_complete and row.paused_by is None else None
            await lifecycle.touch(
                connection, row.id, {"deleted_at": None, "deleted_by": None, "next_fire_at": due, "listed_at": CHANGE_SEQUENCE}
            )
            await settle_stream_schedules(connection, row.id, now)
            return "Restored."

        results = await self._each(actor, "undo", deleted.ids, one, deleted=True, kind=kind)
        left = tuple(result.connector_id for result in results if not result.done)
        if left:  # what stood in the way can be mended
            self._deletions[token] = replace(deleted, ids=left)
        return results
