"""Which records and columns of a stream are written, and what is read for that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from syncterm.engine.model import RejectedRecord, StreamConfig
from syncterm.engine.row_filter import RowFilterRun, filtered_fields, stream_filter
from syncterm.engine.schema import Field, StreamSchema

if TYPE_CHECKING:
    import pyarrow as pa


class Selection:
    """The records that a stream's row filter is true for, without the columns that are read only for the filter.

    Used from one thread at a time, and closed.

    Args:
        stream: as set up.
        schema: as discovered.
        written: the columns that are kept, in order.
        arriving: columns that arrive in another type than the source's, where the person has not cast them.

    Raises:
        SchemaChangedError: where the filter names a column that is gone; ConfigError: where it cannot be computed.
    """

    def __init__(
        self,
        stream: StreamConfig,
        schema: StreamSchema,
        written: tuple[Field, ...],
        arriving: Mapping[str, Field] | None = None,
    ) -> None:
        self._stream = stream
        self._names = [field.name for field in written]
        self._run: RowFilterRun | None = None
        self.fields = written
        """The columns to read."""
        seen = filtered_fields(stream, schema, arriving)
        row_filter = stream_filter(stream, seen)
        if row_filter is None:
            return
        types = {field.name: field for field in seen}
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
