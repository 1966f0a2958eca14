"""One source or destination, whole: for its screen, its form, and the difference that a refresh would apply."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.adapters import SOURCES_GROUP
from syncterm.engine.document_config import masked_config
from syncterm.engine.drafts import ConfigDifference, EndpointDraft
from syncterm.engine.endpoint_writing import GROUPS, TABLES, USED_BY
from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import EndpointKind, Outcome
from syncterm.engine.queries import status_expressions as expressions
from syncterm.engine.queries.endpoints import endpoint_rows
from syncterm.engine.queries.rows import EndpointDetail, EndpointError, EndpointUse, EndpointVersion
from syncterm.engine.source_versions import applied_config, differences, shown_values
from syncterm.engine.status import ConnectorStatus
from syncterm.engine.store.tables import LIVE_CONNECTOR, UNSUCCESSFUL_SYNC, connectors, source_versions, sources, syncs

USES_SHOWN = 500
"""Connectors that a detail lists."""
_ERRORS_SHOWN = 10


async def endpoint_draft(connection: AsyncConnection, kind: EndpointKind, endpoint_id: str) -> EndpointDraft | None:
    """See `Queries.endpoint_draft`."""
    row = await _live_row(connection, kind, endpoint_id)
    if row is None:
        return None
    config = masked_config(GROUPS[kind], row.type, json.loads(row.config))
    return EndpointDraft(kind, row.type, row.name, config, row.id, row.version, row.updated_at)


async def endpoint_detail(
    connection: AsyncConnection, kind: EndpointKind, endpoint_id: str, now: datetime
) -> EndpointDetail | None:
    """See `Queries.endpoint_detail`."""
    row = await _live_row(connection, kind, endpoint_id)
    if row is None:
        return None
    (shown,) = await endpoint_rows(connection, kind, now, endpoint_id)
    config = masked_config(GROUPS[kind], row.type, json.loads(row.config))
    return EndpointDetail(
        row=shown,
        config=shown_values(GROUPS[kind], row.type, config),
        uses=await _uses(connection, kind, row),
        errors=await _errors(connection, kind, endpoint_id),
        versions=await _versions(connection, endpoint_id) if kind is EndpointKind.SOURCE else (),
    )


async def version_difference(connection: AsyncConnection, connector_id: str) -> tuple[ConfigDifference, ...]:
    """See `Queries.version_difference`."""
    version = (
        await connection.execute(select(connectors.c.source_id, connectors.c.source_version).where(connectors.c.id == connector_id))
    ).first()
    row = await _live_row(connection, EndpointKind.SOURCE, version.source_id) if version is not None else None
    if version is None or row is None or version.source_version in (None, row.version):
        return ()
    before, _ = await applied_config(connection, row, version.source_version)
    after: dict[str, Any] = json.loads(row.config)
    masked = (masked_config(SOURCES_GROUP, row.type, config) for config in (before, after))
    return differences(SOURCES_GROUP, row.type, *masked)


async def _live_row(connection: AsyncConnection, kind: EndpointKind, endpoint_id: str) -> Any | None:
    table = TABLES[kind]
    return (await connection.execute(select(table).where(table.c.id == endpoint_id, table.c.deleted_at.is_(None)))).first()


async def _uses(connection: AsyncConnection, kind: EndpointKind, row: Any) -> tuple[EndpointUse, ...]:
    other = next(each for each in EndpointKind if each is not kind)
    statement = (
        select(
            connectors.c.id,
            connectors.c.name,
            connectors.c.source_version,
            connectors.c.last_sync_at,
            connectors.c.last_outcome,
            expressions.connector_status().label("status"),
            TABLES[other].c.name.label("other_end"),
        )
        .outerjoin(TABLES[other], TABLES[other].c.id == USED_BY[other])
        .where(LIVE_CONNECTOR, USED_BY[kind] == row.id)
        .order_by(func.lower(connectors.c.name), connectors.c.id)
        .limit(USES_SHOWN)
    )
    applied = kind is EndpointKind.SOURCE
    return tuple(
        EndpointUse(
            use.id,
            use.name,
            ConnectorStatus(use.status),
            use.other_end,
            (use.source_version or row.version) if applied else None,
            applied and use.source_version not in (None, row.version),
            use.last_sync_at,
            Outcome(use.last_outcome) if use.last_outcome is not None else None,
        )
        for use in await connection.execute(statement)
    )


async def _errors(connection: AsyncConnection, kind: EndpointKind, endpoint_id: str) -> tuple[EndpointError, ...]:
    statement = (
        select(syncs.c.id, syncs.c.finished_at, syncs.c.error_class, syncs.c.error_message, connectors.c.name, syncs.c.connector_id)
        .join(connectors, connectors.c.id == syncs.c.connector_id)
        .where(
            UNSUCCESSFUL_SYNC,
            syncs.c.outcome == Outcome.FAILED,
            syncs.c.finished_at.is_not(None),
            LIVE_CONNECTOR,
            USED_BY[kind] == endpoint_id,
        )
        .order_by(syncs.c.created_at.desc(), syncs.c.id.desc())
        .limit(_ERRORS_SHOWN)
    )
    return tuple(
        EndpointError(
            row.connector_id,
            row.name,
            row.id,
            row.finished_at,
            ErrorClass(row.error_class) if row.error_class is not None else None,
            row.error_message or "",
        )
        for row in await connection.execute(statement)
    )


async def _versions(connection: AsyncConnection, source_id: str) -> tuple[EndpointVersion, ...]:
    used = (
        select(connectors.c.source_version, func.count().label("used"))
        .where(LIVE_CONNECTOR, connectors.c.source_id == source_id)
        .group_by(connectors.c.source_version)
    )
    used_by: dict[int | None, int] = {row.source_version: row.used for row in await connection.execute(used)}
    present = (await connection.execute(select(sources.c.version).where(sources.c.id == source_id))).scalar_one()
    statement = (
        select(source_versions.c.version, source_versions.c.created_at, source_versions.c.created_by)
        .where(source_versions.c.source_id == source_id)
        .order_by(source_versions.c.version.desc())
    )
    used_by[present] = used_by.get(present, 0) + used_by.pop(None, 0)
    return tuple(
        EndpointVersion(row.version, row.created_at, row.created_by, used_by.get(row.version, 0))
        for row in await connection.execute(statement)
    )
