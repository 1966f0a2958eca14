"""Small loads for the contract suites."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from syncterm.engine.destinations.base import Destination, LoadResult, LoadTarget
from syncterm.engine.model import RejectedRecord, SyncMode
from syncterm.engine.schema import Field, arrow_schema, parse_type


def fields(**types: str) -> tuple[Field, ...]:
    """Fields by name and logical type."""
    return tuple(Field(name, parse_type(type_)) for name, type_ in types.items())


FIELDS = fields(id="int64", note="text", seen="int64")
TARGET = LoadTarget(
    connector_id="connector",
    stream="stream",
    collection="",
    table="orders",
    fields=FIELDS,
    sync_mode=SyncMode.REPLACE,
    primary_key=("id",),
    cursor_field="seen",
    epoch=1,
    sync_id="sync",
    full=False,
)
"""A replace of `orders`; `target` changes what a test is about."""


def target(mode: SyncMode = SyncMode.REPLACE, **changes: Any) -> LoadTarget:
    return replace(TARGET, sync_mode=mode, **changes)


def batch(rows: Iterable[tuple[Any, ...]], columns: tuple[Field, ...] = FIELDS) -> pa.RecordBatch:
    """A batch of rows in the columns' order."""
    schema = arrow_schema(columns)
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pa.RecordBatch.from_arrays(
        [pa.array(list(v), kind) for v, kind in zip(values, schema.types, strict=True)], schema=schema
    )


def load(
    destination: Destination,
    to: LoadTarget,
    *batches: pa.RecordBatch,
    cursor: str | None = None,
    rejected: list[RejectedRecord] | None = None,
) -> LoadResult:
    """Open, accept, write and commit; abort where that fails."""
    with_cursor = cursor if to.sync_mode.incremental else None
    running = destination.open(to)

    def accepted() -> Iterator[pa.RecordBatch]:
        for piece in batches:
            kept, refused = running.accept(piece)
            if rejected is not None:
                rejected.extend(refused)
            yield kept

    try:
        running.write(accepted())
        return running.commit(with_cursor)
    except BaseException:
        running.abort()
        raise
