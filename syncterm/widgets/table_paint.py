"""The lines of a live table as pieces of cleaned text, each of an exact width: no screen, no colours, only names of styles."""

from __future__ import annotations

from collections.abc import Iterable

from syncterm.text import Glyphs, clean, clip, fit, width
from syncterm.widgets.table_model import LEAD, Arrangement, Cell, CellValue, Placed, Row, TableQuery

Piece = tuple[str, tuple[str, ...]]
"""Cleaned text and the names of its styles: the line's state first, then the cell's own."""


def header_pieces(arrangement: Arrangement, query: TableQuery, breadth: int, glyphs: Glyphs) -> list[Piece]:
    """Titles, the sign of the order, and signs that there are more columns to either side."""
    pieces: list[str] = []
    at = 0
    for index, place in enumerate(arrangement.placed):
        lead = " " * (place.x - at)
        if index == 1 and arrangement.more_left:
            lead = lead[:-1] + glyphs.more_left
        sign = ""
        if place.column.id == query.sort:
            sign = glyphs.sort_down if query.descending else glyphs.sort_up
        title = clip(clean(place.column.title), place.width - width(sign), glyphs.ellipsis) + sign
        pieces.append(lead + fit(title, place.width, place.column.align, glyphs.ellipsis))
        at = place.x + place.width
    line = "".join(pieces)
    if arrangement.more_right:
        line = fit(line, breadth - 1, ellipsis="") + glyphs.more_right
    return [(line, ("header",))]


def row_pieces(row: Row | None, arrangement: Arrangement, *, cursor: bool, marked: bool, glyphs: Glyphs) -> list[Piece]:
    """One row; None is one that has not been loaded yet."""
    base = "cursor" if cursor else "row"
    pieces: list[Piece] = [
        (glyphs.cursor if cursor else " ", (base,)),
        (glyphs.mark if marked else " ", (base, "marked") if marked and not cursor else (base,)),
    ]
    if row is None:
        return [*pieces, (glyphs.ellipsis, (base, "placeholder"))]
    at = LEAD
    for place in arrangement.placed:
        pieces.append((" " * (place.x - at), (base,)))
        pieces.extend(cell_pieces(row.get(place.column.id, ""), place, base, glyphs.ellipsis))
        at = place.x + place.width
    return pieces


def cell_pieces(value: CellValue, place: Placed, base: str, ellipsis: str) -> list[Piece]:
    """One cell, clipped and padded to its column."""
    # N terminal cells can show no more than 5 N characters (four combining marks on each): longer text is cut, then cleaned.
    limit = 5 * place.width + 10
    parts = (Cell(value),) if isinstance(value, str) else (value,) if isinstance(value, Cell) else value
    texts = [clean(part.text, limit=limit) for part in parts]
    pieces: list[Piece] = []
    room = place.width
    for index, part in enumerate(parts):
        rest = "".join(texts[index + 1 :])
        # A part that fills the cell takes the rest along, so that the cut is marked.
        full = bool(rest) and width(texts[index]) >= room
        shown = clip(texts[index] + rest if full else texts[index], room, ellipsis)
        # On the cursor's line one style for all: the eye needs contrast there, and the terminal fewer bytes.
        pieces.append((shown, (base, part.style) if part.style and base != "cursor" else (base,)))
        room -= width(shown)
        if full:
            break
    before = {"left": 0, "right": room, "center": room // 2}[place.column.align]
    return [(" " * before, (base,)), *pieces, (" " * (room - before), (base,))]


def joined(pieces: Iterable[Piece], breadth: int) -> list[Piece]:
    """The same line with as few pieces as possible, filled up to `breadth` cells; blanks take their neighbour's style."""
    line: list[Piece] = []
    used = 0
    for text, names in pieces:
        if not text:
            continue
        used += width(text)
        if line and (line[-1][1] == names or text.isspace()):
            line[-1] = (line[-1][0] + text, line[-1][1])
        else:
            line.append((text, names))
    if used < breadth:
        text, names = line.pop() if line else ("", ("row",))
        line.append((text + " " * (breadth - used), names))
    return line
