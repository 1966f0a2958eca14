"""The table of casts that are offered, held against the casts themselves on real columns."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from syncterm.engine.casting import MisfitError, can_cast, cast, castable, suggested_decimal
from syncterm.engine.schema import SIMPLE_TYPES, LogicalType, arrow_type, parse_type

UUID = "0d3b6c9e-1f2a-4b5c-8d7e-9f0a1b2c3d4e"
SAMPLES: dict[str, list[Any]] = {
    "boolean": [True, False],
    "int16": [0, 1, -7],
    "int32": [0, 1, -7],
    "int64": [0, 1, -7],
    "uint64": [0, 1, 7],
    "float32": [0.0, 1.0, 2.5],
    "float64": [0.0, 1.0, 2.5],
    "decimal(20,0)": [Decimal(0), Decimal(1), Decimal(7)],
    "decimal(18,2)": [Decimal("0.00"), Decimal("1.00"), Decimal("2.50")],
    "text": [
        "true",
        "1",
        "2.5",
        "2020-01-02",
        "12:30:00",
        "2020-01-02T03:04:05",
        "2020-01-02T03:04:05Z",
        "[1]",
        UUID,
        r"\x00ff",
        "",
    ],
    "binary": [
        text.encode() for text in ("true", "1", "2.5", "2020-01-02", "12:30:00", "2020-01-02T03:04:05", "[1]", UUID, r"\x00ff", "")
    ],
    "date": [date(1970, 1, 1), date(2020, 1, 2)],
    "time": [time(0, 0), time(12, 30)],
    "timestamp": [datetime(1970, 1, 1), datetime(2020, 1, 2, 3, 4, 5)],
    "timestamptz": [datetime(1970, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)],
    "json": ["true", "0", "1", "2.5", '"2020-01-02"', "[1]", '{"a":1}', f'"{UUID}"', '"12:30"', r'"\\x00ff"', "null"],
    "uuid": [UUID, "11111111-1111-1111-1111-111111111111", "20200102-0000-0000-0000-000000000000"],
}
TARGETS = [*map(LogicalType, SIMPLE_TYPES), LogicalType("decimal", 38, 9), LogicalType("decimal", 20, 0)]


def passing(from_: LogicalType, to: LogicalType) -> int:
    """How many of the samples are exactly a value of the other type."""
    passed = 0
    for value in SAMPLES[str(from_)]:
        column = pa.array([value], arrow_type(from_))
        try:
            result = cast(column, to)
        except (MisfitError, pa.ArrowInvalid):
            continue
        assert result.null_count == 0
        passed += 1
    return passed


def test_every_type_has_samples() -> None:
    assert {parse_type(text).name for text in SAMPLES} == {*SIMPLE_TYPES, "decimal"}


@pytest.mark.parametrize("text", SAMPLES)
@pytest.mark.parametrize("to", TARGETS, ids=str)
def test_what_is_offered_exists_and_nothing_else_does(text: str, to: LogicalType) -> None:
    from_ = parse_type(text)

    if can_cast(from_, to):
        assert passing(from_, to) > 0
    else:
        assert passing(from_, to) == 0


@pytest.mark.parametrize("text", SAMPLES)
def test_the_list_is_what_can_be_cast_without_the_type_itself(text: str) -> None:
    from_ = parse_type(text)

    listed = castable(from_)

    assert from_ not in listed
    assert len(set(listed)) == len(listed)
    assert all(can_cast(from_, to) for to in listed)
    assert {to.name for to in listed} - {"decimal"} == {to.name for to in TARGETS if to != from_ and can_cast(from_, to)} - {
        "decimal"
    }


@pytest.mark.parametrize(
    ("from_", "to"), [("int64", "decimal(20,0)"), ("text", "decimal(38,9)"), ("decimal(10,2)", "decimal(38,2)")]
)
def test_a_decimal_comes_with_digits_that_fit(from_: str, to: str) -> None:
    assert str(suggested_decimal(parse_type(from_))) == to


def test_every_other_precision_and_scale_can_be_chosen() -> None:
    assert can_cast(parse_type("decimal(10,2)"), parse_type("decimal(5,0)"))
    assert can_cast(parse_type("text"), parse_type("decimal(3,3)"))
    assert not can_cast(parse_type("boolean"), parse_type("decimal(3,0)"))
