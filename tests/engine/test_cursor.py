"""The cursor's window: whatever happens to a source between syncs, each record version arrives once, and none is lost."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.engine.cursor import CursorFilter, parse_value, row_hashes, value_text
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import Cursor, Window
from syncterm.engine.schema import Field, LogicalType, arrow_field, arrow_schema, arrow_type, parse_type

NUMBER = Field("n", LogicalType("int64"))
FIELDS = (Field("n", LogicalType("int64")), Field("v", LogicalType("text")))
Row = tuple[int | None, str]


def batch(rows: list[Row]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"n": n, "v": v} for n, v in rows], schema=arrow_schema(FIELDS))


def sync(
    rows: list[Row], before: Cursor | None, *, high: bool = True, include_null: bool = False, size: int = 3
) -> tuple[list[Row], Cursor, CursorFilter]:
    """One incremental sync over the rows: (delivered, cursor after, filter)."""
    numbers = [n for n, _ in rows if n is not None]
    window = Window(before.value if before else None, str(max(numbers)) if numbers and high else None)
    filter_ = CursorFilter("s", NUMBER, before, window, include_null=include_null)
    delivered: list[Row] = []
    for start in range(0, len(rows), size):
        kept, *_ = filter_.apply(batch(rows[start : start + size]))
        delivered += [(row["n"], row["v"]) for row in kept.to_pylist()]
    return delivered, filter_.result(), filter_


ROWS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abc")), max_size=12)


@given(st.lists(ROWS, min_size=1, max_size=5), st.booleans(), st.integers(1, 5))
def test_rows_added_at_or_above_the_cursor_arrive_exactly_once(rounds: list[list[Row]], high: bool, size: int) -> None:
    table: list[Row] = []
    cursor: Cursor | None = None
    delivered: Counter[Row] = Counter()
    for added in rounds:
        floor = int(cursor.value) if cursor and cursor.value is not None else 0
        table += [(floor + (n or 0), v) for n, v in added]
        rows, cursor, _ = sync(table, cursor, high=high, size=size)
        delivered.update(rows)
        assert delivered == Counter(table)


@given(ROWS, st.booleans())
def test_a_second_sync_without_changes_moves_nothing(rows: list[Row], high: bool) -> None:
    _, cursor, _ = sync(rows, None, high=high)
    again, after, _ = sync(rows, cursor, high=high)
    assert again == []
    assert after == cursor


def test_a_record_that_changed_without_moving_its_cursor_arrives() -> None:
    _, cursor, _ = sync([(5, "a"), (5, "b")], None)
    again, _, _ = sync([(5, "a"), (5, "changed")], cursor)
    assert again == [(5, "changed")]


def test_records_beyond_the_window_wait_for_the_next_sync() -> None:
    filter_ = CursorFilter("s", NUMBER, None, Window(None, "5"), include_null=False)
    kept, _, filtered, _ = filter_.apply(batch([(5, "a"), (6, "b")]))
    assert kept.to_pylist() == [{"n": 5, "v": "a"}]
    assert (filtered, filter_.beyond, filter_.result().value) == (1, 1, "5")


def test_a_record_in_the_future_never_moves_the_cursor_there() -> None:
    field = Field("t", LogicalType("timestamptz"))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    cap = parse_value(now.isoformat(sep=" "), field)
    filter_ = CursorFilter("s", field, None, Window(None, None), include_null=False, cap=cap)
    rows = [{"t": now - timedelta(hours=1)}, {"t": datetime(9999, 12, 31, tzinfo=UTC)}]
    kept, *_ = filter_.apply(pa.RecordBatch.from_pylist(rows, schema=pa.schema([arrow_field(field)])))
    assert kept.num_rows == 1
    assert filter_.result().value == "2025-12-31 23:00:00+00:00"


def test_records_without_a_cursor_are_rejected_or_pass_by_choice() -> None:
    filter_ = CursorFilter("s", NUMBER, None, Window(None, "2"), include_null=False)
    kept, _, _, rejected = filter_.apply(batch([(None, "a"), (2, "b")]))
    assert [row["v"] for row in kept.to_pylist()] == ["b"]
    assert [record.code for record in rejected] == ["null_cursor"]
    filter_ = CursorFilter("s", NUMBER, None, Window(None, "2"), include_null=True)
    kept, _, _, rejected = filter_.apply(batch([(None, "a"), (2, "b")]))
    assert {row["v"] for row in kept.to_pylist()} == {"a", "b"}
    assert rejected == ()


def test_look_back_reads_late_records_and_keeps_the_cursor() -> None:
    field = Field("t", LogicalType("timestamp"))
    schema = pa.schema([arrow_field(field)])
    start = datetime(2026, 1, 1)  # a timestamp without a zone
    low = start + timedelta(hours=10)
    cursor = Cursor(str(low), {}, "t")
    filter_ = CursorFilter("s", field, cursor, Window(cursor.value, None), include_null=False, look_back=timedelta(hours=2))
    rows = [{"t": start + timedelta(hours=hour)} for hour in (7, 8, 9)]
    kept, *_ = filter_.apply(pa.RecordBatch.from_pylist(rows, schema=schema))
    assert kept.num_rows == 2
    assert filter_.result() == cursor


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("int64", "9223372036854775807"),
        ("decimal(38,10)", "9999999999999999999999999999.9999999999"),
        ("timestamptz", "2025-06-01 12:00:00.000001+00:00"),
        ("timestamp", "2025-06-01 12:00:00.000001"),
        ("date", "2025-06-01"),
        ("text", "zażółć \x1b"),
        ("uuid", "00000000-0000-0000-0000-00000000000f"),
    ],
)
def test_a_cursor_text_survives_the_round_trip_exactly(type_: str, text: str) -> None:
    field = Field("c", parse_type(type_))
    value = parse_value(text, field)
    assert value.type == arrow_type(field.type)
    assert parse_value(value_text(value), field) == value


def test_a_cursor_that_no_longer_fits_its_column_is_refused_with_a_remedy() -> None:
    with pytest.raises(ConfigError, match="historical re-sync"):
        parse_value("2025-01-01", NUMBER)


def test_a_type_without_order_is_no_cursor() -> None:
    with pytest.raises(ConfigError, match="no order"):
        CursorFilter("s", Field("c", LogicalType("binary")), None, Window(None, None), include_null=False)


def test_hashes_tell_null_from_the_text_none_and_bytes_from_text() -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.binary())])
    rows = [{"a": None, "b": b"\xff"}, {"a": "None", "b": b"\xff"}, {"a": None, "b": b"\xfe"}]
    assert len(set(row_hashes(pa.RecordBatch.from_pylist(rows, schema=schema)))) == 3


@given(st.dictionaries(st.text("0123456789abcdef", min_size=16, max_size=16), st.integers(1, 9)), st.none() | st.text())
def test_a_cursor_is_read_back_as_it_was_written(hashes: dict[str, int], value: str | None) -> None:
    cursor = Cursor(value, hashes)
    assert Cursor.from_text(cursor.to_text()) == cursor
