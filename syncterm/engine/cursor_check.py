"""What speaks against a cursor column, found out before the first sync: from the schema, and from a short look at the data.

The first records are looked at, and the newest ones where the source can find them; never the whole table. What a sync does with
what is found: records without a value are rejected, those in the future wait, those at the boundary are read again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from syncterm.engine import source_catalog
from syncterm.engine.adapter_factory import AdapterFactory
from syncterm.engine.clock import Clock
from syncterm.engine.connector_setup import Endpoint
from syncterm.engine.control import Control
from syncterm.engine.cursor import CURSOR_TYPES
from syncterm.engine.discovery import ask_source
from syncterm.engine.errors import ConnectionTimeoutError, SchemaChangedError
from syncterm.engine.model import StreamConfig, SyncMode, Window
from syncterm.engine.pipeline import planned_fields
from syncterm.engine.schema import Field, StreamSchema
from syncterm.engine.sources.base import Source
from syncterm.engine.store.database import Database

SAMPLE_RECORDS = 20_000
"""Records that each look takes at most."""
SAMPLE_SECONDS = 2.0
"""Seconds after which a look takes what it has."""
_ANSWER_SECONDS = 8.0
"""Seconds that the source has for one look in all."""
_MANY_TIES = 20
"""Per cent of the records that share their value with another, from which on a column is called coarse."""
_LARGE_TABLE = 10_000
"""Records below which an index makes no difference that anybody notices."""
_CLOCK_SLACK = timedelta(minutes=1)
_INSTANTS = ("timestamptz", "timestamp", "date")


async def check_cursor_column(
    database: Database, clock: Clock, adapters: AdapterFactory, endpoint: Endpoint, stream: StreamConfig
) -> tuple[str, ...]:
    """The warnings about a stream's cursor, the worst first. Empty where nothing was found, or where there is no cursor.

    Raises:
        SynctermError: why the source could not be read.
    """
    if stream.cursor_field is None:
        return ()
    async with database.read() as connection:
        schema = await source_catalog.load_stream(connection, endpoint.id, stream.name)
    if schema is None or stream.cursor_field not in {found.name for found in schema.fields}:
        raise SchemaChangedError(
            f"The source has no column {stream.cursor_field[:80]!r} in {stream.name[:80]!r}.", remedy="Read its streams again."
        )
    known = schema
    sampled = replace(stream, columns=(), row_filter=None, look_back=None)
    column = next(each for each in planned_fields(sampled, known) if each.name == stream.cursor_field)
    if column.type.name not in CURSOR_TYPES:
        return (f"{column.name} has the type {column.type}, which has no order a cursor can follow: choose another column.",)
    now = clock.now()

    def look(source: Source, control: Control) -> CursorSample:
        sample = _sample(_values(source, control, sampled, known, None), known, stream)
        sample.indexed = source.indexed_columns(known)
        return sample

    sample = await ask_source(adapters, endpoint, f"values of {column.name[:80]!r}", _ANSWER_SECONDS, look)
    future: list[Any] = []
    slow = False
    if column.type.name in _INSTANTS:
        after = Window(_window_text(now, column), None)

        def look_ahead(source: Source, control: Control) -> list[Any]:
            limit = _as_value(now + _CLOCK_SLACK, column)
            return [row[-1] for row in _values(source, control, sampled, known, after) if row[-1] is not None and row[-1] > limit]

        try:
            future = await ask_source(adapters, endpoint, f"the newest {column.name[:80]!r}", _ANSWER_SECONDS, look_ahead)
        except ConnectionTimeoutError:
            slow = True
    return tuple(findings(stream, column, known, sample, future, slow=slow))


@dataclass(slots=True)
class CursorSample:
    """What a look at a column saw."""

    records: int = 0
    nulls: int = 0
    ties: int = 0
    """Records that share their value with another one."""
    most_alike: int = 0
    """Records at the most frequent value."""
    whole_seconds: bool = True
    backwards: int = 0
    """Records whose value is below that of the record before, in the order of the key."""
    furthest_back: Any = None
    """By how much at most, where values have a difference in time."""
    ordered_by_key: bool = False
    indexed: frozenset[str] | None = field(default=None)


def findings(
    stream: StreamConfig, column: Field, schema: StreamSchema, sample: CursorSample, future: list[Any], *, slow: bool = False
) -> Iterator[str]:
    """The warnings that follow from what was seen. Pure."""
    name, seen = column.name, sample.records
    if sample.nulls and not stream.include_null_cursor:
        yield (
            f"{name} is empty in {sample.nulls:,} of the first {seen:,} records: each becomes a failed record at every full read."
            " Choose another column, or let records without a value be read at every sync."
        )
    elif sample.nulls:
        yield f"{name} is empty in {sample.nulls:,} of the first {seen:,} records: those are read again at every sync."
    elif column.nullable and seen:
        yield f"{name} may be empty (none of the first {seen:,} records is): a record without a value becomes a failed record."
    if future:
        yield (
            f"{name} lies in the future in {_many(len(future))} (up to {_shown(max(future))}): they wait until that time has come."
        )
    if name in schema.primary_key and stream.sync_mode is SyncMode.INCREMENTAL_UPSERT:
        yield f"{name} is part of the key, which stays when a record changes: only new records would be found, no changes."
    elif column.type.name in ("int16", "int32", "int64", "uint64") and stream.sync_mode is SyncMode.INCREMENTAL_UPSERT:
        yield f"{name} is a number: make sure that it grows whenever a record changes, or changes are not found."
    if column.type.name == "date":
        yield f"{name} holds days, not times: each sync reads the whole last day again to find what changed on it."
    elif sample.records and sample.ties * 100 >= sample.records * _MANY_TIES and column.type.name in _INSTANTS:
        unit = "whole seconds" if sample.whole_seconds else "few distinct times"
        yield (
            f"{name} holds {unit}: {sample.ties * 100 // seen} % of the first {seen:,} records share their value with another, up"
            f" to {sample.most_alike:,} at once. Each sync reads those at its boundary again; nothing is lost."
        )
    if sample.ordered_by_key and sample.backwards and _should_grow_with_key(stream):
        late = f", by up to {_span(sample.furthest_back)}" if isinstance(sample.furthest_back, timedelta) else ""
        yield (
            f"{name} goes back {_times(sample.backwards)} within the first {seen:,} records in the order of their key{late}: a"
            " record that arrives late is missed. Upsert with a look-back finds it."
        )
    large = schema.estimated_rows is None or schema.estimated_rows >= _LARGE_TABLE
    if slow:
        yield (
            f"Finding the newest values of {name} took more than {_ANSWER_SECONDS:.0f} seconds, and every sync does that:"
            " an index on it would help."
        )
    elif sample.indexed is not None and name not in sample.indexed and large:
        rows = f" of about {schema.estimated_rows:,} records" if schema.estimated_rows else ""
        yield f"No index begins with {name}: every sync reads the whole table{rows} to find what is new."


def _should_grow_with_key(stream: StreamConfig) -> bool:
    """Whether records are only ever added: where they change, their cursor moves and their key stays."""
    return stream.sync_mode is SyncMode.INCREMENTAL_APPEND


def _values(
    source: Source, control: Control, stream: StreamConfig, schema: StreamSchema, window: Window | None
) -> Iterator[tuple[Any, ...]]:
    """Key columns and the cursor of some records, as Python values."""
    fields = planned_fields(stream, schema)
    names = [*(name for name in stream.primary_key if name != stream.cursor_field), stream.cursor_field or ""]
    give_up, taken = time.monotonic() + SAMPLE_SECONDS, 0
    for piece in source.read(stream, schema, fields, window):
        control.raise_if_stopped()
        batch = piece.records.slice(0, SAMPLE_RECORDS - taken)
        taken += batch.num_rows
        yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)
        if taken >= SAMPLE_RECORDS or time.monotonic() > give_up:
            return


def _sample(rows: Iterator[tuple[Any, ...]], schema: StreamSchema, stream: StreamConfig) -> CursorSample:
    records = list(rows)
    values = [row[-1] for row in records if row[-1] is not None]
    alike: dict[Any, int] = {}
    for value in values:
        alike[value] = alike.get(value, 0) + 1
    sample = CursorSample(
        records=len(records),
        nulls=len(records) - len(values),
        ties=sum(number for number in alike.values() if number > 1),
        most_alike=max(alike.values(), default=0),
        whole_seconds=not any(getattr(value, "microsecond", 0) for value in values),
    )
    keys = {len(row) for row in records}
    if keys == {2} and stream.primary_key and all(isinstance(row[0], int) for row in records):
        sample.ordered_by_key = True
        in_order = [row[1] for row in sorted(records, key=lambda row: row[0]) if row[1] is not None]
        steps_back = [before - after for before, after in pairwise(in_order) if after < before] if _differ(in_order) else []
        sample.backwards = sum(1 for before, after in pairwise(in_order) if after < before)
        sample.furthest_back = max(steps_back, default=None)
    return sample


def _differ(values: list[Any]) -> bool:
    return bool(values) and isinstance(values[0], date | int | float)


def _as_value(instant: datetime, column: Field) -> Any:
    if column.type.name == "date":
        return instant.date() + timedelta(days=1)  # the day has begun somewhere
    return instant if column.type.name == "timestamptz" else instant.replace(tzinfo=None)


def _window_text(instant: datetime, column: Field) -> str:
    if column.type.name == "date":
        return instant.date().isoformat()
    return instant.isoformat(sep=" ") if column.type.name == "timestamptz" else instant.replace(tzinfo=None).isoformat(sep=" ")


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        zone = " UTC" if value.tzinfo is not None else ""
        return f"{(value.astimezone(UTC) if zone else value):%Y-%m-%d %H:%M:%S}{zone}"
    return str(value)


def _span(step: timedelta) -> str:
    """A stretch of time, rounded up."""
    for unit, name in ((timedelta(days=1), "days"), (timedelta(hours=1), "hours"), (timedelta(minutes=1), "minutes")):
        if step > unit:
            return f"{-(-step // unit):,} {name}"
    return f"{-(-step // timedelta(seconds=1))} s"


def _many(number: int) -> str:
    if number >= SAMPLE_RECORDS:
        return f"{number:,} records or more"
    return f"{number:,} records" if number > 1 else "1 record"


def _times(number: int) -> str:
    return f"{number:,} times" if number > 1 else "once"
