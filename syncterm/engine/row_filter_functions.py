"""What a row filter may call, and which types there are in it: tables, no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KINDS: Mapping[str, str] = {
    **dict.fromkeys(("int16", "int32", "int64", "uint64", "float32", "float64", "decimal"), "number"),
    **dict.fromkeys(("text", "json", "uuid"), "text"),
    **dict.fromkeys(("date", "timestamp", "timestamptz"), "instant"),
    "boolean": "boolean",
    "binary": "binary",
    "time": "time",
}
"""Logical type → what it can be compared with. Further kinds: `interval`, and `any` where nothing is known."""
KIND_TITLES = {
    "number": "a number",
    "text": "text",
    "instant": "a date or time stamp",
    "boolean": "true or false",
    "binary": "bytes",
}
KIND_TITLES |= {"time": "a time of day", "interval": "an interval"}

PARTS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")


@dataclass(frozen=True, slots=True)
class Function:
    """A function that a row filter may call."""

    arguments: tuple[str, ...]
    """Kinds; those after `required` may be left out, the last one repeats where `repeats`."""
    gives: str
    sql: str
    required: int
    repeats: bool = False


def _function(arguments: str, gives: str, sql: str, *, optional: int = 0, repeats: bool = False) -> Function:
    kinds = tuple(arguments.split())
    return Function(kinds, gives, sql, len(kinds) - optional, repeats)


FUNCTIONS: Mapping[str, Function] = {
    "lower": _function("text", "text", "lower({})"),
    "upper": _function("text", "text", "upper({})"),
    "trim": _function("text", "text", "trim({})"),
    "ltrim": _function("text", "text", "ltrim({})"),
    "rtrim": _function("text", "text", "rtrim({})"),
    "length": _function("text", "number", "length({})"),
    "left": _function("text number", "text", '"left"({})'),
    "right": _function("text number", "text", '"right"({})'),
    "substring": _function("text number number", "text", "substr({})", optional=1),
    "substr": _function("text number number", "text", "substr({})", optional=1),
    "starts_with": _function("text text", "boolean", "starts_with({})"),
    "ends_with": _function("text text", "boolean", "suffix({})"),
    "contains": _function("text text", "boolean", "contains({})"),
    "regexp_matches": _function("text pattern", "boolean", "regexp_matches({})"),
    "json_extract_string": _function("text path", "text", "json_extract_string({})"),
    "coalesce": _function("any same", "same", "coalesce({})", optional=1, repeats=True),
    "greatest": _function("any same", "same", "greatest({})", optional=1, repeats=True),
    "least": _function("any same", "same", "least({})", optional=1, repeats=True),
    "nullif": _function("any same", "same", "nullif({})"),
    "abs": _function("number", "number", "abs({})"),
    "floor": _function("number", "number", "floor({})"),
    "ceil": _function("number", "number", "ceil({})"),
    "round": _function("number number", "number", "round({})", optional=1),
    "date_trunc": _function("part instant", "instant", "date_trunc({})"),
    "date_part": _function("part instant", "number", "date_part({})"),
    **{part: _function("instant", "number", f"date_part('{part}', {{}})") for part in PARTS},
}
"""What a row filter may call: the same answer for the same record, and no more memory than its record's."""

AGGREGATES = ("count", "sum", "avg", "min", "max", "median", "stddev", "string_agg", "list", "array_agg", "first", "last")
MOMENTS = (
    "now",
    "today",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtimestamp",
    "random",
    "uuid",
    "gen_random_uuid",
)
TYPE_NAMES = {
    **dict.fromkeys(("int", "integer", "int4"), "int32"),
    **dict.fromkeys(("bigint", "int8"), "int64"),
    **dict.fromkeys(("smallint", "int2"), "int16"),
    **dict.fromkeys(("double", "float", "float8"), "float64"),
    "real": "float32",
    "bool": "boolean",
    **dict.fromkeys(("varchar", "string", "char"), "text"),
    **dict.fromkeys(("numeric", "decimal"), "decimal(38,10)"),
}
SQL_TYPES = {
    "boolean": "BOOLEAN",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint64": "UBIGINT",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "text": "VARCHAR",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
}
