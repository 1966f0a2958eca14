"""Splitting off the records that a destination cannot store, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncterm.engine.convert import MAX_QUOTED, clip, object_payload, row_payload, value_at
from syncterm.engine.destinations.base import LoadTarget
from syncterm.engine.model import ACTION_OF_MODE, RejectedRecord, SyncMode

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with some records of a batch."""

    column: str
    code: str
    why: str
    """Completes "Column 'x' = value": `is NULL, but part of the key`."""
    bad: pa.BooleanArray
    """True where a record has it; as long as the batch."""


def null_key_faults(batch: pa.RecordBatch, target: LoadTarget) -> list[Fault]:
    """The faults of an upsert's records whose key has a NULL part: without a key there is nothing to update."""
    if target.sync_mode is not SyncMode.INCREMENTAL_UPSERT:
        return []
    columns = [(name, batch.column(name)) for name in target.primary_key]
    return [
        Fault(name, "null_key", "is NULL, but part of the key", column.is_null()) for name, column in columns if column.null_count
    ]


def split(batch: pa.RecordBatch, faults: Sequence[Fault], target: LoadTarget) -> tuple[pa.RecordBatch, tuple[RejectedRecord, ...]]:
    """The records without a fault, and a rejected record for each of the others; the first fault names the reason."""
    import pyarrow as pa
    import pyarrow.compute as pc

    reasons: dict[int, Fault] = {}
    for fault in faults:
        for row in pc.indices_nonzero(fault.bad).to_pylist():
            reasons.setdefault(row, fault)
    if not reasons:
        return batch, ()
    records = []
    for row, fault in sorted(reasons.items()):
        value = value_at(batch.column(fault.column), row)
        shown = "" if value is None else f" = {clip(repr(value) if isinstance(value, str) else str(value), MAX_QUOTED)}"
        key = {name: value_at(batch.column(name), row) for name in target.primary_key}
        records.append(
            RejectedRecord(
                stream=target.stream,
                code=fault.code,
                message=f"Column {fault.column!r}{shown} {fault.why}.",
                payload=row_payload(batch.columns, target.fields, row),
                key=object_payload(key) if key else None,
                action=ACTION_OF_MODE[target.sync_mode],
            )
        )
    good = pa.array(row not in reasons for row in range(batch.num_rows))
    return batch.filter(good), tuple(records)
