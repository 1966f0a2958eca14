"""Configuration as code, on the store: reading what exists as a document, and applying a plan in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import audit, lifecycle
from syncterm.engine.adapters import DESTINATIONS_GROUP, SOURCES_GROUP
from syncterm.engine.authorisation import may_manage
from syncterm.engine.clock import Clock
from syncterm.engine.connector_setup import draft_of, schedule_of, stream_of
from syncterm.engine.connector_writing import write_connector
from syncterm.engine.document import ConnectorDocument, DestinationDocument, Document, SourceDocument
from syncterm.engine.document_config import fields_of
from syncterm.engine.document_plan import ChangeKind, ObjectChange, ObjectKind, Plan, plan
from syncterm.engine.drafts import ConnectorDraft
from syncterm.engine.endpoint_writing import open_config, write_endpoint
from syncterm.engine.errors import ConfigError, NotAllowedError
from syncterm.engine.key_store import load_keys
from syncterm.engine.model import Actor, EndpointKind, SchemaPolicy, StreamConfig
from syncterm.engine.secrets import unseal
from syncterm.engine.source_versions import fill_masked
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import connectors, destinations, sources, streams

_ENDPOINTS: Mapping[ObjectKind, tuple[Table, str]] = {
    ObjectKind.SOURCE: (sources, SOURCES_GROUP),
    ObjectKind.DESTINATION: (destinations, DESTINATIONS_GROUP),
}


async def export_document(database: Database, key_path: Path) -> Document:
    """What exists, as a document; secrets are unsealed, so it is for comparing and for `document.export`, which masks them."""
    async with database.read() as connection:
        return await _current(connection, key_path)


async def apply_document(
    database: Database,
    clock: Clock,
    key_path: Path,
    actor: Actor,
    document: Document,
    *,
    prune: bool = False,
    dry_run: bool = False,
) -> Plan:
    """Make the store what the document says, all of it or nothing.

    Raises:
        ConfigError: naming the path; nothing was changed.
        NotAllowedError: where a changed or deleted object belongs to somebody else.
    """
    if dry_run:
        return plan(document, await export_document(database, key_path), prune=prune)
    async with database.write() as connection:
        changes = plan(document, await _current(connection, key_path), prune=prune)
        applying = _Applying(connection, clock.now(), key_path, actor, document)
        for change in changes.changes:
            if change.kind is not ChangeKind.UNCHANGED:
                await applying.apply(change)
            elif change.object is ObjectKind.CONNECTOR:
                await applying.refresh(change)
    return changes


async def _current(connection: AsyncConnection, key_path: Path) -> Document:
    ends: dict[ObjectKind, dict[str, Any]] = {}
    names: dict[str, str] = {}
    for kind, (table, group) in _ENDPOINTS.items():
        rows = (await connection.execute(select(table).where(table.c.deleted_at.is_(None)).order_by(table.c.name))).all()
        made = SourceDocument if kind is ObjectKind.SOURCE else DestinationDocument
        ends[kind] = {}
        for row in rows:
            names[row.id] = row.name
            fields = fields_of(group, row.type) or frozenset()
            config = json.loads(row.config)
            ends[kind][row.name] = made(
                row.name, row.type, unseal(config, fields, row.id, load_keys(key_path)) if fields else config
            )
    found: dict[str, ConnectorDocument] = {}
    selected: dict[str, list[StreamConfig]] = {}
    for stream in (await connection.execute(select(streams).where(streams.c.selected).order_by(streams.c.position))).all():
        selected.setdefault(stream.connector_id, []).append(stream_of(stream))
    for row in (
        await connection.execute(select(connectors).where(connectors.c.deleted_at.is_(None)).order_by(connectors.c.name))
    ).all():
        found[row.name] = ConnectorDocument(
            name=row.name,
            source=names.get(row.source_id, ""),
            destination=names.get(row.destination_id, ""),
            streams=tuple(selected.get(row.id, ())),
            schedule=schedule_of(row),
            collection=row.collection,
            paused=row.paused_by is not None,
            schema_policy=SchemaPolicy(row.schema_policy),
            catch_up=row.catch_up,
            blackout=draft_of(row).blackout,
        )
    return Document(ends[ObjectKind.SOURCE], ends[ObjectKind.DESTINATION], found)


class _Applying:
    """One application of a plan, inside its transaction."""

    def __init__(self, connection: AsyncConnection, now: datetime, key_path: Path, actor: Actor, document: Document) -> None:
        self._connection = connection
        self._now = now
        self._key_path = key_path
        self._actor = actor
        self._document = document

    async def apply(self, change: ObjectChange) -> None:
        if change.object is ObjectKind.CONNECTOR:
            object_id = await self._connector(change)
        else:
            object_id = await self._endpoint(change)
        fields = {field.path: (field.before, field.after) for field in change.fields}
        await audit.record(
            self._connection,
            actor=self._actor,
            operation=f"apply: {change.kind}",
            object_type=change.object,
            object_id=object_id,
            object_name=change.name,
            before={path: before for path, (before, _) in fields.items()},
            after={path: after for path, (_, after) in fields.items()},
            now=self._now,
        )

    async def refresh(self, change: ObjectChange) -> None:
        """Let a connector that the document holds unchanged use its source as the document has it, where the actor may."""
        row = await self._row(connectors, change.name)
        source = await self._row(sources, self._document.connectors[change.name].source)
        if row.source_version in (None, source.version) or not may_manage(self._actor, row.created_by):
            return
        await lifecycle.touch(self._connection, row.id, {"source_version": source.version})
        await audit.record(
            self._connection,
            actor=self._actor,
            operation="apply: refresh",
            object_type="connector",
            object_id=row.id,
            object_name=row.name,
            before={"source_version": row.source_version},
            after={"source_version": source.version},
            now=self._now,
        )

    # Sources and destinations ------------------------------------------------------------------------------------------------

    async def _endpoint(self, change: ObjectChange) -> str:
        table, group = _ENDPOINTS[change.object]
        existing = await self._row(table, change.name)
        if change.kind is ChangeKind.DELETE:
            self._require_owner(existing, change)
            values = {"deleted_at": self._now, "deleted_by": self._actor.name}
            await self._connection.execute(update(table).where(table.c.id == existing.id).values(values))
            return str(existing.id)
        section = self._document.sources if change.object is ObjectKind.SOURCE else self._document.destinations
        wanted = section[change.name]
        kind = EndpointKind(change.object.value)
        config = dict(wanted.config)
        if existing is not None:
            self._require_owner(existing, change)
            stored = open_config(kind, existing, self._key_path)
            config, _ = fill_masked(config, stored, fields_of(group, wanted.type) or frozenset())  # the plan saw to the rest
        written = await write_endpoint(
            self._connection,
            kind,
            existing,
            name=wanted.name,
            type_=wanted.type,
            config=config,
            key_path=self._key_path,
            actor=self._actor,
            now=self._now,
        )
        return written.id

    # Connectors --------------------------------------------------------------------------------------------------------------

    async def _connector(self, change: ObjectChange) -> str:
        existing = await self._row(connectors, change.name)
        if change.kind is ChangeKind.DELETE:
            self._require_owner(existing, change)
            await lifecycle.touch(
                self._connection,
                existing.id,
                {"deleted_at": self._now, "deleted_by": self._actor.name, "next_fire_at": None, "due_since": None},
            )
            await lifecycle.ask_to_cancel(self._connection, f"{self._actor.name} (deleted)", existing.id, self._now)
            return str(existing.id)
        wanted = self._document.connectors[change.name]
        if existing is not None:
            self._require_owner(existing, change)
        source = await self._row(sources, wanted.source)
        destination = await self._row(destinations, wanted.destination)
        present = draft_of(existing) if existing is not None else ConnectorDraft()
        draft = ConnectorDraft(
            name=wanted.name,
            source_id=source.id,
            destination_id=destination.id,
            collection=wanted.collection,
            streams=wanted.streams,
            schedule=wanted.schedule,
            catch_up=wanted.catch_up if wanted.catch_up is not None else present.catch_up,
            schema_policy=wanted.schema_policy if wanted.schema_policy is not None else present.schema_policy,
            blackout=wanted.blackout if wanted.blackout is not None else present.blackout,
        )
        written = await write_connector(self._connection, draft, existing, self._actor, self._now, paused=wanted.paused)
        return written.id

    # Shared ------------------------------------------------------------------------------------------------------------------

    async def _row(self, table: Table, name: str) -> Any:
        return (await self._connection.execute(select(table).where(table.c.name == name, table.c.deleted_at.is_(None)))).first()

    def _require_owner(self, row: Any, change: ObjectChange) -> None:
        if row is None:
            raise ConfigError(f"The {change.object} {change.name!r} does not exist any more.", remedy="Apply the document again.")
        if not may_manage(self._actor, row.created_by):
            raise NotAllowedError(f"The {change.object} {change.name!r} belongs to another user.", remedy="Ask an administrator.")
