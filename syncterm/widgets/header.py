"""The header: where you are, what the engine does, and what this view leaves out, on one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from textual import events
from textual.message import Message

from syncterm.text import Glyphs, clean, clip, count, countdown, width
from syncterm.widgets.status_line import MARGIN, Piece, StatusLine, pieces_width


@dataclass(frozen=True, slots=True)
class EngineSummary:
    """What the header says about the engine."""

    running: int = 0
    queued: int = 0
    failed: int = 0
    """Connectors that are Broken."""
    next_fire_at: datetime | None = None
    holder: str = ""
    """`engine: pid 123 user@host` where another process executes; empty where this one does."""
    idle: bool = False
    """Whether no engine executes at all."""
    note: str = ""
    """What replaces the rest: `opening the store …`, `no engine`."""
    trouble: bool = False
    """Whether `note` is bad news."""


@dataclass(frozen=True, slots=True)
class Badge:
    """A word that must not be overlooked: READ-ONLY, PAUSED, FILTER err (12/340), 3 marked."""

    text: str
    loud: bool = False


class Header(StatusLine):
    """One line: crumbs to the left, badges and the engine's state to the right; what matters least goes first in little room."""

    DEFAULT_CSS = """
    Header {
        dock: top;
        background: $panel;
        color: $foreground;
    }
    """

    class Pressed(Message):
        """The header was clicked at a crumb."""

        def __init__(self, crumb: int) -> None:
            super().__init__()
            self.crumb = crumb
            """Index into the crumbs, from the left."""

    def __init__(self, glyphs: Glyphs, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._glyphs = glyphs
        self._crumbs: tuple[str, ...] = ()
        self._badges: tuple[Badge, ...] = ()
        self._engine = EngineSummary()
        self._now: datetime | None = None

    def set_crumbs(self, crumbs: Sequence[str]) -> None:
        """Where the person is, from the outermost; strings from outside are cleaned here."""
        self._crumbs = tuple(clean(crumb, limit=500) for crumb in crumbs)
        self.update()

    def set_badges(self, badges: Sequence[Badge]) -> None:
        self._badges = tuple(Badge(clean(badge.text, limit=200), badge.loud) for badge in badges)
        self.update()

    def set_engine(self, engine: EngineSummary, now: datetime) -> None:
        """What the engine does, and the instant from which the countdown counts."""
        self._engine, self._now = engine, now
        self.update()

    def update(self) -> None:
        """Lay the line out anew for the present width."""
        if self.size.width > 0:
            self.show(header_pieces(self.size.width, self._crumbs, self._badges, self._engine, self._now, self._glyphs))

    def on_resize(self, event: events.Resize) -> None:
        self.update()

    def on_click(self, event: events.Click) -> None:
        column = MARGIN
        for index, crumb in enumerate(self._crumbs):
            if column <= event.x < column + width(crumb):
                self.post_message(self.Pressed(index))
                return
            column += width(crumb) + 3


def engine_parts(engine: EngineSummary, now: datetime | None, glyphs: Glyphs) -> list[tuple[int, tuple[Piece, ...]]]:
    """The engine's state as parts in the order shown, each with its rank: the higher, the sooner it is left out."""
    if engine.note:
        return [(0, ((engine.note, "$error" if engine.trouble else "dim"),))]
    lamp = "$success" if engine.running else "dim"
    parts: list[tuple[int, tuple[Piece, ...]]] = [(0, ((f"{glyphs.ok} ", lamp), (f"{count(engine.running)} running", "")))]
    if engine.queued:
        parts.append((3, ((f"{count(engine.queued)} queued", ""),)))
    parts.append((1, ((f"{count(engine.failed)} failed", "$error bold" if engine.failed else "dim"),)))
    if engine.next_fire_at is not None and now is not None:
        parts.append((2, (("next ", "dim"), (countdown((engine.next_fire_at - now).total_seconds()), ""))))
    if engine.idle:
        parts.append((0, (("no engine runs", "$warning"),)))
    if engine.holder:
        parts.append((4, ((engine.holder, "$warning"),)))
    return parts


def header_pieces(
    columns: int, crumbs: Sequence[str], badges: Sequence[Badge], engine: EngineSummary, now: datetime | None, glyphs: Glyphs
) -> list[Piece]:
    """The header's line for that many columns; never wider."""
    parts = engine_parts(engine, now, glyphs)
    shown_badges = list(badges)
    separator: Piece = (f" {glyphs.separator} ", "dim")
    gap = 2
    while True:
        right: list[Piece] = []
        for badge in shown_badges:
            right += [(f" {badge.text} ", "reverse bold" if badge.loud else "$text-warning on $warning-muted"), (" ", "")]
        for index, (_, pieces) in enumerate(parts):
            right += [separator] * bool(index) + list(pieces)
        room = columns - 2 * MARGIN - gap - pieces_width(right)
        needed = width(crumbs[-1]) if crumbs else 0
        if room >= min(needed, 16) or (len(parts) <= 1 and not shown_badges):
            break
        if len(parts) > 1:
            parts.remove(max(parts, key=lambda part: part[0]))
        else:
            shown_badges.pop()
    left = crumb_pieces(max(0, room), crumbs, glyphs)
    fill = columns - 2 * MARGIN - pieces_width(left) - pieces_width(right)
    if fill < 0:
        return [(clip(" " + "".join(text for text, _ in (*left, *right)), columns, glyphs.ellipsis), "")]
    return [(" " * MARGIN, ""), *left, (" " * fill, ""), *right, (" " * MARGIN, "")]


def crumb_pieces(columns: int, crumbs: Sequence[str], glyphs: Glyphs) -> list[Piece]:
    """The crumbs for that many columns: the last is bold and stays longest, the first ones go first."""
    separator = f" {glyphs.crumb} "
    kept = list(crumbs)
    while len(kept) > 1 and sum(map(width, kept)) + len(separator) * (len(kept) - 1) > columns:
        kept.pop(0)
    pieces: list[Piece] = []
    for index, crumb in enumerate(kept):
        last = index == len(kept) - 1
        if index:
            pieces.append((separator, "dim"))
        pieces.append((clip(crumb, columns, glyphs.ellipsis) if last else crumb, "bold $primary" if last else "dim"))
    return pieces
