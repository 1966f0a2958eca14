"""Configuration as code, on the store: reading what exists as a document, and applying a plan in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import audit, lifecycle
from syncterm.engine.adapters import DESTINATIONS_GROUP, SOURCES_GROUP
from syncterm.engine.authorisation import may_manage
from syncterm.engine.clock import Clock
from syncterm.engine.connector_setup import anchor_of, schedule_of, stream_of
from syncterm.engine.document import ConnectorDocument, DestinationDocument, Document, SourceDocument
from syncterm.engine.document_config import fields_of
from syncterm.engine.document_plan import ChangeKind, ObjectChange, ObjectKind, Plan, plan
from syncterm.engine.errors import ConfigError, NotAllowedError
from syncterm.engine.identifiers import new_id
from syncterm.engine.model import Actor, PausedBy, Schedule, SchemaPolicy, StreamConfig, SyncMode
from syncterm.engine.redaction import MASK
from syncterm.engine.schedule import next_fire, spread_offset
from syncterm.engine.secrets import load_keys, seal, unseal
from syncterm.engine.sources.base import source_class
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import CHANGE_SEQUENCE, connectors, destinations, sources, streams

_MILLISECOND = timedelta(milliseconds=1)
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
        change_order = (change for change in changes.changes if change.kind is not ChangeKind.UNCHANGED)
        applying = _Applying(connection, clock.now(), key_path, actor, document)
        for change in change_order:
            await applying.apply(change)
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
        )
    return Document(ends[ObjectKind.SOURCE], ends[ObjectKind.DESTINATION], found)


def incompleteness(connector: ConnectorDocument) -> str | None:
    """What a connector lacks before it can run; None where it is complete."""
    if not connector.streams:
        return "no stream is selected"
    for stream in connector.streams:
        if stream.sync_mode.incremental and not stream.cursor_field:
            return f"stream {stream.name} is incremental and has no cursor column"
        if stream.sync_mode is SyncMode.INCREMENTAL_UPSERT and not stream.primary_key:
            return f"stream {stream.name} is upserted and has no primary key"
    return None


def _check_filters(connector: ConnectorDocument, source_type: str) -> None:
    """Raises: ConfigError: where a stream has a row filter that the source cannot apply."""
    if source_class(source_type).capabilities.row_filter:
        return
    for stream in connector.streams:
        if stream.row_filter:
            raise ConfigError(
                f"connectors.{connector.name}.streams.{stream.name}.row_filter: a source of type {source_type} cannot apply it.",
                remedy="Take the row filter out, or filter in a view of the source.",
            )


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

    # Sources and destinations ------------------------------------------------------------------------------------------------

    async def _endpoint(self, change: ObjectChange) -> str:
        table, group = _ENDPOINTS[change.object]
        existing = await self._row(table, change.name)
        if change.kind is ChangeKind.DELETE:
            self._require_owner(existing, change)
            await self._connection.execute(update(table).where(table.c.id == existing.id).values(deleted_at=self._now))
            return str(existing.id)
        section = self._document.sources if change.object is ObjectKind.SOURCE else self._document.destinations
        wanted = section[change.name]
        fields = fields_of(group, wanted.type) or frozenset()
        endpoint_id = existing.id if existing is not None else new_id(self._now)
        config = dict(wanted.config)
        if existing is not None:
            self._require_owner(existing, change)
            stored = unseal(json.loads(existing.config), fields, existing.id, load_keys(self._key_path)) if fields else {}
            config = _keep_masked(config, stored)
        sealed = seal(config, fields, endpoint_id, load_keys(self._key_path)) if fields else config
        values = {"config": json.dumps(sealed), "updated_at": self._now}
        if existing is None:
            await self._connection.execute(
                insert(table).values(
                    id=endpoint_id,
                    name=wanted.name,
                    type=wanted.type,
                    version=1,
                    credentials="never_tested",
                    created_at=self._now,
                    created_by=self._actor.name,
                    **values,
                )
            )
        else:
            await self._connection.execute(
                update(table).where(table.c.id == endpoint_id).values(version=table.c.version + 1, **values)
            )
        return str(endpoint_id)

    # Connectors --------------------------------------------------------------------------------------------------------------

    async def _connector(self, change: ObjectChange) -> str:
        existing = await self._row(connectors, change.name)
        if change.kind is ChangeKind.DELETE:
            self._require_owner(existing, change)
            await self._touch(
                existing.id, {"deleted_at": self._now, "deleted_by": self._actor.name, "next_fire_at": None, "due_since": None}
            )
            await lifecycle.ask_to_cancel(self._connection, f"{self._actor.name} (deleted)", existing.id, self._now)
            return str(existing.id)
        wanted = self._document.connectors[change.name]
        if existing is not None:
            self._require_owner(existing, change)
        connector_id = existing.id if existing is not None else new_id(self._now)
        source = await self._row(sources, wanted.source)
        destination = await self._row(destinations, wanted.destination)
        _check_filters(wanted, source.type)
        incomplete = incompleteness(wanted)
        values: dict[str, Any] = {
            "source_id": source.id,
            "destination_id": destination.id,
            "source_version": source.version,
            "collection": wanted.collection,
            "configuration_complete": incomplete is None,
            "incomplete_reason": incomplete,
            "updated_at": self._now,
            **self._pause_values(wanted, existing),
        }
        if wanted.schema_policy is not None:
            values["schema_policy"] = wanted.schema_policy
        if wanted.catch_up is not None:
            values["catch_up"] = wanted.catch_up
        values |= self._schedule_values(connector_id, wanted.schedule, existing)
        paused = values.get("paused_by", existing.paused_by if existing is not None else None)
        values["next_fire_at"] = self._next_fire(wanted.schedule, values, existing) if incomplete is None and not paused else None
        if existing is None:
            await self._connection.execute(
                insert(connectors).values(
                    id=connector_id,
                    name=wanted.name,
                    created_at=self._now,
                    created_by=self._actor.name,
                    changed_at=CHANGE_SEQUENCE,
                    **values,
                )
            )
        else:
            await self._touch(connector_id, {**values, "version": connectors.c.version + 1})
            if values.get("paused_by") is not None:
                await lifecycle.ask_to_cancel(self._connection, f"{self._actor.name} (paused)", connector_id, self._now)
        await self._streams(connector_id, wanted.streams)
        return str(connector_id)

    def _pause_values(self, wanted: ConnectorDocument, existing: Any) -> dict[str, Any]:
        paused = existing is not None and existing.paused_by is not None
        if wanted.paused is None or wanted.paused == paused:
            return {}
        if not wanted.paused:
            return {"paused_by": None, "paused_reason": None, "paused_at": None}
        return {
            "paused_by": PausedBy.PERSON,
            "paused_reason": f"Paused by {self._actor.name}.",
            "paused_at": self._now,
            "due_since": None,
        }

    def _schedule_values(self, connector_id: str, wanted: Schedule, existing: Any) -> dict[str, Any]:
        """The columns of a schedule that changed: it counts from now, spread by the connector's stable offset."""
        if existing is not None and schedule_of(existing) == wanted:
            return {}
        offset = spread_offset(connector_id, wanted.every) if wanted.every is not None else timedelta()
        return {
            "schedule_kind": wanted.kind,
            "schedule_every_ms": wanted.every // _MILLISECOND if wanted.every is not None else None,
            "schedule_expression": wanted.expression,
            "schedule_timezone": wanted.timezone,
            "anchor_at": self._now,
            "offset_ms": offset // _MILLISECOND,
        }

    def _next_fire(self, schedule: Schedule, values: Mapping[str, Any], existing: Any) -> datetime | None:
        if existing is not None and "anchor_at" not in values and existing.next_fire_at is not None:
            due: datetime = existing.next_fire_at
            return due
        anchor = values["anchor_at"] if "anchor_at" in values else anchor_of(existing)
        offset_ms = values.get("offset_ms", existing.offset_ms if existing is not None else 0)
        return next_fire(schedule, self._now, anchor=anchor, offset=timedelta(milliseconds=offset_ms))

    async def _streams(self, connector_id: str, wanted: tuple[StreamConfig, ...]) -> None:
        """Select exactly these streams; what is remembered of a stream that stays (schema, cursor) stays."""
        known = {
            row.name: row
            for row in (await self._connection.execute(select(streams).where(streams.c.connector_id == connector_id))).all()
        }
        for position, stream in enumerate(wanted):
            values = {
                "position": position,
                "selected": True,
                "sync_mode": stream.sync_mode,
                "primary_key": json.dumps(list(stream.primary_key)),
                "cursor_field": stream.cursor_field,
                "columns": json.dumps(list(stream.columns)) if stream.columns is not None else None,
                "casts": json.dumps(dict(stream.casts)),
                "row_filter": stream.row_filter,
                "include_null_cursor": stream.include_null_cursor,
                "look_back_ms": stream.look_back // _MILLISECOND if stream.look_back is not None else None,
                "target_table": stream.table,
            }
            row = known.pop(stream.name, None)
            if row is None:
                await self._connection.execute(insert(streams).values(connector_id=connector_id, name=stream.name, **values))
                continue
            other_cursor = row.cursor is not None and row.cursor_field != stream.cursor_field
            held_already = row.sync_mode == SyncMode.REPLACE and stream.sync_mode is SyncMode.INCREMENTAL_APPEND
            if other_cursor or held_already:  # going on, or from the beginning, would leave out or repeat rows
                values["resync_requested"] = True
            await self._connection.execute(
                update(streams).where(streams.c.connector_id == connector_id, streams.c.name == stream.name).values(**values)
            )
        if known:
            await self._connection.execute(
                delete(streams).where(streams.c.connector_id == connector_id, streams.c.name.in_(list(known)))
            )

    # Shared ------------------------------------------------------------------------------------------------------------------

    async def _touch(self, connector_id: str, values: Mapping[str, Any]) -> None:
        await self._connection.execute(
            update(connectors).where(connectors.c.id == connector_id).values(**values, changed_at=CHANGE_SEQUENCE)
        )

    async def _row(self, table: Table, name: str) -> Any:
        return (await self._connection.execute(select(table).where(table.c.name == name, table.c.deleted_at.is_(None)))).first()

    def _require_owner(self, row: Any, change: ObjectChange) -> None:
        if row is None:
            raise ConfigError(f"The {change.object} {change.name!r} does not exist any more.", remedy="Apply the document again.")
        if not may_manage(self._actor, row.created_by):
            raise NotAllowedError(f"The {change.object} {change.name!r} belongs to another user.", remedy="Ask an administrator.")


def _keep_masked(config: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with the stored secret wherever it says `***`."""
    kept: dict[str, Any] = {}
    for key, value in config.items():
        if value == MASK:
            kept[key] = stored.get(key)
        elif isinstance(value, Mapping) and isinstance(stored.get(key), Mapping):
            kept[key] = _keep_masked(value, stored[key])
        else:
            kept[key] = value
    return kept
