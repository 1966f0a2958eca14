"""What a SQLite column holds: SQLite promises nothing, so the declared type, the rules of affinity and a sample decide.

    INT…                        int64                       CHAR, CLOB, TEXT    text
    REAL, FLOA, DOUB            float64                     BLOB                binary
    BOOL…                       boolean where the sample is all 0 and 1, else int64
    DATE, DATETIME, TIMESTAMP   date, timestamp or timestamptz where the sample is all ISO text, else as a column without a type
    DECIMAL, NUMERIC            what SQLite keeps: int64 where the sample is all integers and no decimals are declared, else float64
    none, ANY, others           the one storage class of the sample; integers among floats are float64; else text

A value of another kind, beyond the sample, is a rejected record. (Affinity: sqlite.org/datatype3.html, section 3.1.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from syncterm.engine.schema import LogicalType
from syncterm.engine.sources.inference import infer_instants

_INT64 = LogicalType("int64")
_FLOAT64 = LogicalType("float64")
_TEXT = LogicalType("text")
_BINARY = LogicalType("binary")
_EXACT_INTEGERS = 2**53
"""Integers up to here are exact as float64."""


def column_type(declared: str, sample: Sequence[Any]) -> LogicalType:
    """The logical type of a column, from its declared type and some of its values."""
    name = declared.upper()
    values = [value for value in sample if value is not None]
    if "BOOL" in name:
        return LogicalType("boolean") if all(value in (0, 1) and isinstance(value, int) for value in values) else _of_values(values)
    if re.match(r"(DATE|TIMESTAMP)", name):
        return _instants(values)
    if "INT" in name:
        return _INT64
    if any(word in name for word in ("CHAR", "CLOB", "TEXT")):
        return _TEXT
    if "BLOB" in name:
        return _BINARY
    if any(word in name for word in ("REAL", "FLOA", "DOUB")):
        return _FLOAT64
    if re.match(r"(DECIMAL|NUMERIC|NUMBER|MONEY)", name):
        has_decimals = re.search(r",\s*[1-9]\d*\s*\)", name) is not None
        return _FLOAT64 if not values or (has_decimals and _storage(values) == {int}) else _of_values(values)
    return _of_values(values)


def _storage(values: Sequence[Any]) -> set[type]:
    return set(map(type, values))


def _of_values(values: Sequence[Any]) -> LogicalType:
    found = _storage(values)
    if found == {int}:
        return _INT64
    if found == {float} or (found == {int, float} and all(isinstance(v, float) or abs(v) <= _EXACT_INTEGERS for v in values)):
        return _FLOAT64
    return _BINARY if found == {bytes} else _TEXT


def _instants(values: Sequence[Any]) -> LogicalType:
    import pyarrow as pa

    if not values or _storage(values) != {str}:
        return _of_values(values)
    try:
        return infer_instants(pa.array(values, pa.string()))
    except UnicodeEncodeError:
        return _TEXT
