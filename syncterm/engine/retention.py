"""Removes what is older than the time it is kept, in pieces so small that nobody else who writes has to wait.

Kept for ever: the audit trail, connectors with their set-up, and the newest version of each cursor.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Table, and_, delete, exists, func, select, tuple_

from syncterm.engine.clock import Clock
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import (
    connectors,
    cursor_versions,
    destinations,
    failed_records,
    log_lines,
    rollup_days,
    rollup_hours,
    sources,
    streams,
    syncs,
)

KEEP = timedelta(days=60)
"""How long history is kept, unless set otherwise."""
DELETION_GRACE = timedelta(minutes=10)
"""How long a deletion can be undone: a deleted connector goes only after this and the time that history is kept."""
WRITER_TARGET = 0.008
"""Seconds that a piece aims to hold the writer; the most that is allowed is 20 ms."""
_FIRST_PIECE, _SMALLEST_PIECE, _LARGEST_PIECE = 50, 10, 500  # rows
_CHECKPOINT_EVERY = 5000
"""Rows after which the removal waits for the disk, so that the log stays short and no commit has to."""


@dataclass(slots=True)
class Removed:
    """What a run of the retention removed."""

    rows: dict[str, int] = field(default_factory=dict)
    """Table → rows, those that went with a sync (its streams and attempts) not counted."""
    longest: float = 0.0
    """Seconds that the longest piece held the writer."""


async def apply(database: Database, clock: Clock, *, keep: timedelta = KEEP) -> Removed:
    """Remove what is older than `keep`, then let the write-ahead log shrink.

    Raises:
        StoreError: the store is locked or cannot be written; the next run goes on.
    """
    removed = Removed()
    cutoff = clock.now() - keep
    newer = cursor_versions.alias("newer")
    superseded = exists().where(
        newer.c.connector_id == cursor_versions.c.connector_id,
        newer.c.stream == cursor_versions.c.stream,
        newer.c.version > cursor_versions.c.version,
    )
    for table, old in (
        (log_lines, log_lines.c.at < cutoff),
        (failed_records, failed_records.c.at < cutoff),
        (syncs, syncs.c.finished_at < cutoff),
        (rollup_hours, rollup_hours.c.hour_at < cutoff),
        (rollup_days, rollup_days.c.day_at < cutoff),
        (cursor_versions, and_(cursor_versions.c.at < cutoff, superseded)),
    ):
        await _remove(database, table, old, removed)
    await _purge(database, cutoff - DELETION_GRACE, removed)
    await database.checkpoint()
    return removed


async def _purge(database: Database, cutoff: datetime, removed: Removed) -> None:
    """Remove connectors that were deleted before `cutoff` with all that is theirs, then the ends that nothing uses any more.

    The connector that changed last of all stays, so that the sequence of changes never goes back.
    """
    async with database.read() as connection:
        newest_change = select(func.max(connectors.c.changed_at)).scalar_subquery()
        gone = [
            row.id
            for row in await connection.execute(
                select(connectors.c.id).where(connectors.c.deleted_at < cutoff, connectors.c.changed_at < newest_change)
            )
        ]
    for connector_id in gone:
        for table, column in (
            (log_lines, log_lines.c.connector_id),
            (failed_records, failed_records.c.connector_id),
            (syncs, syncs.c.connector_id),
            (cursor_versions, cursor_versions.c.connector_id),
            (rollup_days, rollup_days.c.subject_id),
            (streams, streams.c.connector_id),
            (connectors, connectors.c.id),
        ):
            await _remove(database, table, column == connector_id, removed)
    for end, used in ((sources, connectors.c.source_id), (destinations, connectors.c.destination_id)):
        unused = ~exists().where(used == end.c.id)
        await _remove(database, end, and_(end.c.deleted_at < cutoff, unused), removed)


async def _remove(database: Database, table: Table, condition: ColumnElement[bool], removed: Removed) -> None:
    """Delete the rows that match, piece by piece; the size of a piece follows the time that the last one took."""
    keys = list(table.primary_key.columns)
    loop = asyncio.get_running_loop()
    size, unwritten = _FIRST_PIECE, 0
    while True:
        piece = select(*keys).where(condition).limit(size)
        chosen = keys[0].in_(piece) if len(keys) == 1 else tuple_(*keys).in_(piece)
        async with database.write(durable=False) as connection:
            started = loop.time()
            count = (await connection.execute(delete(table).where(chosen))).rowcount
        held = loop.time() - started
        if count:
            removed.rows[table.name] = removed.rows.get(table.name, 0) + count
            removed.longest = max(removed.longest, held)
        if count < size:
            return
        unwritten += count
        if unwritten >= _CHECKPOINT_EVERY:
            await database.checkpoint()
            unwritten = 0
        size = min(_LARGEST_PIECE, size * 2) if held < WRITER_TARGET / 2 else size
        size = max(_SMALLEST_PIECE, size // 2) if held > WRITER_TARGET else size
