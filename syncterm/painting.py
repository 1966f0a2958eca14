"""Sends only the cells that differ from what the terminal already shows.

Textual 8.2 repaints whole regions: a changed region is sent from the left edge of its widget, and a table that scrolls back to
what it showed is sent in full. Over a slow line that is what one waits for. `FrameDifference` keeps a copy of the screen, cell by
cell, and turns each partial update into the runs of cells that differ. An app uses it by one override::

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        super()._display(screen, self._frame.reduce(renderable))

Full updates (a new screen, a resize, a return from the shell) pass unchanged and renew the copy, so that nothing wrong there
outlives them. It reads Textual's private update classes: the minor version is pinned, and a byte-count test guards it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, cast

from rich.cells import get_character_cell_size
from rich.color import ColorSystem
from rich.console import Console, RenderableType
from rich.control import Control
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

FrameCell = tuple[str, Style | None] | None
"""A character (empty behind a wide one) and its style; None where nobody knows."""

Cells = list[tuple[str, Style | None]]

LEAST_SCROLLED = 6
"""Lines of an update from which on it may be a scroll."""

WORTH_A_JUMP = 12
"""Unchanged cells between two runs from which on moving the cursor is shorter than sending them again."""

_UNKNOWN: FrameCell = None
_CHARACTER = itemgetter(0)
_STYLE = itemgetter(1)


class _Piece(NamedTuple):
    """Part of a line to be painted."""

    y: int
    x: int
    strip: Strip
    cells: Cells | None
    """None when the characters do not add up to the width."""


class FrameDifference:
    """What the terminal shows, and how to get from there to what it should show."""

    def __init__(self) -> None:
        self._rows: list[list[FrameCell]] = []

    def reduce(self, update: RenderableType | None) -> RenderableType | None:
        """The same update, sending no more than it has to; anything but Textual's screen updates is returned as it is."""
        if isinstance(update, (ChopsUpdate, LayoutUpdate)):
            return cast("RenderableType", _ReducedUpdate(self, update))
        return update

    def forget(self) -> None:
        """Trust nothing that the terminal shows: what is painted next is sent whole."""
        self._rows = []

    def _renew(self, update: LayoutUpdate, console: Console) -> str:
        region = update.region
        strips = [list(line) for line in update.strips]
        self._rows = [[] for _ in range(region.y)]
        for line in strips:
            cells: list[FrameCell] = [_UNKNOWN] * region.x
            for strip in line:
                cells.extend(_cells(strip) or [_UNKNOWN] * strip.cell_length)
            self._rows.append(cells)
        return LayoutUpdate(list(strips), region).render_segments(console)

    def _changes(self, update: ChopsUpdate, console: Console) -> str:
        color_system = console._color_system or ColorSystem.TRUECOLOR
        pieces: list[_Piece] = []
        for y, start, end in update.spans:
            for chop_end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                first, last = max(x, start), min(chop_end, end)
                if strip is not None and first < last:
                    part = strip.crop(first - x, last - x)
                    pieces.append(_Piece(y, first, part, _cells(part)))
        sent: list[str] = []
        if (scroll := self._find_scroll(pieces)) is not None:
            pieces = self._scroll(sent, pieces, *scroll, color_system)
        for piece in pieces:
            self._paint(sent, piece, color_system)
        return "".join(sent)

    # --- Lines that moved -------------------------------------------------------------------------------------------------------

    def _find_scroll(self, pieces: list[_Piece]) -> tuple[int, int, int] | None:
        """First and last line of a block that moved, and by how many lines it moved up (negative: down); None where none did.

        Compared by text, line by line from the left edge.
        """
        new = {piece.y: piece.cells for piece in pieces if piece.x == 0 and piece.cells}
        if len(new) < LEAST_SCROLLED:
            return None
        top, bottom = min(new), max(new)
        if bottom >= len(self._rows) or bottom - top + 1 != len(new):
            return None
        after = ["".join(map(_CHARACTER, new[y])) for y in range(top, bottom + 1)]
        before = [_text(self._rows[y][: len(new[y])]) for y in range(top, bottom + 1)]
        middle = len(after) // 2
        if before[middle] == after[middle]:
            return None
        for shift in (shift for step in range(1, middle) for shift in (step, -step)):
            # The line in the middle says by how many lines it moved; the others then have to agree.
            if before[middle + shift] != after[middle]:
                continue
            kept = range(max(0, -shift), len(after) - max(0, shift))
            moved = [index for index in kept if before[index + shift] == after[index]]
            if len(moved) >= len(kept) * 3 // 4:
                return top + min(moved[0], moved[0] + shift), top + max(moved[-1], moved[-1] + shift), shift
        return None

    def _scroll(
        self, sent: list[str], pieces: list[_Piece], top: int, bottom: int, shift: int, color_system: ColorSystem
    ) -> list[_Piece]:
        """Let the terminal move a block of lines, then mend what differs on them; returns the pieces still to be painted."""
        block = self._rows[top : bottom + 1]
        wanted = [list(row) for row in block]
        for piece in pieces:
            if top <= piece.y <= bottom:
                unknown: list[FrameCell] = [_UNKNOWN] * piece.strip.cell_length
                wanted[piece.y - top][piece.x : piece.x + piece.strip.cell_length] = piece.cells or unknown
        if any(cell is _UNKNOWN for row in wanted for cell in row):
            return pieces
        fresh: list[list[FrameCell]] = [[_UNKNOWN] * len(row) for row in block[: abs(shift)]]
        self._rows[top : bottom + 1] = block[shift:] + fresh if shift > 0 else fresh + block[:shift]
        # Margins, then delete or insert lines at their top, then margins off: known to every terminal since the VT102.
        sent.append(f"\x1b[{top + 1};{bottom + 1}r\x1b[{top + 1};1H\x1b[{abs(shift)}{'M' if shift > 0 else 'L'}\x1b[r")
        for y, row in enumerate(wanted, top):
            self._put(sent, y, 0, cast("Cells", row), color_system)
        return [piece for piece in pieces if not top <= piece.y <= bottom]

    # --- Cells that differ ------------------------------------------------------------------------------------------------------

    def _paint(self, sent: list[str], piece: _Piece, color_system: ColorSystem) -> None:
        if piece.cells is not None:
            self._put(sent, piece.y, piece.x, piece.cells, color_system)
            return
        # Widths that do not add up (an emoji sequence of somebody's own widget): send it, and trust nothing there any more.
        length = piece.strip.cell_length
        self._row(piece.y, piece.x + length)[piece.x : piece.x + length] = [_UNKNOWN] * length
        sent.append(_move_to(piece.x, piece.y))
        for text, style, _ in piece.strip:
            sent.append(text if style is None else Strip.render_style(style, text, color_system))

    def _put(self, sent: list[str], y: int, x: int, new: Cells, color_system: ColorSystem) -> None:
        """Append what brings the cells from (x, y) on to new ones."""
        row = self._row(y, x + len(new))
        old = row[x : x + len(new)]
        if old == new:
            return
        row[x : x + len(new)] = new
        for first, last in _runs(old, new):
            sent.append(_move_to(x + first, y))
            for style, cells in groupby(new[first:last], key=_STYLE):
                text = "".join(map(_CHARACTER, cells))
                sent.append(text if style is None else Strip.render_style(style, text, color_system))

    def _row(self, y: int, width: int) -> list[FrameCell]:
        while len(self._rows) <= y:
            self._rows.append([])
        row = self._rows[y]
        if len(row) < width:
            row.extend([_UNKNOWN] * (width - len(row)))
        return row


class _ReducedUpdate(CompositorUpdate):
    """A screen update that is compared when it is sent, not before: Textual may yet drop it."""

    def __init__(self, frame: FrameDifference, update: ChopsUpdate | LayoutUpdate) -> None:
        self._frame = frame
        self._update = update

    def render_segments(self, console: Console) -> str:
        if isinstance(self._update, LayoutUpdate):
            return self._frame._renew(self._update, console)
        return self._frame._changes(self._update, console)


def _move_to(x: int, y: int) -> str:
    return Control.move_to(x, y).segment.text


def _text(cells: list[FrameCell]) -> str:
    return "".join(cell[0] if cell is not None else "\0" for cell in cells)


def _cells(strip: Strip) -> Cells | None:
    """A strip cell by cell; None when its characters do not add up to its width."""
    cells: Cells = []
    for text, style, control in strip:
        if control:
            return None
        if text.isascii():
            cells.extend([(character, style) for character in text])
            continue
        for character in text:
            size = get_character_cell_size(character)
            if size:
                cells.append((character, style))
                if size == 2:
                    cells.append(("", style))
            elif cells:
                # A mark stands on the cell before it, or on the first half of a wide one.
                at = -1 if cells[-1][0] else -2
                cells[at] = (cells[at][0] + character, cells[at][1])
            # A mark at the very start would stand on a cell that is not this strip's: it is left out.
    return cells if len(cells) == strip.cell_length else None


def _runs(old: list[FrameCell], new: Cells) -> Iterable[tuple[int, int]]:
    """From and to of the runs to send; never half of a wide character."""
    differing = [
        index for index, (before, after) in enumerate(zip(old, new, strict=True)) if before is not after and before != after
    ]
    first = last = differing[0]
    for index in differing[1:]:
        if index - last > WORTH_A_JUMP:
            yield _whole(first, last, new)
            first = index
        last = index
    yield _whole(first, last, new)


def _whole(first: int, last: int, cells: Cells) -> tuple[int, int]:
    while first and not cells[first][0]:
        first -= 1
    last += 1
    while last < len(cells) and not cells[last][0]:
        last += 1
    return first, last
