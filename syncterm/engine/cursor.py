"""The cursor's arithmetic: which records of a batch belong to a window, and how far a stream has been read.

A window is (low, high] with `low` read again inclusively: records at the boundary are recognised by a hash of their content, not by
their key, so that a record that changed without moving its cursor arrives, and one that did not change arrives once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from syncterm.engine.convert import convert
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import Cursor, RejectedRecord, Window
from syncterm.engine.schema import Field

if TYPE_CHECKING:
    import pyarrow as pa

HASH_BYTES = 8
CURSOR_TYPES = (
    "int16",
    "int32",
    "int64",
    "uint64",
    "decimal",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "text",
    "uuid",
    "float64",
)
"""Logical types that have an order a cursor can follow."""


def parse_value(text: str, field: Field) -> Any:
    """A cursor's text as an Arrow scalar of the field's type.

    Raises:
        ConfigError: where the text does not fit the type, as after the column's type changed.
    """
    import pyarrow as pa

    converted = convert([pa.array([text], pa.string())], (field,), stream="cursor")
    if converted.records.num_rows != 1:
        raise ConfigError(
            f"The cursor {text!r} of column {field.name!r} does not fit its type {field.type}.",
            remedy="Run a historical re-sync of the stream.",
        )
    return converted.records.column(0)[0]


def value_text(value: Any) -> str:
    """An Arrow scalar as text that `parse_value` and every source read back exactly."""
    plain = value.as_py()
    return str(plain.isoformat(sep=" ") if hasattr(plain, "hour") and hasattr(plain, "year") else plain)


def row_hashes(batch: pa.RecordBatch) -> list[str]:
    """A hash of each row's content: 16 hexadecimal digits a row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = []
    for column in batch.columns:
        if pa.types.is_binary(column.type):
            columns.append([None if value is None else value.hex() for value in column.to_pylist()])
        else:
            columns.append(pc.cast(column, pa.string()).to_pylist())
    return [
        blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).hexdigest()
        for row in zip(*columns, strict=True)
    ]


class CursorFilter:
    """Keeps the records of a window, batch by batch, and computes the cursor that follows from them.

    Args:
        stream: for messages.
        field: the cursor's column.
        cursor: where the last committed load ended; None reads everything.
        window: the window that the source was asked for.
        include_null: whether records without a cursor value pass; else they are rejected.
        look_back: how far below the cursor records pass again.
        cap: nothing beyond this instant passes where the source gave no `high`; an Arrow scalar of the column's type or None.
        extra: columns of the batches that are not delivered any more: records that were delivered with them are recognised by them.
    """

    def __init__(
        self,
        stream: str,
        field: Field,
        cursor: Cursor | None,
        window: Window,
        *,
        include_null: bool,
        look_back: timedelta | None = None,
        cap: Any = None,
        extra: Collection[str] = (),
    ) -> None:
        if field.type.name not in CURSOR_TYPES:
            raise ConfigError(
                f"Column {field.name!r} of stream {stream!r} has type {field.type}, which has no order a cursor can follow.",
                remedy=f"Choose a column of type {', '.join(CURSOR_TYPES[:4])}, date, timestamp, timestamptz or text.",
            )
        self.stream = stream
        self.field = field
        self.include_null = include_null
        self._before = cursor
        self._low = parse_value(window.low, field) if window.low is not None else None
        self._high_text = window.high
        self._high = parse_value(window.high, field) if window.high is not None else cap
        self._floor = self._look_back_from(self._low, look_back)
        self._delivered: Counter[str] = Counter(cursor.hashes if cursor else {})
        self._highest: Any = None
        self._hashes: Counter[str] = Counter()
        self._columns: tuple[str, ...] | None = None
        """The columns of the records delivered."""
        self._extra = frozenset(extra)
        self.beyond = 0
        """Records beyond the window seen so far: changed since the sync began, or in the future."""

    @staticmethod
    def _look_back_from(low: Any, look_back: timedelta | None) -> Any:
        import pyarrow as pa

        if low is None or look_back is None:
            return low
        return pa.scalar(low.as_py() - look_back, low.type)

    def apply(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, int, int, tuple[RejectedRecord, ...]]:
        """Split a batch: (records of the window, unchanged count, filtered count, rejected records)."""
        import pyarrow.compute as pc

        values = batch.column(batch.schema.get_field_index(self.field.name))
        rejected: tuple[RejectedRecord, ...] = ()
        if values.null_count:
            nulls = batch.filter(pc.is_null(values))
            if not self.include_null:
                rejected = tuple(self._reject_null(row) for row in nulls.to_pylist())
                nulls = nulls.slice(0, 0)
            batch = batch.filter(pc.is_valid(values))
            values = batch.column(batch.schema.get_field_index(self.field.name))
        else:
            nulls = batch.slice(0, 0)
        before = batch.num_rows
        mask = pc.is_valid(values)
        if self._high is not None:
            inside = pc.less_equal(values, self._high)
            self.beyond += before - (pc.sum(inside).as_py() or 0)
            mask = pc.and_(mask, inside)
        if self._floor is not None:
            mask = pc.and_(mask, pc.greater_equal(values, self._floor))
        batch = batch.filter(mask)
        filtered = before - batch.num_rows
        batch, unchanged = self._drop_delivered(batch)
        if nulls.num_rows:
            import pyarrow as pa

            batch = pa.Table.from_batches([batch, nulls]).combine_chunks().to_batches()[0]
        return self._delivered_columns(batch), unchanged, filtered, rejected

    def pass_over(self, batch: pa.RecordBatch) -> None:
        """Let the cursor pass records that are left out for another reason: they may be the highest.

        That matters where the source gave no `high`. They are not noted as delivered.
        """
        import pyarrow.compute as pc

        if self._high_text is not None or not batch.num_rows:
            return
        values = batch.column(batch.schema.get_field_index(self.field.name))
        if self._high is not None:
            values = values.filter(pc.less_equal(values, self._high))
        highest = pc.max(values)
        if highest.is_valid and (self._highest is None or pc.greater(highest, self._highest).as_py()):
            self._highest, self._hashes = highest, Counter()

    def _drop_delivered(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, int]:
        """Leave out the boundary records that an earlier load delivered, and note those at the new highest value."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not batch.num_rows:
            return batch, 0
        self._columns = tuple(self._delivered_columns(batch).schema.names)
        index = batch.schema.get_field_index(self.field.name)
        unchanged = 0
        if self._low is not None and self._delivered:
            at_low = pc.equal(batch.column(index), self._low)
            if pc.any(at_low).as_py():
                positions = pc.indices_nonzero(at_low).to_pylist()
                keep = [True] * batch.num_rows
                for position, digest in zip(positions, row_hashes(self._hashed(batch.filter(at_low))), strict=True):
                    if self._delivered[digest] > 0:
                        self._delivered[digest] -= 1
                        keep[position] = False
                unchanged = keep.count(False)
                if unchanged:
                    batch = batch.filter(pa.array(keep))
        if batch.num_rows:
            values = batch.column(index)
            # With `high` known, only records at `high` can be met again at the next boundary.
            highest = pc.max(values) if self._high_text is None else self._high
            if self._highest is None or pc.greater(highest, self._highest).as_py():
                self._highest, self._hashes = highest, Counter()
            if pc.equal(highest, self._highest).as_py():
                newest = batch.filter(pc.equal(values, highest))
                at_low_still = self._low is not None and pc.equal(highest, self._low).as_py()
                self._hashes.update(row_hashes(self._hashed(newest) if at_low_still else self._delivered_columns(newest)))
        return batch, unchanged

    def _hashed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The columns that the hashes of the cursor before are of, where all of them are there still; else those delivered."""
        columns = self._before.columns if self._before is not None else None
        known = columns and set(columns) <= set(batch.schema.names)
        return batch.select(list(columns)) if columns and known else self._delivered_columns(batch)

    def _delivered_columns(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.select([name for name in batch.schema.names if name not in self._extra]) if self._extra else batch

    def _reject_null(self, row: dict[str, Any]) -> RejectedRecord:
        return RejectedRecord(
            self.stream,
            "null_cursor",
            f"Cursor column {self.field.name!r} is NULL, so the record's place in time is unknown.",
            repr(row)[:65536],
        )

    def result(self) -> Cursor:
        """The cursor after everything that `apply` has seen: never below the one before, never beyond the window."""
        import pyarrow.compute as pc

        before = replace(self._before or Cursor(None), column=self.field.name)
        if self._high_text is None:
            if self._highest is None:
                return before
            text, value, hashes = value_text(self._highest), self._highest, self._hashes
        else:
            text, value, hashes = self._high_text, self._high, self._hashes
        if self._low is not None:
            if pc.less(value, self._low).as_py():
                # The look-back delivered late records, nothing at or above the cursor.
                return before
            if pc.equal(value, self._low).as_py():
                if before.columns is None or self._columns is None or set(before.columns) <= {*self._columns, *self._extra}:
                    return replace(before, hashes=Counter(before.hashes) + hashes)
                return Cursor(text, dict(hashes), self.field.name, self._columns)  # of other columns: the earlier ones say nothing
        return Cursor(text, dict(hashes), self.field.name, self._columns)
