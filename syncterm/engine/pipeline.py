"""One stream of one sync: source → bounded queue → destination, in two threads.

The reader thread pulls batches from the source, keeps what belongs to the window and what the destination can store, and puts them
into a queue that is bounded in bytes. The calling thread feeds them to the destination's load and commits data and cursor together.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from syncterm.engine.batch_queue import BatchQueue
from syncterm.engine.control import Control
from syncterm.engine.cursor import CursorFilter, parse_value
from syncterm.engine.deletes import DELETED_AT, GUARD_SHARE, DeletePlan, check_deletes, looks_for_deletes
from syncterm.engine.destinations.base import Destination, Load, LoadResult, LoadTarget, StreamState
from syncterm.engine.errors import ConfigError, SchemaChangedError, TooManyRejectsError, UnbalancedError
from syncterm.engine.failpoint import reach
from syncterm.engine.model import (
    ACTION_OF_MODE,
    Action,
    Cursor,
    DeleteHandling,
    RejectedRecord,
    StreamConfig,
    StreamCounts,
    SyncMode,
    Window,
)
from syncterm.engine.row_filter import filtered_fields
from syncterm.engine.schema import Field, StreamSchema, arrow_field, parse_type
from syncterm.engine.selection import Selection
from syncterm.engine.sources.base import Source, SourceBatch

if TYPE_CHECKING:
    import pyarrow as pa

READER_GRACE = 1.0
"""Seconds that a reader has to return after a load failed, before what it uses is closed under it."""
WORKER_NICENESS = 10
"""Added to the niceness of a sync's threads, so that the dashboard's keys come first."""


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
    approved_deletes: int = 0
    """How many deletes a person has approved, on top of what the guard allows."""


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
    withheld: int = 0
    """Deletes that need a person's approval; none was carried out."""


@dataclass
class _Tally:
    read: int = 0
    unchanged: int = 0
    filtered: int = 0
    rejected: int = 0
    bytes: int = 0
    passed: int = 0
    """Records handed to the destination."""


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
    check_deletes(stream, listed=source.capabilities.deletes, deletable=destination.capabilities.deletes)
    fields = planned_fields(stream, task.schema, task.arriving)
    if _marks(task) and any(each.name.casefold() == DELETED_AT.name for each in fields):
        raise ConfigError(
            f"Stream {stream.name!r} has a column {DELETED_AT.name!r} of its own, so its deleted records cannot be marked there.",
            remedy="Leave the column out, or choose remove or keep for deleted records.",
        )
    before = _cursor_before(task)
    extra = _left_out_since(task, fields, before)
    with (
        control.interrupter(source.interrupt),
        control.interrupter(destination.interrupt),
        closing(Selection(stream, task.schema, (*fields, *extra), task.arriving)) as selection,
    ):
        cursor_filter = _cursor_filter(source, task, fields, before, [field.name for field in extra])
        load = destination.open(
            LoadTarget(
                connector_id=task.connector_id,
                stream=stream.name,
                collection=task.collection,
                table=stream.target,
                fields=(*fields, DELETED_AT) if _marks(task) else fields,
                sync_mode=stream.sync_mode,
                primary_key=stream.primary_key,
                cursor_field=stream.cursor_field,
                epoch=task.epoch,
                sync_id=task.sync_id,
                full=task.full,
                deletes=(
                    DeletePlan(stream.delete_handling, destination.context.clock.now(), task.approved_deletes)
                    if looks_for_deletes(stream)
                    else None
                ),
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


def _left_out_since(task: StreamTask, fields: tuple[Field, ...], before: Cursor | None) -> tuple[Field, ...]:
    """Columns that the records at the cursor were delivered with and that are no longer selected, where the source has them still:
    they are read once more, to recognise those records. An upsert brings a record once, recognised or not."""
    delivered = before.columns if before is not None and before.hashes else None
    if delivered is None or task.stream.sync_mode is not SyncMode.INCREMENTAL_APPEND:
        return ()
    left_out = set(delivered) - {field.name for field in fields}
    return tuple(field for field in filtered_fields(task.stream, task.schema, task.arriving) if field.name in left_out)


def _cursor_filter(
    source: Source, task: StreamTask, fields: tuple[Field, ...], before: Cursor | None, extra: Sequence[str]
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
        extra=extra,
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
    selection: Selection,
    incremental: tuple[CursorFilter, Window] | None,
) -> LoadedStream:
    tally, stream = _Tally(), task.stream.name
    cursor_filter, window = incremental or (None, None)
    marks = _marks(task)

    def keep(piece: SourceBatch) -> pa.RecordBatch:
        tally.read += piece.records.num_rows + len(piece.rejected) + piece.filtered
        tally.filtered += piece.filtered
        tally.bytes += piece.bytes or piece.records.nbytes
        records, left_out, uncomputed = selection.split(piece.records)
        tally.filtered += left_out.num_rows
        faults = [*piece.rejected, *uncomputed]
        if cursor_filter is not None:
            cursor_filter.pass_over(left_out)
            records, unchanged, outside, null_cursors = cursor_filter.apply(records)
            tally.unchanged += unchanged
            tally.filtered += outside
            faults += null_cursors
        records, refused = load.accept(_with_mark(records) if marks else records)
        faults += refused
        if faults:
            tally.rejected += len(faults)
            action = ACTION_OF_MODE[task.stream.sync_mode]
            hooks.save_rejected([fault if fault.action is action else replace(fault, action=action) for fault in faults])
            _check_limits(task, tally, final=False)
        tally.passed += records.num_rows
        control.progress.records, control.progress.bytes = tally.read, tally.bytes
        return records

    _carry(source, task, selection.fields, window, keep, load.write, control)
    _check_limits(task, tally, final=True)
    cursor = cursor_filter.result().to_text() if cursor_filter is not None else None
    counts = StreamCounts(tally.read, tally.passed, tally.unchanged, tally.filtered, tally.rejected, tally.bytes)
    _check_balance(stream, counts)
    warnings = _list_keys(source, load, task, control, selection) if _lists_keys(task) else ()
    hooks.prepare(counts, cursor)
    reach("commit-prepared")
    with control.commit_gate(hooks.may_commit):
        reach("commit-begun")
        result = load.commit(cursor)
        reach("commit-done")
    counts = replace(counts, written=result.written, filtered=counts.filtered + result.superseded, deleted=result.deleted)
    _check_balance(stream, counts)
    warnings += _warnings(task, cursor_filter, result)
    return LoadedStream(counts, cursor, warnings, result.withheld)


def _carry(
    source: Source,
    task: StreamTask,
    fields: tuple[Field, ...],
    window: Window | None,
    keep: Callable[[SourceBatch], pa.RecordBatch],
    into: Callable[[Iterator[pa.RecordBatch]], None],
    control: Control,
) -> None:
    """Read in a thread of its own, hand over what `keep` makes of each piece; back when all was taken.

    Raises:
        SynctermError: what either end raised, or the reason of `control.stop`; the reader has ended then, or will soon.
    """
    batches = BatchQueue()
    errors: list[BaseException] = []
    ended = False

    def read() -> None:
        lower_priority()
        try:
            for piece in source.read(task.stream, task.schema, fields, window):
                control.raise_if_stopped()
                reach("batch-read")
                records = keep(piece)
                if records.num_rows:
                    batches.put(records, control)
        except BaseException as error:
            errors.append(error)
        finally:
            batches.close()

    def arriving() -> Iterator[pa.RecordBatch]:
        nonlocal ended
        for batch in batches.drain(control):
            yield batch
            reach("batch-staged")
        if errors:
            raise errors[0]
        ended = True

    reader = threading.Thread(target=read, name=f"read {task.stream.name}"[:64], daemon=True)
    reader.start()
    try:
        into(arriving())
        control.raise_if_stopped()
        if errors:
            raise errors[0]
        if not ended:
            raise UnbalancedError(f"The destination stopped before the end of stream {task.stream.name!r}; nothing was committed.")
    except BaseException:
        batches.abandon()
        source.interrupt()
        reader.join(READER_GRACE)
        raise


def _marks(task: StreamTask) -> bool:
    """Whether the records carry the column that marks deleted ones."""
    return looks_for_deletes(task.stream) and task.stream.delete_handling is DeleteHandling.MARK


def _with_mark(records: pa.RecordBatch) -> pa.RecordBatch:
    """Records that the source has: not deleted."""
    import pyarrow as pa

    field = arrow_field(DELETED_AT)
    return records.append_column(field, pa.nulls(records.num_rows, field.type))


def _lists_keys(task: StreamTask) -> bool:
    """Whether records may be gone: not where all of them are new in the destination."""
    return looks_for_deletes(task.stream) and not task.full and task.state is not None


def _list_keys(source: Source, load: Load, task: StreamTask, control: Control, selection: Selection) -> tuple[str, ...]:
    """Stage the keys of all records that the source holds now and the row filter is true for.

    Where some record could not be read, its key may be missing: then nothing is deleted, and a warning says so.
    """
    by_name = {field.name: field for field in selection.fields}
    written = tuple(by_name[name] for name in task.stream.primary_key)
    unread = 0
    read_bytes = control.progress.bytes
    with closing(Selection(task.stream, task.schema, written, task.arriving)) as keys:

        def keep(piece: SourceBatch) -> pa.RecordBatch:
            nonlocal unread, read_bytes
            records, _, uncomputed = keys.split(piece.records)
            unread += len(piece.rejected) + len(uncomputed) + piece.filtered
            read_bytes += piece.bytes or piece.records.nbytes
            control.progress.bytes = read_bytes
            return records

        _carry(source, task, keys.fields, None, keep, load.write_keys, control)
    reach("keys-listed")
    if not unread:
        return ()
    load.forget_keys()
    return (f"{unread:,} records of stream {task.stream.name!r} could not be read, so nothing was deleted: they may be there.",)


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


def _warnings(task: StreamTask, cursor_filter: CursorFilter | None, result: LoadResult) -> tuple[str, ...]:
    warnings = []
    if result.withheld:
        warnings.append(
            f"{result.withheld:,} of the {result.held:,} records of stream {task.stream.name!r} are gone from the source: more than"
            f" {GUARD_SHARE} %, so none was deleted. Approve the deletes where they are meant."
        )
    if cursor_filter is not None and cursor_filter.beyond:
        warnings.append(
            f"{cursor_filter.beyond} records of stream {task.stream.name!r} have a cursor beyond this sync's window "
            "(changed meanwhile, or in the future); later syncs read them when their time has come."
        )
    if result.superseded:
        warnings.append(
            f"{result.superseded} older versions of keys in stream {task.stream.name!r} were superseded within this sync."
        )
    if (
        ACTION_OF_MODE[task.stream.sync_mode] is Action.INSERT
        and not task.stream.primary_key
        and not task.full
        and task.state is None
    ):
        warnings.append(f"Stream {task.stream.name!r} is appended without a primary key: duplicates in the source stay duplicates.")
    return tuple(warnings)
