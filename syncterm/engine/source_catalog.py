"""What a source offers, as the store keeps it: one row a stream, written only where it changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.schema import Catalog, StreamSchema, fingerprint
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import catalog_streams, sources

PIECE = 100
"""Streams that one write transaction takes: a few milliseconds of the loop."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """One stream, ready for the store."""

    name: str
    position: int
    fingerprint: str
    column_count: int
    schema: str


def catalog_rows(catalog: Catalog) -> tuple[CatalogRow, ...]:
    """The rows of a catalog. Thousands of streams take a while: call it in a thread."""
    return tuple(
        CatalogRow(stream.name, position, fingerprint(stream), len(stream.fields), stream.to_text())
        for position, stream in enumerate(catalog.streams)
    )


async def keep(database: Database, source_id: str, rows: Sequence[CatalogRow], now: datetime) -> None:
    """Make the store's catalog of a source these rows, in pieces; what did not change is not written."""
    async with database.read() as connection:
        known = {
            row.name: (row.position, row.fingerprint)
            for row in await connection.execute(
                select(catalog_streams.c.name, catalog_streams.c.position, catalog_streams.c.fingerprint).where(
                    catalog_streams.c.source_id == source_id
                )
            )
        }
    changed = [row for row in rows if known.pop(row.name, None) != (row.position, row.fingerprint)]
    for piece in _pieces(changed):
        async with database.write() as connection:
            await _put(connection, source_id, piece, now)
    for names in _pieces(known):
        async with database.write() as connection:
            await connection.execute(
                delete(catalog_streams).where(catalog_streams.c.source_id == source_id, catalog_streams.c.name.in_(names))
            )
    async with database.write() as connection:
        await connection.execute(update(sources).where(sources.c.id == source_id).values(catalog_at=now))


async def load_stream(connection: AsyncConnection, source_id: str, name: str) -> StreamSchema | None:
    """What the source offered under that name at its last discovery; None where it did not."""
    text = (
        await connection.execute(
            select(catalog_streams.c.schema).where(catalog_streams.c.source_id == source_id, catalog_streams.c.name == name)
        )
    ).scalar()
    return StreamSchema.from_text(text) if text is not None else None


async def _put(connection: AsyncConnection, source_id: str, rows: Sequence[CatalogRow], now: datetime) -> None:
    values: list[dict[str, Any]] = [
        {
            "source_id": source_id,
            "name": row.name,
            "position": row.position,
            "fingerprint": row.fingerprint,
            "column_count": row.column_count,
            "schema": row.schema,
            "found_at": now,
        }
        for row in rows
    ]
    statement = insert(catalog_streams)
    changed = {name: statement.excluded[name] for name in ("position", "fingerprint", "column_count", "schema")}
    await connection.execute(
        statement.on_conflict_do_update(index_elements=[catalog_streams.c.source_id, catalog_streams.c.name], set_=changed), values
    )


def _pieces(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while piece := list(islice(iterator, PIECE)):
        yield piece
