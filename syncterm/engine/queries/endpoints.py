"""Sources and destinations, with what their connectors make of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Integer, and_, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.document_config import load_adapter
from syncterm.engine.endpoint_writing import GROUPS, TABLES, USED_BY
from syncterm.engine.errors import ConfigError, ErrorClass
from syncterm.engine.model import CheckResult, CredentialsState, EndpointKind, Outcome
from syncterm.engine.queries import status_expressions as expressions
from syncterm.engine.queries.rows import EndpointRow
from syncterm.engine.status import EndpointFacts, SourceStatus, source_status
from syncterm.engine.store.tables import LIVE_CONNECTOR, connectors, rollup_days

RECORDS_PERIOD = timedelta(days=30)
"""How far back "Records Last 30 Days" looks."""


async def endpoint_rows(
    connection: AsyncConnection, kind: EndpointKind, now: datetime, only: str | None = None
) -> list[EndpointRow]:
    """Every source (or destination) that is not deleted, by name; or `only` that one."""
    own, own_id = TABLES[kind], USED_BY[kind]
    other, other_id = next((TABLES[each], USED_BY[each]) for each in EndpointKind if each is not kind)
    statement = select(own).where(own.c.deleted_at.is_(None)).order_by(func.lower(own.c.name), own.c.id)
    if only is not None:
        statement = statement.where(own.c.id == only)
    usage = await _usage(connection, own_id, only)
    ends = await _other_ends(connection, own_id, other_id, other, only)
    records = await _records(connection, own, now, only)
    failures = await _failures(connection, kind, own_id, only)
    rows = (await connection.execute(statement)).all()
    titles = await type_titles(kind, frozenset(row.type for row in rows))
    return [
        _endpoint_row(row, usage.get(row.id), ends.get(row.id, ()), records.get(row.id, 0), titles[row.type], failures.get(row.id))
        for row in rows
    ]


async def type_titles(kind: EndpointKind, types: frozenset[str]) -> dict[str, str]:
    """Type → its name for people. Adapters that nobody has asked for yet are loaded in a thread."""
    missing = [type_ for type_ in types if (kind, type_) not in _titles]
    if missing:
        _titles.update(await asyncio.to_thread(lambda: {(kind, type_): _title(kind, type_) for type_ in missing}))
    return {type_: _titles[kind, type_] for type_ in types}


_titles: dict[tuple[EndpointKind, str], str] = {}


def _title(kind: EndpointKind, type_: str) -> str:
    try:
        return load_adapter(GROUPS[kind], type_).title
    except ConfigError:
        return type_


async def _failures(
    connection: AsyncConnection, kind: EndpointKind, own_id: Any, only: str | None
) -> Mapping[str, tuple[datetime, str]]:
    """Id → when a connector of it last failed, and why. What the other end is known to be at fault for is left out."""
    at_destination = connectors.c.last_error_class == ErrorClass.DESTINATION
    place = func.row_number().over(partition_by=own_id, order_by=(connectors.c.last_sync_at.desc(), connectors.c.id))
    newest = (
        select(own_id.label("id"), connectors.c.last_sync_at, connectors.c.last_error_message, place.label("place"))
        .where(
            LIVE_CONNECTOR,
            own_id == only if only is not None else own_id.is_not(None),
            connectors.c.last_outcome == Outcome.FAILED,
            connectors.c.last_sync_at.is_not(None),
            func.coalesce(~at_destination, True) if kind is EndpointKind.SOURCE else at_destination,
        )
        .subquery()
    )
    statement = select(newest.c.id, newest.c.last_sync_at, newest.c.last_error_message).where(newest.c.place == 1)
    return {id_: (at, message or "The sync failed.") for id_, at, message in await connection.execute(statement)}


async def _usage(connection: AsyncConnection, own_id: Any, only: str | None) -> Mapping[str, Any]:
    """Id → connectors, enabled ones, broken ones of those, and the latest success."""
    enabled = connectors.c.paused_by.is_(None)
    statement = (
        select(
            own_id.label("id"),
            func.count().label("connectors"),
            func.sum(cast(enabled, Integer)).label("enabled"),
            func.sum(cast(and_(enabled, expressions.is_broken()), Integer)).label("broken"),
            func.max(connectors.c.last_success_at).label("last_run"),
        )
        .where(LIVE_CONNECTOR, own_id == only if only is not None else own_id.is_not(None))
        .group_by(own_id)
    )
    return {row.id: row for row in await connection.execute(statement)}


async def _other_ends(
    connection: AsyncConnection, own_id: Any, other_id: Any, other: Any, only: str | None
) -> Mapping[str, tuple[str, ...]]:
    """Id → names of the ends at the other side, sorted."""
    statement = (
        select(own_id, func.group_concat(other_id.distinct()))
        .where(LIVE_CONNECTOR, other_id.is_not(None), own_id == only if only is not None else own_id.is_not(None))
        .group_by(own_id)
    )
    found = {id_: text.split(",") for id_, text in await connection.execute(statement)}
    named = select(other.c.id, other.c.name)
    if only is not None:
        named = named.where(other.c.id.in_(found.get(only, ())))
    names = {row.id: row.name for row in await connection.execute(named)}
    return {id_: tuple(sorted((names[other] for other in others), key=str.lower)) for id_, others in found.items()}


async def _records(connection: AsyncConnection, own: Any, now: datetime, only: str | None) -> Mapping[str, int]:
    """Id → records of the last days, the day that is only partly within them included."""
    first_day = (now - RECORDS_PERIOD).replace(hour=0, minute=0, second=0, microsecond=0)
    statement = (
        select(rollup_days.c.subject_id, func.sum(rollup_days.c.records))
        .where(
            rollup_days.c.subject_id == only if only is not None else rollup_days.c.subject_id.in_(select(own.c.id)),
            rollup_days.c.day_at >= first_day,
        )
        .group_by(rollup_days.c.subject_id)
    )
    return {id_: int(records) for id_, records in await connection.execute(statement)}


def _endpoint_row(
    row: Any,
    usage: Any | None,
    other_ends: tuple[str, ...],
    records: int,
    title: str,
    failure: tuple[datetime, str] | None,
) -> EndpointRow:
    enabled, broken = (usage.enabled, usage.broken) if usage is not None else (0, 0)
    credentials = CredentialsState(row.credentials)
    ever_accepted = row.credentials_ok_at is not None or credentials is CredentialsState.OK
    status = source_status(EndpointFacts(credentials, ever_accepted, enabled, broken))
    return EndpointRow(
        id=row.id,
        name=row.name,
        type=row.type,
        status=status,
        status_reason=_reason(row, status),
        version=row.version,
        credentials=credentials,
        credentials_at=row.credentials_at,
        connectors=usage.connectors if usage is not None else 0,
        enabled=enabled,
        broken=broken,
        other_ends=other_ends,
        last_run=usage.last_run if usage is not None else None,
        records_30_days=records,
        catalog_at=row.catalog_at if "catalog_at" in row._mapping else None,
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
        type_title=title,
        incomplete_reason=row.incomplete_reason,
        check_result=CheckResult(row.check_result) if row.check_result is not None else None,
        check_message=row.check_message,
        check_at=row.check_at,
        last_error=_last_error(row, credentials, failure),
    )


def _last_error(row: Any, credentials: CredentialsState, failure: tuple[datetime, str] | None) -> str | None:
    """The newest of: credentials that were refused, a test that failed, a sync that failed."""
    found = [failure] if failure is not None else []
    if credentials is CredentialsState.REJECTED and row.credentials_at is not None:
        found.append((row.credentials_at, row.credentials_message or "The credentials were refused."))
    if row.check_result not in (None, CheckResult.WORKING):
        found.append((row.check_at, row.check_message or str(row.check_result)))
    return max(found)[1] if found else None


def _reason(row: Any, status: SourceStatus) -> str:
    if row.incomplete_reason is not None:
        return f"Unfinished: {row.incomplete_reason}."
    match status:
        case SourceStatus.SETUP if row.credentials == CredentialsState.REJECTED:
            return (row.credentials_message or "The credentials were refused.").strip().partition("\n")[0]
        case SourceStatus.SETUP:
            return "Its connection has not been tested yet."
        case SourceStatus.REAUTH_REQUIRED:
            return (row.credentials_message or "The credentials were refused.").strip().partition("\n")[0]
        case SourceStatus.ERROR:
            return "Every connector that uses it is broken."
        case _:
            return ""
