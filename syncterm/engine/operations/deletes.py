"""What a person decides about records that are gone in a source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import lifecycle
from syncterm.engine.authorisation import operation
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import Actor, Role
from syncterm.engine.operation_results import OperationResult
from syncterm.engine.operations.base import OperationsBase
from syncterm.engine.store.tables import streams

_NAMED = 3


class DeleteOperations(OperationsBase):
    """Approving deletes that are more than the guard allows."""

    @operation(Role.USER)
    async def approve_deletes(self, actor: Actor, connector_ids: Sequence[str]) -> tuple[OperationResult, ...]:
        """Let the next sync of each connector delete what its last one withheld; of more, only what the guard allows."""

        async def one(connection: AsyncConnection, row: Any) -> str:
            waiting = (streams.c.connector_id == row.id, streams.c.selected, streams.c.deletes_withheld.isnot(None))
            columns = (streams.c.name, streams.c.deletes_withheld)
            found = (await connection.execute(select(*columns).where(*waiting).order_by(streams.c.position))).all()
            if not found:
                raise ConfigError("No deletes wait for approval.")
            await connection.execute(update(streams).where(*waiting).values(deletes_approved=streams.c.deletes_withheld))
            await lifecycle.touch(connection, row.id, {})
            named = ", ".join(f"{stream.deletes_withheld:,} of {stream.name}" for stream in found[:_NAMED])
            more = f" and of {len(found) - _NAMED:,} more streams" if len(found) > _NAMED else ""
            return f"The next sync may delete {named}{more}."

        return await self._each(actor, "approve_deletes", connector_ids, one)
