"""From PostgreSQL's CSV to record batches: whole columns, parsed straight into their types.

A chunk that holds a value Arrow has no place for (NaN in a numeric, infinity, a year BC or beyond 9999, 24:00:00) is read again as
text, and `convert` sorts out which rows do not fit and why. So nothing is changed silently, and all other rows arrive.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from syncterm.engine.casting import cast
from syncterm.engine.convert import convert, row_payload, value_at
from syncterm.engine.model import StreamConfig
from syncterm.engine.schema import Field, LogicalType, StreamSchema, arrow_schema, arrow_type
from syncterm.engine.sources.base import SourceBatch

if TYPE_CHECKING:
    import pyarrow as pa

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class RowParser:
    """Parses the chunks of one stream.

    Args:
        stream: for the rejected records: its name and key.
        schema: the types that the server has.
        fields: the columns of each chunk, in order, with the types that they must arrive in.
    """

    def __init__(self, stream: StreamConfig, schema: StreamSchema, fields: tuple[Field, ...]) -> None:
        self.stream = stream.name
        self.fields = fields
        self._natural = [schema.field(field.name).type for field in fields]
        key = stream.primary_key or schema.primary_key
        self._key = [index for index, field in enumerate(fields) if field.name in key]
        self._cast = any(
            field.type != natural and field.type.name != "text" for field, natural in zip(fields, self._natural, strict=True)
        )
        """Whether the person asked for other types than the server's."""

    def parse(self, data: bytes) -> SourceBatch:
        """The records of a chunk of whole rows."""
        import pyarrow as pa

        try:
            columns = _read(data, [self._csv_type(index) for index in range(len(self.fields))])
        except pa.ArrowInvalid:
            return self._parse_text(data)
        for index, natural in enumerate(self._natural):
            if natural.name == "binary" and self.fields[index].type.name != "text":
                columns[index] = cast(columns[index], natural)
        if self._cast:
            return self._convert(columns, len(data))
        records = pa.RecordBatch.from_arrays(columns, schema=arrow_schema(self.fields))
        return SourceBatch(records, bytes=len(data))

    def _csv_type(self, index: int) -> pa.DataType:
        natural = LogicalType("text") if self.fields[index].type.name == "text" else self._natural[index]
        return arrow_type(LogicalType("text") if natural.name == "binary" else natural)

    def _parse_text(self, data: bytes) -> SourceBatch:
        import pyarrow as pa

        try:
            columns = _read(data, [pa.string()] * len(self.fields))
        except pa.ArrowInvalid:  # a database in the encoding SQL_ASCII holds bytes of any kind
            columns = _read(data, [pa.string() if natural.name == "binary" else pa.binary() for natural in self._natural])
        for index, natural in enumerate(self._natural):
            if natural.name == "json" and pa.types.is_string(columns[index].type):
                columns[index] = pa.ExtensionArray.from_storage(pa.json_(), columns[index])  # the server has validated it
        return self._convert(columns, len(data))

    def _convert(self, columns: list[pa.Array], size: int) -> SourceBatch:
        def key(row: int) -> str:
            return json.dumps({self.fields[index].name: value_at(columns[index], row) for index in self._key}, default=str)

        def payload(row: int) -> str:
            return row_payload(columns, self.fields, row)

        batch = convert(columns, self.fields, stream=self.stream, keys=key if self._key else None, payload=payload)
        return SourceBatch(batch.records, batch.rejected, bytes=size)


def _read(data: bytes, types: list[pa.DataType]) -> list[pa.Array]:
    """The columns of CSV as PostgreSQL writes it: an unquoted empty value is NULL, a quoted one the empty text.

    Raises:
        pyarrow.ArrowInvalid: where a value does not fit its type.
    """
    import pyarrow as pa
    from pyarrow import csv

    if data.startswith(_BYTE_ORDER_MARK):
        data = _BYTE_ORDER_MARK + data  # Arrow takes one away, and here it is part of the first value
    names = [str(index) for index in range(len(types))]
    table = csv.read_csv(
        pa.BufferReader(data),
        read_options=csv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
        parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(
            column_types=dict(zip(names, types, strict=True)),
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return [column.combine_chunks() for column in table.columns]
