"""Casts of whole Arrow columns to logical types: exact, or refused.

`cast` either gives every value of a column in the new type or raises; it never rounds, truncates, wraps or turns a value into
NULL. Arrow's own casts are used where they keep that promise; where they do not (hexadecimal integers, floats that overflow to
infinity, 39-digit decimals that wrap, timestamps cut to a date, integers read as booleans), the check is made here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from syncterm.engine.casting.columns import CAST_FAILED, INVALID_UTF8, OUT_OF_RANGE, MisfitError, is_text, plain, utf8
from syncterm.engine.casting.instants import to_date, to_time, to_timestamp
from syncterm.engine.casting.numbers import to_boolean, to_decimal, to_float, to_integer
from syncterm.engine.casting.offered import can_cast, castable, suggested_decimal
from syncterm.engine.casting.texts import to_binary, to_json, to_text, to_uuid, unhex
from syncterm.engine.schema import LogicalType, arrow_type

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CAST_FAILED", "INVALID_UTF8", "OUT_OF_RANGE", "MisfitError", "can_cast", "cast", "castable", "suggested_decimal"]


def cast(array: pa.Array, logical: LogicalType) -> pa.Array:
    """The whole column in the Arrow type of `logical`; NULL stays NULL.

    Text (string and binary columns) is parsed: numbers in decimal notation, booleans as true/false/t/f/yes/no/on/off/1/0, dates and
    times as ISO 8601 with up to 6 digits of a second (more where they are zeros), instants with their offset or else as UTC, JSON
    after RFC 8259, UUIDs in any of their usual spellings, binary as `\\x` and hexadecimal digits. White space around anything but
    text is ignored. Dates and instants lie in the years 1 to 9999. A binary column is taken as it is for a binary field, an
    `arrow.json` column as valid JSON without a second look.

    Raises:
        MisfitError, pyarrow.ArrowInvalid: where at least one value does not fit.
    """
    import pyarrow as pa

    source = plain(array)
    if pa.types.is_null(source.type) or source.null_count == len(source):
        return pa.nulls(len(source), arrow_type(logical))
    rule = _RULES[logical.name]
    target = arrow_type(logical)
    if is_text(source.type) and not (logical.name == "binary" and pa.types.is_binary(source.type)):
        if logical.name == "binary":
            return unhex(source)
        return rule(utf8(source), target)
    return rule(source, target)


_RULES: dict[str, Callable[[pa.Array, pa.DataType], pa.Array]] = {
    "boolean": to_boolean,
    "int16": to_integer,
    "int32": to_integer,
    "int64": to_integer,
    "uint64": to_integer,
    "float32": to_float,
    "float64": to_float,
    "decimal": to_decimal,
    "text": to_text,
    "binary": to_binary,
    "date": to_date,
    "time": to_time,
    "timestamp": to_timestamp,
    "timestamptz": to_timestamp,
    "json": to_json,
    "uuid": to_uuid,
}
