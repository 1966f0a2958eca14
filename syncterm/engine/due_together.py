"""Due connectors answered many at a time: those that are idle and whose streams all go with them, which is nearly all of them.

What `due.answer` does for one connector in some six statements, this does for all of a claim in four: ten thousand connectors that
are due in the same second are queued within one. Whatever is not plain is left to `due.answer`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.connector_setup import anchor_of, schedule_of
from syncterm.engine.due import MISSED_COUNTED, is_skipped, next_fire_of
from syncterm.engine.errors import SynctermError
from syncterm.engine.failpoint import reach
from syncterm.engine.identifiers import new_id
from syncterm.engine.model import Activity, Reason, SyncState, Trigger
from syncterm.engine.schedule import missed
from syncterm.engine.store.tables import CHANGE_SEQUENCE, connectors, streams, syncs

_ADVANCE = (
    update(connectors)
    .where(connectors.c.id == bindparam("due_id"))
    .values(next_fire_at=bindparam("next_fire"), missed=bindparam("passed"), changed_at=CHANGE_SEQUENCE)
)
_QUEUE = (
    update(connectors)
    .where(connectors.c.id == bindparam("due_id"))
    .values(
        activity=Activity.QUEUED,
        activity_at=bindparam("at"),
        active_sync_id=bindparam("sync_id"),
        next_fire_at=bindparam("next_fire"),
        missed=bindparam("passed"),
        changed_at=CHANGE_SEQUENCE,
    )
)


async def answer_plain(
    connection: AsyncConnection, rows: Sequence[Any], now: datetime, due_by_streams: Collection[str]
) -> tuple[list[str], list[Any]]:
    """Move the due times of plain connectors on and queue their syncs.

    Args:
        rows: of `connectors`, of this transaction.
        due_by_streams: ids of those with streams that are due by themselves.

    Returns:
        The ids of connectors that a sync was queued for, and the rows that are not plain, untouched.
    """
    candidates = [row for row in rows if _is_plain(row, now) and row.id not in due_by_streams]
    own = select(streams.c.connector_id).where(
        streams.c.connector_id.in_([row.id for row in candidates]), streams.c.selected, streams.c.schedule_kind.is_not(None)
    )
    with_own_schedules = set((await connection.execute(own.distinct())).scalars())
    advanced: dict[str, dict[str, Any]] = {}
    for row in candidates:
        if row.id not in with_own_schedules and (values := _moved_on(row, now)) is not None:
            advanced[row.id] = values
    due_at = {row.id: row.next_fire_at for row in rows if row.id in advanced}
    skipped = {row.id for row in rows if row.id in advanced and is_skipped(row, advanced[row.id]["passed"])}
    answered = select(syncs.c.connector_id).where(tuple_(syncs.c.connector_id, syncs.c.due_at).in_(list(due_at.items())))
    left_out = skipped | (set((await connection.execute(answered)).scalars()) if due_at else set())
    quiet = [values | {"passed": values["passed"] + (id_ in skipped)} for id_, values in advanced.items() if id_ in left_out]
    queued = [id_ for id_ in advanced if id_ not in left_out]
    if quiet:
        await connection.execute(_ADVANCE, quiet)
    if queued:
        sync_ids = {id_: new_id(now) for id_ in queued}
        await connection.execute(
            insert(syncs),
            [
                {
                    "id": sync_ids[id_],
                    "connector_id": id_,
                    "trigger": Trigger.SCHEDULED,
                    "reason": Reason.SCHEDULE,
                    "requested_by": "schedule",
                    "due_at": due_at[id_],
                    "missed": advanced[id_]["passed"],
                    "state": SyncState.CREATED,
                    "created_at": now,
                }
                for id_ in queued
            ],
        )
        await connection.execute(_QUEUE, [advanced[id_] | {"at": now, "sync_id": sync_ids[id_]} for id_ in queued])
        reach("due-queueing")
    return queued, [row for row in rows if row.id not in advanced]


def _is_plain(row: Any, now: datetime) -> bool:
    return (
        row.paused_by is None
        and row.deleted_at is None
        and bool(row.configuration_complete)
        and row.schema_change is None
        and row.activity == Activity.IDLE
        and row.next_fire_at is not None
        and row.next_fire_at <= now
    )


def _moved_on(row: Any, now: datetime) -> dict[str, Any] | None:
    """When it is due next, and how many more of its fire times have passed; None where its schedule cannot be computed."""
    try:
        passed = missed(
            schedule_of(row),
            row.next_fire_at,
            now,
            anchor=anchor_of(row),
            offset=timedelta(milliseconds=row.offset_ms),
            limit=MISSED_COUNTED,
        )
        return {"due_id": row.id, "next_fire": next_fire_of(row, now), "passed": passed}
    except (SynctermError, ValueError):
        return None
