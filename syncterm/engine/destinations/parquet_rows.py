"""Parquet: writing and reading parts with exact types."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from syncterm.engine.schema import Field, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_ROWS = 131_072
ROW_GROUP_BYTES = 64 * 1024 * 1024
"""A row group is written when it has so many rows or bytes."""
ZSTD_LEVEL = 1
"""Level 1: the higher ones cost more time than they save bytes."""
_BATCH_ROWS = 32_768


class ParquetPart:
    """Writes one Parquet file. The file exists already, empty, with the right mode."""

    def __init__(self, path: Path, fields: tuple[Field, ...], compression: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._schema = arrow_schema(fields)
        level = ZSTD_LEVEL if compression == "zstd" else None
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pq.ParquetWriter(self._file, self._schema, compression=compression, compression_level=level)
        self._waiting: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= ROW_GROUP_ROWS or self._bytes >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        if self._rows:
            self._flush()
        self._writer.close()
        self._file.close()

    def discard(self) -> None:
        """Let go of a file that is not wanted any more, finished or not; its room on the disk is free once it is removed."""
        with suppress(OSError):  # what is still to be written may not fit, and need not
            self._writer.close()
        self._writer.is_open = False  # or it would try again when it is collected
        self._file.close()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema), row_group_size=self._rows)
        self._waiting.clear()
        self._rows = self._bytes = 0


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with exactly these columns: wider types where the table has them, NULL where the batch lacks one."""
    import pyarrow as pa

    names = set(batch.schema.names)
    return pa.RecordBatch.from_arrays(
        [
            batch.column(field.name).cast(field.type) if field.name in names else pa.nulls(batch.num_rows, field.type)
            for field in schema
        ],
        schema=schema,
    )


def part_reader(parts: list[Path], schema: pa.Schema) -> pa.RecordBatchReader:
    """The rows of the parts; columns that a part does not have yet are NULL."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def rows() -> Iterator[pa.RecordBatch]:
        for part in parts:
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(_BATCH_ROWS):
                    yield conform(batch, schema)

    return pa.RecordBatchReader.from_batches(schema, rows())
