"""How SQLite keeps the values of each logical type, and which columns can take them.

SQLite has five storage classes and converts values by the *affinity* of a column's declared type. The declared types below are
chosen so that no value is ever converted, and so that the logical type can be told from them again:

    boolean                      0 or 1
    int16 … int64, uint64        an integer; a uint64 beyond 2^63 - 1 is rejected (`out_of_range`)
    float32, float64             a real; infinities are kept, -0.0 becomes 0.0; NaN is rejected (`not_a_number`), SQLite would make
                                 it NULL
    decimal                      its digits as text, all places: exact, unlike a real
    text, json, uuid             text, as it is
    binary                       a blob
    date, time                   ISO 8601 text: 2024-02-29, 23:59:59.5
    timestamp, timestamptz       ISO 8601 text with six digits of the second, so that it sorts: 2024-02-29T23:59:59.500000,
                                 an instant in UTC with a Z at the end
    dates and timestamps outside the years 1 to 9999 are rejected (`out_of_range`)

Source of the affinity rules: SQLite's documentation, "Datatypes In SQLite", section 3.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from syncterm.engine.destinations import rules
from syncterm.engine.destinations.memory import memory_connection
from syncterm.engine.destinations.rejected import Fault
from syncterm.engine.destinations.text_lines import range_faults
from syncterm.engine.errors import ConfigError
from syncterm.engine.schema import Field, LogicalType, parse_type

if TYPE_CHECKING:
    import pyarrow as pa

DECLARED_TYPES = {
    "boolean": "BOOLEAN",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint64": "UNSIGNED BIG INT",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "text": "TEXT",
    "binary": "BLOB",
    "date": "DATE_TEXT",
    "time": "TIME_TEXT",
    "timestamp": "TIMESTAMP_TEXT",
    "timestamptz": "TIMESTAMPTZ_TEXT",
    "json": "JSON_TEXT",
    "uuid": "UUID_TEXT",
}
"""Logical type → declared type; `decimal(p,s)` is `DECIMAL_TEXT(p,s)`."""

_LOGICAL = {declared: LogicalType(name) for name, declared in DECLARED_TYPES.items()}
_DECIMAL = re.compile(r"DECIMAL_TEXT(\(\d+,\d+\))")
_STORAGE = {
    "boolean": "INTEGER",
    "int16": "INTEGER",
    "int32": "INTEGER",
    "int64": "INTEGER",
    "uint64": "INTEGER",
    "float32": "REAL",
    "float64": "REAL",
    "binary": "BLOB",
}
"""Logical type → storage class; the others are TEXT."""
_ARROW_STORAGE = {"INTEGER": "BIGINT", "REAL": "DOUBLE", "BLOB": "BLOB", "TEXT": "VARCHAR"}
_MAX_INTEGER = 2**63 - 1


def declared_type(type_: LogicalType) -> str:
    """The declared type of a logical type."""
    return f"DECIMAL_TEXT({type_.precision},{type_.scale})" if type_.name == "decimal" else DECLARED_TYPES[type_.name]


def affinity(declared: str) -> str:
    """The affinity of a declared type."""
    upper = declared.upper()
    if "INT" in upper:
        return "INTEGER"
    if any(part in upper for part in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    if "BLOB" in upper or not upper:
        return "BLOB"
    return "REAL" if any(part in upper for part in ("REAL", "FLOA", "DOUB")) else "NUMERIC"


def holds(declared: str, wanted: LogicalType) -> bool:
    """Whether a column with that declared type keeps every value of a logical type as it is.

    A column that syncterm declared is held to its logical type; one that somebody else did, to its affinity.
    """
    logical = _logical(declared)
    if logical is not None:
        return rules.holds(logical, wanted)
    storage = _STORAGE.get(wanted.name, "TEXT")
    existing = affinity(declared)
    return storage == existing or existing == "BLOB" or (existing == "NUMERIC" and storage == "INTEGER")


def value_faults(batch: pa.RecordBatch, fields: tuple[Field, ...]) -> list[Fault]:
    """The faults of values that SQLite has no place for."""
    import pyarrow as pa
    import pyarrow.compute as pc

    faults = range_faults(batch, fields)
    for number, field in enumerate(fields):
        column = batch.column(number)
        if field.type.name in ("float32", "float64"):
            bad = pc.fill_null(pc.is_nan(column), False)
            faults.append(Fault(field.name, "not_a_number", "is not a number, which SQLite would keep as NULL", bad))
        elif field.type.name == "uint64":
            bad = pc.fill_null(pc.greater(column, pa.scalar(_MAX_INTEGER, pa.uint64())), False)
            faults.append(Fault(field.name, "out_of_range", f"is beyond SQLite's largest integer, {_MAX_INTEGER}", bad))
    return [fault for fault in faults if fault.bad.true_count]


class Storage:
    """Turns batches into what SQLite keeps: 64-bit integers, doubles, text and bytes. Used from one thread."""

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self._fields = fields
        values = ", ".join(f"{_value(f'c{number}', field.type.name)} as c{number}" for number, field in enumerate(fields))
        self._query = f"select {values} from rows"
        self._connection = memory_connection()

    def schema(self) -> pa.Schema:
        """The columns c0, c1, … as they come out of `convert`."""
        import pyarrow as pa

        kinds = {"INTEGER": pa.int64(), "REAL": pa.float64(), "BLOB": pa.binary(), "TEXT": pa.string()}
        storage = (_STORAGE.get(field.type.name, "TEXT") for field in self._fields)
        return pa.schema([(f"c{number}", kinds[kind]) for number, kind in enumerate(storage)])

    def convert(self, batch: pa.RecordBatch) -> list[pa.RecordBatch]:
        """The batch in storage classes."""
        import pyarrow as pa

        columns = [
            column.cast(pa.timestamp("us")) if field.type.name == "timestamptz" else column
            for column, field in zip(batch.columns, self._fields, strict=True)
        ]
        self._connection.register("rows", pa.table(columns, names=[f"c{number}" for number in range(len(columns))]))
        batches: list[pa.RecordBatch] = self._connection.sql(self._query).to_arrow_table().cast(self.schema()).to_batches()
        self._connection.unregister("rows")
        return batches


def _value(column: str, name: str) -> str:
    """The SQL expression of a value as SQLite keeps it."""
    if name in ("timestamp", "timestamptz"):
        return f"strftime({column}, '%Y-%m-%dT%H:%M:%S.%f{'Z' if name == 'timestamptz' else ''}')"
    return f"cast({column} as {_ARROW_STORAGE[_STORAGE.get(name, 'TEXT')]})"


def _logical(declared: str) -> LogicalType | None:
    """The logical type that a declared type of ours means; None for those of others."""
    match = _DECIMAL.fullmatch(declared)
    if match is None:
        return _LOGICAL.get(declared)
    try:
        return parse_type(f"decimal{match[1]}")
    except ConfigError:
        return None
