"""The changes of its source's schema that a connector met, for people."""

from __future__ import annotations

import asyncio

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.model import ChangeState, SchemaPolicy
from syncterm.engine.queries.rows import SchemaChangeRow
from syncterm.engine.schema_history import read_difference
from syncterm.engine.store.tables import connectors, schema_changes, streams

_PIECE = 50
"""Changes that are read between two turns of the loop: a millisecond or two."""
_SHOWN = ("id", "stream", "found_at", "sync_id", "difference", "state", "blocking", "decided_at", "decided_by")
_WAITING = schema_changes.c.state == ChangeState.WAITING


async def schema_change_rows(connection: AsyncConnection, connector_id: str, limit: int) -> tuple[SchemaChangeRow, ...]:
    """The changes that wait, the oldest first, all of them; then the others, the newest first."""
    columns = schema_changes.c
    shown = [columns[name] for name in _SHOWN]
    of_stream = (streams.c.connector_id == columns.connector_id) & (streams.c.name == columns.stream)
    statement = (
        select(*shown, func.coalesce(streams.c.schema_policy, connectors.c.schema_policy).label("policy"))
        .join(connectors, connectors.c.id == columns.connector_id)
        .outerjoin(streams, of_stream)
        .where(columns.connector_id == connector_id)
    )
    waiting = (await connection.execute(statement.where(_WAITING).order_by(columns.id))).all()
    past = (await connection.execute(statement.where(~_WAITING).order_by(columns.id.desc()).limit(limit))).all()
    rows = []
    for number, row in enumerate((*waiting, *past), 1):
        if not number % _PIECE:
            await asyncio.sleep(0)
        entries, reason = read_difference(row.difference)
        rows.append(
            SchemaChangeRow(
                row.id,
                row.stream,
                row.found_at,
                row.sync_id,
                entries,
                ChangeState(row.state),
                row.blocking,
                reason,
                row.decided_at,
                row.decided_by,
                SchemaPolicy(row.policy),
            )
        )
    return tuple(rows)


async def waiting_count(connection: AsyncConnection, connector_id: str) -> int:
    """How many changes wait for a person."""
    statement = select(func.count()).where(schema_changes.c.connector_id == connector_id, _WAITING)
    count: int = (await connection.execute(statement)).scalar_one()
    return count
