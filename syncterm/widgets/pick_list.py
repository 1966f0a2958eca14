"""A list of one-line choices with a cursor, of any length: only the lines in view are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

from syncterm.widgets.lines import Line, content


class PickList(Widget, can_focus=True):
    """Shows `count` lines that `line` makes by their number; enter or a click picks the one under the cursor.

    Args:
        line: makes the line of a number for a width in cells.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="pick.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="pick.up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="pick.page_down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="pick.page_up"),
        Binding("home,g", "edge(0)", "First", show=False, id="pick.first"),
        Binding("end,G", "edge(1)", "Last", show=False, id="pick.last"),
        Binding("enter", "pick", "Choose", show=False, id="pick.pick"),
    ]

    DEFAULT_CSS = """
    PickList {
        height: auto;
        background: $surface;
        color: $foreground;
    }
    """

    ALLOW_SELECT = False

    class Moved(Message):
        """The cursor is on another line."""

        def __init__(self, pick_list: PickList, index: int) -> None:
            super().__init__()
            self.pick_list = pick_list
            self.index = index

        @property
        def control(self) -> PickList:
            return self.pick_list

    class Picked(Moved):
        """A line was chosen."""

    def __init__(
        self,
        line: Callable[[int, int], Line],
        count: int = 0,
        *,
        empty: str = "",
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._line = line
        self._count = count
        self._empty = empty
        self.cursor = 0
        """The line under the cursor."""
        self._top = 0

    def show_count(self, count: int, cursor: int | None = None) -> None:
        """Show so many lines anew, with the cursor on that one or where it was."""
        grown = count != self._count
        self._count = count
        self.cursor = max(0, min(self.cursor if cursor is None else cursor, count - 1))
        self._follow()
        self.refresh(layout=grown)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return max(1, self._count)

    def render_line(self, y: int) -> Strip:
        cells = self.size.width
        index = self._top + y
        if cells <= 0:
            return Strip.blank(max(0, cells), self.rich_style)
        if index >= self._count:
            line: Line = ((self._empty, "dim"),) if not self._count and not y else ()
            return self._strip(line, cells)
        line = self._line(index, cells)
        if index == self.cursor and self.has_focus:
            line = tuple((text, "reverse") for text, _ in line)
            fill = cells - sum(len(text) for text, _ in line)
            line = (*line, (" " * max(0, fill), "reverse"))
        return self._strip(line, cells)

    def _strip(self, line: Line, cells: int) -> Strip:
        strips = Visual.to_strips(self, content(line), cells, 1, self.visual_style, pad=True)
        return strips[0] if strips else Strip.blank(cells, self.rich_style)

    def on_resize(self) -> None:
        self._follow()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if self._top + event.y < self._count:
            self.move_to(self._top + event.y)
            self.action_pick()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_move(-3)

    def move_to(self, index: int) -> None:
        """Put the cursor on a line."""
        index = max(0, min(index, self._count - 1))
        if index != self.cursor and self._count:
            self.cursor = index
            self._follow()
            self.refresh()
            self.post_message(self.Moved(self, index))

    def action_move(self, step: int) -> None:
        self.move_to(self.cursor + step)

    def action_page(self, step: int) -> None:
        self.move_to(self.cursor + step * max(1, self.size.height - 1))

    def action_edge(self, last: int) -> None:
        self.move_to((self._count - 1) * last)

    def action_pick(self) -> None:
        if self._count:
            self.post_message(self.Picked(self, self.cursor))

    def _follow(self) -> None:
        """Keep the cursor in view."""
        height = max(1, self.size.height)
        self._top = max(0, min(self._top, self.cursor, self._count - height))
        if self.cursor >= self._top + height:
            self._top = self.cursor - height + 1
