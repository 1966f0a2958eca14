"""Casts to text, JSON, UUIDs and bytes."""

from __future__ import annotations

import binascii
import json
import threading
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from syncterm.engine.casting.columns import (
    CAST_FAILED,
    MisfitError,
    attempts,
    data_of,
    every,
    matches,
    no_rule,
    plain,
    replace,
    some,
    trim,
    utf8,
)

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE = 200
"""Values handled in one go where Python has to look at each: a few milliseconds of the interpreter lock."""
_CANONICAL_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_ANY_UUID = r"^\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?$"
_LENIENT_JSON = r"(?i)(,\s*[\]}])|((^|[\[,:])\s*-?(nan|inf))"
"""What DuckDB's validation lets pass and JSON (RFC 8259) does not: trailing commas, NaN, infinities (and a few innocents)."""

_local = threading.local()


def to_text(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_string(kind):
        return array
    if isinstance(kind, pa.UuidType):
        return to_uuid(array, target)
    if isinstance(kind, pa.JsonType):
        return plain(array.storage)
    if pa.types.is_fixed_size_binary(kind):
        return utf8(pc.cast(array, pa.binary()))
    if pa.types.is_nested(kind):
        return _json_of_values(array)
    if pa.types.is_decimal(kind):
        text = pc.cast(array, target)
        return _map_pieces(text, _fixed_scale) if some(pc.match_substring(text, "E")) else text
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pc.cast(pc.cast(array, pa.timestamp(kind.unit, "UTC")), target)
    if (
        pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_date(kind)
        or pa.types.is_time(kind)
        or pa.types.is_timestamp(kind)
    ):
        return pc.cast(array, target)
    raise no_rule(array)


def _fixed_scale(text: str) -> str:
    return f"{Decimal(text):f}"


def _map_pieces(text: pa.Array, function: Callable[[Any], str | None]) -> pa.Array:
    """The column with a Python function applied to each value that is not NULL, in pieces."""
    import pyarrow as pa

    pieces = [
        pa.array([None if value is None else function(value) for value in text.slice(start, _PIECE).to_pylist()], pa.string())
        for start in range(0, len(text), _PIECE)
    ]
    return pa.concat_arrays(pieces)


def to_json(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if isinstance(kind, pa.JsonType):
        return plain(array.storage)
    if pa.types.is_string(kind):
        _check_json(array)
        return array
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return pc.cast(array, target)
    return _json_of_values(array)


def _check_json(text: pa.Array) -> None:
    """Raises: MisfitError: where a value is not JSON. DuckDB looks at all; where it may have been too kind, Python does too."""
    import duckdb
    import pyarrow as pa

    connection = getattr(_local, "connection", None)
    if connection is None:
        connection = _local.connection = duckdb.connect(":memory:", config={"threads": 1})
    table = pa.table({"value": text})
    valid = connection.from_arrow(table).aggregate("bool_and(json_valid(value))").fetchall()[0][0]
    if valid is False:
        raise MisfitError(CAST_FAILED, "it is not JSON")
    for value in text.filter(matches(text, _LENIENT_JSON)).to_pylist():
        try:
            json.loads(value, parse_constant=_refuse_constant, parse_int=len, parse_float=len)
        except (ValueError, RecursionError):
            raise MisfitError(CAST_FAILED, "it is not JSON") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _json_of_values(array: pa.Array) -> pa.Array:
    """Nested or plain values as JSON text. Raises: MisfitError: for NaN, infinities and what Python cannot hold."""
    try:
        return _map_pieces(array, _json_text)
    except (ValueError, OverflowError, RecursionError) as error:
        raise MisfitError(CAST_FAILED, f"it has no JSON form ({error})") from None


def _json_text(value: Any) -> str:
    """One value as JSON: compact, numbers with all their digits, dates in ISO form, bytes as `\\x` and hexadecimal."""
    if isinstance(value, dict):
        members = (f"{json.dumps(str(name), ensure_ascii=False)}:{_json_text(member)}" for name, member in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_json_text(element) for element in value) + "]"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | datetime | time):
        return f'"{value.isoformat()}"'
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    if value is None or isinstance(value, bool | int | float | str):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    return json.dumps(str(value), ensure_ascii=False)


def to_uuid(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if isinstance(kind, pa.UuidType):
        array, kind = array.storage, kind.storage_type
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16:
        filled = pa.concat_arrays([array]) if array.offset else array
        digits = binascii.hexlify(memoryview(filled.buffers()[1])[filled.offset * 16 : (filled.offset + len(filled)) * 16])
        offsets = pa.array(range(0, 32 * len(filled) + 1, 32), pa.int32())
        text = pa.Array.from_buffers(pa.string(), len(filled), [None, offsets.buffers()[1], pa.py_buffer(digits)])
        if filled.null_count:
            text = pc.if_else(filled.is_valid(), text, pa.scalar(None, pa.string()))
        return replace(text, (_ANY_UUID, r"\1-\2-\3-\4-\5"))
    if not pa.types.is_string(kind):
        raise no_rule(array)

    def parse(text: pa.Array) -> pa.Array:
        if not every(matches(text, _CANONICAL_UUID)):
            raise MisfitError(CAST_FAILED)
        return text

    return attempts(array, parse, lambda text: replace(pc.utf8_lower(trim(text)), (_ANY_UUID, r"\1-\2-\3-\4-\5")))


def unhex(text: pa.Array) -> pa.Array:
    """Bytes of text in PostgreSQL's hexadecimal form. Raises: MisfitError."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = pc.fill_null(text.view(pa.binary()) if pa.types.is_string(text.type) else text, b"\\x")
    digits = pc.replace_substring(array, pattern=b"\\x", replacement=b"", max_replacements=1)
    lengths = pc.binary_length(digits)
    try:
        if not every(pc.starts_with(array, b"\\x")) or some(pc.equal(pc.bit_wise_and(lengths, 1), 1)):
            raise MisfitError(CAST_FAILED, r"bytes are written as \x and an even number of hexadecimal digits")
        data = binascii.unhexlify(data_of(digits))
    except binascii.Error:
        raise MisfitError(CAST_FAILED, r"bytes are written as \x and an even number of hexadecimal digits") from None
    ends = pc.cast(pc.cumulative_sum(pc.divide(lengths, 2)), pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    result = pa.Array.from_buffers(pa.binary(), len(array), [None, offsets.buffers()[1], pa.py_buffer(data)])
    return pc.if_else(text.is_valid(), result, pa.scalar(None, pa.binary())) if text.null_count else result


def to_binary(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(array.type, pa.UuidType):
        array = array.storage
    if pa.types.is_binary(array.type) or pa.types.is_fixed_size_binary(array.type):
        return pc.cast(array, target)
    raise no_rule(array)
