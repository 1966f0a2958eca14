"""A connector's set-up as the store keeps it, read whole for one sync or one test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.adapters import SOURCES_GROUP
from syncterm.engine.blackout import windows_from_text
from syncterm.engine.drafts import ConnectorDraft
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import DeleteHandling, EndpointKind, Schedule, ScheduleKind, SchemaPolicy, StreamConfig, SyncMode
from syncterm.engine.schema import Field, StreamSchema, parse_type
from syncterm.engine.source_versions import applied_config, changed_account_fields
from syncterm.engine.store.tables import connectors, destinations, sources, streams


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A source or a destination as stored; `config` still holds sealed secrets and references."""

    id: str
    name: str
    type: str
    config: dict[str, Any]
    version: int
    """The version of the configuration that this is."""
    present: bool = True
    """Whether that is the present version, so that what the system offers is what its catalog in the store shows."""
    present_account: bool = True
    """Whether it leads to the same account as the present version, so that what is found out of its credentials holds there too."""


@dataclass(frozen=True, slots=True)
class StreamSetup:
    """One selected stream with what the product remembers of it."""

    config: StreamConfig
    approved: StreamSchema | None
    """The schema that was last approved or applied; None before the first sync."""
    resync_requested: bool
    kept: Mapping[str, Field] = field(default_factory=dict)
    """Column → as the destination has it, where the source has another type or no such column by now."""
    approved_deletes: int = 0
    """How many deletes a person has approved for the next sync, on top of what the guard allows."""


@dataclass(frozen=True, slots=True)
class ConnectorSetup:
    """Everything that executing or testing a connector needs."""

    id: str
    name: str
    collection: str
    source: Endpoint
    destination: Endpoint
    streams: tuple[StreamSetup, ...]
    schedule: Schedule
    schema_policy: str
    reject_limit_count: int
    reject_limit_share: int
    stall_limit: timedelta


def schedule_of(row: Row[Any]) -> Schedule:
    """The schedule in a row of `connectors`, or in one of `streams` that has its own."""
    return Schedule(
        ScheduleKind(row.schedule_kind),
        timedelta(milliseconds=row.schedule_every_ms) if row.schedule_every_ms is not None else None,
        row.schedule_expression,
        row.schedule_timezone,
    )


def stream_of(row: Row[Any]) -> StreamConfig:
    """The stream's configuration in a row of `streams`."""
    return StreamConfig(
        name=row.name,
        sync_mode=SyncMode(row.sync_mode),
        primary_key=tuple(json.loads(row.primary_key)),
        cursor_field=row.cursor_field,
        columns=tuple(json.loads(row.columns)) if row.columns is not None else None,
        casts=json.loads(row.casts),
        row_filter=row.row_filter,
        include_null_cursor=row.include_null_cursor,
        look_back=timedelta(milliseconds=row.look_back_ms) if row.look_back_ms is not None else None,
        table=row.target_table,
        delete_handling=DeleteHandling(row.delete_handling),
        schema_policy=SchemaPolicy(row.schema_policy) if row.schema_policy is not None else None,
        schedule=schedule_of(row) if row.schedule_kind is not None else None,
    )


def draft_of(row: Row[Any], selected: Iterable[StreamConfig] = ()) -> ConnectorDraft:
    """A row of `connectors`, with its streams, as a person edits it."""
    return ConnectorDraft(
        name=row.name,
        source_id=row.source_id,
        destination_id=row.destination_id,
        collection=row.collection,
        streams=tuple(selected),
        schedule=schedule_of(row),
        catch_up=row.catch_up,
        schema_policy=SchemaPolicy(row.schema_policy),
        blackout=windows_from_text(row.blackout),
        id=row.id,
        version=row.version,
    )


def kept_of(text: str | None) -> dict[str, Field]:
    """What `kept_types` of a row of `streams` says."""
    kept = json.loads(text) if text else {}
    return {name: Field(name, parse_type(type_), native=native) for name, (type_, native) in kept.items()}


def kept_to_text(kept: Mapping[str, Field]) -> str | None:
    """What `kept_of` reads; None for none."""
    return json.dumps({name: [str(column.type), column.native] for name, column in kept.items()}) if kept else None


def anchor_of(row: Row[Any]) -> datetime:
    """The instant that a connector's schedule counts from."""
    anchor: datetime = row.anchor_at or row.created_at
    return anchor


async def load_setup(connection: AsyncConnection, connector_id: str) -> ConnectorSetup:
    """The set-up of a connector that is complete.

    Raises:
        ConfigError: where the connector, its source or its destination is missing or deleted.
    """
    row = (await connection.execute(select(connectors).where(connectors.c.id == connector_id))).first()
    if row is None or row.deleted_at is not None:
        raise ConfigError(f"Connector {connector_id} does not exist any more.")
    stream_rows = (
        await connection.execute(
            select(streams).where(streams.c.connector_id == connector_id, streams.c.selected).order_by(streams.c.position)
        )
    ).all()
    return ConnectorSetup(
        id=row.id,
        name=row.name,
        collection=row.collection,
        source=await _endpoint(connection, EndpointKind.SOURCE, row.source_id, row),
        destination=await _endpoint(connection, EndpointKind.DESTINATION, row.destination_id, row),
        streams=tuple(
            StreamSetup(
                stream_of(stream),
                StreamSchema.from_text(stream.schema) if stream.schema else None,
                stream.resync_requested,
                kept_of(stream.kept_types),
                stream.deletes_approved or 0,
            )
            for stream in stream_rows
        ),
        schedule=schedule_of(row),
        schema_policy=row.schema_policy,
        reject_limit_count=row.reject_limit_count,
        reject_limit_share=row.reject_limit_share,
        stall_limit=timedelta(milliseconds=row.stall_limit_ms),
    )


async def is_set_up_so(connection: AsyncConnection, setup: ConnectorSetup, stream: StreamConfig, schema: StreamSchema) -> bool:
    """Whether the connector still reads a stream of that source, set up like that and with that approved schema."""
    statement = (
        select(streams, connectors.c.source_id)
        .join(connectors, connectors.c.id == streams.c.connector_id)
        .where(streams.c.connector_id == setup.id, streams.c.name == stream.name)
    )
    row = (await connection.execute(statement)).first()
    return row is not None and row.source_id == setup.source.id and stream_of(row) == stream and row.schema == schema.to_text()


async def load_destination(connection: AsyncConnection, destination_id: str) -> Endpoint | None:
    """A destination that is set up; None where there is none, or where it is unfinished."""
    row = (
        await connection.execute(
            select(destinations).where(
                destinations.c.id == destination_id,
                destinations.c.deleted_at.is_(None),
                destinations.c.incomplete_reason.is_(None),
            )
        )
    ).first()
    return Endpoint(row.id, row.name, row.type, json.loads(row.config), row.version) if row is not None else None


async def _endpoint(connection: AsyncConnection, kind: EndpointKind, endpoint_id: str | None, connector: Row[Any]) -> Endpoint:
    table = sources if kind is EndpointKind.SOURCE else destinations
    row = (await connection.execute(select(table).where(table.c.id == endpoint_id))).first() if endpoint_id else None
    if row is None or row.deleted_at is not None:
        raise ConfigError(f"Connector {connector.name!r} has no {kind}.", remedy=f"Choose a {kind} in its set-up.")
    if row.incomplete_reason is not None:
        raise ConfigError(f"The {kind} {row.name!r} is unfinished: {row.incomplete_reason}.", remedy="Complete it first.")
    if kind is EndpointKind.DESTINATION:
        return Endpoint(row.id, row.name, row.type, json.loads(row.config), row.version)
    config, version = await applied_config(connection, row, connector.source_version)
    same = version == row.version or not changed_account_fields(SOURCES_GROUP, row.type, config, json.loads(row.config))
    return Endpoint(row.id, row.name, row.type, config, version, version == row.version, same)
