"""Rows of one line each, of which only those in the window are ever drawn: the base of the schema tree and other long lists.

A subclass says how many rows there are and what one looks like; this class moves the cursor, scrolls, and repaints changed rows.
"""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style
from textual.visual import Visual

from syncterm.text import width
from syncterm.widgets.lines import Line, content

SCROLLBAR = 1
"""Cells at the right that rows leave free, so that nothing shifts when the scrollbar comes."""


class RowView(ScrollView, can_focus=True):
    """A windowed list with a heading and a cursor."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"row-view--heading", "row-view--cursor"}

    DEFAULT_CSS = """
    RowView {
        height: 1fr;
        background: $surface;
        color: $foreground;
        overflow-x: hidden;
        overflow-y: auto;
        text-wrap: nowrap;
        text-overflow: ellipsis;
        scrollbar-size-vertical: 1;
        & > .row-view--heading { color: $foreground; background: $panel; text-style: bold; }
        & > .row-view--cursor { color: $block-cursor-blurred-foreground; background: $block-cursor-blurred-background; }
        &:focus > .row-view--cursor {
            background: $block-cursor-background;
            color: $block-cursor-foreground;
            text-style: $block-cursor-text-style;
        }
        &:nocolor > .row-view--cursor, &:ansi > .row-view--cursor { text-style: reverse; }
        &:nocolor > .row-view--heading, &:ansi > .row-view--heading { text-style: bold underline; }
    }
    """

    BINDING_GROUP_TITLE = "Move"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="rows.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="rows.up"),
        Binding("home,g", "move_to_start", "First row", show=False, id="rows.first"),
        Binding("end,G", "move_to_end", "Last row", show=False, id="rows.last"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="rows.page_down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="rows.page_up"),
        Binding("enter", "choose", "Open", show=False, id="rows.choose"),
    ]

    cursor: reactive[int] = reactive(0, repaint=False)
    """Index of the row under the cursor."""

    class Highlighted(Message):
        """The cursor is on another row, or on a row that changed."""

        def __init__(self, view: RowView, index: int) -> None:
            super().__init__()
            self.view = view
            self.index = index

        @property
        def control(self) -> RowView:
            return self.view

    class Chosen(Highlighted):
        """Enter, or a click on the row under the cursor."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._painted: dict[int, Line] = {}
        """Row → what it looked like when it was last drawn, for the rows in the window."""

    # --- What a subclass says

    def row_count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def row_line(self, index: int, cells: int) -> Line:
        """One row, for that many cells."""
        raise NotImplementedError

    def heading(self, cells: int) -> Line | None:
        """The fixed first line; None for none."""
        return None

    def empty_lines(self, cells: int) -> tuple[Line, ...]:
        """What is shown while there is no row: what to do next."""
        return ()

    # --- Drawing

    @property
    def heading_height(self) -> int:
        return 0 if self.heading(self._cells) is None else 1

    @property
    def _cells(self) -> int:
        """Cells of a row."""
        return max(1, self.size.width - SCROLLBAR)

    @property
    def window_height(self) -> int:
        """Rows that fit on the screen."""
        return max(1, self.size.height - self.heading_height)

    def rows_changed(self, *, everything: bool = False) -> None:
        """Take note of new rows: repaints those in the window that look different, and the heading with `everything`."""
        total = self.row_count()
        height = total + self.heading_height
        if self.virtual_size.height != height:
            self.virtual_size = Size(self.size.width, height)
            everything = True
        self.cursor = max(0, min(self.cursor, total - 1))
        if everything:
            self._painted.clear()
            self.refresh()
            return
        cells = self._cells
        for index, painted in tuple(self._painted.items()):
            if not self._in_window(index):
                del self._painted[index]
            elif index >= total or self.row_line(index, cells) != painted:
                self._refresh_row(index)

    def _in_window(self, index: int) -> bool:
        return self.scroll_offset.y <= index < self.scroll_offset.y + self.window_height

    def _refresh_row(self, index: int) -> None:
        if self._in_window(index):
            self.refresh(Region(0, index - self.scroll_offset.y + self.heading_height, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        cells = self._cells
        heading = self.heading(cells)
        if heading is not None and y == 0:
            return self._strip(heading, "row-view--heading")
        y -= 0 if heading is None else 1
        total = self.row_count()
        if total == 0:
            lines = self.empty_lines(cells)
            return self._strip(lines[y]) if y < len(lines) else Strip.blank(self.size.width, self.rich_style)
        index = y + self.scroll_offset.y
        if index >= total:
            return Strip.blank(self.size.width, self.rich_style)
        line = self.row_line(index, cells)
        self._painted[index] = line
        return self._strip(line, "row-view--cursor" if index == self.cursor else "")

    def _strip(self, line: Line, component: str = "") -> Strip:
        style = self.visual_style
        if component:
            # Textual leaves reverse and underline out of a component's visual style; without colours they are the cursor.
            text_style = self.get_component_styles(component).text_style
            style = self.get_visual_style(component) + Style(
                bold=text_style.bold, reverse=text_style.reverse, underline=text_style.underline
            )
            line = (*line, (" " * (self.size.width - sum(width(text) for text, _ in line)), ""))
        if component == "row-view--cursor" and self.has_focus:
            # The cursor's own colours, whole: a coloured word on the cursor's background is hard to read.
            line = tuple((text, "") for text, _ in line)
        strips = Visual.to_strips(self, content(line), self.size.width, 1, style, pad=True)
        return strips[0] if strips else Strip.blank(self.size.width, self.rich_style)

    # --- Moving

    def watch_cursor(self, before: int, now: int) -> None:
        self._refresh_row(before)
        self._show_cursor()
        self._refresh_row(now)
        self.post_message(self.Highlighted(self, now))

    def _show_cursor(self) -> None:
        top, height = self.scroll_offset.y, self.window_height
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False)

    def on_resize(self, event: events.Resize) -> None:
        self.rows_changed(everything=True)
        self._show_cursor()

    def on_focus(self, event: events.Focus) -> None:
        self._refresh_row(self.cursor)

    def on_blur(self, event: events.Blur) -> None:
        self._refresh_row(self.cursor)

    def action_move(self, rows: int) -> None:
        self.cursor = max(0, min(self.row_count() - 1, self.cursor + rows))

    def action_page(self, pages: int) -> None:
        self.action_move(pages * max(1, self.window_height - 1))

    def action_move_to_start(self) -> None:
        self.cursor = 0

    def action_move_to_end(self) -> None:
        self.cursor = max(0, self.row_count() - 1)

    def action_choose(self) -> None:
        if self.row_count():
            self.post_message(self.Chosen(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        index = event.y - self.heading_height + self.scroll_offset.y
        if event.y < self.heading_height or index >= self.row_count():
            return
        event.stop()
        if index == self.cursor and self.has_focus:
            self.action_choose()
        else:
            self.cursor = index
