"""Sends only the cells that differ from what the terminal already shows.

Textual 8.2 repaints whole regions: a changed region is sent from the left edge of its widget, and a table that scrolls back to what
it showed is sent in full. Over a slow line that is what one waits for. `FrameDifference` keeps a copy of the screen, cell by cell, and
turns each partial update into the runs of cells that differ. An app uses it by one override::

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        super()._display(screen, self._frame.reduce(renderable))

Full updates (a new screen, a resize, a return from the shell) pass unchanged and renew the copy, so that nothing wrong there outlives
them. It reads Textual's private update classes: the minor version is pinned, and a byte-count test guards it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import cast

from rich.cells import get_character_cell_size
from rich.color import ColorSystem
from rich.console import Console, RenderableType
from rich.control import Control
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

FrameCell = tuple[str, Style | None] | None
"""A character (empty behind a wide one) and its style; None where nobody knows."""

WORTH_A_JUMP = 12
"""Unchanged cells between two runs from which on moving the cursor is shorter than sending them again."""

_UNKNOWN: FrameCell = None


class FrameDifference:
    """What the terminal shows, and how to get from there to what it should show."""

    def __init__(self) -> None:
        self._rows: list[list[FrameCell]] = []

    def reduce(self, update: RenderableType | None) -> RenderableType | None:
        """The same update, sending no more than it has to; anything but Textual's screen updates is returned as it is."""
        if isinstance(update, (ChopsUpdate, LayoutUpdate)):
            return cast("RenderableType", _ReducedUpdate(self, update))
        return update

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
        sent: list[str] = []
        for y, start, end in update.spans:
            for chop_end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                first, last = max(x, start), min(chop_end, end)
                if strip is not None and first < last:
                    self._piece(sent, y, first, strip.crop(first - x, last - x), color_system)
        return "".join(sent)

    def _piece(self, sent: list[str], y: int, x: int, strip: Strip, color_system: ColorSystem) -> None:
        """Append what brings the cells from (x, y) on to those of a strip."""
        row = self._row(y, x + strip.cell_length)
        new = _cells(strip)
        if new is None:
            # Widths that do not add up (an emoji sequence of somebody's own widget): send it, and trust nothing there any more.
            row[x : x + strip.cell_length] = [_UNKNOWN] * strip.cell_length
            sent.append(_move_to(x, y))
            sent.extend(
                segment.text if segment.style is None else Strip.render_style(segment.style, segment.text, color_system)
                for segment in strip
            )
            return
        old = row[x : x + len(new)]
        if old == new:
            return
        row[x : x + len(new)] = new
        for first, last in _runs(old, new):
            sent.append(_move_to(x + first, y))
            for style, cells in groupby(new[first:last], key=itemgetter(1)):
                text = "".join(character for character, _ in cells)
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


def _cells(strip: Strip) -> list[tuple[str, Style | None]] | None:
    """A strip cell by cell; None when its characters do not add up to its width."""
    cells: list[tuple[str, Style | None]] = []
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
            else:
                return None
    return cells if len(cells) == strip.cell_length else None


def _runs(old: list[FrameCell], new: list[tuple[str, Style | None]]) -> Iterable[tuple[int, int]]:
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


def _whole(first: int, last: int, cells: list[tuple[str, Style | None]]) -> tuple[int, int]:
    while first and not cells[first][0]:
        first -= 1
    last += 1
    while last < len(cells) and not cells[last][0]:
        last += 1
    return first, last
