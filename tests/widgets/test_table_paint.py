"""Lines of the table are exact in width, whatever stands in their cells; rows are fetched ahead of the eye."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.text import GLYPHS_ASCII, GLYPHS_UNICODE, width
from syncterm.widgets.row_window import CACHED_ROWS, RowWindow
from syncterm.widgets.table_model import Cell, Column, TableQuery, arrange
from syncterm.widgets.table_paint import header_pieces, joined, row_pieces
from tests.samples import SAMPLES

HOSTILE = [case["s"] for case in json.loads((SAMPLES / "hostile_names.json").read_text("utf-8"))["cases"] if case["s"] is not None]
COLUMNS = (Column("a", "A", 6, flexible=True), Column("b", "B", 7, align="right"), Column("c", "C", 5, align="center", priority=1))
texts = st.text(max_size=20) | st.sampled_from(HOSTILE)
cells = texts | st.builds(Cell, texts, st.sampled_from(["", "good", "no such style"]))
values = cells | st.lists(st.builds(Cell, texts), max_size=3).map(tuple)


@given(
    st.fixed_dictionaries({}, optional={"a": values, "b": values, "c": values}), st.integers(12, 60), st.booleans(), st.booleans()
)
def test_columns_stand_where_they_belong(
    row: dict[str, str | Cell | tuple[Cell, ...]], breadth: int, cursor: bool, marked: bool
) -> None:
    arrangement = arrange(COLUMNS, breadth)
    pieces = row_pieces(row, arrangement, cursor=cursor, marked=marked, glyphs=GLYPHS_UNICODE)
    last = arrangement.placed[-1]
    assert width("".join(text for text, _ in pieces)) == last.x + last.width
    assert width("".join(text for text, _ in joined(pieces, breadth))) == breadth
    assert all(text.isprintable() for text, _ in pieces)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("abc", "abc   "),
        ("abcdefg", "abcde…"),
        ((Cell("ab", "good"), Cell("cd")), "abcd  "),
        ((Cell("ab", "good"), Cell("cdefg")), "abcde…"),
        ((Cell("abcdef", "good"), Cell("g")), "abcde…"),
        ((), "      "),
    ],
)
def test_a_cut_is_marked(value: str | tuple[Cell, ...], shown: str) -> None:
    arrangement = arrange(COLUMNS[:1], 2 + 6 + 1)
    pieces = row_pieces({"a": value}, arrangement, cursor=False, marked=False, glyphs=GLYPHS_UNICODE)
    assert "".join(text for text, _ in pieces)[2:] == shown


def test_joined_lines_have_few_pieces() -> None:
    line = joined([("a", ("row",)), (" ", ("row", "good")), ("b", ("row",)), ("", ("x",)), ("c", ("row", "bad"))], 8)
    assert line == [("a b", ("row",)), ("c    ", ("row", "bad"))]
    assert joined([], 3) == [("   ", ("row",))]


def test_header_shows_the_order_and_hidden_columns() -> None:
    for glyphs in (GLYPHS_UNICODE, GLYPHS_ASCII):
        ((line, names),) = header_pieces(arrange(COLUMNS, 20), TableQuery(sort="a", descending=True), 20, glyphs)
        assert names == ("header",)
        assert line == f"  A{glyphs.sort_down}            B{glyphs.more_right}"[: 2 + 2] + line[4:]
        assert line.endswith(glyphs.more_right)
        assert width(line) == 20


KEYS = [str(number) for number in range(1000)]


def fetched(window: RowWindow, top: int, page: int = 10) -> list[str]:
    wanted, _ = window.wanted(KEYS, top, page)
    window.begin(wanted)
    window.take(wanted, {key: {"name": key} for key in wanted})
    return wanted


def test_rows_are_fetched_a_page_ahead_and_not_one_by_one() -> None:
    window = RowWindow()
    assert fetched(window, 0) == KEYS[:20]
    fetches = [len(fetched(window, top)) for top in range(1, 31)]
    assert [count for count in fetches if count] == [6] * 5
    assert fetched(window, 500) == KEYS[490:520]
    assert fetched(window, 500) == []


def test_changed_rows_in_view_are_fetched_again_and_only_differences_reported() -> None:
    window = RowWindow()
    fetched(window, 0)
    window.invalidate(["3", "15", "999"])
    assert window.wanted(KEYS, 0, 10) == (["3"], True)
    window.begin(["3"])
    window.invalidate(["3"])
    assert window.take(["3"], {"3": {"name": "new"}}) == {"3": {"name": "3"}}
    assert window.take(["3"], {"3": {"name": "new"}}) == {}
    assert window.wanted(KEYS, 0, 10) == (["3"], True), "it changed while it was being fetched"
    assert window.take(["4"], {}) == {"4": {"name": "4"}}
    assert window.get("4") == {}
    window.invalidate()
    assert len(window.wanted(KEYS, 0, 10)[0]) == 10


def test_rows_far_from_view_are_forgotten() -> None:
    window = RowWindow()
    keys = [str(number) for number in range(CACHED_ROWS + 100)]
    window.take(keys, {key: {"name": key} for key in keys})
    window.trim(keys, 500, 10)
    assert len(window) == 30
    assert window.get("500") is not None
    assert window.get("0") is None
