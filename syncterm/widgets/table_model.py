"""What a live table shows, without a screen: columns, cells, queries, the source of rows, the arrangement of columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

LEAD = 2
"""Cells before the first column: the cursor's glyph and the mark's glyph."""

GAP = 1
"""Cells between two columns."""

TAIL = 1
"""Cells after the last column: the sign that there are more."""

STYLE_NAMES = ("good", "bad", "warning", "running", "muted", "accent", "strong")
"""The style names a cell may carry; each is a component class ``table--<name>``. Any other name shows the row's own style."""


LEAST_CUT = 4
"""Cells a column needs at least when it has to be cut."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of text in one plain style."""

    text: str
    style: str = ""
    """One of STYLE_NAMES, or empty."""


CellValue = str | Cell | tuple[Cell, ...]
"""What one cell shows: plain text, styled text, or pieces in different styles, written without a gap."""

Row = Mapping[str, CellValue]
"""Column id → value. A missing column is shown empty."""


def cell_text(value: CellValue) -> str:
    """A cell's text without its styles."""
    if isinstance(value, str):
        return value
    return value.text if isinstance(value, Cell) else "".join(piece.text for piece in value)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    id: str
    title: str
    width: int
    """Least width in terminal cells."""
    flexible: bool = False
    """Takes a share of the width that is left over."""
    align: Literal["left", "right", "center"] = "left"
    sortable: bool = True
    priority: int = 0
    """Columns of a higher number are left out first where the terminal is too narrow; those of 0 stay (and are scrolled to)."""
    tooltip: Callable[[str, Row], str | None] | None = None
    """(row key, row) → the text to show when the mouse rests on the cell; without one, the full text of a clipped cell."""


@dataclass(frozen=True, slots=True)
class TableQuery:
    """Which rows a table shows, and in what order."""

    text: str = ""
    """What the filter line holds, unparsed."""
    sort: str | None = None
    """A column's id; None is the source's own order."""
    descending: bool = False
    filters: Mapping[str, Any] = field(default_factory=dict)
    """Further conditions, by names the source knows."""


class RowSource(Protocol):
    """Where a table's rows come from. Called from the screens' event loop; a call may be cancelled when a newer one replaces it."""

    async def keys(self, query: TableQuery) -> Sequence[str]:
        """The keys of all rows that match, in order. Keys are unique and never change for a row. May be 100,000 and more."""
        ...

    async def rows(self, keys: Sequence[str]) -> Mapping[str, Row]:
        """The current rows of these keys (a window of a few hundred at most); rows that no longer exist are left out."""
        ...


@dataclass(frozen=True, slots=True)
class Placed:
    """A column and where it is drawn."""

    column: Column
    x: int
    """First cell on the line, from 0."""
    width: int


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The columns shown on a line of a certain width."""

    placed: tuple[Placed, ...]
    more_left: bool
    """Columns are hidden between the first and the second."""
    more_right: bool
    """Columns are hidden for want of room: scrolling right brings them."""

    def at(self, x: int) -> Placed | None:
        """The column drawn at a cell of the line."""
        return next((place for place in self.placed if place.x <= x < place.x + place.width), None)


def arrange(columns: Sequence[Column], width: int, offset: int = 0) -> Arrangement:
    """Fit columns onto a line of `width` cells.

    With an offset of 0 columns are left out by priority until the rest fits. With a greater offset the first column stays, and the
    others pass by it one at a time, whatever their priority. A column that does not fit even alone beside the first is cut.
    """
    if not columns:
        return Arrangement((), False, False)
    room = width - LEAD - TAIL
    shown = _by_priority(columns, room) if offset == 0 else [columns[0], *columns[1 + _skipped(columns, room, offset) :]]
    while len(shown) > 2 and _needed(shown) > room:
        shown.pop()
    if len(shown) == 2 and room - shown[0].width - GAP < min(LEAST_CUT, shown[1].width):
        shown.pop()
    flexible = [column.id for column in shown if column.flexible]
    spare = max(0, room - _needed(shown))
    placed: list[Placed] = []
    x = LEAD
    for column in shown:
        breadth = column.width
        if column.id in flexible:
            # The last flexible column takes what the division leaves over.
            share = spare // len(flexible)
            flexible.remove(column.id)
            spare -= share
            breadth += share
        breadth = max(0, min(breadth, width - TAIL - x))
        placed.append(Placed(column, x, breadth))
        x += breadth + GAP
    hidden_right = columns[-1] is not shown[-1] or (offset == 0 and len(shown) < len(columns))
    return Arrangement(tuple(placed), offset > 0, hidden_right)


def furthest_offset(columns: Sequence[Column], width: int) -> int:
    """The greatest useful offset for `arrange`: the one that brings the last column into view."""
    room = width - LEAD - TAIL
    if len(columns) < 2 or _needed(columns) <= room:
        return 0
    offset = 1
    while (skipped := _skipped(columns, room, offset)) < len(columns) - 2 and _needed([columns[0], *columns[1 + skipped :]]) > room:
        offset += 1
    return offset


def _by_priority(columns: Sequence[Column], room: int) -> list[Column]:
    shown = list(columns)
    while _needed(shown) > room:
        last = max(range(1, len(shown)), key=lambda index: (shown[index].priority, index), default=0)
        if last == 0 or shown[last].priority == 0:
            break
        del shown[last]
    return shown


def _skipped(columns: Sequence[Column], room: int, offset: int) -> int:
    """Columns passed by at an offset. Where some were left out by priority, the first step only brings those back."""
    return offset - 1 if len(_by_priority(columns, room)) < len(columns) else offset


def _needed(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)
