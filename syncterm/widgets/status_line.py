"""One line of styled text: the base of header, footer and tabs."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

from syncterm.text import width

MARGIN = 2
"""Cells at either end; the rows of the tables begin there too."""

Piece = tuple[str, str]
"""Cleaned text and its style as Textual writes it: "bold", "$success", "" for none."""


def pieces_width(pieces: Sequence[Piece]) -> int:
    """Terminal cells of those pieces together."""
    return sum(width(text) for text, _ in pieces)


class StatusLine(Widget):
    """Shows one line of pieces, clipped at the right edge; nothing in them is read as markup."""

    DEFAULT_CSS = """
    StatusLine {
        height: 1;
        width: 1fr;
        text-wrap: nowrap;
    }
    """

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._pieces: tuple[Piece, ...] = ()

    @property
    def text(self) -> str:
        """What it says, without styles."""
        return "".join(text for text, _ in self._pieces)

    def show(self, pieces: Sequence[Piece]) -> None:
        """Show these pieces instead; repaints only where they differ from what is shown."""
        shown, self._pieces = self._pieces, tuple(pieces)
        if shown != self._pieces:
            self.refresh()

    def render_line(self, y: int) -> Strip:
        columns = self.size.width
        if y or columns <= 0:
            return Strip.blank(columns, self.rich_style)
        strips = Visual.to_strips(self, Content.assemble(*self._pieces), columns, 1, self.visual_style, pad=True)
        return strips[0] if strips else Strip.blank(columns, self.rich_style)
