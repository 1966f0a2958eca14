"""Parquet files, by row group and column, in bounded pieces.

How types arrive: unsigned and small integers in the next wider type; nanoseconds as microseconds where that is exact, else as a
rejected record (also INT96); decimals beyond 38 digits as text; lists, structs and maps as JSON text; dictionaries decoded;
durations as a number of their unit; repeated column names as `name_2`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from syncterm.engine.convert import clip, convert
from syncterm.engine.errors import SourceDataError
from syncterm.engine.schema import MAX_DECIMAL_PRECISION, Field, LogicalType, StreamSchema
from syncterm.engine.sources.inference import unique_names

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from syncterm.engine.sources.base import SourceBatch

BATCH_BYTES = 4 * 1024 * 1024
MAX_BATCH_ROWS = 65_536
_READ_BYTES = 1024 * 1024
"""Read from the file at a time."""


def logical_type(kind: pa.DataType) -> LogicalType:
    """The logical type of a column of that Arrow type."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return logical_type(kind.value_type)
    if isinstance(kind, pa.UuidType):
        return LogicalType("uuid")
    if isinstance(kind, pa.JsonType):
        return LogicalType("json")
    if isinstance(kind, pa.BaseExtensionType):
        return logical_type(kind.storage_type)
    if types.is_decimal(kind):
        fits = kind.precision <= MAX_DECIMAL_PRECISION and 0 <= kind.scale <= kind.precision
        return LogicalType("decimal", kind.precision, kind.scale) if fits else LogicalType("text")
    if types.is_timestamp(kind):
        return LogicalType("timestamp" if kind.tz is None else "timestamptz")
    if types.is_nested(kind):
        return LogicalType("json")
    tests: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
        (types.is_boolean, "boolean"),
        (lambda kind: types.is_int8(kind) or types.is_uint8(kind) or types.is_int16(kind), "int16"),
        (lambda kind: types.is_uint16(kind) or types.is_int32(kind), "int32"),
        (types.is_uint64, "uint64"),
        (lambda kind: types.is_integer(kind) or types.is_duration(kind), "int64"),
        (lambda kind: types.is_float16(kind) or types.is_float32(kind), "float32"),
        (types.is_floating, "float64"),
        (types.is_date, "date"),
        (types.is_time, "time"),
        (
            lambda kind: (
                types.is_binary(kind)
                or types.is_large_binary(kind)
                or types.is_fixed_size_binary(kind)
                or types.is_binary_view(kind)
            ),
            "binary",
        ),
    )
    return LogicalType(next((name for test, name in tests if test(kind)), "text"))


@contextmanager
def _typed(path: Path) -> Iterator[None]:
    """Turn Arrow's errors into ours. Raises: SourceDataError."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise SourceDataError(
            f"{path} cannot be read as Parquet: {clip(str(error), 500).rstrip('.')}.", remedy="Fetch or write the file again."
        ) from None


class ParquetReader:
    """Reads one file into records.

    Args:
        file: open for reading; the caller closes it.
        path: for messages.
        poll: called between pieces; raises to stop.

    Raises:
        SourceDataError: it is not a Parquet file, or a damaged one.
    """

    def __init__(self, file: BinaryIO, path: Path, poll: Callable[[], None]) -> None:
        self._path = path
        self._poll = poll
        self._handle = file
        self._file = self._open("us")
        schema = self._file.schema_arrow
        self.names = unique_names(schema.names)
        self._int96 = self._int96_columns()

    def _open(self, int96_unit: str) -> Any:
        import pyarrow as pa
        from pyarrow import parquet

        with _typed(self._path):
            self._handle.seek(0)
            return parquet.ParquetFile(
                pa.PythonFile(self._handle, mode="r"),
                pre_buffer=False,
                buffer_size=_READ_BYTES,
                coerce_int96_timestamp_unit=int96_unit,
                thrift_string_size_limit=64 * 1024 * 1024,
                thrift_container_size_limit=1_000_000,
            )

    def _int96_columns(self) -> list[int]:
        schema = self._file.schema
        if len(schema) != len(self.names):
            return []  # nested columns: INT96 within them arrives in a list or struct, whose microseconds are kept
        return [index for index in range(len(schema)) if schema.column(index).physical_type == "INT96"]

    def describe(self, name: str) -> StreamSchema:
        """The stream that the file holds, with the exact number of rows."""
        kinds = self._file.schema_arrow
        fields = tuple(
            Field(unique, logical_type(kind.type), kind.nullable, str(kind.type)[:200])
            for unique, kind in zip(self.names, kinds, strict=True)
        )
        return StreamSchema(name, fields, estimated_rows=self._file.metadata.num_rows)

    def read(self, fields: tuple[Field, ...], constants: Mapping[str, str], stream: str, where: str = "") -> Iterator[SourceBatch]:
        """The records; a field that the file does not have is NULL.

        Args:
            fields: what the records must have.
            constants: field name → the text that it has in every record.
            stream: name for rejected records.
            where: what a rejected record's key begins with.

        Raises:
            SourceDataError: the file is damaged.
        """
        import pyarrow as pa

        if not fields:
            return
        wanted = [self.names.index(field.name) for field in fields if field.name in self.names and field.name not in constants]
        fine_columns = [index for index in wanted if index in self._int96]
        rows_a_batch = self._batch_rows()
        batches = self._batches(self._file, wanted, rows_a_batch)
        fine_batches = self._batches(self._open("ns"), fine_columns, rows_a_batch) if fine_columns else None
        done = 0
        while True:
            self._poll()
            with _typed(self._path):
                batch = next(batches, None)
                fine = next(fine_batches) if fine_batches is not None and batch is not None else None
            if batch is None:
                return
            found = {index: _storage(batch.column(at)) for at, index in enumerate(wanted)}
            if fine is not None:
                for at, index in enumerate(fine_columns):
                    found[index] = _exact_instants(found[index], fine.column(at))
            columns = []
            for field in fields:
                if field.name in constants:
                    columns.append(pa.repeat(pa.scalar(constants[field.name]), batch.num_rows))
                elif field.name in self.names:
                    columns.append(found[self.names.index(field.name)])
                else:
                    columns.append(pa.nulls(batch.num_rows))
            keys = partial(_key, where, done + 1)
            piece = convert(columns, fields, stream=stream, keys=keys)
            done += batch.num_rows
            yield replace(piece, bytes=batch.nbytes)

    def _batch_rows(self) -> int:
        metadata = self._file.metadata
        size: int = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
        rows: int = BATCH_BYTES * max(metadata.num_rows, 1) // max(size, 1)
        return max(1, min(MAX_BATCH_ROWS, rows))

    def _batches(self, file: Any, wanted: list[int], rows: int) -> Iterator[pa.RecordBatch]:
        """Batches with exactly the wanted columns, in their order. Names select columns only where they say which one is meant."""
        names = file.schema_arrow.names
        selected = [names[index] for index in wanted]
        plain = len(set(names)) == len(names) and not any("." in name for name in names)
        columns = list(dict.fromkeys(selected)) if plain and selected else None
        for batch in file.iter_batches(batch_size=rows, columns=columns, use_threads=False):
            yield batch.select([batch.schema.names.index(name) for name in selected] if plain else wanted)


def _key(where: str, first: int, row: int) -> str:
    return f"{where} row {first + row}".lstrip()


def _storage(column: pa.Array) -> pa.Array:
    """The column as `convert` reads it: JSON of a file is not trusted, durations are numbers."""
    import pyarrow as pa

    if isinstance(column, pa.ExtensionArray) and not isinstance(column.type, pa.UuidType):
        return column.storage
    if pa.types.is_duration(column.type):
        return column.view(pa.int64())
    return column


def _exact_instants(coarse: pa.Array, fine: pa.Array) -> pa.Array:
    """INT96 instants: in microseconds where that is exact, else as text with all nine digits, which no instant accepts.

    INT96 holds nanoseconds of any year, Arrow's nanoseconds wrap around outside of 1677 to 2262. The difference between the two
    readings does not: it is what lies below the microsecond, modulo 2**64 as all of this arithmetic.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    below = pc.subtract(fine.view(pa.int64()), pc.multiply(coarse.view(pa.int64()), 1000))
    if pc.all(pc.equal(below, 0), min_count=0).as_py():
        return coarse
    digits = pc.utf8_lpad(pc.cast(below, pa.string()), 3, "0")
    return pc.binary_join_element_wise(pc.cast(coarse, pa.string()), digits, "")
