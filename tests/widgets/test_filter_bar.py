"""What can be typed into the filter line, and how it opens, applies and clears."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.widgets import Button, Input

from syncterm.widgets.filter_bar import FilterBar
from syncterm.widgets.filter_terms import Filter, Term
from tests.widgets.waiting import until

FIELDS = ("status", "Source")
ROW = {"name": "Orders EU", "status": "Broken", "source": "pg http://x"}


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("  ", []),
        ("err", [Term("err")]),
        ("a b", [Term("a"), Term("b")]),
        ("!err", [Term("err", inverse=True)]),
        ("!", []),
        ("status:Broken", [Term("Broken", "status")]),
        ("STATUS:Broken", [Term("Broken", "status")]),
        ("source:pg", [Term("pg", "source")]),
        ("!status:broken", [Term("broken", "status", inverse=True)]),
        ("status:", []),
        ("!status:", []),
        ('status:"in progress" x', [Term("in progress", "status"), Term("x")]),
        ('"two words"', [Term("two words")]),
        ('"unfinished one', [Term("unfinished one")]),
        ("http://x", [Term("http://x")]),
        ("other:value", [Term("other:value")]),
        ("!!a", [Term("!a", inverse=True)]),
        ("a:b:c", [Term("a:b:c")]),
        (":", [Term(":")]),
    ],
)
def test_parse(text: str, terms: list[Term]) -> None:
    assert Filter.parse(text, FIELDS) == Filter(tuple(terms))


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", True),
        ("orders", True),
        ("ORDERS eu", True),
        ("orders us", False),
        ("!orders", False),
        ("!us", True),
        ("status:broken", True),
        ("status:orders", False),
        ("!status:active", True),
        ("source:http://x", True),
        ("http://x", True),
    ],
)
def test_matches(text: str, passes: bool) -> None:
    assert Filter.parse(text, FIELDS).matches(ROW) == passes


@given(st.text(max_size=40))
def test_anything_can_be_typed(text: str) -> None:
    parsed = Filter.parse(text, FIELDS)
    assert all(term.text for term in parsed.terms)
    parsed.matches(ROW)


class BarApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[str, Filter]] = []

    def compose(self) -> ComposeResult:
        yield Button("under", id="under")
        yield FilterBar(FIELDS)

    def on_filter_bar_filter_changed(self, message: FilterBar.FilterChanged) -> None:
        self.changes.append((message.text, message.filter))


async def test_opens_applies_while_typing_keeps_and_clears() -> None:
    app = BarApp()
    async with app.run_test() as pilot:
        bar, under = app.query_one(FilterBar), app.query_one("#under")
        assert not bar.display
        under.focus()
        bar.open()
        await pilot.press(*"err", "space", *"!eu", "space")
        assert bar.display
        await until(pilot, lambda: app.changes and app.changes[-1][0] == "err !eu")
        assert app.changes[-1][1] == bar.filter == Filter((Term("err"), Term("eu", inverse=True)))
        await pilot.press("enter")
        assert app.focused is under
        assert bar.display
        bar.open()
        await pilot.press("x", "enter")
        assert app.changes[-1][0] == bar.value == "err !eu x"
        bar.open()
        await pilot.press("escape")
        await until(pilot, lambda: app.changes[-1] == ("", Filter()))
        assert app.focused is under
        assert not bar.display


async def test_an_empty_line_hides_when_it_is_left() -> None:
    app = BarApp()
    async with app.run_test() as pilot:
        bar = app.query_one(FilterBar)
        app.query_one("#under").focus()
        bar.open("x")
        await pilot.press("backspace", "down")
        assert not bar.display
        assert app.focused is app.query_one("#under")
        assert app.changes == []


async def test_opened_and_left_at_once_the_focus_is_back() -> None:
    app = BarApp()
    async with app.run_test() as pilot:
        bar, under = app.query_one(FilterBar), app.query_one("#under")
        under.focus()
        await pilot.pause()
        for leave in (bar.keep, bar.close):
            bar.open("x")
            leave()
            await pilot.pause()
            await pilot.press("z")
            assert app.focused is under
            assert bar.value == ("x" if leave == bar.keep else "")


async def test_what_is_pasted_is_cleaned() -> None:
    app = BarApp()
    async with app.run_test() as pilot:
        bar = app.query_one(FilterBar)
        bar.open()
        line: Any = app.query_one(Input)
        line.insert("a\x1b]52;c;eA==\x07\u202eb", 0)
        await until(pilot, lambda: app.changes)
        assert bar.value == r"a\x1b]52;c;eA==\x07\u202eb"
