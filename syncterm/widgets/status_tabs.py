"""Tabs on one line, each with its count: all connectors, and those of each status. A click or a key chooses one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.message import Message

from syncterm.text import count, width
from syncterm.widgets.status_line import MARGIN, Piece, StatusLine


@dataclass(frozen=True, slots=True)
class StatusTab:
    """One tab."""

    id: str
    title: str
    number: int | None = None
    sign: str = ""
    style: str = ""


class StatusTabs(StatusLine):
    """Shows tabs; the chosen ones stand out by weight and a line under them."""

    DEFAULT_CSS = """
    StatusTabs {
        background: $surface;
    }
    """

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, tab: str) -> None:
            super().__init__()
            self.tab = tab

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._tabs: tuple[StatusTab, ...] = ()
        self._chosen: frozenset[str] = frozenset()
        self._spans: list[tuple[int, int, str]] = []

    def set_tabs(self, tabs: Sequence[StatusTab], chosen: frozenset[str]) -> None:
        """Show these tabs, with those ids chosen."""
        self._tabs, self._chosen = tuple(tabs), chosen
        self.update()

    def update(self) -> None:
        """Lay the line out anew for the present width."""
        columns = self.size.width
        if columns <= 0:
            return
        gap = 3
        pieces = self._pieces_with(gap)
        if sum(width(text) for text, _ in pieces) > columns:
            pieces = self._pieces_with(gap := 1)
        self._spans = []
        column = MARGIN
        for tab in self._tabs:
            size = sum(width(text) for text, _ in self._tab_pieces(tab))
            self._spans.append((column, column + size, tab.id))
            column += size + gap
        self.show(pieces)

    def _pieces_with(self, gap: int) -> list[Piece]:
        pieces: list[Piece] = [(" " * MARGIN, "")]
        for index, tab in enumerate(self._tabs):
            if index:
                pieces.append((" " * gap, ""))
            pieces += self._tab_pieces(tab)
        return pieces

    def _tab_pieces(self, tab: StatusTab) -> list[Piece]:
        chosen = tab.id in self._chosen
        pieces: list[Piece] = [(f"{tab.sign} ", tab.style)] if tab.sign else []
        pieces.append((tab.title, "bold underline" if chosen else "dim"))
        if tab.number is not None:
            pieces.append((f" {count(tab.number)}", "bold" if chosen else "dim"))
        return pieces

    def on_resize(self, event: events.Resize) -> None:
        self.update()

    def on_click(self, event: events.Click) -> None:
        for start, end, tab in self._spans:
            if start <= event.x < end:
                event.stop()
                self.post_message(self.Chosen(tab))
                return
