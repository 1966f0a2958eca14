"""One field of a form: its label, what one enters it with, and below it what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from syncterm.editing.setup_form import FieldKind, FormField, FormValues
from syncterm.editing.setup_form.references import is_reference
from syncterm.text import Glyphs, clean, clip, fit
from syncterm.widgets.form.choosers import ChoiceBox, Chooser, SeveralBox, SwitchBox
from syncterm.widgets.form.exact_input import ExactInput, ListInput, SecretInput

LABEL_CELLS = 18
"""The label, and the sign before it."""
STORED = "stored – type to replace"

PasteTaker = Callable[[ExactInput, str], bool]


class Tail(Static):
    """A word at the end of a row that can be clicked: show, browse."""

    DEFAULT_CSS = """
    Tail {
        width: auto;
        height: 1;
        padding: 0 1;
        color: $primary;
        &:hover { background: $primary 20%; }
    }
    """

    ALLOW_SELECT = False

    def __init__(self, word: str, action: Callable[[], None]) -> None:
        super().__init__(Content(word))
        self._action = action

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self._action()


class FieldRow(Widget):
    """A labelled line; `show_fault` says what is wrong below it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+o", "browse", "Browse", show=False, id="form.browse"),
    ]

    DEFAULT_CSS = """
    FieldRow {
        height: auto;
        layout: vertical;

        Horizontal { height: 1; }
        .-label { width: 18; height: 1; text-wrap: nowrap; }
        ExactInput, Chooser { width: 1fr; }
        .-fault { display: none; height: auto; padding: 0 1 0 19; color: $text-error; }
        &.-faulty .-fault { display: block; }
    }
    """

    class BrowseWanted(Message):
        """A person wants to pick the path from the file system."""

        def __init__(self, row: FieldRow) -> None:
            super().__init__()
            self.row = row

        @property
        def control(self) -> FieldRow:
            return self.row

    def __init__(self, title: str, editor: Widget, glyphs: Glyphs, *, field: FormField | None = None) -> None:
        super().__init__()
        self.field = field
        """None for the rows that are no part of the configuration: the name, the URL."""
        self.title = title
        self.editor = editor
        self._glyphs = glyphs
        self._label = Static(classes="-label")
        self._fault = Static(classes="-fault")
        self.fault = ""

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield self._label
            yield self.editor
            if isinstance(self.editor, SecretInput):
                yield Tail("show", self.editor.action_reveal)
            elif self.field is not None and self.field.path_kind is not None:
                yield Tail("browse", self.action_browse)
        yield self._fault

    def on_mount(self) -> None:
        self.show_label(changed=False)

    def show_label(self, *, changed: bool) -> None:
        """Draw the label; a sign stands before the ones that were changed and the ones that cannot be left out."""
        required = self.field is not None and self.field.required
        sign, style = ("*", "bold $warning") if changed else (self._glyphs.bullet, "$primary") if required else (" ", "")
        title = clip(clean(self.title, limit=100), LABEL_CELLS - 4, self._glyphs.ellipsis)
        self._label.update(Content.assemble((f"{sign} ", style), (fit(title, LABEL_CELLS - 3), "bold" if changed else "")))

    def show_fault(self, text: str) -> None:
        """Say what is wrong, or nothing."""
        if text != self.fault:
            self.fault = text
            self._fault.update(Content(clean(text, limit=500)))
            self.set_class(bool(text), "-faulty")

    def action_browse(self) -> None:
        if self.field is not None and self.field.path_kind is not None:
            self.post_message(self.BrowseWanted(self))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "browse" or (self.field is not None and self.field.path_kind is not None)


def editor_of(field: FormField, values: FormValues, glyphs: Glyphs, take_paste: PasteTaker) -> Widget:
    """What one enters a field with."""
    value = values.get(field.id)
    ascii_only = glyphs.arrow.isascii()
    match field.kind:
        case FieldKind.SWITCH:
            return SwitchBox(glyphs, value)
        case FieldKind.SEVERAL:
            return SeveralBox(glyphs, value, field.options)
        case FieldKind.CHOICE:
            return ChoiceBox(glyphs, value, field.options, empty="nothing" if field.nullable else "choose")
        case FieldKind.SECRET:
            placeholder = stored_word(ascii_only) if field.id in values.stored else field.placeholder
            return SecretInput(value, is_plain=is_reference, placeholder=placeholder, on_paste_text=take_paste, ascii=ascii_only)
        case FieldKind.LIST:
            return ListInput(value, placeholder=_placeholder(field), on_paste_text=take_paste, ascii=ascii_only)
    return ExactInput(value, placeholder=_placeholder(field), on_paste_text=take_paste, ascii=ascii_only)


def stored_word(ascii_only: bool) -> str:
    """What stands in the field of a stored secret."""
    return STORED.replace("–", "-") if ascii_only else STORED


def _placeholder(field: FormField) -> str:
    if field.placeholder:
        return field.placeholder
    return str(field.default) if isinstance(field.default, str | int | float) and not isinstance(field.default, bool) else ""


def entered(editor: Widget) -> object:
    """The text or the value in an editor."""
    return editor.value if isinstance(editor, ExactInput | Chooser) else None
