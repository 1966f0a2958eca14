"""The details pane beside a table: labelled facts of the row under the cursor."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from syncterm.text import clean

LABEL = 13  # cells of the label column
VALUE_LIMIT = 1200  # characters of a value shown here; the row's own screen shows all

TONES = {
    "good": "$text-success",
    "bad": "$text-error",
    "warning": "$text-warning",
    "accent": "$text-accent",
    "muted": "dim",
    "running": "$text-accent",
}
"""A table's styles as Textual writes them."""


class Facts:
    """Labelled facts as text, wrapped under their own column.

    Args:
        columns: Cells of a line.
    """

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._lines: list[Content] = []

    def add(self, label: str, value: str, style: str = "") -> None:
        """One fact; its value may be from outside."""
        for part in wrap(clean(value, limit=VALUE_LIMIT), max(20, self._columns - LABEL)) or [""]:
            self._lines.append(Content.assemble((label.ljust(LABEL), "dim"), (part, style)))
            label = ""

    def content(self) -> Content:
        return Content("\n").join(self._lines)


class RowDetails(VerticalScroll):
    """Labelled facts of one row."""

    DEFAULT_CSS = """
    RowDetails {
        background: $surface;
        border: round $foreground 25%;
        border-title-color: $primary;
        border-title-style: bold;
        padding: 0 1;
        scrollbar-size-vertical: 1;
    }
    RowDetails Static {
        width: 1fr;
        height: auto;
    }
    """

    can_focus = False

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(Static(id="facts"), id=id)
        self._title = ""
        self._draw: Callable[[int], Content] | None = None
        self._shown: Content | None = None

    def show(self, title: str, draw: Callable[[int], Content] | None) -> None:
        """Show a row.

        Args:
            draw: its facts for that many cells; None where there is no row under the cursor.
        """
        self._title, self._draw = title, draw
        self._update()

    def on_resize(self) -> None:
        self._update()

    def _update(self) -> None:
        columns = self.scrollable_content_region.width
        if columns <= 0:
            return
        facts = Content("No row.").stylize("dim") if self._draw is None else self._draw(columns)
        if self._shown is None or not facts.is_same(self._shown):
            self._shown = facts
            self.border_title = Content(clean(self._title, limit=200))
            self.query_one("#facts", Static).update(facts)
