"""What a person decides about changes of a source's schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import lifecycle
from syncterm.engine.authorisation import operation
from syncterm.engine.model import Actor, Role
from syncterm.engine.operation_results import OperationResult
from syncterm.engine.operations.base import OperationsBase
from syncterm.engine.store.tables import streams


class SchemaChangeOperations(OperationsBase):
    """Approving what the source offers now."""

    @operation(Role.USER)
    async def approve_schema(self, actor: Actor, connector_ids: Sequence[str]) -> tuple[OperationResult, ...]:
        """Accept what the source offers now as each connector's schema."""

        async def one(connection: AsyncConnection, row: Any) -> str:
            await connection.execute(update(streams).where(streams.c.connector_id == row.id).values(schema=None))
            await lifecycle.touch(connection, row.id, {"schema_change": None})
            return "Schema changes approved; the next sync reads with them."

        return await self._each(actor, "approve_schema", connector_ids, one)
