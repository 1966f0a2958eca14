"""Input lines that keep what was typed or pasted exactly, show it harmlessly, and tell nobody what it is.

Textual's Input sends its value along with every message, takes the first line of what is pasted, and writes control characters to
the terminal. Here messages carry no value, nothing pasted is lost, and what cannot be seen is drawn as one sign each.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from syncterm.text import clean, clip

LONGEST = 16 * 1024
"""Characters taken; what is longer is refused."""
UNSEEN = "\ufffd"
"""Stands for a character that cannot be shown."""
UNSEEN_ASCII = "?"
DOT, DOT_ASCII = "•", "*"
_PASSWORD_IN_URL = re.compile(r"(?P<before>[^:/?#]*://[^:/@]*:)(?P<secret>.*)", re.DOTALL)
_PASSWORD_PARAMETER = re.compile(r"(?i)((?:password|passwd|pwd)=)([^&]*)")


class ExactInput(Input):
    """One line of a form."""

    DEFAULT_CSS = """
    ExactInput, ExactInput.-textual-compact, ExactInput:focus {
        border: none;
        height: 1;
        padding: 0 1;
        background: $panel;
        background-tint: transparent;
    }
    ExactInput:focus {
        background: $primary 18%;
    }
    .-mono ExactInput:focus {
        text-style: underline;
    }
    """

    class Edited(Message):
        """Something was typed; asks nobody to look at more than the widget."""

        def __init__(self, line: ExactInput) -> None:
            super().__init__()
            self.line = line

        @property
        def control(self) -> ExactInput:
            return self.line

    class Entered(Edited):
        """Enter was pressed."""

    class Refused(Edited):
        """What was pasted is too long, and was not taken."""

    def __init__(
        self,
        value: str = "",
        *,
        placeholder: str = "",
        on_paste_text: Callable[[ExactInput, str], bool] | None = None,
        ascii: bool = False,  # noqa: A002
        id: str | None = None,  # noqa: A002
    ) -> None:
        self._on_paste_text = on_paste_text
        """May take what is pasted before it is inserted; says whether it did."""
        self._ascii = ascii
        self._hint = clean(placeholder, limit=500)
        super().__init__(value, select_on_focus=False, compact=True, id=id)
        self.cursor_blink = False

    def post_message(self, message: Message) -> bool:
        """Textual's own messages carry the value; they are replaced by ones that do not."""
        if isinstance(message, Input.Changed):
            message = self.Edited(self)
        elif isinstance(message, Input.Submitted):
            message = self.Entered(self)
        elif isinstance(message, Input.Blurred):
            return True
        return super().post_message(message)

    # --- Showing

    def hint(self, text: str) -> None:
        """Say this while the line is empty."""
        self._hint = clean(text, limit=500)
        self.on_resize()

    def on_resize(self) -> None:
        # Cut here: Input would wrap it and show its first words only.
        room = max(0, self.content_size.width - 1)
        self.placeholder = clip(self._hint, room, "..." if self._ascii else "…")

    def shown(self) -> str:
        """What is drawn: one sign for each character of the value."""
        return visible(self.value, self._ascii)

    @property
    def _value(self) -> Text:
        return Text(self.shown(), no_wrap=True, overflow="ignore", end="")

    def _position_to_cell(self, position: int) -> int:
        return cell_len(self.shown()[:position])

    # --- Pasting

    def paste_text(self, text: str) -> None:
        """Insert a text as if it was pasted; one line end at its end is not meant."""
        text = text.removesuffix("\n").removesuffix("\r")
        if self._on_paste_text is not None and self._on_paste_text(self, text):
            return
        if len(self.value) + len(text) > LONGEST:
            self.post_message(self.Refused(self))
            return
        self.replace(self.accepted(text), *self.selection)

    def accepted(self, text: str) -> str:
        """What of a pasted text is inserted."""
        return text

    def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        if event.text:
            self.paste_text(event.text)

    def action_paste(self) -> None:
        self.paste_text(self.app.clipboard)


class ListInput(ExactInput):
    """A list on one line: lines that are pasted become items."""

    def accepted(self, text: str) -> str:
        return ", ".join(line.strip() for line in text.splitlines() if line.strip()) if "\n" in text else text


class SecretInput(ExactInput):
    """A secret: masked until it is revealed, and never copied while it is masked. What refers to a secret is shown as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+t", "reveal", "Show or hide", show=False, id="form.reveal"),
    ]

    def __init__(
        self,
        value: str = "",
        *,
        is_plain: Callable[[str], bool],
        placeholder: str = "",
        on_paste_text: Callable[[ExactInput, str], bool] | None = None,
        ascii: bool = False,  # noqa: A002
        id: str | None = None,  # noqa: A002
    ) -> None:
        """Prepare the line.

        Args:
            is_plain: whether a text is no secret, but says where one lies.
        """
        self._is_plain = is_plain
        self.revealed = False
        super().__init__(value, placeholder=placeholder, on_paste_text=on_paste_text, ascii=ascii, id=id)

    @property
    def masked(self) -> bool:
        return not self.revealed and not self._is_plain(self.value)

    def shown(self) -> str:
        return (DOT_ASCII if self._ascii else DOT) * len(self.value) if self.masked else super().shown()

    def action_reveal(self) -> None:
        self.reveal(not self.revealed)

    def reveal(self, revealed: bool) -> None:
        """Show what is being typed, or hide it again."""
        self.revealed = revealed
        self.refresh(layout=True)
        self.post_message(self.Edited(self))

    def action_cut(self) -> None:
        if not self.masked:
            super().action_cut()

    def action_copy(self) -> None:
        if not self.masked:
            super().action_copy()

    # Moving by words would tell where a hidden secret's words end.

    def action_cursor_left_word(self, select: bool = False) -> None:
        (self.action_home if self.masked else super().action_cursor_left_word)(select)

    def action_cursor_right_word(self, select: bool = False) -> None:
        (self.action_end if self.masked else super().action_cursor_right_word)(select)


class UrlInput(ExactInput):
    """A line for a connection URL: its password is masked while it is typed."""

    def shown(self) -> str:
        text = super().shown()
        dot = DOT_ASCII if self._ascii else DOT
        match = _PASSWORD_IN_URL.fullmatch(text)
        if match is not None:
            secret, at, rest = match["secret"].rpartition("@")
            text = match["before"] + dot * len(secret if at else rest) + at + (rest if at else "")
        return _PASSWORD_PARAMETER.sub(lambda pair: pair[1] + dot * len(pair[2]), text)

    def action_cut(self) -> None:
        """A URL is not given to the clipboard: it may hold a password."""

    def action_copy(self) -> None:
        """As `action_cut`."""


def visible(text: str, ascii: bool = False) -> str:  # noqa: A002
    """A text with one sign for each character that cannot be seen; as many characters as it had."""
    if text.isascii() and text.isprintable():
        return text
    sign = UNSEEN_ASCII if ascii else UNSEEN
    shown: list[str] = []
    for character in text:
        before = "".join(shown[-4:])
        shown.append(character if clean(before + character) == before + character else sign)
    return "".join(shown)
