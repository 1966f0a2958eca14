"""Whatever Arrow holds of our types is read back the same, or was rejected with a reason: for every destination."""

from __future__ import annotations

import json
import string
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncterm.engine.model import RejectedRecord, SyncMode
from syncterm.engine.schema import MAX_DECIMAL_PRECISION, SIMPLE_TYPES, Field, arrow_schema, parse_type
from tests.contracts.destination_harness import (
    DestinationHarness,
    DuckDBHarness,
    FileHarness,
    Row,
    SQLiteHarness,
    comparable,
    sorted_rows,
)
from tests.contracts.loads import load, target

INT64 = 2**63
TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["", "\0", '"', "'", "\r\n", "\\N", ",", "NULL", "é", "e\u0301"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT | st.sampled_from([1.5, -0.0, 1e-300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
).map(lambda value: json.dumps(value, ensure_ascii=False, indent=1))


def _bits(name: str) -> st.SearchStrategy[int]:
    unsigned = name.startswith("u")
    bits = int(name.removeprefix("u").removeprefix("int"))
    return st.integers(0, 2**bits - 1) if unsigned else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _years(unit: int) -> st.SearchStrategy[int]:
    """Instants mostly within the years that all formats can write, in units of 1/unit day."""
    return st.integers(-719_162 * unit, 2_932_897 * unit - 1)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    **{name: _bits(name) for name in ("int16", "int32", "int64", "uint64")},
    "float32": st.floats(width=32),
    "float64": st.floats(),
    "text": TEXT,
    "binary": st.binary(max_size=12),
    "date": _years(1) | st.integers(-(2**31), 2**31 - 1),
    "time": st.integers(0, 86_400_000_000 - 1),
    "timestamp": _years(86_400_000_000) | st.integers(-INT64, INT64 - 1),
    "timestamptz": _years(86_400_000_000) | st.integers(-INT64, INT64 - 1),
    "json": JSON,
    "uuid": st.uuids().map(str),
}
assert set(VALUES) == set(SIMPLE_TYPES)


@st.composite
def decimal_types(draw: st.DrawFn) -> str:
    precision = draw(st.integers(1, MAX_DECIMAL_PRECISION))
    return f"decimal({precision},{draw(st.integers(0, precision))})"


@st.composite
def batches(draw: st.DrawFn) -> tuple[tuple[Field, ...], pa.RecordBatch]:
    """A few columns of any types with a few rows, NULLs among them. The first one has none: CSV cannot tell a row of one NULL."""
    types = draw(st.lists(st.sampled_from(SIMPLE_TYPES) | decimal_types(), min_size=1, max_size=4))
    letters = draw(
        st.lists(st.text(string.printable, min_size=1, max_size=8), min_size=len(types), max_size=len(types), unique=True)
    )
    fields = (
        Field("number", parse_type("int32")),
        *(Field(f"{n}{name}", parse_type(t)) for n, (name, t) in enumerate(zip(letters, types, strict=True))),
    )
    rows = draw(st.integers(0, 4))
    arrays = [pa.array(range(rows), pa.int32())]
    for field in fields[1:]:
        kind = arrow_schema((field,)).types[0]
        if field.type.name == "decimal":
            limit = 10 ** (field.type.precision or 0) - 1
            scale = field.type.scale or 0
            one: st.SearchStrategy[Any] = st.integers(-limit, limit).map(partial(_decimal, scale))
        else:
            one = VALUES[field.type.name]
        values = draw(st.lists(st.none() | one, min_size=rows, max_size=rows))
        if pa.types.is_temporal(kind):
            storage = pa.int32() if pa.types.is_date32(kind) else pa.int64()
            arrays.append(pa.array(values, storage).view(kind))
        else:
            arrays.append(pa.array(values, kind))
    return fields, pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(fields))


def _decimal(scale: int, whole: int) -> Decimal:
    return Decimal(f"{whole}e-{scale}")


def rows_of(batch: pa.RecordBatch) -> list[Row]:
    return sorted_rows(zip(*(comparable(column) for column in batch.columns), strict=True))


def canonical(name: str, rows: list[Row], fields: tuple[Field, ...]) -> list[Row]:
    """Rows without the differences that a destination's documentation announces."""
    at = [number for number, field in enumerate(fields) if field.type.name == "json"]

    def value(number: int, cell: Any) -> Any:
        if name == "sqlite" and cell == (-0.0).hex():  # SQLite has one zero
            return (0.0).hex()
        if name == "jsonl" and number in at and cell is not None:  # the value and not its text; JSON's null is NULL
            read = json.loads(cell, parse_int=str, parse_float=str)
            return None if read is None else json.dumps(read, sort_keys=True)
        return cell

    return sorted_rows(tuple(value(number, cell) for number, cell in enumerate(row)) for row in rows)


HARNESSES: dict[str, Callable[[Path], DestinationHarness]] = {
    "duckdb": DuckDBHarness,
    "sqlite": SQLiteHarness,
    "parquet": lambda folder: FileHarness(folder, "parquet"),
    "csv": lambda folder: FileHarness(folder, "csv"),
    "csv-gzip": lambda folder: FileHarness(folder, "csv", "gzip"),
    "jsonl": lambda folder: FileHarness(folder, "jsonl"),
}


@pytest.mark.parametrize("mode", [SyncMode.REPLACE, SyncMode.INCREMENTAL_UPSERT])
@pytest.mark.parametrize("name", HARNESSES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=batches())
def test_what_is_written_is_read_back(name: str, mode: SyncMode, data: tuple[tuple[Field, ...], pa.RecordBatch]) -> None:
    fields, batch = data
    with TemporaryDirectory() as folder:
        harness: DestinationHarness = HARNESSES[name](Path(folder))
        if mode is SyncMode.INCREMENTAL_UPSERT and not harness.make().capabilities.upsert:
            pytest.skip("this destination cannot upsert")
        rejected: list[RejectedRecord] = []
        to = target(mode, fields=fields, primary_key=("number",), cursor_field="number")
        written = load(harness.make(), to, batch, rejected=rejected).written
        assert written + len(rejected) == batch.num_rows
        assert {record.code for record in rejected} <= harness.unsupported
        refused = Counter(json.loads(record.payload)["number"] for record in rejected)
        kept = [row for row in rows_of(batch) if row[0] not in refused]
        read = harness.rows("orders", fields)
        assert read is not None
        assert canonical(name, read, fields) == canonical(name, kept, fields)


def test_what_each_destination_refuses(tmp_path: Path) -> None:
    """The values that have no place in a destination, and their codes."""
    fields = (
        Field("f", parse_type("float64")),
        Field("u", parse_type("uint64")),
        Field("d", parse_type("date")),
        Field("j", parse_type("json")),
    )
    nan, big, late = float("nan"), 2**64 - 1, 3_000_000
    columns = [
        pa.array([nan, 1.0, 1.0, 1.0, 1.0]),
        pa.array([1, big, 1, 1, 1], pa.uint64()),
        pa.array([1, 1, late, 1, 1], pa.int32()).view(pa.date32()),
        pa.array(["{}", "{}", "{}", "{", '{"a": NaN}']),
    ]
    batch = pa.RecordBatch.from_arrays(columns, schema=arrow_schema(fields))
    expected = {
        "duckdb": ["not_json"],
        "sqlite": ["not_a_number", "out_of_range", "out_of_range"],
        "parquet": [],
        "csv": ["out_of_range"],
        "csv-gzip": ["out_of_range"],
        "jsonl": ["out_of_range", "not_json", "not_json"],
    }
    for name, make in HARNESSES.items():
        folder = tmp_path / name
        folder.mkdir()
        rejected: list[RejectedRecord] = []
        result = load(make(folder).make(), target(fields=fields, primary_key=()), batch, rejected=rejected)
        assert [record.code for record in rejected] == expected[name], name
        assert result.written == 5 - len(rejected)
