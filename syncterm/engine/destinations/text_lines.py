r"""CSV and JSON Lines, exactly: one SQL expression renders a whole line, DuckDB evaluates it for a batch at a time.

                CSV                                      JSON Lines
    NULL        nothing between the commas               null
    text        in quotes, doubled inside; "" is empty   a JSON string
    integers    digits                                   a JSON number, also beyond 2^53
    floats      the shortest text that reads back the same; NaN, Infinity, -Infinity (strings in JSON, as in Protobuf's JSON)
    decimal     digits, all places                       a JSON string: most readers take numbers for floats and round them
    boolean     true, false                              true, false
    date, time  ISO 8601: 2024-02-29, 23:59:59.5         the same, as strings
    timestamp   2024-02-29T23:59:59.5; an instant in UTC with a Z at the end
    binary      \x and two hexadecimal digits a byte     the same, as strings
    json        its text, as text is                     the value itself, line breaks between its parts as spaces
    uuid        its text                                 its text, as a string

CSV: a header with every name in quotes, lines end in LF, quotes as in RFC 4180. A reader that tells `,,` from `,"",` tells NULL
from an empty text. Cells that a spreadsheet takes for formulas are left as they are: these files are for programs. In a file of one
column a NULL is an empty line, which readers must not skip.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from syncterm.engine.destinations.memory import memory_connection
from syncterm.engine.destinations.rejected import Fault
from syncterm.engine.destinations.rules import quote
from syncterm.engine.schema import Field

if TYPE_CHECKING:
    import pyarrow as pa

TextFormat = Literal["csv", "jsonl"]
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # 0001-01-01 and 9999-12-31, in days since 1970
_DAY = 86_400_000_000  # microseconds


def line_expression(fields: tuple[Field, ...], text_format: TextFormat) -> str:
    """The SQL expression of a line, its end included. Columns are called c0, c1, …"""
    if text_format == "csv":
        cells = (f"coalesce({_csv_cell(f'c{number}', field)}, '')" for number, field in enumerate(fields))
        return " || ',' || ".join(cells) + " || chr(10)"
    members = (
        f"{_literal(('{' if not number else ', ') + json.dumps(field.name, ensure_ascii=False) + ': ')}"
        f" || coalesce({_json_value(f'c{number}', field)}, 'null')"
        for number, field in enumerate(fields)
    )
    return " || ".join(members) + " || '}' || chr(10)"


def header(fields: tuple[Field, ...]) -> str:
    """The first line of a CSV file."""
    return ",".join(quote(field.name) for field in fields) + "\n"


def range_faults(batch: pa.RecordBatch, fields: tuple[Field, ...]) -> list[Fault]:
    """The faults of dates and timestamps outside the years 1 to 9999, which ISO 8601 cannot write without an agreement."""
    import pyarrow as pa
    import pyarrow.compute as pc

    faults = []
    for number, field in enumerate(fields):
        if field.type.name == "date":
            first, last, whole = _FIRST_DAY, _LAST_DAY, pa.int32()
        elif field.type.name in ("timestamp", "timestamptz"):
            first, last, whole = _FIRST_DAY * _DAY, (_LAST_DAY + 1) * _DAY - 1, pa.int64()
        else:
            continue
        values = batch.column(number).view(whole)
        bad = pc.fill_null(pc.or_(pc.less(values, first), pc.greater(values, last)), False)
        if bad.true_count:
            faults.append(Fault(field.name, "out_of_range", "is not in the years 1 to 9999", bad))
    return faults


class TextPart:
    """Writes one file of lines. The file exists already, empty, with the right mode."""

    def __init__(self, path: Path, fields: tuple[Field, ...], text_format: TextFormat, compression: str | None) -> None:
        import pyarrow as pa

        self._fields = fields
        self._query = f"select {line_expression(fields, text_format)} as line from rows"
        self._connection = memory_connection()
        self._file = pa.output_stream(str(path), compression=compression)
        if text_format == "csv":
            self._file.write(header(fields).encode())

    def write(self, batch: pa.RecordBatch) -> None:
        import pyarrow as pa

        columns = [
            column.cast(pa.timestamp("us")) if field.type.name == "timestamptz" else column
            for column, field in zip(batch.columns, self._fields, strict=True)
        ]
        self._connection.register("rows", pa.table(columns, names=[f"c{number}" for number in range(len(columns))]))
        for lines in self._connection.sql(self._query).to_arrow_table()["line"].chunks:
            offsets = lines.buffers()[1]
            first, end = (
                int.from_bytes(offsets[4 * at : 4 * at + 4], "little") for at in (lines.offset, lines.offset + len(lines))
            )
            self._file.write(lines.buffers()[2].slice(first, end - first))
        self._connection.unregister("rows")

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
        self._connection.close()

    def discard(self) -> None:
        """Let go of a file that is not wanted any more, finished or not."""
        with suppress(OSError):  # what is still to be written may not fit, and need not
            self._file.close()
        self._connection.close()


def _csv_cell(column: str, field: Field) -> str:
    name = field.type.name
    if name in ("text", "json", "uuid"):
        return f"""'"' || replace({column}, '"', '""') || '"'"""
    return _float(column) if name in ("float32", "float64") else _plain(column, name)


def _json_value(column: str, field: Field) -> str:
    name = field.type.name
    if name in ("text", "uuid"):
        return f"cast(to_json({column}) as varchar)"
    if name == "json":
        return f"replace(replace({column}, chr(10), ' '), chr(13), ' ')"
    if name in ("boolean", "int16", "int32", "int64", "uint64"):
        return _plain(column, name)
    if name in ("float32", "float64"):
        return f"""case when isfinite({column}) then cast({column} as varchar) else '"' || {_float(column)} || '"' end"""
    if name == "binary":
        return f"""'"' || replace({_plain(column, name)}, '\\', '\\\\') || '"'"""
    return f"""'"' || {_plain(column, name)} || '"'"""


def _plain(column: str, name: str) -> str:
    if name == "binary":
        return f"'\\x' || lower(hex({column}))"
    text = f"cast({column} as varchar)"
    if name == "timestamp":
        return f"replace({text}, ' ', 'T')"
    return f"replace({text}, ' ', 'T') || 'Z'" if name == "timestamptz" else text


def _float(column: str) -> str:
    special = f"when isnan({column}) then 'NaN' when {column} = 'inf' then 'Infinity' when {column} = '-inf' then '-Infinity'"
    return f"case {special} else cast({column} as varchar) end"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
