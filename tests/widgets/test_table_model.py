"""Columns fit the line, whatever its width."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.widgets.table_model import LEAD, LEAST_CUT, TAIL, Cell, Column, arrange, cell_text, furthest_offset

COLUMNS = (
    Column("name", "Name", 10, flexible=True),
    Column("route", "Route", 8, flexible=True, priority=2),
    Column("status", "Status", 6),
    Column("last", "Last", 5, priority=1),
    Column("next", "Next", 5),
)
columns = st.lists(
    st.builds(
        Column,
        id=st.uuids().map(str),
        title=st.just("t"),
        width=st.integers(1, 30),
        flexible=st.booleans(),
        priority=st.integers(0, 3),
    ),
    max_size=8,
)


@pytest.mark.parametrize(
    ("width", "offset", "shown", "left", "right"),
    [
        (60, 0, "name route status last next", False, False),
        (41, 0, "name route status last next", False, False),
        (40, 0, "name status last next", False, True),
        (30, 0, "name status next", False, True),
        (20, 0, "name status", False, True),
        (10, 0, "name", False, True),
        (16, 0, "name", False, True),
        (20, 1, "name route", True, True),
        (20, 2, "name status", True, True),
        (20, 3, "name last", True, True),
        (20, 4, "name next", True, False),
    ],
)
def test_arrange(width: int, offset: int, shown: str, left: bool, right: bool) -> None:
    arrangement = arrange(COLUMNS, width, offset)
    assert [place.column.id for place in arrangement.placed] == shown.split()
    assert (arrangement.more_left, arrangement.more_right) == (left, right)


@given(columns, st.integers(0, 120), st.integers(0, 8))
def test_columns_never_overlap_and_stay_on_the_line(some: list[Column], width: int, offset: int) -> None:
    arrangement = arrange(some, width, min(offset, furthest_offset(some, width)))
    at = LEAD - 1
    for place in arrangement.placed:
        assert place.x > at
        at = place.x + place.width
        assert place.width == 0 or at <= width - TAIL
        assert arrangement.at(place.x) in (place, None)
    if some:
        assert arrangement.placed[0].column is some[0]


@given(columns, st.integers(10, 120))
def test_every_column_can_be_scrolled_to(some: list[Column], width: int) -> None:
    seen = {
        place.column.id
        for offset in range(furthest_offset(some, width) + 1)
        for place in arrange(some, width, offset).placed
        if place.width or place.column is some[0]
    }
    if some and width - LEAD - TAIL - some[0].width > LEAST_CUT:
        assert seen == {column.id for column in some}


def test_spare_width_goes_to_flexible_columns() -> None:
    widths = {place.column.id: place.width for place in arrange(COLUMNS, 52, 0).placed}
    assert widths == {"name": 15, "route": 14, "status": 6, "last": 5, "next": 5}


def test_cell_text() -> None:
    assert [cell_text(value) for value in ("a", Cell("b", "good"), (Cell("c"), Cell("d", "bad")))] == ["a", "b", "cd"]
