"""What the operations share: the store they change, who may, the audit trail, and telling the engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import audit
from syncterm.engine.adapter_factory import AdapterFactory
from syncterm.engine.authorisation import may_manage
from syncterm.engine.clock import Clock
from syncterm.engine.endpoint_writing import TABLES
from syncterm.engine.errors import ConfigError, NotAllowedError
from syncterm.engine.events import EVERYTHING, Change, changed
from syncterm.engine.model import Actor, EndpointKind
from syncterm.engine.operation_results import OperationResult
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import connectors


class OperationsBase:
    """The store behind the operations.

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

    async def refuse(self, actor: Actor, name: str) -> None:
        """Record that an operation was refused."""
        async with self._database.write() as connection:
            await audit.record(
                connection, actor=actor, operation=name, object_type="connector", refused=True, now=self._clock.now()
            )

    async def _each(
        self,
        actor: Actor,
        name: str,
        ids: Sequence[str],
        one: Callable[[AsyncConnection, Any], Awaitable[str]],
        *,
        deleted: bool = False,
        kind: EndpointKind | None = None,
    ) -> tuple[OperationResult, ...]:
        """Do `one` for each connector, in pieces; each done or refused with a message, each in the audit trail.

        Args:
            deleted: whether it is for those that are deleted, instead of those that are not.
            kind: sources or destinations instead of connectors.
        """
        results: list[OperationResult] = []
        ids = list(dict.fromkeys(ids))
        for start in range(0, len(ids), 100):
            async with self._database.write() as connection:
                for object_id in ids[start : start + 100]:
                    results.append(await self._one(connection, actor, name, object_id, one, deleted=deleted, kind=kind))
        order = name in ("delete", "undo")
        await self._told(changed((result.connector_id for result in results), order=order) if kind is None else EVERYTHING)
        return tuple(results)

    async def _one(
        self,
        connection: AsyncConnection,
        actor: Actor,
        name: str,
        object_id: str,
        one: Callable[[AsyncConnection, Any], Awaitable[str]],
        *,
        deleted: bool,
        kind: EndpointKind | None,
    ) -> OperationResult:
        table = connectors if kind is None else TABLES[kind]
        row = (await connection.execute(select(table).where(table.c.id == object_id))).first()
        if row is None or (row.deleted_at is None) is deleted:
            return OperationResult(object_id, object_id, False, "It does not exist any more.")
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
                object_type=kind or "connector",
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
