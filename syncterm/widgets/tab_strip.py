"""One line of tabs: the present one stands out, a click or ← → (with the focus on it) chooses another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from syncterm.text import width
from syncterm.widgets.status_line import Piece, StatusLine


class TabStrip(StatusLine, can_focus=True):
    """The tabs of a screen, by id and title; `Chosen` says that a person chose another."""

    BINDING_GROUP_TITLE = "Tabs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "Previous tab", show=False, id="tabs.previous"),
        Binding("right", "step(1)", "Next tab", show=False, id="tabs.next"),
    ]

    DEFAULT_CSS = """
    TabStrip {
        background: $panel;
        color: $foreground;
        &:focus { background: $panel-lighten-1; }
    }
    """

    class Chosen(Message):
        """A person chose a tab."""

        def __init__(self, tab: str) -> None:
            super().__init__()
            self.tab = tab

    def __init__(self, tabs: Sequence[tuple[str, str]], *, hint: str = "", id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._tabs = tuple(tabs)
        self._hint = hint
        self._active = self._tabs[0][0]
        self._notes: dict[str, str] = {}

    @property
    def active(self) -> str:
        """Id of the present tab."""
        return self._active

    def activate(self, tab: str) -> None:
        """Show another tab as the present one, without a message."""
        self._active = tab
        self._draw()

    def note(self, tab: str, text: str) -> None:
        """Show a short text, a count for example, behind a tab's title."""
        if self._notes.get(tab, "") != text:
            self._notes[tab] = text
            self._draw()

    def neighbour(self, step: int) -> str:
        """The tab so many places on, round the end."""
        ids = [tab for tab, _ in self._tabs]
        return ids[(ids.index(self._active) + step) % len(ids)]

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        column = 0
        for tab, _ in self._tabs:
            size = width(self._label(tab))
            if column <= event.x < column + size:
                self.post_message(self.Chosen(tab))
                return
            column += size

    def action_step(self, step: int) -> None:
        self.post_message(self.Chosen(self.neighbour(step)))

    def _label(self, tab: str) -> str:
        note = self._notes.get(tab, "")
        return f"  {dict(self._tabs)[tab]}{' ' + note if note else ''}  "

    def _draw(self) -> None:
        pieces: list[Piece] = [
            (self._label(tab), "bold $primary reverse" if tab == self._active else "$foreground") for tab, _ in self._tabs
        ]
        fill = self.size.width - sum(width(text) for text, _ in pieces) - width(self._hint) - 1
        if fill > 0:
            pieces.append((" " * fill + self._hint + " ", "dim"))
        self.show(pieces)
