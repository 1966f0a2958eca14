"""One stream of one sync: source → bounded queue → destination, in two threads.

The reader thread pulls batches from the source, keeps what belongs to the window and what the destination can store, and puts them
into a queue that is bounded in bytes. The calling thread feeds them to the destination's load and commits data and cursor together.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from syncterm.engine.control import Control
from syncterm.engine.cursor import CursorFilter, parse_value
from syncterm.engine.destinations.base import Destination, Load, LoadTarget, StreamState
from syncterm.engine.errors import CancelledSyncError, ConfigError, SchemaChangedError, TooManyRejectsError, UnbalancedError
from syncterm.engine.failpoint import reach
from syncterm.engine.model import ACTION_OF_MODE, Action, Cursor, RejectedRecord, StreamConfig, StreamCounts, Window
from syncterm.engine.row_filter import RowFilterRun, filtered_fields, stream_filter
from syncterm.engine.schema import Field, StreamSchema, parse_type
from syncterm.engine.sources.base import Source

if TYPE_CHECKING:
    import pyarrow as pa

QUEUE_BYTES = 32 * 1024 * 1024
"""Bytes of record batches between the two threads."""
READER_GRACE = 1.0
"""Seconds that a reader has to return after a load failed, before what it uses is closed under it."""
POLL_SECONDS = 0.1
"""How often a waiting thread looks whether it was stopped."""
WORKER_NICENESS = 10
"""Added to the niceness of a sync's threads, so that the dashboard's keys come first."""


class BatchQueue:
    """A queue of record batches, bounded in bytes; either end can close it."""

    def __init__(self, limit: int = QUEUE_BYTES) -> None:
        self._limit = limit
        self._items: queue.SimpleQueue[tuple[pa.RecordBatch, int] | None] = queue.SimpleQueue()
        self._bytes = 0
        self._abandoned = False
        self._room = threading.Condition()

    def put(self, batch: pa.RecordBatch, control: Control) -> None:
        """Add a batch, waiting for room. A batch larger than the limit passes alone."""
        size = batch.nbytes
        with self._room:
            while self._bytes and self._bytes + size > self._limit and not self._abandoned:
                control.raise_if_stopped()
                self._room.wait(POLL_SECONDS)
            if self._abandoned:
                raise CancelledSyncError("The destination takes no more batches.")
            self._bytes += size
        self._items.put((batch, size))

    def close(self) -> None:
        """No more batches will come."""
        self._items.put(None)

    def abandon(self) -> None:
        """No more batches will be taken: `put` raises from now on."""
        with self._room:
            self._abandoned = True
            self._room.notify_all()

    def drain(self, control: Control) -> Iterator[pa.RecordBatch]:
        """The batches in order, until `close`."""
        while True:
            control.raise_if_stopped()
            try:
                item = self._items.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if item is None:
                return
            batch, size = item
            with self._room:
                self._bytes -= size
                self._room.notify()
            yield batch


@dataclass(frozen=True, slots=True)
class StreamTask:
    """What one stream's load needs to know."""

    connector_id: str
    sync_id: str
    epoch: int
    collection: str
    stream: StreamConfig
    schema: StreamSchema
    full: bool
    """Whether everything is read again and what is there is replaced."""
    state: StreamState | None
    """What the destination holds; the truth about the cursor."""
    arriving: Mapping[str, Field] = field(default_factory=dict)
    """Columns that arrive in another type than the source's present one: what was approved, or what the destination has."""
    reject_limit_count: int = 10_000
    reject_limit_share: int = 10
    """Per cent of the records read. The sync fails where both limits are exceeded."""


@dataclass(frozen=True, slots=True)
class StreamHooks:
    """What the runner does around a load. All are called from the sync's threads and may block."""

    save_rejected: Callable[[list[RejectedRecord]], None]
    """Keep failed records; they are on disk when this returns."""
    prepare: Callable[[StreamCounts, str | None], None]
    """Note counts and cursor just before the commit, so that a crash after it can be told from one before."""
    may_commit: Callable[[], bool]
    """Whether this engine still holds the lease."""


@dataclass(frozen=True, slots=True)
class LoadedStream:
    """What a load did."""

    counts: StreamCounts
    cursor: str | None
    warnings: tuple[str, ...] = ()


@dataclass
class _Tally:
    read: int = 0
    unchanged: int = 0
    filtered: int = 0
    rejected: int = 0
    bytes: int = 0
    passed: int = 0
    """Records handed to the destination."""
    error: BaseException | None = None
    ended: bool = False
    """Whether the destination has taken the stream to its end."""


def planned_fields(stream: StreamConfig, schema: StreamSchema, arriving: Mapping[str, Field] | None = None) -> tuple[Field, ...]:
    """The columns that a load reads and writes: those selected, the key and the cursor, each with the person's cast.

    Args:
        arriving: columns that arrive in another type than the source's, where the person has not cast them.

    Raises:
        SchemaChangedError: where a selected column, the key or the cursor is not in the source.
    """
    names = {found.name for found in schema.fields}
    wanted = [found.name for found in schema.fields] if stream.columns is None else list(stream.columns)
    wanted += [name for name in (*stream.primary_key, stream.cursor_field) if name and name not in wanted]
    missing = [name for name in (*wanted, *stream.casts) if name not in names]
    if missing:
        raise SchemaChangedError(
            f"Stream {stream.name!r} has no column {', '.join(map(repr, missing))} in the source any more.",
            remedy="Change the connector's columns, key or cursor, then sync again.",
        )
    ordered = [(arriving or {}).get(name) or schema.field(name) for name in dict.fromkeys(wanted)]
    return tuple(
        replace(found, type=parse_type(stream.casts[found.name]), native="") if found.name in stream.casts else found
        for found in ordered
    )


class _Selection:
    """Which of a stream's records are written: those that its row filter is true for, without columns read only for the filter.

    Raises:
        SchemaChangedError: where the filter names a column that is gone; ConfigError: where it cannot be computed.
    """

    def __init__(self, task: StreamTask, written: tuple[Field, ...]) -> None:
        stream = self._stream = task.stream
        self._names = [each.name for each in written]
        self._run: RowFilterRun | None = None
        self.fields = written
        """The columns to read."""
        seen = filtered_fields(stream, task.schema, task.arriving)
        row_filter = stream_filter(stream, seen)
        if row_filter is None:
            return
        types = {each.name: each for each in seen}
        self.fields += tuple(types[name] for name in row_filter.columns if name not in self._names)
        self._run = RowFilterRun(row_filter)
        self._run.check(self.fields)

    def split(self, records: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch, tuple[RejectedRecord, ...]]:
        """The records to write, those that the filter leaves out, and those that it could not be computed for."""
        if self._run is None:
            return records, records.slice(0, 0), ()
        kept, left_out, rejected = self._run.split(
            records, stream=self._stream.name, fields=self.fields, key=self._stream.primary_key
        )
        return kept.select(self._names), left_out.select(self._names), rejected

    def close(self) -> None:
        if self._run is not None:
            self._run.close()


def lower_priority() -> None:
    """Make the calling thread nicer, where the system can do that for a thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), WORKER_NICENESS)


def run_stream(source: Source, destination: Destination, task: StreamTask, control: Control, hooks: StreamHooks) -> LoadedStream:
    """Move one stream; blocks until it is committed.

    Raises:
        SynctermError: the source's, the destination's, or the reason of `control.stop`; nothing was committed.
    """
    stream = task.stream
    fields = planned_fields(stream, task.schema, task.arriving)
    before = _cursor_before(task)
    with (
        control.interrupter(source.interrupt),
        control.interrupter(destination.interrupt),
        closing(_Selection(task, fields)) as selection,
    ):
        cursor_filter = _cursor_filter(source, task, fields, before)
        load = destination.open(
            LoadTarget(
                connector_id=task.connector_id,
                stream=stream.name,
                collection=task.collection,
                table=stream.target,
                fields=fields,
                sync_mode=stream.sync_mode,
                primary_key=stream.primary_key,
                cursor_field=stream.cursor_field,
                epoch=task.epoch,
                sync_id=task.sync_id,
                full=task.full,
            )
        )
        reach("load-opened")
        try:
            return _load(source, load, task, control, hooks, selection, cursor_filter)
        except BaseException:
            load.abort()
            raise


def _cursor_before(task: StreamTask) -> Cursor | None:
    """Where the last committed load ended.

    Raises:
        ConfigError: where that was in another column: its values say nothing about this one's.
    """
    stream = task.stream
    if not stream.sync_mode.incremental or task.full or task.state is None or task.state.cursor is None:
        return None
    before = Cursor.from_text(task.state.cursor)
    if before.column not in (None, stream.cursor_field):
        raise ConfigError(
            f"Stream {stream.name!r} was read up to {before.value!r} of column {before.column!r}; its cursor is"
            f" {stream.cursor_field!r} now.",
            remedy="Run a historical re-sync, or choose the earlier cursor column again.",
        )
    return before


def _cursor_filter(
    source: Source, task: StreamTask, fields: tuple[Field, ...], before: Cursor | None
) -> tuple[CursorFilter, Window] | None:
    """The filter and the window of an incremental stream; None for the others."""
    stream = task.stream
    if not stream.sync_mode.incremental:
        return None
    if stream.cursor_field is None:
        raise SchemaChangedError(f"Stream {stream.name!r} is incremental but has no cursor column.", remedy="Choose one.")
    column = next(found for found in fields if found.name == stream.cursor_field)
    high = source.high(stream, task.schema)
    window = Window(before.value if before else None, high)
    cap = None
    if high is None and column.type.name in ("timestamp", "timestamptz", "date"):
        cap = parse_value(_instant_text(source, column), column)
    filter_ = CursorFilter(
        stream.name,
        column,
        before,
        window,
        include_null=stream.include_null_cursor,
        look_back=stream.look_back,
        cap=cap,
    )
    return filter_, window


def _instant_text(source: Source, column: Field) -> str:
    now = source.context.clock.now()
    if column.type.name == "date":
        return now.date().isoformat()
    return now.isoformat(sep=" ") if column.type.name == "timestamptz" else now.replace(tzinfo=None).isoformat(sep=" ")


def _load(
    source: Source,
    load: Load,
    task: StreamTask,
    control: Control,
    hooks: StreamHooks,
    selection: _Selection,
    incremental: tuple[CursorFilter, Window] | None,
) -> LoadedStream:
    tally, stream = _Tally(), task.stream.name
    batches = BatchQueue()
    cursor_filter, window = incremental or (None, None)

    def read() -> None:
        lower_priority()
        try:
            for piece in source.read(task.stream, task.schema, selection.fields, window):
                control.raise_if_stopped()
                reach("batch-read")
                _keep(piece.records, piece.rejected, piece.filtered, piece.bytes)
        except BaseException as error:
            tally.error = error
        finally:
            batches.close()

    def _keep(records: pa.RecordBatch, rejected: tuple[RejectedRecord, ...], filtered: int, size: int) -> None:
        tally.read += records.num_rows + len(rejected) + filtered
        tally.filtered += filtered
        tally.bytes += size or records.nbytes
        records, left_out, uncomputed = selection.split(records)
        tally.filtered += left_out.num_rows
        faults = [*rejected, *uncomputed]
        if cursor_filter is not None:
            cursor_filter.pass_over(left_out)
            records, unchanged, outside, null_cursors = cursor_filter.apply(records)
            tally.unchanged += unchanged
            tally.filtered += outside
            faults += null_cursors
        records, refused = load.accept(records)
        faults += refused
        if faults:
            tally.rejected += len(faults)
            action = ACTION_OF_MODE[task.stream.sync_mode]
            hooks.save_rejected([fault if fault.action is action else replace(fault, action=action) for fault in faults])
            _check_limits(task, tally, final=False)
        tally.passed += records.num_rows
        control.progress.records, control.progress.bytes = tally.read, tally.bytes
        if records.num_rows:
            batches.put(records, control)

    def arriving() -> Iterator[pa.RecordBatch]:
        for batch in batches.drain(control):
            yield batch
            reach("batch-staged")
        if tally.error is not None:
            raise tally.error
        tally.ended = True

    reader = threading.Thread(target=read, name=f"read {task.stream.name}"[:64], daemon=True)
    reader.start()
    try:
        load.write(arriving())
        control.raise_if_stopped()
        if tally.error is not None:
            raise tally.error
        if not tally.ended:
            raise UnbalancedError(f"The destination stopped before the end of stream {stream!r}; nothing was committed.")
    except BaseException:
        batches.abandon()
        source.interrupt()
        reader.join(READER_GRACE)
        raise
    _check_limits(task, tally, final=True)
    cursor = cursor_filter.result().to_text() if cursor_filter is not None else None
    counts = StreamCounts(tally.read, tally.passed, tally.unchanged, tally.filtered, tally.rejected, tally.bytes)
    _check_balance(stream, counts)
    hooks.prepare(counts, cursor)
    reach("commit-prepared")
    with control.commit_gate(hooks.may_commit):
        reach("commit-begun")
        result = load.commit(cursor)
        reach("commit-done")
    counts = replace(counts, written=result.written, filtered=counts.filtered + result.superseded)
    _check_balance(stream, counts)
    return LoadedStream(counts, cursor, _warnings(task, cursor_filter, result.superseded))


def _check_balance(stream: str, counts: StreamCounts) -> None:
    """Raises: UnbalancedError: where records went astray, before the commit or in it."""
    if not counts.balanced:
        raise UnbalancedError(
            f"Stream {stream!r} does not balance: {counts.read} read, but {counts.written} written, "
            f"{counts.unchanged} unchanged, {counts.filtered} filtered and {counts.rejected} rejected.",
            remedy="Run a historical re-sync of the stream, and report this.",
        )


def _check_limits(task: StreamTask, tally: _Tally, *, final: bool) -> None:
    """Fail where more records failed than the connector allows. The share is known only at the end, the count at once.

    Raises:
        TooManyRejectsError: naming both limits.
    """
    too_many = tally.rejected > task.reject_limit_count
    share = tally.rejected * 100 > tally.read * task.reject_limit_share
    if too_many and share and (final or tally.rejected > 2 * task.reject_limit_count):
        raise TooManyRejectsError(
            f"{tally.rejected} of {tally.read} records of stream {task.stream.name!r} failed; the connector allows "
            f"{task.reject_limit_count} records and {task.reject_limit_share} %.",
            remedy="Look at the failed records, mend the mapping or raise the limit.",
        )


def _warnings(task: StreamTask, cursor_filter: CursorFilter | None, superseded: int) -> tuple[str, ...]:
    warnings = []
    if cursor_filter is not None and cursor_filter.beyond:
        warnings.append(
            f"{cursor_filter.beyond} records of stream {task.stream.name!r} have a cursor beyond this sync's window "
            "(changed meanwhile, or in the future); later syncs read them when their time has come."
        )
    if superseded:
        warnings.append(f"{superseded} older versions of keys in stream {task.stream.name!r} were superseded within this sync.")
    if (
        ACTION_OF_MODE[task.stream.sync_mode] is Action.INSERT
        and not task.stream.primary_key
        and not task.full
        and task.state is None
    ):
        warnings.append(f"Stream {task.stream.name!r} is appended without a primary key: duplicates in the source stay duplicates.")
    return tuple(warnings)
