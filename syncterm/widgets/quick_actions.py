"""A line of actions with their keys; a click does one. Those that do nothing now are dim, and a click says why."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message

from syncterm.widgets.footer import FooterKey, footer_pieces
from syncterm.widgets.status_line import StatusLine


class QuickActions(StatusLine):
    """The actions that a screen offers first."""

    class Pressed(Message):
        """An action was clicked."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._keys: tuple[FooterKey, ...] = ()
        self._spans: list[tuple[int, int, str]] = []

    def set_keys(self, keys: Sequence[FooterKey]) -> None:
        """Offer these actions."""
        self._keys = tuple(keys)
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        if self.size.width > 0:
            pieces, self._spans = footer_pieces(self.size.width, self._keys)
            self.show(pieces)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        for start, end, action in self._spans:
            if start <= event.x < end:
                self.post_message(self.Pressed(action))
                return
