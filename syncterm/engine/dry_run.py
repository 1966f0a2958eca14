"""A dry run: the first records of a stream as they would arrive, read through the code that a sync reads with. Writes nothing."""

from __future__ import annotations

import time
from datetime import date, datetime
from datetime import time as wall_time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from syncterm.engine import source_catalog
from syncterm.engine.adapter_factory import AdapterFactory
from syncterm.engine.connector_setup import Endpoint
from syncterm.engine.control import Control
from syncterm.engine.cursor import CursorFilter
from syncterm.engine.discovery import ask_source
from syncterm.engine.drafts import DryRun
from syncterm.engine.errors import ConfigError, SchemaChangedError
from syncterm.engine.model import RejectedRecord, StreamConfig, Window
from syncterm.engine.pipeline import planned_fields
from syncterm.engine.redaction import redact
from syncterm.engine.schema import Field, StreamSchema
from syncterm.engine.selection import Selection
from syncterm.engine.sources.base import Source
from syncterm.engine.store.database import Database

if TYPE_CHECKING:
    import pyarrow as pa

DEADLINE = 30.0
"""Seconds that a dry run may take."""
_LOOKS = 10.0
"""Seconds after which it shows what it has: a row filter may match nothing in a large table."""
MOST_RECORDS = 1000
LONGEST_VALUE = 1000
"""Characters of a value that are shown."""


async def run_dry(database: Database, adapters: AdapterFactory, endpoint: Endpoint, stream: StreamConfig, limit: int) -> DryRun:
    """The first `limit` records of a stream of a source, with the person's columns, casts and row filter.

    Raises:
        SynctermError: why it could not be read.
    """
    if not 0 < limit <= MOST_RECORDS:
        raise ConfigError(f"A dry run of {limit} records is not possible.", remedy=f"Ask for 1 to {MOST_RECORDS:,}.")
    async with database.read() as connection:
        known = await source_catalog.load_stream(connection, endpoint.id, stream.name)

    def work(source: Source, control: Control) -> DryRun:
        schema = known or source.discover().stream(stream.name)
        if schema is None:
            raise SchemaChangedError(
                f"The source has no stream {stream.name[:80]!r} any more.", remedy="Read its streams again, and choose another."
            )
        return _read(source, control, stream, schema, limit)

    return await ask_source(adapters, endpoint, f"records of {stream.name[:80]!r}", DEADLINE, work)


def _read(source: Source, control: Control, stream: StreamConfig, schema: StreamSchema, limit: int) -> DryRun:
    fields = planned_fields(stream, schema)
    selection = Selection(stream, schema, fields)
    cursor_filter = _cursor_filter(stream, fields)
    records: list[tuple[str | None, ...]] = []
    rejected: list[RejectedRecord] = []
    filtered, give_up = 0, time.monotonic() + _LOOKS
    pieces = source.read(stream, schema, selection.fields, None)
    try:
        for piece in pieces:
            control.raise_if_stopped()
            rejected += piece.rejected
            filtered += piece.filtered
            batch = piece.records
            while batch.num_rows and len(records) < limit:
                some, batch = batch.slice(0, limit), batch.slice(limit)
                some, left_out, refused = selection.split(some)
                filtered += left_out.num_rows
                rejected += refused
                if cursor_filter is not None:
                    some, _, outside, refused = cursor_filter.apply(some)
                    filtered += outside
                    rejected += refused
                records += value_texts(some)
            if len(records) >= limit or len(rejected) >= limit or time.monotonic() > give_up:
                break
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
        selection.close()
    reasons = tuple(redact(record.message) for record in rejected[:limit])
    return DryRun(stream.name, fields, tuple(records[:limit]), reasons, filtered)


def _cursor_filter(stream: StreamConfig, fields: tuple[Field, ...]) -> CursorFilter | None:
    """What rejects records without a cursor value; None where the stream has no cursor (yet)."""
    if not stream.sync_mode.incremental or stream.cursor_field is None:
        return None
    column = next(field for field in fields if field.name == stream.cursor_field)
    return CursorFilter(stream.name, column, None, Window(None, None), include_null=stream.include_null_cursor)


def value_texts(batch: pa.RecordBatch) -> list[tuple[str | None, ...]]:
    """The records of a batch as text, without known secrets."""
    return [tuple(_value_text(value) for value in row) for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)]


def _value_text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, bytes):
        text = f"\\x{value[: LONGEST_VALUE // 2].hex()}"
    elif isinstance(value, datetime):
        text = value.isoformat(sep=" ")
    elif isinstance(value, date | wall_time):
        text = value.isoformat()
    elif isinstance(value, Decimal):
        text = format(value, "f")
    else:
        text = str(value)
    return redact(text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…")
