"""What a person decides about changes of a source's schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import audit, schema_decisions
from syncterm.engine.authorisation import may_manage, operation
from syncterm.engine.errors import ConfigError
from syncterm.engine.events import changed
from syncterm.engine.model import Actor, ChangeState, Role
from syncterm.engine.operation_results import OperationResult
from syncterm.engine.operations.base import OperationsBase
from syncterm.engine.schema_change import sentence
from syncterm.engine.schema_history import read_difference
from syncterm.engine.store.tables import connectors, schema_changes

PIECE = 20
"""Changes that one write transaction decides on."""


class SchemaChangeOperations(OperationsBase):
    """Approving and rejecting what a source's schema became."""

    @operation(Role.USER)
    async def approve_schema(
        self, actor: Actor, connector_ids: Sequence[str], *, always: bool = False
    ) -> tuple[OperationResult, ...]:
        """Approve every change that waits for these connectors now; one result a connector.

        Args:
            always: from now on the policy applies such changes by itself.
        """
        return await self._decide_all(actor, connector_ids, approve=True, always=always)

    @operation(Role.USER)
    async def reject_schema(self, actor: Actor, connector_ids: Sequence[str]) -> tuple[OperationResult, ...]:
        """Keep the approved schemas of these connectors; one result a connector."""
        return await self._decide_all(actor, connector_ids, approve=False)

    @operation(Role.USER)
    async def approve_schema_changes(
        self, actor: Actor, change_ids: Sequence[int], *, always: bool = False
    ) -> tuple[OperationResult, ...]:
        """Approve exactly these changes, as they were shown; one result a change.

        Args:
            always: from now on the policy applies such changes by itself.
        """
        return await self._decide(actor, change_ids, approve=True, always=always)

    @operation(Role.USER)
    async def reject_schema_changes(self, actor: Actor, change_ids: Sequence[int]) -> tuple[OperationResult, ...]:
        """Keep the approved schema in place of these changes; one result a change."""
        return await self._decide(actor, change_ids, approve=False)

    async def _decide_all(
        self, actor: Actor, connector_ids: Sequence[str], *, approve: bool, always: bool = False
    ) -> tuple[OperationResult, ...]:
        results = []
        for connector_id in dict.fromkeys(connector_ids):
            async with self._database.read() as connection:
                name = (
                    await connection.execute(
                        select(connectors.c.name).where(connectors.c.id == connector_id, connectors.c.deleted_at.is_(None))
                    )
                ).scalar()
                waiting = schema_changes.c.state == ChangeState.WAITING
                mine = (schema_changes.c.connector_id == connector_id, waiting)
                ids = (await connection.execute(select(schema_changes.c.id).where(*mine).order_by(schema_changes.c.id))).scalars()
                waiting_ids = list(ids)
            if name is None:
                results.append(OperationResult(connector_id, connector_id, False, "It does not exist any more."))
            elif not waiting_ids:
                results.append(OperationResult(connector_id, name, False, "No schema change waits."))
            else:
                decided = await self._decide(actor, waiting_ids, approve=approve, always=always)
                message = " ".join(dict.fromkeys(result.message for result in decided))
                results.append(OperationResult(connector_id, name, all(result.done for result in decided), message))
        return tuple(results)

    async def _decide(
        self, actor: Actor, change_ids: Sequence[int], *, approve: bool, always: bool = False
    ) -> tuple[OperationResult, ...]:
        results: list[OperationResult] = []
        ids = list(dict.fromkeys(change_ids))
        for start in range(0, len(ids), PIECE):
            async with self._database.write() as connection:
                for change_id in ids[start : start + PIECE]:
                    results.append(await self._decide_one(connection, actor, change_id, approve=approve, always=always))
        await self._told(changed(result.connector_id for result in results))
        return tuple(results)

    async def _decide_one(
        self, connection: AsyncConnection, actor: Actor, change_id: int, *, approve: bool, always: bool
    ) -> OperationResult:
        change = (await connection.execute(select(schema_changes).where(schema_changes.c.id == change_id))).first()
        if change is None:
            return OperationResult("", str(change_id), False, "It does not exist any more.")
        connector = (await connection.execute(select(connectors).where(connectors.c.id == change.connector_id))).first()
        if connector is None or connector.deleted_at is not None:
            return OperationResult(change.connector_id, change.connector_id, False, "It does not exist any more.")
        refused = not may_manage(actor, connector.created_by)
        done, message = False, "It belongs to another user."
        if not refused:
            try:
                async with connection.begin_nested():
                    message = await self._act(connection, actor, connector, change, approve=approve, always=always)
                done = True
            except ConfigError as error:
                message = str(error)
        if done or refused:
            entries, _ = read_difference(change.difference)
            await audit.record(
                connection,
                actor=actor,
                operation="approve_schema" if approve else "reject_schema",
                object_type="connector",
                object_id=connector.id,
                object_name=connector.name,
                before={"stream": change.stream, "change": change.id, "difference": sentence(entries)},
                after={"result": message, **({"always": True} if always else {})},
                refused=refused,
                now=self._clock.now(),
            )
        return OperationResult(connector.id, connector.name, done, message)

    async def _act(
        self, connection: AsyncConnection, actor: Actor, connector: Row[Any], change: Row[Any], *, approve: bool, always: bool
    ) -> str:
        now = self._clock.now()
        if not approve:
            return await schema_decisions.reject(connection, connector, change, actor, now)
        said = await schema_decisions.approve(connection, connector, change, actor, now)
        return f"{said} {await schema_decisions.always(connection, connector, change)}" if always else said
