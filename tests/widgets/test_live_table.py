"""The live table, driven by keys and mouse in process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from syncterm.text import GLYPHS_ASCII, GLYPHS_UNICODE, clean
from syncterm.widgets.live_table import Cell, LiveTable, TableQuery
from tests.widgets.demo_table import COLUMNS, TableApp, make_rows
from tests.widgets.waiting import screen_lines, until

PAGE = 10
"""Rows that fit: the screen less title and header."""

SIZE = (100, PAGE + 2)
ROW = 2
"""The screen line of the first row."""


@asynccontextmanager
async def table_app(
    rows: int = 100,
    *,
    ascii: bool = False,  # noqa: A002
    size: tuple[int, int] = SIZE,
) -> AsyncIterator[tuple[TableApp, LiveTable, Pilot[Any]]]:
    app = TableApp(make_rows(rows), ascii=ascii)
    async with app.run_test(size=size, tooltips=True) as pilot:
        await until(pilot, lambda: app.table.is_settled)
        yield app, app.table, pilot


def first_shown(table: LiveTable) -> str:
    """The key of the topmost row in view."""
    return table._selection.keys[table.scroll_offset.y]


@pytest.mark.parametrize(
    ("keys", "cursor", "top"),
    [
        ("down", "k1", "k0"),
        ("j j k", "k1", "k0"),
        ("up", "k0", "k0"),
        ("j down up j", "k2", "k0"),
        ("pagedown", "k10", "k10"),
        ("ctrl+f ctrl+f ctrl+b", "k10", "k10"),
        ("pagedown pageup", "k0", "k0"),
        ("end", "k99", "k90"),
        ("G k", "k98", "k90"),
        ("end home", "k0", "k0"),
        ("G g", "k0", "k0"),
        ("end pagedown", "k99", "k90"),
        ("j j j j j j j j j j", "k10", "k1"),
    ],
)
async def test_keys_move_the_cursor(keys: str, cursor: str, top: str) -> None:
    async with table_app() as (_, table, pilot):
        await pilot.press(*keys.split())
        await until(pilot, lambda: table.is_settled)
        assert (table.cursor_key, first_shown(table)) == (cursor, top)
        line = screen_lines(pilot)[ROW + int(cursor[1:]) - int(top[1:])]
        assert line.startswith(f"{GLYPHS_UNICODE.cursor} connector-{int(cursor[1:]):06}")


@pytest.mark.parametrize(
    ("keys", "marks", "cursor"),
    [
        ("space", "k0", "k1"),
        ("space space", "k0 k1", "k2"),
        ("space up space", "", "k1"),
        ("v j j v j", "k0 k1 k2", "k3"),
        ("v j j k", "k0 k1", "k1"),
        ("j shift+down shift+down", "k1 k2 k3", "k3"),
        ("j j shift+up", "k1 k2", "k1"),
        ("space ctrl+backslash", "", "k1"),
        ("v j ctrl+backslash j", "", "k2"),
    ],
)
async def test_keys_mark_rows(keys: str, marks: str, cursor: str) -> None:
    async with table_app() as (_, table, pilot):
        await pilot.press(*keys.split())
        assert table.marks == set(marks.split())
        assert table.cursor_key == cursor
        for number in range(5):
            shown = screen_lines(pilot)[ROW + number][1] == GLYPHS_UNICODE.mark
            assert shown == (f"k{number}" in table.marks)


@pytest.mark.parametrize("key", ["asterisk", "ctrl+a"])
async def test_all_rows_of_the_filter_can_be_marked(key: str) -> None:
    async with table_app() as (_, table, pilot):
        table.set_query(TableQuery(text="-00009"))
        await until(pilot, lambda: table.count == 10 and table.is_settled)
        await pilot.press(key)
        assert table.marks == {f"k{number}" for number in range(90, 100)}
        table.set_query(TableQuery())
        await until(pilot, lambda: table.count == 100)
        assert len(table.marks) == 10
        assert table.targets() == [f"k{number}" for number in range(90, 100)]


async def test_enter_opens_the_row_under_the_cursor() -> None:
    async with table_app() as (app, table, pilot):
        await pilot.press("j", "enter")
        assert app.messages == [LiveTable.RowOpened(table, "k1")]


async def test_columns_are_dropped_and_scrolled_to_on_a_narrow_terminal() -> None:
    async with table_app(size=(50, 12)) as (_, _, pilot):
        assert "Source" not in screen_lines(pilot)[1]
        assert screen_lines(pilot)[1].rstrip().endswith(GLYPHS_UNICODE.more_right)
        seen = ""
        for key in ("right", "l", "right", "right", "right", "right", "right"):
            await pilot.press(key)
            line = screen_lines(pilot)[1]
            assert "Name" in line
            assert GLYPHS_UNICODE.more_left in line
            seen += line
        assert all(column.title.split()[0] in seen for column in COLUMNS)
        assert "Next" in screen_lines(pilot)[1]
        await pilot.press("h", "left", "h", "h", "h", "h", "h")
        assert GLYPHS_UNICODE.more_left not in screen_lines(pilot)[1]


async def test_header_click_and_keys_sort() -> None:
    async with table_app() as (app, table, pilot):
        await pilot.press("j")
        await pilot.click("#table", offset=(3, 0))
        assert app.messages[-1] == LiveTable.SortChanged(table, "name", False)
        assert GLYPHS_UNICODE.sort_up in screen_lines(pilot)[1]
        await pilot.press("S")
        await until(pilot, lambda: table.is_settled)
        assert app.messages[-1] == LiveTable.SortChanged(table, "name", True)
        assert GLYPHS_UNICODE.sort_down in screen_lines(pilot)[1]
        assert table._selection.keys[0] == "k99"
        assert table.cursor_key == "k1"
        place = table._arrangement.placed[-1]
        await pilot.click("#table", offset=(place.x + 1, 0))
        assert len(app.messages) == 2, "a column that cannot be sorted by"


async def test_the_sort_picker_offers_every_sortable_column() -> None:
    async with table_app() as (app, table, pilot):
        await pilot.press("s")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press(*"Records")
        await until(pilot, lambda: "Records" in "".join(screen_lines(pilot)))
        await pilot.press("enter")
        await until(pilot, lambda: len(app.screen_stack) == 1 and bool(app.messages))
        assert app.messages == [LiveTable.SortChanged(table, "records", False)]


async def test_mouse_moves_opens_marks_and_asks_for_the_menu() -> None:
    async with table_app() as (app, table, pilot):
        await pilot.click("#table", offset=(10, 4))
        assert (table.cursor_key, app.messages) == ("k3", [])
        await pilot.click("#table", offset=(10, 4))
        assert app.messages.pop() == LiveTable.RowOpened(table, "k3")
        await pilot.double_click("#table", offset=(10, 6))
        assert app.messages.pop() == LiveTable.RowOpened(table, "k5")
        assert not app.messages
        await pilot.click("#table", offset=(10, 8), shift=True)
        assert table.marks == {"k5", "k6", "k7"}
        await pilot.click("#table", offset=(10, 7), control=True)
        assert table.marks == {"k5", "k7"}
        await pilot.click("#table", offset=(1, 1))
        assert table.marks == {"k0", "k5", "k7"}
        await pilot.click("#table", offset=(10, 3), button=3)
        message = app.messages.pop()
        assert isinstance(message, LiveTable.MenuRequested)
        assert (message.key, message.offset) == ("k2", (10, 4))
        assert table.cursor_key == "k2"


async def test_the_wheel_scrolls_without_moving_the_cursor() -> None:
    async with table_app() as (_, table, pilot):
        await pilot._post_mouse_events([_scroll_down()], "#table", offset=(10, 4))
        await until(pilot, lambda: table.scroll_offset.y > 0 and table.is_settled)
        assert table.cursor_key == "k0"


def _scroll_down() -> type[Any]:
    from textual.events import MouseScrollDown

    return MouseScrollDown


async def test_tooltips_of_a_column_and_of_clipped_text() -> None:
    async with table_app(size=(60, 12)) as (app, table, pilot):
        app.source.all["k0"]["name"] = "x" * 80 + "[@click=app.quit]\x1b"
        table.update_rows(["k0"])
        await until(pilot, lambda: "xxx" in screen_lines(pilot)[ROW])
        await pilot.hover("#table", offset=(5, 1))
        assert str(table.tooltip) == "x" * 80 + r"[@click=app.quit]\x1b"
        await pilot.hover("#table", offset=(5, 2))
        assert table.tooltip is None
        status = next(place for place in table._arrangement.placed if place.column.id == "status")
        await pilot.hover("#table", offset=(status.x, 3))
        assert str(table.tooltip) == "why k2"
        await pilot.hover("#title")
        assert table.tooltip is None
        assert dict(table.describe("k2"))["Status"] == "why k2"


@pytest.mark.parametrize("position", [0, 5, 95])
async def test_live_changes_of_the_order_keep_cursor_marks_and_screen_line(position: int) -> None:
    async with table_app() as (app, table, pilot):
        table.move_to(f"k{position}")
        await pilot.press("space", "k")
        await until(pilot, lambda: table.is_settled)
        line = next(index for index, text in enumerate(screen_lines(pilot)) if text.startswith(GLYPHS_UNICODE.cursor))
        above: dict[str, dict[str, str | Cell]] = {f"a{number}": {"name": f"above-{number}"} for number in range(30)}
        app.source.all = {**above, **app.source.all}
        table.refresh_keys()
        await until(pilot, lambda: table.count == 130 and table.is_settled)
        assert table.cursor_key == f"k{position}"
        assert table.marks == {f"k{position}"}
        assert screen_lines(pilot)[line].startswith(f"{GLYPHS_UNICODE.cursor}{GLYPHS_UNICODE.mark}connector-{position:06}")


async def test_a_removed_row_gives_the_cursor_to_its_neighbour_and_loses_its_mark() -> None:
    async with table_app() as (app, table, pilot):
        await pilot.press("j", "space", "k")
        del app.source.all["k1"]
        table.refresh_keys()
        await until(pilot, lambda: table.count == 99)
        assert table.cursor_key == "k2"
        assert not table.marks


async def test_a_filter_that_hides_everything_and_comes_back() -> None:
    async with table_app() as (_, table, pilot):
        await pilot.press("j", "j")
        table.empty = "No match."
        table.set_query(TableQuery(text="nothing like this"))
        await until(pilot, lambda: table.count == 0)
        assert table.cursor_key is None
        assert table.targets() == []
        assert "No match." in screen_lines(pilot)[ROW]
        await pilot.press("j", "space", "v", "enter", "shift+down", "asterisk", "G", "pagedown", "S")
        table.set_query(TableQuery())
        await until(pilot, lambda: table.count == 100 and table.is_settled)
        assert table.cursor_key == "k0"


async def test_keys_work_before_rows_arrive() -> None:
    app = TableApp(make_rows(100))
    app.source.gate.clear()
    async with app.run_test(size=SIZE) as pilot:
        assert "Loading" in screen_lines(pilot)[ROW]
        await pilot.press("j", "space", "enter", "pagedown")
        app.source.gate.set()
        await until(pilot, lambda: app.table.is_settled)
        assert app.table.cursor_key == "k0"
        app.source.gate.clear()
        await pilot.press("G")
        assert app.table.cursor_key == "k99"
        assert screen_lines(pilot)[-1].startswith(f"{GLYPHS_UNICODE.cursor} {GLYPHS_UNICODE.ellipsis}"), "a placeholder, at once"
        app.source.gate.set()
        await until(pilot, lambda: "connector-000099" in screen_lines(pilot)[-1])


async def test_answers_to_an_old_query_are_dropped() -> None:
    async with table_app() as (app, table, pilot):
        app.source.gate.clear()
        table.set_query(TableQuery(text="-00001"))
        await pilot.pause()
        table.set_query(TableQuery(text="-00002"))
        app.source.gate.set()
        await until(pilot, lambda: table.is_settled)
        assert table._selection.keys[0] == "k20"
        assert table.count == 10


async def test_only_rows_in_view_are_fetched() -> None:
    async with table_app(10_000) as (app, table, pilot):
        app.source.fetched.clear()
        table.update_rows(list(app.source.all))
        await until(pilot, lambda: table.is_settled)
        assert [len(keys) for keys in app.source.fetched] == [PAGE]
        await pilot.press("G")
        await until(pilot, lambda: table.is_settled)
        assert sum(len(keys) for keys in app.source.fetched) <= 4 * PAGE


async def test_changes_of_rows_out_of_view_show_when_they_come_into_view() -> None:
    async with table_app() as (app, table, pilot):
        app.source.all["k15"]["name"] = "changed"
        table.update_rows(["k15"])
        await pilot.press("pagedown")
        await until(pilot, lambda: "changed" in screen_lines(pilot)[ROW + 5])


async def test_a_changed_cell_repaints_its_region_only() -> None:
    async with table_app() as (app, table, pilot):
        regions: list[Any] = []
        refresh = table.refresh
        table.refresh = lambda *given, **options: (regions.extend(given), refresh(*given, **options))[1]  # type: ignore[method-assign,func-returns-value]
        table.update_rows([f"k{number}" for number in range(5)])
        await until(pilot, lambda: table.is_settled)
        assert regions == []
        app.source.all["k3"]["status"] = Cell("gone", "bad")
        table.update_rows(["k3"])
        await until(pilot, lambda: "gone" in screen_lines(pilot)[ROW + 3])
        place = next(place for place in table._arrangement.placed if place.column.id == "status")
        assert regions == [(place.x, 4, place.width, 1)]


async def test_an_error_of_the_source_is_shown_and_what_was_there_stays() -> None:
    async with table_app() as (app, table, pilot):
        app.source.error = RuntimeError("store\x1b gone")
        table.refresh_keys()
        await until(pilot, lambda: bool(app.messages))
        assert isinstance(app.messages[-1], LiveTable.LoadFailed)
        assert "connector-000000" in screen_lines(pilot)[ROW]
        app.source.error = None
        table.update_rows(["k0"])
        table.refresh_keys()
        await until(pilot, lambda: table.is_settled)
    failing = TableApp(make_rows(3))
    failing.source.error = RuntimeError("store\x1b gone")
    async with failing.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: r"store\x1b gone" in screen_lines(pilot)[ROW])


async def test_rows_that_vanish_between_order_and_fetch_are_blank() -> None:
    app = TableApp(make_rows(3))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.table.is_settled)
        del app.source.all["k1"]
        app.table.update_all_rows()
        await until(pilot, lambda: app.table.is_settled)
        assert "connector-000001" not in "".join(screen_lines(pilot))


async def test_resizing_keeps_the_cursor_in_view() -> None:
    async with table_app() as (_, table, pilot):
        await pilot.press("j", "j", "j", "j", "j", "j", "j", "j", "j")
        await pilot.resize_terminal(60, 6)
        await until(pilot, lambda: table.is_settled and any("connector-000009" in line for line in screen_lines(pilot)))
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: table.is_settled and len(screen_lines(pilot)) == 40)
        await until(pilot, lambda: screen_lines(pilot)[ROW + 37].startswith("  connector-"))
        assert any(line.startswith(f"{GLYPHS_UNICODE.cursor} connector-000009") for line in screen_lines(pilot))


async def test_columns_can_be_replaced() -> None:
    async with table_app() as (_, table, pilot):
        table.set_columns(COLUMNS[::2])
        await pilot.pause()
        assert "Last sync" not in screen_lines(pilot)[1]


async def test_another_source_starts_afresh() -> None:
    async with table_app() as (_, table, pilot):
        await pilot.press("G", "space")
        other = TableApp(make_rows(7)).source
        table.set_source(other, TableQuery(sort="name", descending=True))
        await until(pilot, lambda: table.count == 7 and table.is_settled)
        assert table.cursor_key == "k6"
        assert not table.marks


async def test_ascii_draws_nothing_but_ascii() -> None:
    async with table_app(ascii=True, size=(50, 12)) as (app, _, pilot):
        for row in app.source.all.values():
            row.update(route="pg > duck", status=Cell("* Active", "good"))
        app.table.update_all_rows()
        app.table.set_columns([replace(column, title=clean(column.title).replace("→", ">")) for column in COLUMNS])
        app.table.sort_by("name")
        await pilot.press("space", "l")
        await until(pilot, lambda: app.table.is_settled and "●" not in "".join(screen_lines(pilot)))
        lines = [line[:-1] for line in screen_lines(pilot)[1:]]
        assert all(line.isascii() for line in lines), lines
        assert lines[1].startswith(" " + GLYPHS_ASCII.mark)
        assert lines[2].startswith(GLYPHS_ASCII.cursor)


async def test_cursor_and_marks_show_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with table_app() as (_, table, pilot):
        await pilot.press("space")
        strips = [table.render_line(y) for y in (1, 2)]
        assert strips[0].text.startswith(" " + GLYPHS_UNICODE.mark)
        assert strips[1].text.startswith(GLYPHS_UNICODE.cursor)
        assert all(segment.style is not None and segment.style.reverse for segment in strips[1])
        assert not any(segment.style is not None and segment.style.reverse for segment in strips[0])


def test_every_binding_can_be_rebound() -> None:
    from textual.binding import Binding

    bindings = [binding for binding in LiveTable.BINDINGS if isinstance(binding, Binding)]
    assert len(bindings) == len(LiveTable.BINDINGS)
    ids = [binding.id for binding in bindings]
    assert all(ids)
    assert len(set(ids)) == len(ids)


async def test_a_hundred_thousand_rows() -> None:
    async with table_app(100_000) as (app, table, pilot):
        assert table.count == 100_000
        assert sum(len(keys) for keys in app.source.fetched) <= 3 * PAGE
        await pilot.press("G")
        await until(pilot, lambda: "connector-099999" in screen_lines(pilot)[-1])
        assert len(table._rows) <= 5 * PAGE
