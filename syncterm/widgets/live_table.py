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

The canvas draws (table_canvas.py), the fetched table loads (fetched_table.py); here is what a person does with it: the cursor,
marks, sorting, keys and mouse. Unlike in Textual's DataTable, the cursor stays with its row whatever is sorted, added or removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Offset
from textual.message import Message

from syncterm.text import clean, width
from syncterm.widgets.fetched_table import FetchedTable
from syncterm.widgets.table_canvas import HEADER
from syncterm.widgets.table_model import LEAD, Cell, CellValue, Column, Placed, Row, RowSource, TableQuery, cell_text

__all__ = ["Cell", "CellValue", "Column", "LiveTable", "Row", "RowSource", "TableQuery"]

TOOLTIP_CHARACTERS = 2000


class LiveTable(FetchedTable):
    """Rows of a `RowSource`, with a cursor, marks, sorting, and live changes. See the module's docstring for the surface."""

    BINDING_GROUP_TITLE = "Table"

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

    _hovered: tuple[str | None, str] | None = None
    """The cell under the mouse: the row's key (None: the header) and the column's id."""

    # --- What a screen reads and orders

    @property
    def cursor_key(self) -> str | None:
        return self._selection.cursor_key

    @property
    def marks(self) -> frozenset[str]:
        return frozenset(self._selection.marks)

    def targets(self) -> list[str]:
        return self._selection.targets()

    def describe(self, key: str) -> list[tuple[str, str]]:
        """(column title, tooltip or full text) for every column of a loaded row, cleaned; for a details pane."""
        row = self._rows.get(key) or {}
        shown = []
        for column in self.columns:
            text = (column.tooltip(key, row) if column.tooltip else None) or cell_text(row.get(column.id, ""))
            shown.append((column.title, clean(text, newlines=True, limit=TOOLTIP_CHARACTERS)))
        return shown

    def sort_by(self, column: str | None, descending: bool = False) -> None:
        self.set_query(replace(self.table_query, sort=column, descending=descending))

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

    # --- What the table hears

    def _keys_taken(self, cursor_key: str | None, marks: int) -> None:
        if self.cursor_key != cursor_key:
            self.post_message(self.RowHighlighted(self, self.cursor_key))
        if len(self._selection.marks) != marks:
            self.post_message(self.MarksChanged(self, len(self._selection.marks)))
        self.post_message(self.KeysLoaded(self, self.count))

    def _load_failed(self, error: Exception) -> None:
        self.post_message(self.LoadFailed(self, error))

    # --- Moving

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
        self._scroll_columns(step)

    def action_open(self) -> None:
        if self.cursor_key is not None:
            self.post_message(self.RowOpened(self, self.cursor_key))

    # --- Marks

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

    # --- Sorting

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

    # --- Mouse

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
