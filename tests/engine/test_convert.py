"""Conversion: every value arrives exactly, or its record is rejected with a reason; never rounded, wrapped, cut or lost."""

from __future__ import annotations

import json
import math
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.engine.convert import MAX_PAYLOAD, convert
from syncterm.engine.schema import Field, arrow_schema, parse_type
from syncterm.engine.sources.base import SourceBatch


def converted(type_: str, values: list[Any] | pa.Array) -> SourceBatch:
    column = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    fields = (Field("value", parse_type(type_)),)
    batch = convert([column], fields, stream="stream")
    assert batch.records.schema.equals(arrow_schema(fields), check_metadata=True)
    batch.records.validate(full=True)
    assert batch.records.num_rows + len(batch.rejected) == len(column)
    return batch


def values(batch: SourceBatch) -> list[Any]:
    return list(batch.records.column(0).to_pylist())


D = Decimal
U = UTC

FITTING: list[tuple[str, str, Any]] = [
    ("boolean", "true", True),
    ("boolean", "T", True),
    ("boolean", "No", False),
    ("boolean", " 1 ", True),
    ("int16", "-32768", -32768),
    ("int32", "+7", 7),
    ("int64", "9223372036854775807", 2**63 - 1),
    ("int64", "00123", 123),
    ("int64", "12.0", 12),
    ("uint64", "18446744073709551615", 2**64 - 1),
    ("float64", "1e3", 1000.0),
    ("float64", "-Infinity", -math.inf),
    ("decimal(10,2)", "1.550", D("1.55")),
    ("decimal(10,2)", "1e2", D("100.00")),
    ("decimal(38,0)", "9" * 38, D("9" * 38)),
    ("decimal(38,0)", "0" * 40 + "5", D(5)),
    ("decimal(38,2)", "1." + "0" * 60, D("1.00")),
    ("text", " a\x00b ", " a\x00b "),
    ("text", "", ""),
    ("date", "0001-01-01", date(1, 1, 1)),
    ("date", "2025-01-31 00:00:00.000", date(2025, 1, 31)),
    ("time", "23:59:59.999999", time(23, 59, 59, 999999)),
    ("time", "12:34", time(12, 34)),
    ("timestamp", "2025-01-31", datetime(2025, 1, 31)),
    ("timestamp", "2025-01-31T01:02:03.1234560", datetime(2025, 1, 31, 1, 2, 3, 123456)),
    ("timestamptz", "2025-01-01T00:00:00+02:00", datetime(2024, 12, 31, 22, tzinfo=U)),
    ("timestamptz", "2024-12-31T23:00:00Z", datetime(2024, 12, 31, 23, tzinfo=U)),
    ("timestamptz", "2025-01-01 00:00:00.5 +05:45", datetime(2024, 12, 31, 18, 15, 0, 500000, tzinfo=U)),
    ("timestamptz", "2025-01-01 00:00:00", datetime(2025, 1, 1, tzinfo=U)),
    ("timestamptz", "2025-01-01", datetime(2025, 1, 1, tzinfo=U)),
    ("json", ' {"a": 1, "a": 2, "info": 1e400} ', ' {"a": 1, "a": 2, "info": 1e400} '),
    ("json", "123456789012345678901234567890", "123456789012345678901234567890"),
    ("uuid", "{000000000000400080000000000000FF}", "00000000-0000-4000-8000-0000000000ff"),
    ("binary", "\\x00FF", b"\x00\xff"),
    ("binary", "\\x", b""),
]

UNFIT: list[tuple[str, str, str]] = [
    ("boolean", "maybe", "cast_failed"),
    ("boolean", "", "cast_failed"),
    ("int16", "32768", "out_of_range"),
    ("int16", "0xFFFF", "cast_failed"),
    ("int64", "9223372036854775808", "out_of_range"),
    ("int64", "1.5", "cast_failed"),
    ("int64", "", "cast_failed"),
    ("int64", "١", "cast_failed"),
    ("uint64", "-1", "out_of_range"),
    ("float64", "1e400", "out_of_range"),
    ("float32", "1e39", "out_of_range"),
    ("float64", "NAN(ind)", "out_of_range"),
    ("float64", "1,5", "cast_failed"),
    ("decimal(10,2)", "1.555", "out_of_range"),
    ("decimal(10,2)", "123456789", "out_of_range"),
    ("decimal(38,0)", "9" * 39, "out_of_range"),
    ("decimal(38,0)", "1e999999999", "out_of_range"),
    ("decimal(10,2)", "NaN", "cast_failed"),
    ("date", "2025-02-30", "cast_failed"),
    ("date", "0000-01-01", "out_of_range"),
    ("date", "2025-01-31 00:01", "cast_failed"),
    ("time", "24:00:00", "cast_failed"),
    ("time", "12", "cast_failed"),
    ("time", "12:34:56.1234567", "cast_failed"),
    ("timestamp", "2025-01-01T00:00:00Z", "cast_failed"),
    ("timestamp", "2025-01-01T00:00:00.1234567", "cast_failed"),
    ("timestamp", "infinity", "cast_failed"),
    ("timestamptz", "9999-12-31 23:00:00-05", "out_of_range"),
    ("timestamptz", "2025-01-01 00:00:00+25", "cast_failed"),
    ("json", "[1,]", "cast_failed"),
    ("json", "NaN", "cast_failed"),
    ("json", '{"a": -Infinity}', "cast_failed"),
    ("json", "", "cast_failed"),
    ("uuid", "00000000-0000-4000-8000", "cast_failed"),
    ("binary", "00ff", "cast_failed"),
    ("binary", "\\x0", "cast_failed"),
    ("binary", "\\x0g", "cast_failed"),
    ("binary", "\\x0 0", "cast_failed"),
]


@pytest.mark.parametrize(("type_", "text", "expected"), FITTING)
def test_text_that_fits_arrives_exactly(type_: str, text: str, expected: Any) -> None:
    batch = converted(type_, [text, None, text])
    assert not batch.rejected
    assert values(batch) == [expected, None, expected]


GOOD = {
    **dict.fromkeys(("boolean", "int16", "int32", "int64", "uint64", "float32", "float64", "decimal", "json"), "1"),
    **dict.fromkeys(("date", "timestamp", "timestamptz"), "2025-01-01"),
    "time": "12:34:56",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "binary": "\\x00",
}


@pytest.mark.parametrize(("type_", "text", "code"), UNFIT)
def test_text_that_does_not_fit_is_rejected_alone(type_: str, text: str, code: str) -> None:
    good = GOOD[type_.partition("(")[0]]
    batch = converted(type_, [good, None, text, good])
    assert batch.records.num_rows == 3
    (rejected,) = batch.rejected
    assert rejected.code == code
    assert rejected.message.startswith("value: ")
    assert json.loads(rejected.payload) == {"value": text}


TYPED: list[tuple[str, pa.Array, list[Any], int]] = [
    ("int32", pa.array([1, 2**31, None]), [1, None], 1),
    ("int64", pa.array([1.0, 1.5, float("nan"), float("inf"), -0.0]), [1, 0], 3),
    ("uint64", pa.array([-1, 1]), [1], 1),
    ("int64", pa.array([2**64 - 1, 3], pa.uint64()), [3], 1),
    ("boolean", pa.array([0, 1, 2, None]), [False, True, None], 1),
    ("float64", pa.array([2**53, 2**53 + 1]), [2.0**53], 1),
    ("float32", pa.array([0.5, 0.1, float("inf")]), [0.5, math.inf], 1),
    ("float64", pa.array([D("0.5"), D("12345678901234567890.123456789")], pa.decimal128(38, 9)), [0.5], 1),
    ("decimal(4,1)", pa.array([12345, 123]), [D("123.0")], 1),
    ("decimal(10,2)", pa.array([0.1, 0.123, float("nan")]), [D("0.10")], 2),
    ("decimal(10,2)", pa.array([D("1.230"), D("1.234")], pa.decimal128(10, 3)), [D("1.23")], 1),
    ("decimal(38,0)", pa.array([D(10) ** 40, D(7)], pa.decimal256(50, 0)), [D(7)], 1),
    ("int64", pa.array([D("2.00"), D("2.50")], pa.decimal128(10, 2)), [2], 1),
    ("text", pa.array([D("0.0000001")], pa.decimal128(20, 10)), ["0.0000001000"], 0),
    ("text", pa.array([b"ok", b"\xff"]), ["ok"], 1),
    ("text", pa.array(["a", "b"]).dictionary_encode(), ["a", "b"], 0),
    ("text", pa.array(["a"], pa.string_view()), ["a"], 0),
    ("text", pa.array(["a"], pa.large_string()), ["a"], 0),
    ("text", pa.array([1, None]), ["1", None], 0),
    ("text", pa.array([[1, None], [2]]), ["[1,null]", "[2]"], 0),
    ("json", pa.array([{"a": D("1.10"), "b": b"\x00"}]), ['{"a":1.10,"b":"\\\\x00"}'], 0),
    ("json", pa.array([{"a": 1.5}, {"a": float("nan")}]), ['{"a":1.5}'], 1),
    ("json", pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a":1}'])), ['{"a":1}'], 0),
    ("uuid", pa.array([b"\x00" * 15 + b"\x01", None], pa.binary(16)), ["00000000-0000-0000-0000-000000000001", None], 0),
    ("uuid", pa.array([b"\x00" * 16, b"\x00" * 15 + b"\x02"], pa.binary(16))[1:], ["00000000-0000-0000-0000-000000000002"], 0),
    ("binary", pa.array([b"\\x00"]), [b"\\x00"], 0),
    ("date", pa.array([0, 1], pa.timestamp("us")), [date(1970, 1, 1)], 1),
    ("date", pa.array([3_000_000, 0], pa.date32()), [date(1970, 1, 1)], 1),
    ("timestamp", pa.array([1000, 1], pa.timestamp("ns")), [datetime(1970, 1, 1, 0, 0, 0, 1)], 1),
    ("timestamp", pa.array([2**62, 0], pa.timestamp("s")), [datetime(1970, 1, 1)], 1),
    ("timestamptz", pa.array([0], pa.timestamp("ms", "Europe/Berlin")), [datetime(1970, 1, 1, tzinfo=U)], 0),
    ("time", pa.array([1000, 1], pa.time64("ns")), [time(0, 0, 0, 1)], 1),
    ("int64", pa.array([None, None]), [None, None], 0),
    ("json", pa.array([], pa.string()), [], 0),
    ("timestamp", pa.array([5, None]), [None], 1),
]


@pytest.mark.parametrize(("type_", "column", "expected", "rejected"), TYPED)
def test_typed_columns_convert_without_loss(type_: str, column: pa.Array, expected: list[Any], rejected: int) -> None:
    batch = converted(type_, column)
    assert values(batch) == expected
    assert len(batch.rejected) == rejected


def test_one_rejected_record_a_row_names_every_column_that_does_not_fit() -> None:
    fields = (Field("a", parse_type("int64")), Field("b", parse_type("date")), Field("c", parse_type("text")))
    columns = [pa.array(["1", "x", "3"]), pa.array(["2025-01-01", "y", "z"]), pa.array([b"ok", b"ok", b"\xff"])]
    batch = convert(columns, fields, stream="s", keys=lambda row: f"line {row + 2}")
    assert batch.records.to_pylist() == [{"a": 1, "b": date(2025, 1, 1), "c": "ok"}]
    assert [(record.key, record.code, record.stream) for record in batch.rejected] == [
        ("line 3", "cast_failed", "s"),
        ("line 4", "cast_failed", "s"),
    ]
    assert "a: 'x'" in batch.rejected[0].message
    assert "b: 'y'" in batch.rejected[0].message
    assert json.loads(batch.rejected[1].payload) == {"a": "3", "b": "z", "c": "\\xff"}


def test_payload_is_bounded_and_stays_json() -> None:
    fields = tuple(Field(f"column {number}", parse_type("int64")) for number in range(2000))
    batch = convert([pa.array(["é" * 5000])] * 2000, fields, stream="s")
    assert len(batch.rejected[0].payload.encode()) <= MAX_PAYLOAD
    assert json.loads(batch.rejected[0].payload)
    assert len(batch.rejected[0].message) < 5000


@pytest.mark.parametrize("bad", [{0}, {99}, {0, 50, 51, 99}, set(range(100))])
def test_every_unfit_row_is_found_wherever_it_is(bad: set[int]) -> None:
    batch = converted("int64", [f"x{row}" if row in bad else str(row) for row in range(100)])
    assert values(batch) == [row for row in range(100) if row not in bad]
    assert [json.loads(record.payload)["value"] for record in batch.rejected] == [f"x{row}" for row in sorted(bad)]


NUMBERS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.decimals(min_value=-(10**12), max_value=10**12, places=3).map(lambda number: f"{number:f}"),
    st.integers(-(10**40), 10**40).map(str),
    st.text("0123456789+-.eE", min_size=1, max_size=45),
)


@given(st.lists(NUMBERS, min_size=1, max_size=20), st.sampled_from([(38, 0), (38, 10), (18, 2), (5, 5), (38, 38)]))
def test_decimals_are_exact_or_rejected(texts: list[str], shape: tuple[int, int]) -> None:
    precision, scale = shape
    batch = converted(f"decimal({precision},{scale})", texts)
    arrived = values(batch)
    fitting = [text for text in texts if _fits_decimal(text, precision, scale)]
    assert arrived == [Decimal(text) for text in fitting]


def _fits_decimal(text: str, precision: int, scale: int) -> bool:
    try:
        number = Decimal(text)
    except ArithmeticError:
        return False
    if number.is_zero():
        return True
    digits = number.as_tuple()
    assert isinstance(digits.exponent, int)
    significant = "".join(map(str, digits.digits)).lstrip("0")
    trailing = len(significant) - len(significant.rstrip("0"))
    return digits.exponent + trailing >= -scale and len(significant) + digits.exponent + scale <= precision


@given(st.lists(NUMBERS, min_size=1, max_size=20), st.sampled_from([("int16", 15), ("int32", 31), ("int64", 63)]))
def test_integers_are_exact_or_rejected(texts: list[str], shape: tuple[str, int]) -> None:
    type_, bits = shape
    for text in values(converted(type_, texts)):
        assert -(2**bits) <= text < 2**bits
    whole = [text for text in texts if text.lstrip("+-").isdecimal() and len(text) - len(text.lstrip("+-")) < 2]
    assert values(converted(type_, whole)) == [int(text) for text in whole if -(2**bits) <= int(text) < 2**bits]


@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_floats_round_trip_through_text(numbers: list[float]) -> None:
    texts = converted("text", pa.array(numbers, pa.float64()))
    back = converted("float64", texts.records.column(0))
    assert not back.rejected
    for before, after in zip(numbers, values(back), strict=True):
        assert (math.isnan(before) and math.isnan(after)) or struct.pack("d", before) == struct.pack("d", after)


@given(
    st.lists(
        st.datetimes(
            min_value=datetime(2, 1, 1),
            max_value=datetime(9998, 12, 31),
            timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
        ),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(["T", " "]),
)
def test_instants_are_compared_as_instants(instants: list[datetime], separator: str) -> None:
    batch = converted("timestamptz", [instant.isoformat(separator) for instant in instants])
    assert not batch.rejected
    assert values(batch) == instants


@given(st.lists(st.one_of(st.none(), st.binary(max_size=40)), min_size=1, max_size=20))
def test_bytes_round_trip_through_hexadecimal(blobs: list[bytes | None]) -> None:
    texts = [None if blob is None else "\\x" + blob.hex() for blob in blobs]
    assert values(converted("binary", texts)) == blobs


@given(st.lists(st.one_of(st.none(), st.binary(max_size=12)), min_size=1, max_size=20))
def test_only_what_is_utf8_becomes_text(blobs: list[bytes | None]) -> None:
    batch = converted("text", pa.array(blobs, pa.binary()))
    expected = []
    for blob in blobs:
        try:
            expected.append(None if blob is None else blob.decode())
        except UnicodeDecodeError:
            continue
    assert values(batch) == expected


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=8,
)


@given(st.lists(st.one_of(JSON.map(json.dumps), st.text('{}[]",:0123nulNaIif. ', max_size=12)), min_size=1, max_size=10))
def test_json_is_exactly_what_the_standard_says(texts: list[str]) -> None:
    batch = converted("json", texts)
    assert values(batch) == [text for text in texts if _is_json(text)]


def _is_json(text: str) -> bool:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


@given(
    st.decimals(min_value=-(10**38) + 1, max_value=10**38 - 1, allow_nan=False, places=0),
    st.integers(0, 38),
    st.integers(0, 38),
    st.integers(1, 38),
)
def test_decimals_change_their_scale_exactly_or_not_at_all(whole: Decimal, scale: int, new_scale: int, precision: int) -> None:
    """Arrow's own rescaling wraps around: 7 as decimal(38,0) becomes 0.194… as decimal(38,38)."""
    number = whole.scaleb(-scale, context=Context(prec=60))
    precision = max(precision, new_scale)
    batch = converted(f"decimal({precision},{new_scale})", pa.array([number], pa.decimal128(38, scale)))
    fits = _fits_decimal(str(number), precision, new_scale)
    assert values(batch) == ([number] if fits else [])
