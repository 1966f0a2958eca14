"""A live table of any length: it knows row keys and a window of rows, and repaints single cells.

Public surface::

    LiveTable(source: RowSource, columns: Sequence[Column], *, query: TableQuery | None = None,
              empty: str = "Nothing here yet.", ascii: bool = False, name=None, id=None, classes=None)

    table.refresh_keys()                  # ask for the order again; cursor, marks and scroll position stay with their rows
    table.update_rows(keys)               # these rows may have changed: visible ones are fetched, changed cells repainted
    table.update_all_rows()               # every row may have changed
    table.set_query(query)                # another filter or order (refresh_keys is implied); table.table_query is the present one
    table.sort_by(column_id, descending)  # as a header click does, without the message
    table.set_columns(columns)            # other columns, or another order of them; table.columns
    table.set_source(source, query)       # other rows altogether: cursor, marks and cache start afresh
    table.move_to(key) -> bool            # put the cursor on a row
    table.cursor_key -> str | None        # the row under the cursor
    table.marks -> frozenset[str]         # marked rows, those hidden by the filter included
    table.targets() -> list[str]          # what an action applies to: marks in the order shown, else the cursor's row
    table.clear_marks()
    table.row(key) -> Row | None          # a row, if it is loaded
    table.describe(key) -> list[tuple[str, str]]  # (title, full text or tooltip) per column, where there is no mouse
    table.count -> int                    # rows that match
    table.empty = "..."                   # what an empty table says
    table.is_settled -> bool              # nothing is being fetched

Messages: `RowOpened(table, key)`, `RowHighlighted(table, key)`, `MarksChanged(table, count)`,
`SortChanged(table, column, descending)`, `MenuRequested(table, key, offset)` (offset on the screen), `KeysLoaded(table, count)`,
`LoadFailed(table, error)`; each has `.control`, so `@on(LiveTable.RowOpened, "#id")` works.

Textual's DataTable repaints itself whole on every changed cell, moves the cursor to another row on every sort and needs seconds
for 10,000 rows; hence a table of our own on the line API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.worker import Worker

from syncterm.text import clean, clip, glyphs, width
from syncterm.widgets.row_selection import RowSelection
from syncterm.widgets.row_window import RowWindow
from syncterm.widgets.table_model import (
    LEAD,
    STYLE_NAMES,
    Arrangement,
    Cell,
    CellValue,
    Column,
    Placed,
    Row,
    RowSource,
    TableQuery,
    arrange,
    cell_text,
    furthest_offset,
)
from syncterm.widgets.table_paint import Piece, header_pieces, joined, row_pieces

__all__ = ["Cell", "CellValue", "Column", "LiveTable", "Row", "RowSource", "TableQuery"]

HEADER = 1
"""Lines above the first row."""

SCROLLBAR = 1
"""Cells at the right that the columns leave free, so that nothing shifts when the scrollbar comes."""

LIVE_INTERVAL = 0.1
"""Least seconds between two rounds of live changes: at most ten repaints a second."""

PAINTED_LINES = 1000
"""Painted lines kept before all are forgotten."""

TOOLTIP_CHARACTERS = 2000


class LiveTable(ScrollView, can_focus=True):
    """Rows of a `RowSource`, with a cursor, marks, sorting, and live changes. See the module's docstring for the surface."""

    BINDING_GROUP_TITLE = "Table"
    ALLOW_SELECT = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", id="table.open"),
        Binding("space", "mark", "Mark", id="table.mark", tooltip="Mark or unmark the row and step down"),
        Binding("s", "pick_sort", "Sort", id="table.sort", tooltip="Choose the column to sort by"),
        Binding("S", "reverse_sort", "Reverse sort", show=False, id="table.reverse_sort"),
        Binding("v", "mark_range", "Mark range", show=False, id="table.mark_range", tooltip="Moving marks rows until v again"),
        Binding("shift+up", "extend(-1)", "Extend marks up", show=False, id="table.extend_up"),
        Binding("shift+down", "extend(1)", "Extend marks down", show=False, id="table.extend_down"),
        Binding("asterisk,ctrl+a", "mark_all", "Mark all", show=False, id="table.mark_all", tooltip="Mark all rows of the filter"),
        Binding("ctrl+backslash", "clear_marks", "Clear marks", show=False, id="table.clear_marks"),
        Binding("up,k", "move(-1)", "Up", show=False, id="table.up"),
        Binding("down,j", "move(1)", "Down", show=False, id="table.down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="table.page_up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="table.page_down"),
        Binding("home,g", "first", "First row", show=False, id="table.first"),
        Binding("end,G", "last", "Last row", show=False, id="table.last"),
        Binding("left,h", "columns(-1)", "Columns left", show=False, id="table.columns_left"),
        Binding("right,l", "columns(1)", "Columns right", show=False, id="table.columns_right"),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "live-table--header",
        "live-table--row",
        "live-table--cursor",
        "live-table--marked",
        "live-table--placeholder",
        *(f"live-table--{name}" for name in STYLE_NAMES),
    }

    DEFAULT_CSS = """
    LiveTable {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        background: $surface;
        scrollbar-size-vertical: 1;

        & > .live-table--header { color: $foreground; background: $panel; text-style: bold; }
        & > .live-table--row { color: $foreground; background: $surface; }
        & > .live-table--cursor { color: $block-cursor-blurred-foreground; background: $block-cursor-blurred-background; }
        &:focus > .live-table--cursor {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: $block-cursor-text-style;
        }
        & > .live-table--marked { color: $warning; text-style: bold; }
        & > .live-table--placeholder { color: $text-disabled; }
        & > .live-table--good { color: $text-success; }
        & > .live-table--bad { color: $text-error; }
        & > .live-table--warning { color: $text-warning; }
        & > .live-table--running { color: $text-accent; }
        & > .live-table--muted { color: $text-disabled; }
        & > .live-table--accent { color: $text-primary; }
        & > .live-table--strong { text-style: bold; }

        &:nocolor > .live-table--cursor, &:ansi > .live-table--cursor { text-style: reverse; }
        &:nocolor > .live-table--header, &:ansi > .live-table--header { text-style: bold underline; }
        &:nocolor > .live-table--marked { text-style: bold; }
    }
    """

    @dataclass
    class TableMessage(Message):
        """What all messages of a table share."""

        table: LiveTable

        @property
        def control(self) -> LiveTable:
            """The table, for ``@on(LiveTable.RowOpened, "#id")``."""
            return self.table

    @dataclass
    class RowOpened(TableMessage):
        """Enter, a double click, or a click on the row under the cursor."""

        key: str

    @dataclass
    class RowHighlighted(TableMessage):
        """The cursor came to another row."""

        key: str | None

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LiveTable.RowHighlighted) and message.table is self.table

    @dataclass
    class MarksChanged(TableMessage):
        """Rows were marked or unmarked."""

        count: int

    @dataclass
    class SortChanged(TableMessage):
        """A person chose another order."""

        column: str | None
        descending: bool

    @dataclass
    class MenuRequested(TableMessage):
        """A right click on a row, which now has the cursor."""

        key: str
        offset: Offset
        """Where on the screen."""

    @dataclass
    class KeysLoaded(TableMessage):
        """The order of rows has arrived."""

        count: int

    @dataclass
    class LoadFailed(TableMessage):
        """The source raised an error; what was shown before stays."""

        error: Exception

    def __init__(
        self,
        source: RowSource,
        columns: Sequence[Column],
        *,
        query: TableQuery | None = None,
        empty: str = "Nothing here yet.",
        ascii: bool = False,  # noqa: A002
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.columns: tuple[Column, ...] = tuple(columns)
        """The columns, in order; the first one never scrolls away."""
        self.table_query: TableQuery = query or TableQuery()
        """The filter and order now shown or being loaded."""
        self._source = source
        self._empty = empty
        self._glyphs = glyphs(ascii)
        self._selection = RowSelection()
        self._loaded: TableQuery | None = None
        """The query whose keys are shown; None before the first answer."""
        self._error: str = ""
        self._rows = RowWindow()
        self._keys_worker: Worker[None] | None = None
        self._keys_again = False
        self._rows_worker: Worker[None] | None = None
        self._next_live = 0.0
        """When, on the monotonic clock, the next round of live changes may be fetched."""
        self._asleep = False
        """Changes came while another screen covered this one; they are fetched at the next paint."""
        self._column_offset = 0
        self._arrangement = Arrangement((), False, False)
        self._strips: dict[tuple[str, int], Strip] = {}
        """Painted lines by row key and state (bit 0: cursor, bit 1: marked)."""
        self._rich_styles: dict[tuple[str, ...], Style] = {}
        self._hovered: tuple[str | None, str] | None = None

    # --- What a screen reads ----------------------------------------------------------------------------------------------------

    @property
    def cursor_key(self) -> str | None:
        return self._selection.cursor_key

    @property
    def marks(self) -> frozenset[str]:
        return frozenset(self._selection.marks)

    @property
    def count(self) -> int:
        return len(self._selection.keys)

    @property
    def is_settled(self) -> bool:
        return self._loaded is not None and self._keys_worker is None and self._rows_worker is None and not self._wanted()[0]

    def targets(self) -> list[str]:
        return self._selection.targets()

    def row(self, key: str) -> Row | None:
        return self._rows.get(key)

    def describe(self, key: str) -> list[tuple[str, str]]:
        """(column title, tooltip or full text) for every column of a loaded row, cleaned; for a details pane."""
        row = self._rows.get(key) or {}
        shown = []
        for column in self.columns:
            text = (column.tooltip(key, row) if column.tooltip else None) or cell_text(row.get(column.id, ""))
            shown.append((column.title, clean(text, newlines=True, limit=TOOLTIP_CHARACTERS)))
        return shown

    @property
    def empty(self) -> str:
        return self._empty

    @empty.setter
    def empty(self, text: str) -> None:
        self._empty = text
        if not self._selection.keys:
            self.refresh()

    # --- What a screen orders ---------------------------------------------------------------------------------------------------

    def set_query(self, query: TableQuery) -> None:
        """Show other rows, or another order of them."""
        if query != self.table_query:
            self.table_query = query
            self._load_keys()
            self._refresh_header()

    def sort_by(self, column: str | None, descending: bool = False) -> None:
        self.set_query(replace(self.table_query, sort=column, descending=descending))

    def set_columns(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self._column_offset = min(self._column_offset, furthest_offset(self.columns, self._breadth))
        self._rearrange()

    def set_source(self, source: RowSource, query: TableQuery | None = None) -> None:
        """Show the rows of another source, from the top."""
        self._source = source
        self.table_query = query or TableQuery()
        self._selection = RowSelection()
        self._loaded = None
        self._rows = RowWindow()
        self._strips.clear()
        self._set_scroll(0)
        self.refresh()
        self._load_keys()

    def refresh_keys(self) -> None:
        """Ask for the order again: rows came, went, or changed in a way that matters to the filter or the order."""
        if self._keys_worker is not None:
            self._keys_again = True
        else:
            self._load_keys()

    def update_rows(self, keys: Iterable[str]) -> None:
        """These rows may have changed: those in view are fetched, ten rounds a second at most, others when they come into view."""
        self._rows.invalidate(keys)
        self._load_rows()

    def update_all_rows(self) -> None:
        """Every row may have changed."""
        self._rows.invalidate()
        self._load_rows()

    def move_to(self, key: str) -> bool:
        """Put the cursor on a row; False when it is not shown."""
        position = self._selection.position(key)
        if position is None:
            return False
        self._move(position)
        return True

    def clear_marks(self) -> None:
        if self._selection.marks or self._selection.in_range:
            self._selection.clear()
            self._marks_changed()

    # --- Loading ----------------------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self._load_keys()

    def _load_keys(self) -> None:
        if self.is_attached:
            self._keys_again = False
            self._keys_worker = self.run_worker(self._fetch_keys(), group="keys", exclusive=True, exit_on_error=False)

    async def _fetch_keys(self) -> None:
        this = self._keys_worker
        query = self.table_query
        try:
            keys = await self._source.keys(query)
        except Exception as error:
            self._failed(error)
        else:
            self._error = ""
            self._take_keys(query, keys)
        if this is self._keys_worker:
            if self._keys_again:
                # Changes arrived meanwhile: one more round, after a breath, however many they were.
                await asyncio.sleep(LIVE_INTERVAL)
                self._load_keys()
            else:
                self._keys_worker = None

    def _take_keys(self, query: TableQuery, keys: Sequence[str]) -> None:
        selection = self._selection
        loaded = self._loaded
        same_rows = loaded is None or (loaded.text, loaded.filters) == (query.text, query.filters)
        first = loaded is None
        self._loaded = query
        if not first and same_rows and list(selection.keys) == list(keys):
            return
        top, height, before, cursor_key, marks = (
            self.scroll_offset.y,
            self._page,
            selection.keys,
            selection.cursor_key,
            len(selection.marks),
        )
        anchor = cursor_key
        if not top <= selection.cursor < top + height and top < len(before):
            anchor = before[top]
        line = (selection.position(anchor) or 0) - top if anchor is not None else 0
        window = before[top : top + height]
        selection.replace(keys, same_rows=same_rows)
        self.virtual_size = Size(0, len(keys) + HEADER)
        position = selection.position(anchor) if anchor is not None else None
        if position is None:
            position = selection.cursor
        self._set_scroll(position - line)
        if anchor == cursor_key:
            self._scroll_to_cursor()
        if first or len(before) == 0 or len(keys) == 0 or self.scroll_offset.y != top:
            self._refresh_body()
        else:
            # Only lines that now hold another row are painted.
            after = keys[top : top + height]
            for index in range(max(len(window), len(after))):
                if index >= len(window) or index >= len(after) or window[index] != after[index]:
                    self._refresh_line(index)
        if selection.cursor_key != cursor_key:
            self._refresh_row(selection.cursor)
            self.post_message(self.RowHighlighted(self, selection.cursor_key))
        if len(selection.marks) != marks:
            self.post_message(self.MarksChanged(self, len(selection.marks)))
        self.post_message(self.KeysLoaded(self, len(keys)))
        self._load_rows()

    def _wanted(self) -> tuple[list[str], bool]:
        return self._rows.wanted(self._selection.keys, self.scroll_offset.y, self._page)

    def _load_rows(self) -> None:
        if self._rows_worker is not None or not self.is_attached:
            return
        if not self.screen.is_current:
            self._asleep = True
            return
        if self._wanted()[0]:
            self._rows_worker = self.run_worker(self._fetch_rows(), group="rows", exclusive=True, exit_on_error=False)

    async def _fetch_rows(self) -> None:
        this, source = self._rows_worker, self._source
        try:
            while True:
                wanted, can_wait = self._wanted()
                if not wanted or not self.screen.is_current:
                    break
                if can_wait and (delay := self._next_live - monotonic()) > 0:
                    await asyncio.sleep(delay)
                    wanted, can_wait = self._wanted()
                self._rows.begin(wanted)
                rows = await source.rows(wanted)
                if source is not self._source:
                    continue
                self._next_live = monotonic() + LIVE_INTERVAL
                self._take_rows(wanted, rows)
        except Exception as error:
            self._failed(error)
        finally:
            if this is self._rows_worker:
                self._rows_worker = None

    def _take_rows(self, wanted: Sequence[str], rows: Mapping[str, Row]) -> None:
        """Store rows and repaint the cells in view that differ."""
        top, page = self.scroll_offset.y, self._page
        for key, old in self._rows.take(wanted, rows).items():
            for state in range(4):
                self._strips.pop((key, state), None)
            position = self._selection.position(key)
            if position is None or not top <= position < top + page:
                continue
            if old is None:
                self._refresh_row(position)
                continue
            new = self._rows.get(key) or {}
            for place in self._arrangement.placed:
                if old.get(place.column.id, "") != new.get(place.column.id, ""):
                    self.refresh(Region(place.x, position - top + HEADER, place.width, 1))
        self._rows.trim(self._selection.keys, top, page)

    def _failed(self, error: Exception) -> None:
        self._error = clean(error, limit=500)
        if not self._selection.keys:
            self.refresh()
        self.post_message(self.LoadFailed(self, error))

    # --- Moving -----------------------------------------------------------------------------------------------------------------

    @property
    def _breadth(self) -> int:
        """Cells for columns."""
        return max(0, self.size.width - SCROLLBAR)

    @property
    def _page(self) -> int:
        """Rows that fit."""
        return max(1, self.size.height - HEADER)

    def _set_scroll(self, top: int) -> None:
        top = max(0, min(top, len(self._selection.keys) - self._page))
        self.scroll_target_y = self.scroll_y = float(top)

    def _scroll_to_cursor(self) -> None:
        top, page, cursor = self.scroll_offset.y, self._page, self._selection.cursor
        if cursor < top:
            self._set_scroll(cursor)
        elif cursor >= top + page:
            self._set_scroll(cursor - page + 1)

    def _move(self, position: int) -> None:
        selection = self._selection
        if not selection.keys:
            return
        before = selection.cursor
        changed = selection.move(position)
        if selection.cursor != before:
            self._refresh_row(before)
            self._refresh_row(selection.cursor)
            self._scroll_to_cursor()
            self.post_message(self.RowHighlighted(self, selection.cursor_key))
        if changed:
            self._marks_changed(changed)

    def _marks_changed(self, keys: Iterable[str] | None = None) -> None:
        if keys is None:
            self._refresh_body()
        else:
            for key in keys:
                if (position := self._selection.position(key)) is not None:
                    self._refresh_row(position)
        self.post_message(self.MarksChanged(self, len(self._selection.marks)))

    def action_move(self, step: int) -> None:
        self._move(self._selection.cursor + step)

    def action_page(self, step: int) -> None:
        self._set_scroll(self.scroll_offset.y + step * self._page)
        self._move(self._selection.cursor + step * self._page)

    def action_first(self) -> None:
        self._move(0)

    def action_last(self) -> None:
        self._move(self.count - 1)

    def action_columns(self, step: int) -> None:
        offset = max(0, min(self._column_offset + step, furthest_offset(self.columns, self._breadth)))
        if offset != self._column_offset:
            self._column_offset = offset
            self._rearrange()

    def action_open(self) -> None:
        if self.cursor_key is not None:
            self.post_message(self.RowOpened(self, self.cursor_key))

    # --- Marks ------------------------------------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        if (key := self.cursor_key) is not None:
            self._selection.end_range()
            self._selection.toggle(key)
            self._marks_changed([key])
            self.action_move(1)

    def action_mark_range(self) -> None:
        if self._selection.in_range:
            self._selection.end_range()
        elif (key := self.cursor_key) is not None:
            self._selection.begin_range()
            self._marks_changed([key])

    def action_extend(self, step: int) -> None:
        self._selection.end_range()
        start = self._selection.cursor
        self._move(start + step)
        self._mark_between(start, self._selection.cursor)

    def action_mark_all(self) -> None:
        if self._selection.keys:
            self._selection.end_range()
            self._selection.mark(self._selection.keys)
            self._marks_changed()

    def action_clear_marks(self) -> None:
        self.clear_marks()

    def _mark_between(self, first: int, last: int) -> None:
        keys = self._selection.between(first, last)
        self._selection.mark(keys)
        self._marks_changed(keys)

    # --- Sorting ----------------------------------------------------------------------------------------------------------------

    def action_pick_sort(self) -> None:
        """Open a picker over all columns one can sort by, hidden ones included."""
        choices = [
            (column.title, partial(self._sort, column.id), f"Sort by {column.title}")
            for column in self.columns
            if column.sortable and column.title
        ]
        if choices:
            self.app.search_commands(choices, placeholder="Sort by…")

    def action_reverse_sort(self) -> None:
        if self.table_query.sort is not None:
            self._sort(self.table_query.sort)

    def _sort(self, column: str) -> None:
        """Sort by a column; by the same one again: the other way round."""
        descending = self.table_query.sort == column and not self.table_query.descending
        self.sort_by(column, descending)
        self.post_message(self.SortChanged(self, column, descending))

    # --- Mouse ------------------------------------------------------------------------------------------------------------------

    def _place_at(self, event: events.MouseEvent) -> tuple[int | None, Placed | None]:
        """The row position (None above or below the rows) and the column under the mouse."""
        offset = event.get_content_offset(self)
        if offset is None:
            return None, None
        position = offset.y - HEADER + self.scroll_offset.y
        inside = offset.y >= HEADER and position < self.count
        return position if inside else None, self._arrangement.at(offset.x)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        position, place = self._place_at(event)
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if position is None:
            if offset.y == 0 and place is not None and place.column.sortable:
                self._sort(place.column.id)
            return
        key = self._selection.keys[position]
        if event.button == 3:
            self._move(position)
            self.post_message(self.MenuRequested(self, key, event.screen_offset))
        elif event.shift:
            start = self._selection.cursor
            self._move(position)
            self._mark_between(start, position)
        elif event.ctrl or event.meta or offset.x < LEAD:
            self._selection.end_range()
            self._selection.toggle(key)
            self._marks_changed([key])
            self._move(position)
        elif position == self._selection.cursor:
            self.action_open()
        else:
            self._move(position)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        position, place = self._place_at(event)
        key = None if position is None else self._selection.keys[position]
        header = position is None and event.y == 0
        self._hover((key, place.column.id) if place is not None and (key is not None or header) else None)

    def on_leave(self) -> None:
        self._hover(None)

    def _hover(self, cell: tuple[str | None, str] | None) -> None:
        if cell == self._hovered:
            return
        self._hovered = cell
        text = self._tooltip_text(*cell) if cell is not None else None
        self.tooltip = Content(clean(text, newlines=True, limit=TOOLTIP_CHARACTERS)) if text else None

    def _tooltip_text(self, key: str | None, column_id: str) -> str | None:
        place = next((place for place in self._arrangement.placed if place.column.id == column_id), None)
        if place is None:
            return None
        if key is None:
            return place.column.title if width(place.column.title) > place.width else None
        row = self._rows.get(key) or {}
        if place.column.tooltip is not None and (text := place.column.tooltip(key, row)):
            return text
        full = cell_text(row.get(column_id, ""))
        shown = clean(full, limit=5 * place.width + 10)
        return full if width(shown) > place.width else None

    # --- Painting ---------------------------------------------------------------------------------------------------------------

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._load_rows()

    def on_resize(self) -> None:
        self._column_offset = min(self._column_offset, furthest_offset(self.columns, self._breadth))
        self._rearrange()
        if self._selection.keys:
            self._set_scroll(self.scroll_offset.y)
            self._scroll_to_cursor()
        self._load_rows()

    def notify_style_update(self) -> None:
        self._rich_styles.clear()
        self._strips.clear()
        super().notify_style_update()

    def _rearrange(self) -> None:
        self._arrangement = arrange(self.columns, self._breadth, self._column_offset)
        self._strips.clear()
        self.refresh()

    def _refresh_header(self) -> None:
        self.refresh(Region(0, 0, self.size.width, HEADER))

    def _refresh_body(self) -> None:
        self.refresh(Region(0, HEADER, self.size.width, self._page))

    def _refresh_line(self, line: int) -> None:
        """Repaint one line of the body, counted from the first row in view."""
        if 0 <= line < self._page:
            self.refresh(Region(0, line + HEADER, self.size.width, 1))

    def _refresh_row(self, position: int) -> None:
        self._refresh_line(position - self.scroll_offset.y)

    def _style(self, *names: str) -> Style:
        """A state's style, or a cell's own on the ground of the state; unknown names add nothing."""
        style = self._rich_styles.get(names)
        if style is None:
            style = self.get_component_rich_style(f"live-table--{names[0]}")
            for name in names[1:]:
                if f"live-table--{name}" in self.COMPONENT_CLASSES:
                    # Not the partial style: only the whole one knows what an automatic colour comes to.
                    style = self.get_component_rich_style(f"live-table--{name}") + Style(bgcolor=style.bgcolor)
            self._rich_styles[names] = style
        return style

    def render_lines(self, crop: Region) -> list[Strip]:
        if self._asleep:
            self._asleep = False
            self.call_later(self._load_rows)
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        if y < HEADER:
            return self._strip(header_pieces(self._arrangement, self.table_query, self._breadth, self._glyphs))
        keys, position = self._selection.keys, y - HEADER + self.scroll_offset.y
        if position < len(keys):
            key = keys[position]
            cursor, marked = position == self._selection.cursor, key in self._selection.marks
            strip = self._strips.get((key, cursor | marked << 1))
            if strip is None:
                if len(self._strips) > PAINTED_LINES:
                    self._strips.clear()
                pieces = row_pieces(self._rows.get(key), self._arrangement, cursor=cursor, marked=marked, glyphs=self._glyphs)
                strip = self._strips[key, cursor | marked << 1] = self._strip(pieces)
            return strip
        if y == HEADER and not keys:
            message = self._error or (self._empty if self._loaded is not None else "Loading…")
            return self._strip([("  " + clip(clean(message), self._breadth - 2, self._glyphs.ellipsis), ("row", "muted"))])
        return self._strip([])

    def _strip(self, pieces: Iterable[Piece]) -> Strip:
        """A line as wide as the widget."""
        breadth = self.size.width
        strip = Strip([Segment(text, self._style(*names)) for text, names in joined(pieces, breadth)])
        return strip.crop(0, breadth) if strip.cell_length > breadth else strip
