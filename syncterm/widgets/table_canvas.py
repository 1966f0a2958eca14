"""Draws rows in columns on the line API: only the rows in view, each line kept once painted, and no more repainted than changed.

Textual's DataTable repaints itself whole on every changed cell and needs seconds for 10,000 rows; hence a canvas of our own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.scroll_view import ScrollView
from textual.strip import Strip

from syncterm.text import clean, clip, glyphs
from syncterm.widgets.row_selection import RowSelection
from syncterm.widgets.row_window import RowWindow
from syncterm.widgets.table_model import STYLE_NAMES, Arrangement, Column, Row, TableQuery, arrange, furthest_offset
from syncterm.widgets.table_paint import Piece, header_pieces, joined, row_pieces

HEADER = 1
"""Lines above the first row."""

SCROLLBAR = 1
"""Cells at the right that the columns leave free, so that nothing shifts when the scrollbar comes."""

PAINTED_LINES = 1000
"""Painted lines kept before all are forgotten."""


class TableCanvas(ScrollView, can_focus=True):
    """Shows the rows of a selection, as far as the row window holds them. A subclass fills both."""

    ALLOW_SELECT = False

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--header",
        "table--row",
        "table--cursor",
        "table--marked",
        "table--placeholder",
        *(f"table--{name}" for name in STYLE_NAMES),
    }

    DEFAULT_CSS = """
    TableCanvas {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        background: $surface;
        scrollbar-size-vertical: 1;

        & > .table--header { color: $foreground; background: $panel; text-style: bold; }
        & > .table--row { color: $foreground; background: $surface; }
        & > .table--cursor { color: $block-cursor-blurred-foreground; background: $block-cursor-blurred-background; }
        &:focus > .table--cursor {
            color: $block-cursor-foreground;
            background: $block-cursor-background;
            text-style: $block-cursor-text-style;
        }
        & > .table--marked { color: $warning; text-style: bold; }
        & > .table--placeholder { color: $text-disabled; }
        & > .table--good { color: $text-success; }
        & > .table--bad { color: $text-error; }
        & > .table--warning { color: $text-warning; }
        & > .table--running { color: $text-accent; }
        & > .table--muted { color: $text-disabled; }
        & > .table--accent { color: $text-primary; }
        & > .table--strong { text-style: bold; }

        &:nocolor > .table--cursor, &:ansi > .table--cursor { text-style: reverse; }
        &:nocolor > .table--header, &:ansi > .table--header { text-style: bold underline; }
        &:nocolor > .table--marked { text-style: bold; }
    }
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        query: TableQuery | None = None,
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
        self._glyphs = glyphs(ascii)
        self._selection = RowSelection()
        """The order of the rows, the cursor and the marks."""
        self._rows = RowWindow()
        """The rows that are loaded."""
        self._column_offset = 0
        self._arrangement = Arrangement((), False, False)
        self._strips: dict[tuple[str, int], Strip] = {}
        """Painted lines by row key and state (bit 0: cursor, bit 1: marked)."""
        self._rich_styles: dict[tuple[str, ...], Style] = {}

    # --- What a subclass says

    def _empty_text(self) -> str:
        """What stands in the first line while there are no rows."""
        return ""

    def _window_moved(self) -> None:
        """Other rows came into view."""

    # --- Columns

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns, or another order of them."""
        self.columns = tuple(columns)
        self._column_offset = min(self._column_offset, furthest_offset(self.columns, self._breadth))
        self._rearrange()

    def _scroll_columns(self, step: int) -> None:
        offset = max(0, min(self._column_offset + step, furthest_offset(self.columns, self._breadth)))
        if offset != self._column_offset:
            self._column_offset = offset
            self._rearrange()

    def _rearrange(self) -> None:
        self._arrangement = arrange(self.columns, self._breadth, self._column_offset)
        self._strips.clear()
        self.refresh()

    # --- What is in view

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

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._window_moved()

    def on_resize(self) -> None:
        self._column_offset = min(self._column_offset, furthest_offset(self.columns, self._breadth))
        self._rearrange()
        if self._selection.keys:
            self._set_scroll(self.scroll_offset.y)
            self._scroll_to_cursor()
        self._window_moved()

    # --- Painting

    def notify_style_update(self) -> None:
        self._rich_styles.clear()
        self._strips.clear()
        super().notify_style_update()

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
            style = self.get_component_rich_style(f"table--{names[0]}")
            for name in names[1:]:
                if f"table--{name}" in self.COMPONENT_CLASSES:
                    # Not the partial style: only the whole one knows what an automatic colour comes to.
                    style = self.get_component_rich_style(f"table--{name}") + Style(bgcolor=style.bgcolor)
            self._rich_styles[names] = style
        return style

    def _repaint(self, key: str, old: Row | None) -> None:
        """A row was fetched: repaint its cells that differ from what was held before (None: nothing)."""
        for state in range(4):
            self._strips.pop((key, state), None)
        line = self._line(key)
        if line is None:
            return
        if old is None:
            self._refresh_line(line)
            return
        new = self._rows.get(key) or {}
        for place in self._arrangement.placed:
            if old.get(place.column.id, "") != new.get(place.column.id, ""):
                self.refresh(Region(place.x, line + HEADER, place.width, 1))

    def _line(self, key: str) -> int | None:
        """Where a row stands, counted from the first row in view; None out of view."""
        position = self._selection.position(key)
        line = None if position is None else position - self.scroll_offset.y
        return line if line is not None and 0 <= line < self._page else None

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
            message = clip(clean(self._empty_text()), self._breadth - 2, self._glyphs.ellipsis)
            return self._strip([("  " + message, ("row", "muted"))])
        return self._strip([])

    def _strip(self, pieces: Iterable[Piece]) -> Strip:
        """A line as wide as the widget."""
        breadth = self.size.width
        strip = Strip([Segment(text, self._style(*names)) for text, names in joined(pieces, breadth)])
        return strip.crop(0, breadth) if strip.cell_length > breadth else strip
