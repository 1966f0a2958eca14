"""What is known about the credentials of a source or a destination, as syncs and tests find out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Table, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import CredentialsState
from syncterm.engine.store.tables import destinations, sources

TABLES: dict[str, Table] = {"source": sources, "destination": destinations}
"""End of a connector → its table."""


async def accepted(connection: AsyncConnection, end: str, endpoint_id: str, now: datetime) -> None:
    """The system took the credentials."""
    values = {
        "credentials": CredentialsState.OK,
        "credentials_ok_at": now,
        "credentials_error_class": None,
        "credentials_message": None,
    }
    await _note(connection, end, endpoint_id, now, values)


async def refused(connection: AsyncConnection, end: str, endpoint_id: str, now: datetime, message: str | None) -> None:
    """The system refused the credentials, and said why."""
    values = {
        "credentials": CredentialsState.REJECTED,
        "credentials_error_class": ErrorClass.AUTH,
        "credentials_message": message,
    }
    await _note(connection, end, endpoint_id, now, values)


async def _note(connection: AsyncConnection, end: str, endpoint_id: str, now: datetime, values: dict[str, Any]) -> None:
    table = TABLES[end]
    await connection.execute(update(table).where(table.c.id == endpoint_id).values(**values, credentials_at=now))
