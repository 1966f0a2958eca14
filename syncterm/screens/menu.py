"""Small dialogs to choose from: one of several (`Menu`), or several of several (`Ticks`). Used for menus, pickers and questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from syncterm.actions import key_label
from syncterm.text import Glyphs, clean, clip, fit, width

TITLE_LIMIT = 46  # cells
DETAIL_LIMIT = 60  # cells
WIDTH_SHARE = 0.92  # of the screen, as in the dialogs' style

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of a dialog. Its texts may be from outside: they are cleaned where they are shown."""

    id: str
    title: str
    key: str = ""
    """A key that chooses it at once, in Textual's name."""
    detail: str = ""
    """Shown to the right of the title, muted."""
    reason: str = ""
    """Why it cannot be chosen now; then it is dim, and choosing it says so."""
    checked: bool = False
    """The present value of a picker, or a tick."""


class ChoiceList(OptionList):
    """The list inside the dialogs, with the movements of the tables."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False, id="choice.down"),
        Binding("k", "cursor_up", "Up", show=False, id="choice.up"),
        Binding("g", "first", "First", show=False, id="choice.first"),
        Binding("G", "last", "Last", show=False, id="choice.last"),
        Binding("ctrl+f", "page_down", "Page down", show=False, id="choice.page_down"),
        Binding("ctrl+b", "page_up", "Page up", show=False, id="choice.page_up"),
    ]


class Dialog(ModalScreen[Result]):
    """What the choosing dialogs share: a titled box in the middle, closed by esc, q or a click beside it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,backspace", "cancel", "Cancel", show=False, id="dialog.cancel"),
    ]

    DEFAULT_CSS = """
    Dialog {
        align: center middle;
    }
    Dialog > Vertical {
        width: auto;
        min-width: 34;
        max-width: 92%;
        height: auto;
        max-height: 90%;
        background: $surface;
        border: round $primary;
        border-title-style: bold;
        border-title-color: $primary;
        border-subtitle-color: $text-muted;
        padding: 0 1;
    }
    Dialog .-text {
        width: auto;
        max-width: 100%;
        color: $text-muted;
        margin-bottom: 1;
    }
    Dialog ChoiceList, Dialog ChoiceList:focus {
        width: auto;
        max-width: 100%;
        height: auto;
        max-height: 100%;
        background: $surface;
        background-tint: transparent;
        border: none;
        padding: 0;
        scrollbar-size-vertical: 1;
        text-wrap: nowrap;
        text-overflow: clip;
    }
    """

    def __init__(self, title: str, choices: Sequence[Choice], glyphs: Glyphs, *, text: str | Content = "", hint: str = "") -> None:
        super().__init__()
        self._title = clean(title, limit=500)
        self._text = text if isinstance(text, Content) else Content(clean(text, limit=2000, newlines=True))
        self._hint = hint
        self._choices = list(choices)
        self._glyphs = glyphs
        self._titles_width = max((width(clip(clean(choice.title), TITLE_LIMIT)) for choice in self._choices), default=0)
        self._keys_width = max((width(self._key(choice)) for choice in self._choices), default=0)

    def compose(self) -> ComposeResult:
        with Vertical():
            if self._text:
                yield Static(self._text, classes="-text")
            yield ChoiceList(*(Option(self._line(choice), id=choice.id) for choice in self._choices), compact=True)

    def on_mount(self) -> None:
        box = self.query_one(Vertical)
        box.border_title = Content(clip(self._title, 70, self._glyphs.ellipsis))
        box.border_subtitle = Content(self._hint)
        choices = self.query_one(ChoiceList)
        choices.highlighted = next((index for index, choice in enumerate(self._choices) if choice.checked), 0)
        choices.focus()

    def _key(self, choice: Choice) -> str:
        return key_label(choice.key, ascii=self._glyphs.arrow.isascii()) if choice.key else ""

    def _line(self, choice: Choice) -> Content:
        dim = "dim" if choice.reason else ""
        pieces = [self._sign(choice)]
        if self._keys_width:
            pieces.append((fit(self._key(choice), self._keys_width) + "  ", dim or "bold $primary"))
        pieces.append((fit(clean(choice.title), self._titles_width, ellipsis=self._glyphs.ellipsis), dim))
        detail = choice.reason or choice.detail
        if detail:
            pieces.append(("  " + clip(clean(detail), self._detail_room(), self._glyphs.ellipsis), "dim"))
        return Content.assemble(*pieces)

    def _detail_room(self) -> int:
        keys = self._keys_width + 2 if self._keys_width else 0
        inside = int(self.app.size.width * WIDTH_SHARE) - 4  # border and padding
        return max(8, min(DETAIL_LIMIT, inside - 2 - keys - self._titles_width - 2))

    def _sign(self, choice: Choice) -> tuple[str, str]:
        return (f"{self._glyphs.check if choice.checked else ' '} ", "$success")

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:
            self.action_cancel()

    def action_cancel(self) -> None:
        self.dismiss(None)


class Menu(Dialog[str | None]):
    """Choose one: enter, a click, or the choice's own key; the result is its id, None when cancelled."""

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice],
        glyphs: Glyphs,
        *,
        text: str | Content = "",
        hint: str = "",
        on_highlight: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(title, choices, glyphs, text=text, hint=hint)
        self._on_highlight = on_highlight

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if self._on_highlight is not None and event.option_id is not None:
            self._on_highlight(event.option_id)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self._choose(next(choice for choice in self._choices if choice.id == event.option_id))

    def on_key(self, event: events.Key) -> None:
        choice = next((choice for choice in self._choices if choice.key and choice.key == event.key), None)
        if choice is not None:
            event.stop()
            event.prevent_default()
            self._choose(choice)

    def _choose(self, choice: Choice) -> None:
        if choice.reason:
            self.notify(choice.reason, severity="warning")
        else:
            self.dismiss(choice.id)


class Ticks(Dialog[tuple[str, ...] | None]):
    """Choose several: space ticks, enter applies; the result is the ticked ids in their order, None when cancelled."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "tick", "Tick", show=False, id="ticks.tick", priority=True),
        Binding("enter", "apply", "Apply", show=False, id="ticks.apply", priority=True),
        Binding("a,asterisk", "tick_all", "Tick all or none", show=False, id="ticks.all"),
        Binding("J,shift+down", "move(1)", "Move down", show=False, id="ticks.move_down"),
        Binding("K,shift+up", "move(-1)", "Move up", show=False, id="ticks.move_up"),
    ]

    def __init__(
        self, title: str, choices: Sequence[Choice], glyphs: Glyphs, *, text: str = "", hint: str = "", ordered: bool = False
    ) -> None:
        super().__init__(title, choices, glyphs, text=text, hint=hint)
        self._ordered = ordered
        """Whether the lines can be moved."""

    def _sign(self, choice: Choice) -> tuple[str, str]:
        return (
            f"{self._glyphs.check if choice.checked else self._glyphs.unchecked} ",
            "$success" if choice.checked else "dim",
        )

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self._tick(event.option_index)

    def action_tick(self) -> None:
        choices = self.query_one(ChoiceList)
        if choices.highlighted is not None:
            self._tick(choices.highlighted)
            choices.action_cursor_down()

    def action_tick_all(self) -> None:
        ticked = not all(choice.checked for choice in self._choices if not choice.reason)
        for index, choice in enumerate(self._choices):
            if choice.checked != ticked:
                self._tick(index)

    def action_move(self, distance: int) -> None:
        choices = self.query_one(ChoiceList)
        index = choices.highlighted
        if not self._ordered or index is None or not 0 <= index + distance < len(self._choices):
            return
        moved = self._choices.pop(index)
        self._choices.insert(index + distance, moved)
        choices.clear_options()
        choices.add_options([Option(self._line(choice), id=choice.id) for choice in self._choices])
        choices.highlighted = index + distance

    def _tick(self, index: int) -> None:
        choice = self._choices[index]
        if choice.reason:
            self.notify(choice.reason, severity="warning")
            return
        self._choices[index] = replace(choice, checked=not choice.checked)
        self.query_one(ChoiceList).replace_option_prompt_at_index(index, self._line(self._choices[index]))

    def action_apply(self) -> None:
        self.dismiss(tuple(choice.id for choice in self._choices if choice.checked))
