"""The streams of one connector for its Schema tab: a list of thousands without columns, the columns of one, a search in all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import source_catalog
from syncterm.engine.connector_setup import draft_of, stream_of
from syncterm.engine.drafts import CatalogEntry, ConnectorDraft
from syncterm.engine.queries.set_up import source_streams
from syncterm.engine.schema import StreamSchema
from syncterm.engine.store.tables import catalog_streams, connectors, streams, sync_streams, syncs
from syncterm.engine.stored_streams import StoredStreams
from syncterm.engine.stream_defaults import Suggestion, suggest_from_document

PIECE = 200
"""Rows that are looked at between two turns of the loop: a millisecond or two."""

_SET_UP = (
    "name",
    "sync_mode",
    "primary_key",
    "cursor_field",
    "columns",
    "casts",
    "row_filter",
    "include_null_cursor",
    "look_back_ms",
    "target_table",
    "delete_handling",
    "schema_policy",
    "schedule_kind",
    "schedule_every_ms",
    "schedule_expression",
    "schedule_timezone",
)
"""What the set-up of a stream is made of."""
_columns = (
    *(streams.c[name] for name in _SET_UP),
    streams.c.selected,
    func.json_extract(streams.c.cursor, "$.value").label("reached"),
    streams.c.resync_requested,
    streams.c.deletes_withheld,
)


@dataclass(frozen=True, slots=True)
class ConnectorStreams:
    """A connector's streams as an editor takes them."""

    draft: ConnectorDraft
    """What is saved, without streams."""
    saved: StoredStreams
    """The selected streams, in their order."""
    unselected: StoredStreams
    """Set-ups that are kept of streams that are not selected."""
    entries: tuple[CatalogEntry, ...]
    """What the source offered at its last discovery."""
    applied: tuple[CatalogEntry, ...]
    """Streams with a set-up that the source's catalog does not have, with the columns they were last synced with."""
    cursors: Mapping[str, str]
    """Stream → how far it has been read, as the source wrote it; those that have been."""
    resyncs: frozenset[str]
    """Streams of which everything is read again at the next sync."""
    withheld: Mapping[str, int]
    """Stream → how many records are gone from the source whose deletes wait for approval."""
    fingerprint: str
    """Differs where the columns of any stream do."""


async def connector_streams(connection: AsyncConnection, connector_id: str) -> ConnectorStreams | None:
    """See `Queries.connector_streams`."""
    statement = select(connectors).where(connectors.c.id == connector_id, connectors.c.deleted_at.is_(None))
    row = (await connection.execute(statement)).first()
    if row is None:
        return None
    draft = draft_of(row)
    entries = await source_streams(connection, draft.source_id) if draft.source_id is not None else ()
    listed = await _listed(connection, connector_id, {entry.name for entry in entries})
    in_catalog = select(catalog_streams.c.name).where(catalog_streams.c.source_id == draft.source_id)
    others = select(streams.c.name, func.json_array_length(streams.c.schema, "$.fields")).where(
        streams.c.connector_id == connector_id, streams.c.schema.is_not(None), streams.c.name.not_in(in_catalog)
    )
    of_streams = select(func.group_concat(streams.c.schema_fingerprint)).where(streams.c.connector_id == connector_id)
    of_catalog = select(func.group_concat(catalog_streams.c.fingerprint)).where(catalog_streams.c.source_id == draft.source_id)
    fingerprint = f"{(await connection.execute(of_streams)).scalar()} {(await connection.execute(of_catalog)).scalar()}"
    applied = tuple(CatalogEntry(name, columns) for name, columns in await connection.execute(others))
    return ConnectorStreams(draft, **listed, entries=entries, applied=applied, fingerprint=fingerprint)


async def _listed(connection: AsyncConnection, connector_id: str, offered: Collection[str]) -> dict[str, Any]:
    """What `ConnectorStreams` says of the streams that the connector has a set-up of. Of a row nothing is parsed here.

    Streams of an earlier source are remembered only to be read anew where this one offers them, too.
    """
    kept: tuple[dict[str, Any], dict[str, Any]] = {}, {}
    cursors: dict[str, str] = {}
    resyncs: set[str] = set()
    withheld: dict[str, int] = {}
    statement = select(*_columns).where(streams.c.connector_id == connector_id).order_by(streams.c.position)
    for piece in (await connection.execute(statement)).partitions(PIECE):
        for row in piece:
            name = row[0]
            *_, selected, reached, resync, deletes = row
            if resync and not selected and name not in offered:
                continue
            kept[selected][name] = row
            if reached is not None:
                cursors[name] = str(reached)
            if resync:
                resyncs.add(name)
            if deletes:
                withheld[name] = deletes
        await asyncio.sleep(0)
    unselected, saved = (StoredStreams(rows, stream_of, len(_SET_UP)) for rows in kept)
    return {
        "saved": saved,
        "unselected": unselected,
        "cursors": cursors,
        "resyncs": frozenset(resyncs),
        "withheld": withheld,
    }


async def stream_counts(connection: AsyncConnection, connector_id: str) -> tuple[int, int]:
    """How many streams a connector syncs, and of how many it has a set-up."""
    statement = select(
        func.count().filter(streams.c.selected), func.count().filter(streams.c.selected | ~streams.c.resync_requested)
    ).where(streams.c.connector_id == connector_id)
    selected, total = (await connection.execute(statement)).one()
    return selected, total


async def stream_schema(connection: AsyncConnection, connector_id: str, name: str) -> StreamSchema | None:
    """See `Queries.stream_schema`."""
    applied = select(streams.c.schema).where(streams.c.connector_id == connector_id, streams.c.name == name)
    text = (await connection.execute(applied)).scalar()
    if text is None:
        source_id = (await connection.execute(select(connectors.c.source_id).where(connectors.c.id == connector_id))).scalar()
        return await source_catalog.load_stream(connection, source_id, name) if source_id is not None else None
    # 10,000 columns take a while to read.
    return await asyncio.to_thread(StreamSchema.from_text, text) if len(text) > _LONG_TEXT else StreamSchema.from_text(text)


_LONG_TEXT = 10_000  # characters: about 2 ms


async def stream_suggestions(connection: AsyncConnection, source_id: str) -> Mapping[str, Suggestion]:
    """See `Queries.stream_suggestions`."""
    statement = select(catalog_streams.c.name, catalog_streams.c.schema).where(catalog_streams.c.source_id == source_id)
    found: dict[str, Suggestion] = {}
    for piece in (await connection.execute(statement)).partitions(PIECE):
        found |= await asyncio.to_thread(_suggestions, [(name, text) for name, text in piece])
    return found


def _suggestions(piece: Iterable[tuple[str, str]]) -> dict[str, Suggestion]:
    return {name: suggest_from_document(json.loads(text)) for name, text in piece}


async def stream_volumes(connection: AsyncConnection, connector_id: str, names: Collection[str]) -> dict[str, tuple[int, int]]:
    """See `Queries.stream_volumes`."""
    latest = (
        select(syncs.c.id)
        .where(syncs.c.connector_id == connector_id, syncs.c.records_read > 0)
        .order_by(syncs.c.created_at.desc())
        .limit(_LATEST_SYNCS)
    )
    statement = (
        select(sync_streams.c.stream, func.max(sync_streams.c.records_read), func.max(sync_streams.c.bytes))
        .where(sync_streams.c.sync_id.in_(latest))
        .group_by(sync_streams.c.stream)
    )
    if len(names) <= PIECE:
        statement = statement.where(sync_streams.c.stream.in_(names))
    rows = await connection.execute(statement)
    return {stream: (records, size) for stream, records, size in rows if records and stream in names}


_LATEST_SYNCS = 20


async def streams_with_column(connection: AsyncConnection, connector_id: str, text: str) -> frozenset[str]:
    """See `Queries.streams_with_column`."""
    source_id = (await connection.execute(select(connectors.c.source_id).where(connectors.c.id == connector_id))).scalar()
    # The text as JSON spells it; whether it is in a name is looked at then.
    spelled = json.dumps(text)[1:-1]
    applied = select(streams.c.name, streams.c.schema).where(
        streams.c.connector_id == connector_id, streams.c.schema.icontains(spelled, autoescape=True)
    )
    return await _with_column(connection, (_offered_with(source_id, spelled), applied), text)


async def source_streams_with_column(connection: AsyncConnection, source_id: str, text: str) -> frozenset[str]:
    """See `Queries.source_streams_with_column`."""
    return await _with_column(connection, (_offered_with(source_id, json.dumps(text)[1:-1]),), text)


def _offered_with(source_id: str | None, spelled: str) -> Select[Any]:
    return select(catalog_streams.c.name, catalog_streams.c.schema).where(
        catalog_streams.c.source_id == source_id, catalog_streams.c.schema.icontains(spelled, autoescape=True)
    )


async def _with_column(connection: AsyncConnection, statements: Iterable[Select[Any]], text: str) -> frozenset[str]:
    found: set[str] = set()
    for statement in statements:
        for piece in (await connection.execute(statement)).partitions(PIECE):
            found |= await asyncio.to_thread(_having, [(name, schema) for name, schema in piece], text.casefold())
    return frozenset(found)


def _having(piece: Iterable[tuple[str, str]], needle: str) -> set[str]:
    return {
        name
        for name, text in piece
        if any(
            needle in part.casefold() for column, type_, _, native in json.loads(text)["fields"] for part in (column, type_, native)
        )
    }
