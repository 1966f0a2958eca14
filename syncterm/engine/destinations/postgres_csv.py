"""Record batches as the CSV that PostgreSQL's COPY reads: NULL is an empty value, the empty text a quoted one."""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from syncterm.engine.postgres_copy import CHUNK_BYTES

if TYPE_CHECKING:
    import pyarrow as pa


def csv_pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """The rows of the batches, in pieces of whole rows of about `CHUNK_BYTES`."""
    for batch in batches:
        rows = max(1, batch.num_rows * CHUNK_BYTES // max(1, batch.nbytes))
        for start in range(0, batch.num_rows, rows):
            yield _csv(batch.slice(start, rows))


def _csv(batch: pa.RecordBatch) -> bytes:
    import pyarrow as pa
    from pyarrow import csv

    columns = [_hexadecimal(column) if pa.types.is_binary(column.type) else column for column in batch.columns]
    names = [str(index) for index in range(len(columns))]
    sink = pa.BufferOutputStream()
    # "needed" quotes every text that is not NULL, so that an empty text and NULL stay apart.
    options = csv.WriteOptions(include_header=False, quoting_style="needed", batch_size=max(1, batch.num_rows))
    csv.write_csv(pa.RecordBatch.from_arrays(columns, names=names), sink, options)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _hexadecimal(column: pa.Array) -> pa.Array:
    r"""Bytes as PostgreSQL's `\x…` text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    filled = pc.fill_null(column, b"")
    _, offsets, data = filled.buffers()
    starts = pa.Array.from_buffers(pa.int32(), len(filled) + 1, [None, offsets], offset=filled.offset)
    digits = binascii.hexlify(memoryview(data)[starts[0].as_py() : starts[-1].as_py()]) if data is not None else b""
    doubled = pc.multiply(pc.subtract(starts, starts[0]), pa.scalar(2, pa.int32()))
    text = pa.Array.from_buffers(pa.string(), len(filled), [None, doubled.buffers()[1], pa.py_buffer(digits)])
    prefixed = pc.binary_join_element_wise("\\x", text, "")
    return pc.if_else(column.is_valid(), prefixed, pa.scalar(None, pa.string())) if column.null_count else prefixed
