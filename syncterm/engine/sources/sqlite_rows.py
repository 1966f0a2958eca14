"""From SQLite's rows to record batches: columns at once where every value is of its column's kind, else value by value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from syncterm.engine.casting import CAST_FAILED
from syncterm.engine.convert import convert, object_payload, value_at
from syncterm.engine.model import RejectedRecord, StreamConfig
from syncterm.engine.schema import Field, StreamSchema
from syncterm.engine.sources.base import SourceBatch

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 4 * 1024 * 1024
BATCH_ROWS = 65_536
_STORAGE: dict[str, tuple[str, frozenset[type]]] = {
    "int64": ("int64", frozenset({int, type(None)})),
    "boolean": ("int64", frozenset({int, type(None)})),
    "float64": ("float64", frozenset({float, int, type(None)})),
    "binary": ("binary", frozenset({bytes, type(None)})),
}
"""Discovered type → the Arrow type that carries its values as stored, and the Python types that these have. All others are text."""
_TEXT = ("string", frozenset({str, type(None)}))


class RowReader:
    """Gathers rows, gives them back as batches of about 4 MiB.

    Args:
        stream: for the rejected records: its name and key.
        schema: the types that the columns were found to have.
        fields: the columns of each row, in order, with the types that they must arrive in.
    """

    def __init__(self, stream: StreamConfig, schema: StreamSchema, fields: tuple[Field, ...]) -> None:
        self._stream = stream.name
        self._fields = fields
        self._storage = [_STORAGE.get(schema.field(field.name).type.name, _TEXT) for field in fields]
        key = stream.primary_key or schema.primary_key
        self._key = [index for index, field in enumerate(fields) if field.name in key]
        self._gathered: list[pa.RecordBatch] = []
        self._finished: list[SourceBatch] = []
        self._bytes = self._rows = 0
        self.delivered = 0
        """Rows taken so far."""

    @property
    def full(self) -> bool:
        """Whether it is time to `flush`."""
        return bool(self._finished) or self._bytes >= BATCH_BYTES or self._rows >= BATCH_ROWS

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        """Take some rows."""
        import pyarrow as pa

        self.delivered += len(rows)
        columns = list(zip(*rows, strict=True))
        arrays = []
        for column, (kind, types) in zip(columns, self._storage, strict=True):
            if not types.issuperset(map(type, column)):
                break
            try:
                arrays.append(pa.array(column, kind))
            except (pa.ArrowInvalid, UnicodeEncodeError):
                break  # an integer that no float64 holds, or text that is not UTF-8
        if len(arrays) < len(columns):
            self._finish()
            self._finished.append(self._convert_loose(columns))
            return
        batch = pa.RecordBatch.from_arrays(arrays, names=[str(index) for index in range(len(arrays))])
        self._gathered.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes

    @property
    def storage(self) -> list[str]:
        """The Arrow type that carries each column's values as stored."""
        return [kind for kind, _ in self._storage]

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Take rows whose every value has its column's storage class; their text is not known to be UTF-8."""
        import pyarrow as pa

        self.delivered += batch.num_rows
        arrays = [
            array.view(pa.binary()) if kind == "string" else array
            for array, (kind, _) in zip(batch.columns, self._storage, strict=True)
        ]
        gathered = pa.RecordBatch.from_arrays(arrays, names=[str(index) for index in range(len(arrays))])
        if self._gathered and self._gathered[0].schema != gathered.schema:
            self._finish()
        self._gathered.append(gathered)
        self._rows += gathered.num_rows
        self._bytes += gathered.nbytes

    def flush(self) -> Iterator[SourceBatch]:
        """What has been taken since the last time."""
        self._finish()
        finished, self._finished = self._finished, []
        yield from finished

    def _finish(self) -> None:
        import pyarrow as pa

        if self._gathered:
            columns = pa.concat_batches(self._gathered).columns
            self._finished.append(self._convert(columns))
            self._gathered = []
            self._bytes = self._rows = 0

    def _convert(self, columns: list[pa.Array]) -> SourceBatch:
        def key(row: int) -> str:
            return json.dumps({self._fields[index].name: value_at(columns[index], row) for index in self._key}, default=str)

        return convert(columns, self._fields, stream=self._stream, keys=key if self._key else None)

    def _convert_loose(self, columns: list[tuple[Any, ...]]) -> SourceBatch:
        """Rows with a value that is not of its column's kind: as text, from which `convert` tells what fits all the same."""
        import pyarrow as pa

        faults: dict[int, str] = {}
        for field, column, (kind, _) in zip(self._fields, columns, self._storage, strict=True):
            for row, value in enumerate(column):
                if isinstance(value, bytes) and kind != "binary":
                    faults.setdefault(row, f"{field.name}: a BLOB of {len(value)} bytes stands in a column of {field.type}")
                elif isinstance(value, int | float) and kind == "binary":
                    faults.setdefault(row, f"{field.name}: the number {value} stands in a column of BLOBs")
        kept = [row for row in range(len(columns[0])) if row not in faults]
        arrays = [pa.array([_loose(column[row]) for row in kept], pa.binary()) for column in columns]
        texts = [
            array if kind == "binary" or field.type.name != "binary" else array.view(pa.string())
            for field, array, (kind, _) in zip(self._fields, arrays, self._storage, strict=True)
        ]
        batch = convert(
            texts,
            self._fields,
            stream=self._stream,
            keys=(lambda row: self._shown_key(columns, kept[row])) if self._key else None,
            payload=lambda row: self._shown_row(columns, kept[row]),
        )
        misplaced = tuple(
            RejectedRecord(
                stream=self._stream,
                code=CAST_FAILED,
                message=message,
                payload=self._shown_row(columns, row),
                key=self._shown_key(columns, row) if self._key else None,
            )
            for row, message in sorted(faults.items())
        )
        return SourceBatch(batch.records, (*misplaced, *batch.rejected), bytes=batch.records.nbytes)

    def _shown_key(self, columns: list[tuple[Any, ...]], row: int) -> str:
        return json.dumps({self._fields[index].name: _shown(columns[index][row]) for index in self._key})

    def _shown_row(self, columns: list[tuple[Any, ...]], row: int) -> str:
        return object_payload({field.name: _shown(column[row]) for field, column in zip(self._fields, columns, strict=True)})


def _loose(value: Any) -> bytes | None:
    """A value as bytes: those of a BLOB, or of its text."""
    if value is None or isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else repr(value)).encode("utf-8", "surrogateescape")


def _shown(value: Any) -> Any:
    """A value for a person: a BLOB in hexadecimal digits, bytes that are not text as `\\xff`."""
    if isinstance(value, bytes):
        return f"\\x{value[:1000].hex()}"
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") if isinstance(value, str) else value
