"""Cursor and marks belong to keys, whatever happens to the order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.widgets.row_selection import RowSelection

orders = st.lists(st.sampled_from("abcdefghij"), unique=True)


def selection(keys: str, cursor: int = 0) -> RowSelection:
    chosen = RowSelection()
    chosen.replace(list(keys), same_rows=True)
    chosen.move(cursor)
    return chosen


@given(orders, st.integers(0, 9), st.lists(orders, max_size=4))
def test_the_cursor_never_changes_its_row_while_the_row_is_there(first: list[str], cursor: int, others: list[list[str]]) -> None:
    chosen = RowSelection()
    chosen.replace(first, same_rows=True)
    chosen.move(cursor)
    for keys in others:
        before = chosen.cursor_key
        chosen.replace(keys, same_rows=True)
        if before in keys:
            assert chosen.cursor_key == before
        elif keys:
            assert chosen.cursor_key in keys
        else:
            assert chosen.cursor_key is None
        assert chosen.marks <= set(keys)


@pytest.mark.parametrize(
    ("cursor", "after", "key"),
    [
        (2, "abde", "d"),
        (2, "abe", "e"),
        (4, "abcd", "d"),
        (4, "ab", "b"),
        (2, "edab", "d"),
        (2, "xyz", "x"),
    ],
)
def test_the_nearest_row_takes_the_cursor(cursor: int, after: str, key: str) -> None:
    chosen = selection("abcde", cursor)
    chosen.replace(list(after), same_rows=True)
    assert chosen.cursor_key == key


def test_marks_outlive_a_filter_but_not_their_row() -> None:
    chosen = selection("abcde")
    chosen.mark("bd")
    chosen.replace(list("ab"), same_rows=False)
    assert chosen.marks == {"b", "d"}
    assert chosen.targets() == ["b", "d"]
    chosen.replace(list("ae"), same_rows=True)
    assert chosen.marks == set()


def test_targets_stand_in_the_order_shown() -> None:
    chosen = selection("edcba", 1)
    assert chosen.targets() == ["d"]
    chosen.mark("ade")
    assert chosen.targets() == ["e", "d", "a"]
    assert RowSelection().targets() == []


def test_a_range_grows_and_shrinks_with_the_cursor() -> None:
    chosen = selection("abcdef", 2)
    chosen.toggle("f")
    chosen.begin_range()
    assert chosen.marks == {"c", "f"}
    assert chosen.move(4) == {"d", "e"}
    assert chosen.marks == {"c", "d", "e", "f"}
    assert chosen.move(1) == {"b", "d", "e"}
    assert chosen.marks == {"b", "c", "f"}
    chosen.end_range()
    assert chosen.move(5) == set()
    assert chosen.marks == {"b", "c", "f"}


def test_a_range_ends_when_its_anchor_goes() -> None:
    chosen = selection("abc", 1)
    chosen.begin_range()
    chosen.replace(list("ac"), same_rows=True)
    assert not chosen.in_range
