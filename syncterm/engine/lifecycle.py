"""The life of a sync in the store: each step from Created to Completed is one function on a write transaction.

insert ─▶ created ─▶ claim ─▶ pending ─▶ begin_attempt ─▶ executing ─▶ end_attempt ─▶ finish ─▶ completed
             ▲                                  ▲                          │ transient: the same sync goes on, next attempt
             └───────────── reopen ─────────────┴──────────────────────────┘ the process died: attempt closed as interrupted
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.errors import ErrorClass, InterruptedSyncError
from syncterm.engine.identifiers import new_id
from syncterm.engine.model import (
    Activity,
    Outcome,
    PausedBy,
    Reason,
    RejectedRecord,
    StreamCounts,
    StreamResult,
    SyncState,
    Trigger,
)
from syncterm.engine.retry import Escalation, clip_error, escalate, fingerprint_message
from syncterm.engine.rollups import FinishedSync, record_finished
from syncterm.engine.store.tables import (
    CHANGE_SEQUENCE,
    OPEN_SYNC,
    Instant,
    attempts,
    connectors,
    cursor_versions,
    failed_records,
    lease,
    log_lines,
    streams,
    sync_streams,
    syncs,
)
from syncterm.engine.stream_schedules import (
    all_as_none,
    join_names,
    settle_stream_schedules,
    take_due_streams,
    without_own_schedule,
)

MILLISECOND = timedelta(milliseconds=1)
_COUNT_COLUMNS = {
    "records_read": "read",
    "records_written": "written",
    "records_unchanged": "unchanged",
    "records_filtered": "filtered",
    "records_rejected": "rejected",
    "records_deleted": "deleted",
    "bytes": "bytes",
}
IDLE: Mapping[str, Any] = {
    "activity": Activity.IDLE,
    "activity_reason": None,
    "active_sync_id": None,
    "attempt": None,
    "back_off_until": None,
    "progress_stream": None,
    "progress_records": None,
    "progress_bytes": None,
    "progress_expected": None,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a sync ended."""

    outcome: Outcome
    error_class: ErrorClass | None = None
    message: str | None = None
    summary: str | None = None
    """What was committed and where the next sync resumes."""
    refused_by: str | None = None
    """`source` or `destination`: the end that refused the credentials."""


async def guard(connection: AsyncConnection, sync_id: str, epoch: int) -> None:
    """Raises: InterruptedSyncError: where an engine of a newer epoch has taken this sync over, or the store no longer knows it."""
    held = (await connection.execute(select(syncs.c.epoch).where(syncs.c.id == sync_id))).scalar()
    if held != epoch:
        raise InterruptedSyncError(f"Sync {sync_id} was taken over by another engine.")


async def touch(connection: AsyncConnection, connector_id: str, values: Mapping[str, Any]) -> None:
    """Change facts of a connector, so that live tables notice."""
    await connection.execute(update(connectors).where(connectors.c.id == connector_id).values(**values, changed_at=CHANGE_SEQUENCE))


async def insert_sync(
    connection: AsyncConnection,
    *,
    connector_id: str,
    trigger: Trigger,
    reason: Reason,
    requested_by: str,
    now: datetime,
    due_at: datetime | None = None,
    missed: int = 0,
    stream_names: Sequence[str] | None = None,
) -> str | None:
    """Queue a sync; its id. The connector becomes queued, unless it runs: then this one waits behind.

    None where a sync answered that due time already, as after the clock was set back.
    """
    if due_at is not None:
        answered = select(syncs.c.id).where(syncs.c.connector_id == connector_id, syncs.c.due_at == due_at)
        if (await connection.execute(answered)).first() is not None:
            return None
    sync_id = new_id(now)
    await connection.execute(
        insert(syncs).values(
            id=sync_id,
            connector_id=connector_id,
            trigger=trigger,
            reason=reason,
            requested_by=requested_by,
            due_at=due_at,
            missed=missed,
            streams=json.dumps(list(stream_names)) if stream_names is not None else None,
            state=SyncState.CREATED,
            created_at=now,
        )
    )
    await connection.execute(
        update(connectors)
        .where(connectors.c.id == connector_id, connectors.c.activity == Activity.IDLE)
        .values(activity=Activity.QUEUED, activity_at=now, active_sync_id=sync_id, changed_at=CHANGE_SEQUENCE)
    )
    return sync_id


async def claim(connection: AsyncConnection, sync_id: str, connector_id: str, epoch: int, now: datetime) -> bool:
    """Created → Pending, by the engine of that epoch. False where somebody cancelled or claimed it first, or where another engine
    holds the lease: what an engine of the past claims, nobody would ever reopen.
    """
    held = select(lease.c.id).where(lease.c.epoch == epoch, lease.c.holder.is_not(None)).exists()
    claimed = await connection.execute(
        update(syncs)
        .where(syncs.c.id == sync_id, syncs.c.state == SyncState.CREATED, syncs.c.cancel_requested_at.is_(None), held)
        .values(state=SyncState.PENDING, epoch=epoch, claimed_at=now)
    )
    if claimed.rowcount:
        await touch(connection, connector_id, {"activity": Activity.QUEUED, "active_sync_id": sync_id, "activity_at": now})
    return bool(claimed.rowcount)


async def ask_to_cancel(connection: AsyncConnection, by: str, connector_id: str, now: datetime, sync_id: str | None = None) -> int:
    """Ask for the end of what runs or waits for a connector, or of one sync of it; of how many."""
    asked = OPEN_SYNC & (syncs.c.connector_id == connector_id) & (syncs.c.state != SyncState.COMPLETED)
    if sync_id is not None:
        asked &= syncs.c.id == sync_id
    found = (await connection.execute(select(syncs.c.id).where(asked, syncs.c.cancel_requested_at.is_(None)))).scalars().all()
    if found:
        await connection.execute(update(syncs).where(syncs.c.id.in_(found)).values(cancel_requested_at=now, cancel_requested_by=by))
        await connection.execute(
            update(connectors)
            .where(connectors.c.id == connector_id, connectors.c.active_sync_id.in_(found))
            .values(activity=Activity.CANCELLING, activity_at=now, changed_at=CHANGE_SEQUENCE)
        )
    return len(found)


async def begin_attempt(connection: AsyncConnection, sync_id: str, connector_id: str, epoch: int, now: datetime) -> int:
    """Pending → Executing; the attempt's number, from 1."""
    number: int = (
        await connection.execute(select(func.coalesce(func.max(attempts.c.number), 0) + 1).where(attempts.c.sync_id == sync_id))
    ).scalar_one()
    await connection.execute(insert(attempts).values(sync_id=sync_id, number=number, epoch=epoch, started_at=now))
    await connection.execute(
        update(syncs)
        .where(syncs.c.id == sync_id)
        .values(
            state=SyncState.EXECUTING,
            attempt=number,
            epoch=epoch,
            started_at=func.coalesce(syncs.c.started_at, literal(now, Instant())),
        )
    )
    await touch(
        connection,
        connector_id,
        {**IDLE, "activity": Activity.RUNNING, "active_sync_id": sync_id, "attempt": number, "activity_at": now},
    )
    return number


async def end_attempt(
    connection: AsyncConnection,
    sync_id: str,
    number: int,
    now: datetime,
    ending: Ending,
    *,
    progressed: bool,
    retry_at: datetime | None = None,
) -> None:
    """Close an attempt."""
    await connection.execute(
        update(attempts)
        .where(attempts.c.sync_id == sync_id, attempts.c.number == number)
        .values(
            finished_at=now,
            outcome=ending.outcome,
            error_class=ending.error_class,
            error_message=clip_error(ending.message) if ending.message else None,
            retry_at=retry_at,
            progressed=progressed,
        )
    )


async def save_progress(connection: AsyncConnection, progress: Mapping[str, Mapping[str, Any]]) -> None:
    """Connector id → its progress columns, for all the running syncs at once."""
    for connector_id, values in progress.items():
        await touch(connection, connector_id, values)


def _count_values(counts: StreamCounts) -> dict[str, int]:
    return {column: getattr(counts, name) for column, name in _COUNT_COLUMNS.items()}


async def prepare_stream(connection: AsyncConnection, sync_id: str, result: StreamResult) -> None:
    """Note what a load is about to commit. A row without an outcome means: committed if the destination says so."""
    await connection.execute(delete(sync_streams).where(sync_streams.c.sync_id == sync_id, sync_streams.c.stream == result.stream))
    await connection.execute(
        insert(sync_streams).values(
            sync_id=sync_id,
            stream=result.stream,
            sync_mode=result.sync_mode,
            action=result.action,
            started_at=result.started_at,
            cursor_before=result.cursor_before,
            cursor_after=result.cursor_after,
            **_count_values(result.counts),
        )
    )


async def prepared_stream(connection: AsyncConnection, sync_id: str, stream: str) -> tuple[StreamCounts, str | None] | None:
    """What `prepare_stream` noted: counts, and the cursor before."""
    row = (
        await connection.execute(select(sync_streams).where(sync_streams.c.sync_id == sync_id, sync_streams.c.stream == stream))
    ).first()
    if row is None:
        return None
    return StreamCounts(**{name: getattr(row, column) for column, name in _COUNT_COLUMNS.items()}), row.cursor_before


async def finish_stream(
    connection: AsyncConnection,
    sync_id: str,
    connector_id: str,
    result: StreamResult,
    *,
    answers_request: bool,
    withheld: int = 0,
    approved: int = 0,
) -> None:
    """Record how a stream of a sync ended; after success its cursor is cached and versioned.

    Args:
        answers_request: whether this sync has replaced all that was there, as a changed set-up may have asked for; not where the
            set-up was changed again while it ran.
        withheld: deletes that were found and need a person's approval.
        approved: how many this sync was allowed to delete: that approval has had its sync, one that was given meanwhile has not.
    """
    await prepare_stream(connection, sync_id, result)
    duration = None
    if result.started_at and result.finished_at:
        duration = max(0, (result.finished_at - result.started_at) // MILLISECOND)
    await connection.execute(
        update(sync_streams)
        .where(sync_streams.c.sync_id == sync_id, sync_streams.c.stream == result.stream)
        .values(
            outcome=result.outcome,
            finished_at=result.finished_at,
            duration_ms=duration,
            error_class=result.error_class,
            error_message=clip_error(result.error_message) if result.error_message else None,
        )
    )
    if result.outcome is not Outcome.SUCCESS:
        return
    await connection.execute(
        update(streams)
        .where(streams.c.connector_id == connector_id, streams.c.name == result.stream)
        .values(
            cursor=result.cursor_after,
            deletes_withheld=withheld or None,
            deletes_approved=func.nullif(streams.c.deletes_approved, approved) if withheld else None,
        )
    )
    if answers_request:
        await connection.execute(
            update(streams)
            .where(streams.c.connector_id == connector_id, streams.c.name == result.stream)
            .values(resync_requested=False)
        )
    if result.cursor_after is not None and result.cursor_after != result.cursor_before:
        version = (
            await connection.execute(
                select(func.coalesce(func.max(cursor_versions.c.version), 0) + 1).where(
                    cursor_versions.c.connector_id == connector_id, cursor_versions.c.stream == result.stream
                )
            )
        ).scalar_one()
        await connection.execute(
            insert(cursor_versions).values(
                connector_id=connector_id,
                stream=result.stream,
                version=version,
                cursor=result.cursor_after,
                sync_id=sync_id,
                at=result.finished_at,
            )
        )


def rejected_rows(sync_id: str, connector_id: str, records: Sequence[RejectedRecord], now: datetime) -> list[dict[str, Any]]:
    """Failed records of a sync as the store keeps them. Takes some 50 µs a record: not for the loop."""
    return [
        {
            "sync_id": sync_id,
            "connector_id": connector_id,
            "stream": record.stream,
            "at": now,
            "key": record.key,
            "action": record.action,
            "code": record.code,
            "message": clip_error(record.message),
            "fingerprint": fingerprint_message(f"{record.code}: {record.message}"),
            "payload": record.payload,
        }
        for record in records
    ]


async def save_rejected(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep failed records, as `rejected_rows` made them."""
    await connection.execute(insert(failed_records), rows)


async def drop_rejected(connection: AsyncConnection, sync_id: str, stream: str) -> None:
    """Forget the failed records of an attempt that committed nothing: the next one finds them again."""
    await connection.execute(delete(failed_records).where(failed_records.c.sync_id == sync_id, failed_records.c.stream == stream))


async def add_log(
    connection: AsyncConnection, connector_id: str | None, sync_id: str | None, lines: Iterable[tuple[datetime, str, str]]
) -> None:
    """Append log lines: (instant, level, message)."""
    rows = [
        {"sync_id": sync_id, "connector_id": connector_id, "at": at, "level": level, "message": clip_error(message)}
        for at, level, message in lines
    ]
    if rows:
        await connection.execute(insert(log_lines), rows)


async def finish(connection: AsyncConnection, sync_id: str, now: datetime, ending: Ending) -> None:
    """Executing (or still queued) → Completed: the sync, its connector's facts, the rollups, and what waited behind it."""
    sync = (await connection.execute(select(syncs).where(syncs.c.id == sync_id))).one()
    if sync.state == SyncState.COMPLETED:
        return
    connector = (await connection.execute(select(connectors).where(connectors.c.id == sync.connector_id))).one()
    totals = {
        column: value or 0
        for column, value in (
            await connection.execute(
                select(*(func.sum(sync_streams.c[column]).label(column) for column in _COUNT_COLUMNS)).where(
                    sync_streams.c.sync_id == sync_id, sync_streams.c.outcome == Outcome.SUCCESS
                )
            )
        )
        .one()
        ._mapping.items()
    }
    duration = max(0, (now - (sync.started_at or now)) // MILLISECOND)  # the clock may have been set back
    message = clip_error(ending.message) if ending.message else None
    await connection.execute(
        update(syncs)
        .where(syncs.c.id == sync_id)
        .values(
            state=SyncState.COMPLETED,
            finished_at=now,
            duration_ms=duration,
            outcome=ending.outcome,
            error_class=ending.error_class,
            error_message=message,
            error_fingerprint=fingerprint_message(f"{ending.error_class}: {message}") if message else None,
            summary=ending.summary,
            **totals,
        )
    )
    values: dict[str, Any] = dict(IDLE) if connector.active_sync_id in (sync_id, None) else {}
    # A cancelled sync mends nothing: a connector whose last sync failed goes on showing that one.
    if sync.started_at is not None and not (ending.outcome is Outcome.CANCELLED and connector.last_outcome == Outcome.FAILED):
        values |= {
            "last_sync_id": sync_id,
            "last_sync_at": now,
            "last_duration_ms": duration,
            "last_records": totals["records_written"],
            "last_bytes": totals["bytes"],
            "last_rejected": totals["records_rejected"],
            "last_outcome": ending.outcome,
            "last_error_class": ending.error_class,
            "last_error_message": message if ending.outcome is Outcome.FAILED else None,
        }
        values |= _streak(connector, ending, now)
    await touch(connection, sync.connector_id, values)
    if "paused_by" in values:
        await settle_stream_schedules(connection, sync.connector_id, now)
    await record_finished(
        connection,
        FinishedSync(
            connector_id=sync.connector_id,
            trigger=Trigger(sync.trigger),
            outcome=ending.outcome,
            finished_at=now,
            duration=timedelta(milliseconds=duration),
            records=totals["records_written"],
            rejected=totals["records_rejected"],
            bytes=totals["bytes"],
        ),
    )
    if values:
        paused = "paused_by" in values or connector.paused_by is not None
        await _queue_what_waited(connection, connector, sync_id, now, paused=paused)


def _streak(connector: Any, ending: Ending, now: datetime) -> dict[str, Any]:
    """Consecutive failures; after too many, over too long, the engine pauses the connector."""
    if ending.outcome is Outcome.SUCCESS:
        return {"consecutive_failures": 0, "failing_since": None, "last_success_at": now}
    if ending.outcome is Outcome.CANCELLED or ending.error_class is ErrorClass.INTERRUPTED:
        return {}
    failures, since = connector.consecutive_failures + 1, connector.failing_since or now
    values: dict[str, Any] = {"consecutive_failures": failures, "failing_since": since}
    escalation = escalate(failures, connector.last_success_at or connector.created_at, now)
    if escalation is Escalation.PAUSE and connector.paused_by is None:
        reason = f"{failures} syncs in a row failed; the last success was {connector.last_success_at or 'never'}."
        values |= {"paused_by": PausedBy.ENGINE, "paused_reason": reason, "paused_at": now, "next_fire_at": None}
    return values


async def waiting_sync(connection: AsyncConnection, connector_id: str) -> Any:
    """The sync of a connector that has not begun and that nobody cancelled, the first to run; None where there is none.

    One that an engine before has begun is none: what it committed already, it does not read again.
    """
    return (
        await connection.execute(
            select(syncs)
            .where(
                OPEN_SYNC,
                syncs.c.connector_id == connector_id,
                syncs.c.state == SyncState.CREATED,
                syncs.c.attempt == 0,
                syncs.c.cancel_requested_at.is_(None),
            )
            .order_by(syncs.c.created_at, syncs.c.id)
            .limit(1)
        )
    ).first()


async def _queue_what_waited(connection: AsyncConnection, connector: Any, finished_id: str, now: datetime, *, paused: bool) -> None:
    """After a sync: the next one already queued becomes the active one; else what fell due meanwhile is queued, as one."""
    following = (
        await connection.execute(
            select(syncs.c.id, syncs.c.streams, syncs.c.attempt)
            .where(OPEN_SYNC, syncs.c.connector_id == connector.id, syncs.c.state == SyncState.CREATED, syncs.c.id != finished_id)
            .order_by(syncs.c.created_at, syncs.c.id)
            .limit(1)
        )
    ).first()
    if following is not None:
        values: dict[str, Any] = {"activity": Activity.QUEUED, "active_sync_id": following.id, "activity_at": now}
        if following.streams is None and not following.attempt:  # it answers what fell due as well
            await take_due_streams(connection, connector.id)
            values["due_since"] = None
        await touch(connection, connector.id, values)
        return
    own, own_since = await take_due_streams(connection, connector.id)
    if connector.due_since is None and own_since is None:
        return
    await touch(connection, connector.id, {"due_since": None})
    if paused or connector.deleted_at is not None:
        return
    together = await without_own_schedule(connection, connector.id) if connector.due_since is not None else []
    names = join_names((together, own))
    if names is not None:
        names = await all_as_none(connection, connector.id, names)
    if names == []:
        return
    await insert_sync(
        connection,
        connector_id=connector.id,
        trigger=Trigger.SCHEDULED,
        reason=Reason.SCHEDULE,
        requested_by="schedule",
        now=now,
        due_at=min(since for since in (connector.due_since, own_since) if since is not None),
        stream_names=names,
    )


async def reopen_interrupted(connection: AsyncConnection, epoch: int, now: datetime, message: str) -> list[str]:
    """Close what an engine before this epoch left open, and queue it again; the ids of those syncs.

    Their attempts end as interrupted. The syncs themselves go on under the same id, so that a load which did commit is recognised
    in the destination and not repeated.
    """
    left = (
        await connection.execute(
            select(syncs.c.id, syncs.c.connector_id).where(
                OPEN_SYNC, syncs.c.state.in_((SyncState.PENDING, SyncState.EXECUTING)), func.coalesce(syncs.c.epoch, 0) < epoch
            )
        )
    ).all()
    for sync_id, connector_id in left:
        await reopen(connection, sync_id, connector_id, epoch, now, message)
    return [sync_id for sync_id, _ in left]


async def reopen(connection: AsyncConnection, sync_id: str, connector_id: str, epoch: int, now: datetime, message: str) -> None:
    """Pending or Executing → Created, under the same id; an open attempt ends as interrupted."""
    await connection.execute(
        update(attempts)
        .where(attempts.c.sync_id == sync_id, attempts.c.finished_at.is_(None))
        .values(finished_at=now, outcome=Outcome.FAILED, error_class=ErrorClass.INTERRUPTED, error_message=clip_error(message))
    )
    await connection.execute(update(syncs).where(syncs.c.id == sync_id).values(state=SyncState.CREATED, epoch=epoch))
    await touch(
        connection,
        connector_id,
        {**IDLE, "activity": Activity.QUEUED, "active_sync_id": sync_id, "activity_at": now, "activity_reason": message},
    )
    await add_log(connection, connector_id, sync_id, [(now, "warning", message)])
