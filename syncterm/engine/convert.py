"""From text and loose types to the types a stream was promised: the one place where a value can fail to fit.

Both the files and the databases that hand over text use it. A whole column is cast at once; only where that fails are the
offending rows looked for, and each becomes a rejected record. What fits, and how text is read, is `casting.cast`'s to say.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from syncterm.engine.casting import CAST_FAILED, INVALID_UTF8, OUT_OF_RANGE, MisfitError, cast
from syncterm.engine.model import RejectedRecord
from syncterm.engine.schema import Field, LogicalType, arrow_schema
from syncterm.engine.sources.base import SourceBatch

if TYPE_CHECKING:
    import pyarrow as pa

MAX_PAYLOAD = 65_536
"""Bytes of a rejected record that are kept."""
MAX_QUOTED = 80
"""Characters of a value that a message repeats."""
_ROW_BY_ROW = 16
"""Rows below which a failing piece is no longer halved but tried row by row."""


def convert(
    columns: Sequence[pa.Array],
    fields: tuple[Field, ...],
    *,
    stream: str,
    keys: Callable[[int], str] | None = None,
    payload: Callable[[int], str] | None = None,
) -> SourceBatch:
    """Arrow columns in the types that the fields promise, and the rows that do not fit.

    Args:
        columns: one array a field, all equally long, of any Arrow type; `casting.cast` says how each is read.
        fields: what the records must have.
        stream: name for the rejected records.
        keys: row index → its key or position, for the rejected records.
        payload: row index → the record as text; by default a JSON object of `columns`.

    Returns:
        `records` with exactly `arrow_schema(fields)`, in the order of the rows; one rejected record for each row with a value that
        does not fit; `bytes` the size of `records`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    cast_columns: list[pa.Array] = []
    faults: dict[int, list[tuple[str, str]]] = {}
    for column, field in zip(columns, fields, strict=True):
        try:
            cast_columns.append(cast(column, field.type))
            continue
        except (MisfitError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
            misfits = _find(column, field.type)
        for index, misfit in misfits.items():
            faults.setdefault(index, []).append((misfit.code, _message(field, column, index, misfit)))
        fitting = pa.array([None if index in misfits else index for index in range(len(column))], pa.int64())
        cast_columns.append(cast(column.take(fitting), field.type))
    records = pa.RecordBatch.from_arrays(cast_columns, schema=arrow_schema(fields))
    if not faults:
        return SourceBatch(records, bytes=records.nbytes)
    rejected = tuple(
        RejectedRecord(
            stream=stream,
            code=faults[index][0][0],
            message="; ".join(message for _, message in faults[index][:10]),
            payload=payload(index) if payload else row_payload(columns, fields, index),
            key=keys(index) if keys else None,
        )
        for index in sorted(faults)
    )
    unfit = pa.array(sorted(faults), pa.int64())
    fits = pc.invert(pc.is_in(pa.array(range(records.num_rows), pa.int64()), value_set=unfit))
    records = records.filter(fits)
    return SourceBatch(records, rejected, bytes=records.nbytes)


def _find(column: pa.Array, logical: LogicalType) -> Mapping[int, MisfitError]:
    """Row → why its value does not fit, for a column that cannot be cast as a whole: halves, quarters, …, then single rows."""
    import pyarrow as pa

    found: dict[int, MisfitError] = {}
    pieces = [(0, len(column))]
    while pieces:
        start, length = pieces.pop()
        try:
            cast(column.slice(start, length), logical)
        except (MisfitError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            if length == 1:
                found[start] = error if isinstance(error, MisfitError) else MisfitError(_code(column, start, logical))
            elif length <= _ROW_BY_ROW:
                pieces.extend((index, 1) for index in range(start, start + length))
            else:
                half = length // 2
                pieces += [(start, half), (start + half, length - half)]
    return found


def _code(column: pa.Array, index: int, logical: LogicalType) -> str:
    """Whether a value is of the right kind but too large or too fine (`out_of_range`), or of the wrong kind."""
    value = value_at(column, index)
    if isinstance(value, str) and logical.name.startswith(("int", "uint")):
        return OUT_OF_RANGE if re.fullmatch(r"\s*[+-]?[0-9]+\s*", value) else CAST_FAILED
    if isinstance(value, str) and logical.name == "decimal":
        try:
            return OUT_OF_RANGE if Decimal(value).is_finite() else CAST_FAILED
        except InvalidOperation:
            return CAST_FAILED
    return CAST_FAILED if isinstance(value, str) else OUT_OF_RANGE


def _message(field: Field, column: pa.Array, index: int, misfit: MisfitError) -> str:
    value = value_at(column, index)
    quoted = clip(repr(value) if isinstance(value, str) else str(value), MAX_QUOTED)
    if misfit.code == OUT_OF_RANGE:
        what = f"{quoted} does not fit into {field.type}"
    elif misfit.code == INVALID_UTF8:
        what = f"{quoted} is not valid UTF-8 text"
    else:
        what = f"{quoted} is not a valid {field.type}"
    reason = f" ({misfit.reason})" if misfit.reason and misfit.code != INVALID_UTF8 else ""
    return f"{field.name}: {what}{reason}"


def clip(text: str, limit: int) -> str:
    """The text, cut to `limit` characters with a mark where it is longer."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def value_at(column: pa.Array, index: int) -> Any:
    """One value in Python; bytes that should be text with `\\xff` for what is not UTF-8; values beyond Python's types as text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    piece = column.slice(index, 1)
    kind = piece.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        raw = piece.view(pa.binary())[0].as_py()
        return None if raw is None else raw.decode("utf-8", "backslashreplace")
    try:
        return piece[0].as_py()
    except (ValueError, OverflowError):
        return pc.cast(piece, pa.string())[0].as_py()


def row_payload(columns: Sequence[pa.Array], fields: Sequence[Field], index: int) -> str:
    """A row as a JSON object; at most `MAX_PAYLOAD` bytes: long values are cut, then columns left out."""
    row = {field.name: value_at(column, index) for column, field in zip(columns, fields, strict=True)}
    return object_payload(row)


def object_payload(row: Mapping[str, Any]) -> str:
    """A record as JSON, at most `MAX_PAYLOAD` bytes: long values are cut, then members left out. Always valid JSON."""
    row = {name: str(value) if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}
    document = json.dumps(row, default=str, ensure_ascii=False)
    limit = MAX_PAYLOAD // 8
    while len(document.encode("utf-8", "backslashreplace")) > MAX_PAYLOAD:
        if limit >= MAX_QUOTED:
            row = {clip(name, limit): _clip_value(value, limit) for name, value in row.items()}
            limit //= 4
        else:
            row = dict(list(row.items())[: len(row) // 2])
        document = json.dumps(row, default=str, ensure_ascii=False)
    return document.encode("utf-8", "backslashreplace").decode()


def _clip_value(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return clip(value, limit)
    if isinstance(value, bool | int | float) or value is None:
        return value
    return clip(str(value), limit)
