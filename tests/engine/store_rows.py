"""Rows for tests of what reads the store: sources, destinations, connectors and syncs with the values that matter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.identifiers import new_id
from syncterm.engine.store.tables import connectors, destinations, sources, syncs

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(days=30)


async def add_source(connection: AsyncConnection, name: str = "source", **values: Any) -> str:
    return await _add_endpoint(connection, sources, name, values)


async def add_destination(connection: AsyncConnection, name: str = "destination", **values: Any) -> str:
    return await _add_endpoint(connection, destinations, name, values)


async def _add_endpoint(connection: AsyncConnection, table: Any, name: str, values: dict[str, Any]) -> str:
    id_ = new_id(BEFORE)
    row = {
        "id": id_,
        "name": name,
        "type": "sqlite",
        "config": "{}",
        "credentials": "ok",
        "credentials_ok_at": BEFORE,
        "created_at": BEFORE,
        "created_by": "ada",
        "updated_at": BEFORE,
    }
    await connection.execute(insert(table).values(row | values))
    return id_


async def add_connector(connection: AsyncConnection, name: str, **values: Any) -> str:
    row = {
        "id": new_id(BEFORE),
        "name": name,
        "created_at": BEFORE,
        "created_by": "ada",
        "updated_at": BEFORE,
        "configuration_complete": True,
    } | values
    await connection.execute(insert(connectors).values(row))
    return str(row["id"])


async def add_sync(connection: AsyncConnection, connector_id: str, at: datetime, **values: Any) -> str:
    """A sync created at that instant; finished, with success, a second later, unless said otherwise."""
    row = {
        "id": new_id(at),
        "connector_id": connector_id,
        "trigger": "scheduled",
        "reason": "schedule",
        "requested_by": "schedule",
        "state": "completed",
        "created_at": at,
        "started_at": at,
        "finished_at": at + timedelta(seconds=1),
        "duration_ms": 1000,
        "outcome": "success",
        "attempt": 1,
    } | values
    await connection.execute(insert(syncs).values(row))
    return str(row["id"])
