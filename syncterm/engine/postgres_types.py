"""PostgreSQL's types and ours: one table each way.

What a source reads as text is PostgreSQL's own text form, so a PostgreSQL destination that gives the column the same native type
gets the same value back. `KEPT` lists the native types for which that holds; others become the nearest type of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from syncterm.engine.schema import MAX_DECIMAL_PRECISION, Field, LogicalType

_LOGICAL: Mapping[str, str] = {
    "int2": "int16",
    "int4": "int32",
    "int8": "int64",
    "float4": "float32",
    "float8": "float64",
    "bool": "boolean",
    "bytea": "binary",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "uuid": "uuid",
    "json": "json",
    "jsonb": "json",
}
"""Name of a built-in type → logical type. `numeric` depends on its modifier; all others are text."""

_SQL: Mapping[str, str] = {
    "boolean": "boolean",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "uint64": "numeric(20,0)",
    "float32": "real",
    "float64": "double precision",
    "text": "text",
    "binary": "bytea",
    "date": "date",
    "time": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "json": "json",
    "uuid": "uuid",
}

_ELEMENTS = (
    r"smallint|integer|bigint|real|double precision|boolean|text|bytea|date|json|jsonb|uuid|xml|interval|inet|cidr|macaddr|macaddr8"
    r"|point|box|path|polygon|circle|line|lseg|tsvector|tsquery|pg_lsn|xid8|oid|name|bpchar|\"char\""
    r"|int4range|int8range|numrange|tsrange|tstzrange|daterange"
    r"|int4multirange|int8multirange|nummultirange|tsmultirange|tstzmultirange|datemultirange"
    r"|numeric(\(\d{1,4},-?\d{1,4}\))?|character( varying)?(\(\d{1,8}\))?|bit( varying)?(\(\d{1,8}\))?"
    r"|(time|timestamp)(\([0-6]\))? with(out)? time zone"
)
KEPT = re.compile(rf"({_ELEMENTS})(\[\])?")
"""Native types, as `format_type` writes them, whose text form is read back as the same value. Not among them: `money` (depends on
the server's locale), `reg…` types (on its catalog), and whatever a database has defined itself."""
_TEXTUAL = re.compile(r"text|character varying(\(\d+\))?|character(\(\d+\))?|bpchar|name|\"char\"")
_LENGTH = re.compile(r"(?:character|character varying)\((\d+)\)")
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_INTEGER_DIGITS: Mapping[str, int] = {"smallint": 5, "integer": 10, "bigint": 19}


def logical_type(name: str, modifier: int) -> LogicalType:
    """The logical type of a built-in type, by its name in `pg_type` and its modifier in `pg_attribute`."""
    if name in _LOGICAL:
        return LogicalType(_LOGICAL[name])
    if name == "numeric" and modifier >= 4:
        # The layout of numeric's modifier: precision in the upper 16 bits, scale in the lower 11, signed; 4 is added to both.
        precision, scale = (modifier - 4) >> 16 & 0xFFFF, ((modifier - 4 & 0x7FF) ^ 0x400) - 0x400
        if precision <= MAX_DECIMAL_PRECISION and 0 <= scale <= precision:
            return LogicalType("decimal", precision, scale)
    return LogicalType("text")


def logical_sql(logical: LogicalType) -> str:
    """The PostgreSQL type that holds exactly a logical type."""
    if logical.name == "decimal":
        return f"numeric({logical.precision},{logical.scale})"
    return _SQL[logical.name]


def column_sql(field: Field) -> str:
    """The PostgreSQL type of a destination's column: the source's own where it is known and carries the same logical type."""
    native = field.native
    if KEPT.fullmatch(native) and _logical_of(native) == str(field.type):
        return native
    return logical_sql(field.type)


def _logical_of(native: str) -> str:
    for logical, sql in _SQL.items():
        if sql == native and logical != "uint64":
            return logical
    if native == "jsonb":
        return "json"
    numeric = _NUMERIC.fullmatch(native)
    if numeric:
        precision, scale = int(numeric[1]), int(numeric[2])
        if precision <= MAX_DECIMAL_PRECISION and 0 <= scale <= precision:
            return str(LogicalType("decimal", precision, scale))
    temporal = re.fullmatch(r"(time|timestamp)\([0-6]\) with(out)? time zone", native)
    if temporal and (temporal[1], temporal[2]) != ("time", None):
        return "timestamptz" if temporal[2] is None else temporal[1]
    return "text"


def max_length(native: str) -> int | None:
    """Characters that a `character(n)` or `character varying(n)` holds; None for all other types."""
    match = _LENGTH.fullmatch(native)
    return int(match[1]) if match else None


def holds(existing: str, wanted: str) -> bool:
    """Whether a column of the type `existing` holds every value of the type `wanted` exactly, both as `format_type` writes them."""
    if existing == wanted:
        return True
    if existing in ("text", "character varying"):
        return bool(_TEXTUAL.fullmatch(wanted)) or (
            KEPT.fullmatch(wanted) is not None and _logical_of(wanted) in ("text", "json", "uuid")
        )
    if existing.startswith("character varying(") and wanted.startswith("character varying("):
        return (max_length(existing) or 0) >= (max_length(wanted) or 0)
    if existing == "double precision":
        return wanted in ("real", "smallint", "integer")
    if existing == "real":
        return wanted == "smallint"
    if existing in _INTEGER_DIGITS:
        return _INTEGER_DIGITS.get(wanted, 99) <= _INTEGER_DIGITS[existing]
    if existing == "numeric":
        return wanted in _INTEGER_DIGITS or _NUMERIC.fullmatch(wanted) is not None
    wider, narrower = _NUMERIC.fullmatch(existing), _NUMERIC.fullmatch(wanted)
    if wider is None:
        return False
    if narrower is None:
        precision, scale = _INTEGER_DIGITS.get(wanted, 9999), 0
    else:
        precision, scale = int(narrower[1]), int(narrower[2])
    return int(wider[2]) >= scale and int(wider[1]) - int(wider[2]) >= precision - scale
