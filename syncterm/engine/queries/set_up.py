"""What the editors of connectors read: the set-up as a draft, and what a source offers."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.connector_setup import draft_of, stream_of
from syncterm.engine.drafts import CatalogEntry, ConnectorDraft
from syncterm.engine.model import StreamConfig
from syncterm.engine.store.tables import catalog_streams, connectors, streams

_PIECE = 200
"""Rows that become objects at a time: a few milliseconds of the loop."""


async def connector_draft(connection: AsyncConnection, connector_id: str) -> ConnectorDraft | None:
    """A connector as its editors take it; None where there is none."""
    row = (
        await connection.execute(select(connectors).where(connectors.c.id == connector_id, connectors.c.deleted_at.is_(None)))
    ).first()
    if row is None:
        return None
    selected: list[StreamConfig] = []
    statement = (
        select(streams)
        .where(streams.c.connector_id == connector_id, streams.c.selected)
        .order_by(streams.c.position, streams.c.name)
        .limit(_PIECE)
    )
    while True:
        rows = (await connection.execute(statement.offset(len(selected)))).all()
        selected += map(stream_of, rows)
        if len(rows) < _PIECE:
            return draft_of(row, selected)


async def source_streams(connection: AsyncConnection, source_id: str) -> tuple[CatalogEntry, ...]:
    """What a source offered at its last discovery, in its order."""
    entries: list[CatalogEntry] = []
    statement = (
        select(catalog_streams.c.name, catalog_streams.c.column_count)
        .where(catalog_streams.c.source_id == source_id)
        .order_by(catalog_streams.c.position, catalog_streams.c.name)
    )
    for piece in (await connection.execute(statement)).partitions(_PIECE * 5):
        entries += [CatalogEntry(name, column_count) for name, column_count in piece]
    return tuple(entries)


async def shared_tables(
    connection: AsyncConnection, destination_id: str, collection: str, tables: Iterable[str], without: str | None
) -> tuple[tuple[str, str], ...]:
    """Tables of that collection that another connector fills, each with that connector's name.

    Args:
        without: the connector that asks.
    """
    wanted = {table.casefold(): table for table in tables}
    statement = (
        select(connectors.c.name, streams.c.target_table, streams.c.name)
        .join(streams, streams.c.connector_id == connectors.c.id)
        .where(
            connectors.c.destination_id == destination_id,
            connectors.c.collection == collection,
            connectors.c.deleted_at.is_(None),
            streams.c.selected,
        )
        .order_by(connectors.c.name)
    )
    if without is not None:
        statement = statement.where(connectors.c.id != without)
    found: dict[str, str] = {}
    for connector, table, stream in await connection.execute(statement):
        mine = wanted.get((table or stream).casefold())
        if mine is not None:
            found.setdefault(mine, connector)
    return tuple(found.items())
