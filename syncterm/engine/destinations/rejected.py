"""Splitting off the records that a destination cannot store, each with its reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncterm.engine.destinations.base import LoadTarget
from syncterm.engine.model import ACTION_OF_MODE, RejectedRecord, SyncMode

if TYPE_CHECKING:
    import pyarrow as pa

MAX_PAYLOAD = 64 * 1024
"""Characters of a rejected record that are kept."""
MAX_VALUE = 200
"""Characters of a value that a message repeats."""


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
        document = {name: _plain(batch.column(name)[row]) for name in batch.schema.names}
        value = document[fault.column]
        shown = "" if value is None else f" = {value!r}"
        if len(shown) > MAX_VALUE:
            shown = shown[:MAX_VALUE] + "…"
        key = {name: document[name] for name in target.primary_key if name in document}
        records.append(
            RejectedRecord(
                stream=target.stream,
                code=fault.code,
                message=f"Column {fault.column!r}{shown} {fault.why}.",
                payload=json.dumps(document, ensure_ascii=False)[:MAX_PAYLOAD],
                key=json.dumps(key, ensure_ascii=False)[:MAX_PAYLOAD] if key else None,
                action=ACTION_OF_MODE[target.sync_mode],
            )
        )
    good = pa.array(row not in reasons for row in range(batch.num_rows))
    return batch.filter(good), tuple(records)


def _plain(scalar: pa.Scalar) -> Any:
    """A value as JSON holds it: decimals, dates and times as text, bytes as hexadecimal digits."""
    import pyarrow as pa

    if not scalar.is_valid:
        return None
    kind = scalar.type
    if pa.types.is_binary(kind):
        return scalar.as_py().hex()
    if pa.types.is_floating(kind) or pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        value = scalar.as_py() if pa.types.is_floating(kind) else None
        if isinstance(value, float) and value - value == 0:  # JSON has no NaN and no infinity
            return value
        return scalar.cast(pa.string()).as_py()
    return scalar.as_py()
