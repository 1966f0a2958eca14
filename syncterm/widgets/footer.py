"""Lines of keys and what they do here, dim where they do nothing now: the footer, and the quick actions of a screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.message import Message

from syncterm.text import width
from syncterm.widgets.status_line import MARGIN, Piece, StatusLine


@dataclass(frozen=True, slots=True)
class FooterKey:
    """One entry of the footer."""

    action: str
    """Id of the action; what a click runs."""
    key: str
    title: str
    enabled: bool = True
    pinned: bool = False
    """Stays at the right edge, whatever else has to go."""


class KeyLine(StatusLine):
    """One line of keys; a click runs the action, or says why it does nothing now."""

    class Pressed(Message):
        """An entry was clicked."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._keys: tuple[FooterKey, ...] = ()
        self._spans: list[tuple[int, int, str]] = []

    def set_keys(self, keys: Sequence[FooterKey]) -> None:
        """Show these keys; only the cells that changed are sent."""
        self._keys = tuple(keys)
        self.update()

    def update(self) -> None:
        """Lay the line out anew for the present width."""
        if self.size.width > 0:
            pieces, self._spans = footer_pieces(self.size.width, self._keys)
            self.show(pieces)

    def on_resize(self, event: events.Resize) -> None:
        self.update()

    def on_click(self, event: events.Click) -> None:
        for start, end, action in self._spans:
            if start <= event.x < end:
                event.stop()
                self.post_message(self.Pressed(action))
                return


class Footer(KeyLine):
    """The keys of the screen, at its foot."""

    DEFAULT_CSS = """
    Footer {
        dock: bottom;
        background: $panel;
        color: $foreground;
    }
    """


class QuickActions(KeyLine):
    """The actions that a screen offers first."""


def footer_pieces(columns: int, keys: Sequence[FooterKey]) -> tuple[list[Piece], list[tuple[int, int, str]]]:
    """The footer's line for that many columns, and which cells (from, to, action) belong to which action.

    Pinned entries stay to the right; the others are left out from the end where they do not fit.
    """
    pinned = [key for key in keys if key.pinned]
    flowing = [key for key in keys if not key.pinned]

    def cells(entries: Sequence[FooterKey]) -> int:
        return sum(width(entry.key) + 1 + width(entry.title) for entry in entries) + 2 * max(0, len(entries) - 1)

    while flowing and cells(flowing) + cells(pinned) + 2 * MARGIN + 2 > columns:
        flowing.pop()
    while pinned and cells(pinned) + 2 * MARGIN > columns:
        pinned.pop(0)
    pieces: list[Piece] = [(" " * MARGIN, "")]
    spans: list[tuple[int, int, str]] = []
    column = MARGIN

    def add(entries: Sequence[FooterKey]) -> None:
        nonlocal column
        for index, entry in enumerate(entries):
            if index:
                pieces.append(("  ", ""))
                column += 2
            size = width(entry.key) + 1 + width(entry.title)
            pieces.append((entry.key, "bold $primary" if entry.enabled else "dim"))
            pieces.append((f" {entry.title}", "" if entry.enabled else "dim"))
            spans.append((column, column + size, entry.action))
            column += size

    add(flowing)
    fill = columns - MARGIN - column - cells(pinned)
    pieces.append((" " * max(0, fill), ""))
    column += max(0, fill)
    add(pinned)
    return pieces, spans
