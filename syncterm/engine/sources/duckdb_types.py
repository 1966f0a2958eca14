"""How DuckDB's types arrive: the logical type, and the expression that selects a column so that Arrow carries it exactly.

nested types, VARIANT            JSON text
HUGEINT, UHUGEINT                decimal(38,0); a value with 39 digits is a rejected record
TIMESTAMP_NS                     timestamp; a value finer than a microsecond is a rejected record
infinite or very distant dates   rejected records (the years 1 to 9999 are carried)
ENUM, INTERVAL, BIT, TIMETZ, TIME_NS, BIGNUM, GEOMETRY, …   text, as DuckDB writes it
"""

from __future__ import annotations

import re

from syncterm.engine.schema import LogicalType, parse_type

_SIMPLE = {
    "BOOLEAN": "boolean",
    "TINYINT": "int16",
    "UTINYINT": "int16",
    "SMALLINT": "int16",
    "USMALLINT": "int32",
    "INTEGER": "int32",
    "UINTEGER": "int64",
    "BIGINT": "int64",
    "UBIGINT": "uint64",
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "VARCHAR": "text",
    "BLOB": "binary",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "UUID": "uuid",
    "JSON": "json",
}
"""Types that Arrow carries exactly, or `convert` refuses."""
_AS_TEXT = {"HUGEINT": "decimal(38,0)", "UHUGEINT": "decimal(38,0)", "TIME": "time"}
"""Types for which DuckDB's Arrow has no place for all values (39 digits, 24:00:00): read as text."""
_DECIMAL = re.compile(r"DECIMAL\(\d+,\s*\d+\)")
_NESTED = re.compile(r"(STRUCT|MAP|UNION)\(.*|.*\]|VARIANT", re.DOTALL)


def column_type(data_type: str) -> LogicalType:
    """The logical type of DuckDB's `data_type`."""
    if data_type in _SIMPLE:
        return LogicalType(_SIMPLE[data_type])
    if _DECIMAL.fullmatch(data_type) or data_type in _AS_TEXT:
        return parse_type(_AS_TEXT.get(data_type, data_type))
    return LogicalType("json" if _NESTED.fullmatch(data_type) else "text")


def select_expression(column: str, data_type: str) -> str:
    """SQL that reads a quoted column in a form that Arrow carries exactly."""
    if data_type in _SIMPLE or _DECIMAL.fullmatch(data_type):
        return column
    return f"to_json({column})::varchar" if _NESTED.fullmatch(data_type) else f"{column}::varchar"
