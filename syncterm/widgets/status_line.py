"""One line of styled text of which only the cells that changed are sent to the terminal: the base of header and footer."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

from syncterm.text import width

Piece = tuple[str, str]
"""Cleaned text and its style as Textual writes it: "bold", "$success", "" for none."""


def pieces_width(pieces: Sequence[Piece]) -> int:
    """Terminal cells of those pieces together."""
    return sum(width(text) for text, _ in pieces)


class StatusLine(Widget):
    """Shows one line of pieces; a change repaints from the first cell that differs to the last."""

    DEFAULT_CSS = """
    StatusLine {
        height: 1;
        width: 1fr;
        text-wrap: nowrap;
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._pieces: tuple[Piece, ...] = ()
        self._painted: list[tuple[str, str]] = []
        """Cell by cell, what was painted last: a character (empty behind a wide one) and its style."""

    @property
    def text(self) -> str:
        """What it says, without styles."""
        return "".join(text for text, _ in self._pieces)

    def show(self, pieces: Sequence[Piece]) -> None:
        """Show these pieces instead."""
        self._pieces = tuple(pieces)
        cells = _cells(self._pieces)
        before, self._painted = self._painted, cells
        differing = [
            index
            for index in range(max(len(before), len(cells)))
            if index >= len(before) or index >= len(cells) or before[index] != cells[index]
        ]
        if differing:
            self.refresh(Region(differing[0], 0, differing[-1] - differing[0] + 1, 1))

    def render_line(self, y: int) -> Strip:
        columns = self.size.width
        if y or columns <= 0:
            return Strip.blank(columns, self.rich_style)
        strips = Visual.to_strips(self, Content.assemble(*self._pieces), columns, 1, self.visual_style, pad=True)
        return strips[0] if strips else Strip.blank(columns, self.rich_style)


def _cells(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    cells: list[tuple[str, str]] = []
    for text, style in pieces:
        for character in text:
            wide = width(character)
            if wide == 0 and cells:
                cells[-1] = (cells[-1][0] + character, style)
            cells.extend([(character, style)] + [("", style)] * (wide - 1) if wide else [])
    return cells
