"""A dialog of one line: a text to type, looked at as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from syncterm.text import Glyphs, clean, clip
from syncterm.widgets.clean_input import CleanInput


class LineDialog(ModalScreen[str | None]):
    """Asks for a text; the result is what was typed, None when cancelled. Enter takes it only where nothing is wrong with it.

    Args:
        title: what is asked for; may be from outside.
        value: what stands there at first.
        glyphs: the drawn symbols.
        text: what can be typed, in a sentence or two.
        check: what is wrong with a text, in plain words; empty where nothing is.
        longest: characters taken.
    """

    BINDING_GROUP_TITLE = "Line"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", show=False, id="line.cancel")]

    DEFAULT_CSS = """
    LineDialog {
        align: center middle;
        & > Vertical {
            width: 92%;
            max-width: 110;
            height: auto;
            max-height: 90%;
            background: $surface;
            border: round $primary;
            border-title-style: bold;
            border-title-color: $primary;
            border-subtitle-color: $text-muted;
            padding: 0 1;
        }
        #line-text { width: 1fr; color: $text-muted; margin-bottom: 1; }
        #line-input { background: $panel; }
        #line-fault { width: 1fr; height: auto; min-height: 1; max-height: 6; margin-top: 1; color: $text-success; }
        #line-fault.-wrong { color: $text-error; }
    }
    """

    def __init__(
        self,
        title: str,
        value: str,
        glyphs: Glyphs,
        *,
        text: str,
        check: Callable[[str], str],
        placeholder: str = "",
        longest: int = 4_000,
    ) -> None:
        super().__init__()
        self._title = clean(title, limit=500)
        self._value = value
        self._glyphs = glyphs
        self._text = clean(text, limit=2000, newlines=True)
        self._check = check
        self._placeholder = clean(placeholder)
        self._longest = longest

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Content(self._text), id="line-text")
            yield CleanInput(
                self._value,
                compact=True,
                select_on_focus=False,
                max_length=self._longest,
                placeholder=self._placeholder,
                id="line-input",
            )
            yield Static(Content(""), id="line-fault")

    def on_mount(self) -> None:
        box = self.query_one(Vertical)
        box.border_title = Content(clip(self._title, 70, self._glyphs.ellipsis))
        box.border_subtitle = Content("enter takes it · esc leaves it as it was")
        self.query_one(CleanInput).focus()
        self._look(self._value)

    def _look(self, value: str) -> str:
        fault = self._check(value.strip())
        line = self.query_one("#line-fault", Static)
        line.set_class(bool(fault), "-wrong")
        sign = self._glyphs.cross if fault else self._glyphs.check
        line.update(Content(clip(f"{sign} {clean(fault, limit=1000)}" if fault else sign, 400, self._glyphs.ellipsis)))
        return fault

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._look(event.value)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        if not self._look(event.value):
            self.dismiss(event.value.strip())

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:
            self.action_cancel()

    def action_cancel(self) -> None:
        self.dismiss(None)
