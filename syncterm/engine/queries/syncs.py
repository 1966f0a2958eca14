"""Syncs: histories, one in detail, trends, failures, logs, failed records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, literal_column, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import Action, LogLevel, Outcome, Reason, StreamCounts, SyncMode, SyncState, Trigger
from syncterm.engine.queries.connectors import milliseconds
from syncterm.engine.queries.rows import (
    AttemptRow,
    FailedRecordRow,
    FailureGroup,
    LogLine,
    StreamResultRow,
    SyncDetail,
    SyncRow,
    TrendPoint,
)
from syncterm.engine.status import log_status, sync_status
from syncterm.engine.store.tables import (
    OPEN_SYNC,
    UNSUCCESSFUL_SYNC,
    Instant,
    attempts,
    connectors,
    failed_records,
    log_lines,
    sync_streams,
    syncs,
)

_s = syncs.c


def _rows_statement() -> Select[Any]:
    return select(syncs, connectors.c.name.label("connector_name")).join(connectors, connectors.c.id == _s.connector_id)


async def sync_page(
    connection: AsyncConnection, connector_id: str | None, before: str | None, limit: int, outcome: Outcome | None, only_open: bool
) -> list[SyncRow]:
    """See `Queries.sync_page`."""
    statement = _rows_statement().order_by(_s.created_at.desc(), _s.id.desc()).limit(limit)
    if connector_id is not None:
        statement = statement.where(_s.connector_id == connector_id)
    if before is not None:
        edge = (await connection.execute(select(_s.created_at, _s.id).where(_s.id == before))).first()
        if edge is None:
            return []
        statement = statement.where(tuple_(_s.created_at, _s.id) < tuple_(literal(edge.created_at, Instant()), literal(edge.id)))
    if outcome is not None:
        statement = statement.where(_s.outcome == outcome)
        if outcome is not Outcome.SUCCESS:
            statement = statement.where(UNSUCCESSFUL_SYNC)
    if only_open:
        statement = statement.where(OPEN_SYNC)
    return [sync_row(row) for row in await connection.execute(statement)]


async def sync_detail(connection: AsyncConnection, sync_id: str) -> SyncDetail | None:
    """See `Queries.sync`."""
    row = (await connection.execute(_rows_statement().where(_s.id == sync_id))).first()
    if row is None:
        return None
    results = await connection.execute(
        select(sync_streams).where(sync_streams.c.sync_id == sync_id).order_by(sync_streams.c.started_at, sync_streams.c.stream)
    )
    tries = await connection.execute(select(attempts).where(attempts.c.sync_id == sync_id).order_by(attempts.c.number))
    return SyncDetail(
        sync_row(row), tuple(_stream_result(result) for result in results), tuple(_attempt(attempt) for attempt in tries)
    )


def sync_row(row: Any) -> SyncRow:
    """The row that a history shows."""
    state, outcome = SyncState(row.state), _outcome(row.outcome)
    return SyncRow(
        id=row.id,
        connector_id=row.connector_id,
        connector_name=row.connector_name,
        status=sync_status(state, outcome),
        log_status=log_status(state, outcome),
        state=state,
        outcome=outcome,
        trigger=Trigger(row.trigger),
        reason=Reason(row.reason),
        requested_by=row.requested_by,
        due_at=row.due_at,
        missed=row.missed,
        streams=tuple(json.loads(row.streams)) if row.streams is not None else None,
        created_at=row.created_at,
        claimed_at=row.claimed_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        duration=milliseconds(row.duration_ms),
        attempt=row.attempt,
        cancel_requested_at=row.cancel_requested_at,
        cancel_requested_by=row.cancel_requested_by,
        error_class=_error_class(row.error_class),
        error_message=row.error_message,
        summary=row.summary,
        counts=_counts(row),
    )


def _counts(row: Any) -> StreamCounts:
    return StreamCounts(
        row.records_read,
        row.records_written,
        row.records_unchanged,
        row.records_filtered,
        row.records_rejected,
        row.bytes,
        row.records_deleted,
    )


def _outcome(value: str | None) -> Outcome | None:
    return None if value is None else Outcome(value)


def _error_class(value: str | None) -> ErrorClass | None:
    return None if value is None else ErrorClass(value)


def _stream_result(row: Any) -> StreamResultRow:
    return StreamResultRow(
        stream=row.stream,
        sync_mode=SyncMode(row.sync_mode),
        action=Action(row.action),
        outcome=_outcome(row.outcome),
        started_at=row.started_at,
        finished_at=row.finished_at,
        duration=milliseconds(row.duration_ms),
        counts=_counts(row),
        cursor_before=row.cursor_before,
        cursor_after=row.cursor_after,
        error_class=_error_class(row.error_class),
        error_message=row.error_message,
    )


def _attempt(row: Any) -> AttemptRow:
    return AttemptRow(
        number=row.number,
        started_at=row.started_at,
        finished_at=row.finished_at,
        outcome=_outcome(row.outcome),
        error_class=_error_class(row.error_class),
        error_message=row.error_message,
        retry_at=row.retry_at,
        progressed=row.progressed,
    )


async def duration_trend(connection: AsyncConnection, connector_id: str, count: int) -> list[TrendPoint]:
    """See `Queries.duration_trend`."""
    statement = (
        select(_s.id, _s.started_at, _s.duration_ms, _s.outcome, _s.records_written)
        .where(_s.connector_id == connector_id, _s.finished_at.is_not(None), _s.started_at.is_not(None))
        .order_by(_s.created_at.desc(), _s.id.desc())
        .limit(count)
    )
    rows = (await connection.execute(statement)).all()
    return [
        TrendPoint(row.started_at, (row.duration_ms or 0) / 1000, Outcome(row.outcome), row.records_written, row.id)
        for row in reversed(rows)
    ]


async def failure_groups(connection: AsyncConnection, connector_id: str | None, since: datetime) -> list[FailureGroup]:
    """See `Queries.failure_groups`."""
    failed: list[ColumnElement[bool]] = [_s.outcome == Outcome.FAILED, _s.created_at >= since]
    failed.append(UNSUCCESSFUL_SYNC if connector_id is None else _s.connector_id == connector_id)
    fingerprint = func.coalesce(_s.error_fingerprint, "").label("fingerprint")
    statement = (
        select(
            fingerprint,
            func.count().label("number"),
            func.min(_s.created_at).label("first"),
            func.max(_s.created_at).label("last"),
            func.max(_s.id).label("last_id"),
        )
        .where(*failed)
        .group_by(literal_column("1"))
    )
    groups = (await connection.execute(statement)).all()
    newest: Mapping[str, Any] = {
        row.id: row
        for row in await connection.execute(
            select(_s.id, _s.error_class, _s.error_message).where(_s.id.in_([group.last_id for group in groups]))
        )
    }
    found = [
        FailureGroup(
            fingerprint=group.fingerprint,
            message=newest[group.last_id].error_message or "",
            error_class=_error_class(newest[group.last_id].error_class),
            count=group.number,
            first=group.first,
            last=group.last,
            last_sync_id=group.last_id,
        )
        for group in groups
    ]
    return sorted(found, key=lambda group: (-group.count, group.fingerprint))


async def log_page(
    connection: AsyncConnection, connector_id: str | None, sync_id: str | None, after_id: int, before_id: int | None, limit: int
) -> list[LogLine]:
    """See `Queries.log_lines`."""
    statement = select(log_lines).limit(limit)
    if connector_id is not None:
        statement = statement.where(log_lines.c.connector_id == connector_id)
    if sync_id is not None:
        statement = statement.where(log_lines.c.sync_id == sync_id)
    if before_id is not None:
        statement = statement.where(log_lines.c.id < before_id)
    forward = bool(after_id) and before_id is None
    if after_id:
        statement = statement.where(log_lines.c.id > after_id)
    statement = statement.order_by(log_lines.c.id if forward else log_lines.c.id.desc())
    rows = (await connection.execute(statement)).all()
    return [
        LogLine(row.id, row.connector_id, row.sync_id, row.at, LogLevel(row.level), row.message)
        for row in (rows if forward else reversed(rows))
    ]


async def failed_record_page(
    connection: AsyncConnection,
    connector_id: str | None,
    sync_id: str | None,
    stream: str | None,
    before_id: int | None,
    limit: int,
) -> list[FailedRecordRow]:
    """See `Queries.failed_records`."""
    statement = (
        select(failed_records, connectors.c.name.label("connector_name"))
        .join(connectors, connectors.c.id == failed_records.c.connector_id)
        .order_by(failed_records.c.id.desc())
        .limit(limit)
    )
    for column, value in (
        (failed_records.c.connector_id, connector_id),
        (failed_records.c.sync_id, sync_id),
        (failed_records.c.stream, stream),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if before_id is not None:
        statement = statement.where(failed_records.c.id < before_id)
    return [
        FailedRecordRow(
            id=row.id,
            sync_id=row.sync_id,
            connector_id=row.connector_id,
            connector_name=row.connector_name,
            stream=row.stream,
            at=row.at,
            key=row.key,
            action=Action(row.action),
            code=row.code,
            message=row.message,
            fingerprint=row.fingerprint,
            payload=row.payload,
            state=row.state,
        )
        for row in await connection.execute(statement)
    ]
