"""A whole form: the name, a line for a URL, and the fields of an adapter under their headings. Works by keyboard alone.

It checks as one types. A field's fault is shown once the field was touched, or after `show_all_faults`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from syncterm.editing.setup_form import FieldKind, Form, FormField, FormValues
from syncterm.editing.setup_form.pasting import UrlError, fill_from_url, looks_like_url
from syncterm.editing.setup_form.references import about_reference, is_reference
from syncterm.editing.setup_form.values import Faults
from syncterm.text import Glyphs, clean
from syncterm.widgets.form.choosers import Chooser
from syncterm.widgets.form.exact_input import LONGEST, ExactInput, SecretInput, UrlInput
from syncterm.widgets.form.field_row import FieldRow, editor_of, entered

NAME_HELP = "What this is called here. Empty: the name that is suggested."
URL_HELP = "Paste a URL and the fields below are filled from it, the password included. It is shown nowhere and kept nowhere."


class Heading(Static):
    """The title of a group of fields, on a line of its own."""

    DEFAULT_CSS = """
    Heading {
        height: 1;
        margin-top: 1;
        padding-left: 2;
        color: $primary;
        text-style: bold;
        text-wrap: nowrap;
    }
    """


class FormView(VerticalScroll):
    """Shows and edits `values`, and a name."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "go(-1)", "Previous field", show=False, id="form.up"),
        Binding("down", "go(1)", "Next field", show=False, id="form.down"),
    ]

    DEFAULT_CSS = """
    FormView {
        scrollbar-size-vertical: 1;
        background: $surface;
    }
    """
    can_focus = False

    class Edited(Message):
        """A value or the name was changed."""

    class HelpChanged(Message):
        """Another field has the focus, or there is something else to say about it."""

        def __init__(self, text: str, keys: str) -> None:
            super().__init__()
            self.text = text
            self.keys = keys
            """What keys do in that field."""

    class UrlPasted(Message):
        """A URL was read, or refused."""

        def __init__(self, text: str, *, refused: bool) -> None:
            super().__init__()
            self.text = text
            """What to say about it; names parameters at most, never values."""
            self.refused = refused

    def __init__(
        self,
        form: Form,
        values: FormValues,
        glyphs: Glyphs,
        *,
        name: str,
        suggest_name: Callable[[], str],
        name_fault: Callable[[str], str],
        is_new: bool,
    ) -> None:
        """Prepare the form.

        Args:
            name: What it is called now; empty for a new one.
            suggest_name: A name for what is entered.
            name_fault: What is wrong with a name; empty where nothing is.
            is_new: Whether nothing is stored yet: then a URL may be pasted into any field.
        """
        super().__init__()
        self.form = form
        self.values = values
        self._glyphs = glyphs
        ascii_only = glyphs.arrow.isascii()
        self._begin_name = name
        self._suggest_name = suggest_name
        self._name_fault = name_fault
        self._is_new = is_new
        self.name_row = FieldRow("Name", ExactInput(name, on_paste_text=self._take_paste, ascii=ascii_only), glyphs)
        self.url_row: FieldRow | None = None
        if form.url_example:
            url = UrlInput(placeholder=f"paste {form.url_example}", on_paste_text=self._take_paste, ascii=ascii_only)
            self.url_row = FieldRow("Connection URL", url, glyphs)
        self.rows = {
            each.id: FieldRow(each.title, editor_of(each, values, glyphs, self._take_paste), glyphs, field=each)
            for each in form.fields
        }
        self._headings = {group: Heading(Content(clean(group, limit=100))) for group in form.groups if group}
        self.faults = Faults()
        self._all_faults = False
        self._name_touched = False
        self._quiet: FieldRow | None = None
        """The row whose help is not told when it gets the focus."""

    def compose(self) -> ComposeResult:
        yield self.name_row
        if self.url_row is not None:
            yield self.url_row
        for group in self.form.groups:
            if group:
                yield self._headings[group]
            yield from (self.rows[each.id] for each in self.form.fields if each.group == group)

    def on_mount(self) -> None:
        self.refresh_fields()
        self.focus_row(self.name_row)

    # --- What is entered

    @property
    def entered_name(self) -> str:
        """The name, the suggested one where none is entered."""
        editor = self.name_row.editor
        assert isinstance(editor, ExactInput)
        return editor.value or self._suggest_name()

    @property
    def changed(self) -> bool:
        return self.values.changed or entered(self.name_row.editor) != self._begin_name

    def refresh_fields(self) -> None:
        """Show what applies with the present values, and what is wrong with them."""
        self.faults = self.values.faults()
        for each in self.form.fields:
            row = self.rows[each.id]
            visible = self.values.is_visible(each)
            row.display = visible
            row.show_label(changed=not self._is_new and self.values.is_changed(each.id))
            shown = visible and (self._all_faults or each.id in self.values.touched)
            row.show_fault(self.faults.fields.get(each.id, "") if shown else "")
        for group, heading in self._headings.items():
            heading.display = any(self.rows[each.id].display for each in self.form.fields if each.group == group)
        editor = self.name_row.editor
        assert isinstance(editor, ExactInput)
        editor.hint(self._suggest_name())
        self.name_row.show_label(changed=not self._is_new and editor.value != self._begin_name)
        fault = self._name_fault(self.entered_name) if self._all_faults or self._name_touched or editor.value else ""
        self.name_row.show_fault(fault)

    def show_all_faults(self) -> tuple[str, ...]:
        """Show every fault, and go to the first; the titles of the faulty fields."""
        self._all_faults = True
        self.refresh_fields()
        faulty = [row for row in self._rows() if row.fault]
        if faulty:
            self.focus_row(faulty[0], quietly=True)
        return tuple(row.title for row in faulty)

    def load_values(self, ids: Iterable[str]) -> None:
        """Show the present values of fields that something else than their editor has filled."""
        for id_ in ids:
            self._show_value(self.rows[id_].editor, self.values.get(id_))
        self.refresh_fields()
        self.post_message(self.Edited())

    def _show_value(self, editor: Widget, value: object) -> None:
        if isinstance(editor, ExactInput):
            editor.value = str(value)
            editor.cursor_position = len(editor.value)
        elif isinstance(editor, Chooser):
            editor.value = value
            editor.draw()

    def enter(self, row: FieldRow, value: object) -> None:
        """Enter a value into a field, as if it was typed or chosen."""
        self._show_value(row.editor, value)
        if row.field is not None:
            self.values.set(row.field.id, value)
        self.refresh_fields()
        self.post_message(self.Edited())

    # --- Editing

    def _row_of(self, editor: Widget) -> FieldRow | None:
        return next((row for row in self._all_rows() if row.editor is editor), None)

    def _all_rows(self) -> tuple[FieldRow, ...]:
        return (self.name_row, *((self.url_row,) if self.url_row is not None else ()), *self.rows.values())

    def _rows(self) -> tuple[FieldRow, ...]:
        """The rows that are shown, from the top."""
        return tuple(row for row in self._all_rows() if row.display)

    @on(ExactInput.Edited)
    def _typed(self, event: ExactInput.Edited) -> None:
        event.stop()
        row = self._row_of(event.line)
        if row is None or row is self.url_row:
            return
        if row is self.name_row:
            self._name_touched = True
        elif row.field is not None:
            if self.values.get(row.field.id) == event.line.value:
                self._tell_help(row)
                return
            self.values.set(row.field.id, event.line.value)
        self.refresh_fields()
        self._tell_help(row)
        self.post_message(self.Edited())

    @on(ExactInput.Entered)
    def _next(self, event: ExactInput.Entered) -> None:
        event.stop()
        if not self._leave_with_url(event.line):
            self.action_go(1)

    @on(ExactInput.Refused)
    def _too_long(self, event: ExactInput.Refused) -> None:
        event.stop()
        self.notify(f"What was pasted has more than {LONGEST:,} characters.", severity="warning")

    @on(Chooser.Chosen)
    def _chosen(self, event: Chooser.Chosen) -> None:
        if isinstance(event, Chooser.Opened):
            return  # the screen's: it shows the choices
        event.stop()
        row = self._row_of(event.chooser)
        if row is not None and row.field is not None:
            self.values.set(row.field.id, event.chooser.value)
            self.refresh_fields()
            self.post_message(self.Edited())

    # --- Pasting a URL

    @property
    def _is_empty(self) -> bool:
        return self._is_new and not self.changed

    def _take_paste(self, line: ExactInput, text: str) -> bool:
        """Whether a pasted text was a URL that filled the form, or was refused."""
        url_line = self.url_row is not None and line is self.url_row.editor
        anywhere = self._is_empty and bool(self.form.url_schemes) and not isinstance(line, SecretInput)
        if url_line or (anywhere and looks_like_url(text)):
            self.fill_from_url(text)
            return True
        return False

    def _leave_with_url(self, line: ExactInput) -> bool:
        """Whether a URL that was typed, not pasted, filled the form."""
        row = self._row_of(line)
        if row is None or not line.value.strip():
            return False
        if row is self.url_row:
            text, line.value = line.value, ""
            return self.fill_from_url(text)
        return False

    def fill_from_url(self, text: str) -> bool:
        """Fill the fields from a URL; says why where that is not possible."""
        if self.url_row is not None:
            editor = self.url_row.editor
            assert isinstance(editor, ExactInput)
            editor.value = ""
        before = {each.id: self.values.get(each.id) for each in self.form.fields}
        try:
            unused = fill_from_url(self.values, text)
        except UrlError as error:
            self.post_message(self.UrlPasted(str(error), refused=True))
            return False
        filled = [id_ for id_, value in before.items() if self.values.get(id_) != value]
        self.load_values(filled)
        titles = ", ".join(self.rows[id_].title for id_ in filled)
        left_out = f" Not used: {', '.join(unused)}." if unused else ""
        self.post_message(
            self.UrlPasted(f"Filled {titles}.{left_out}" if filled else f"Nothing new in it.{left_out}", refused=False)
        )
        lacking = next((self.rows[each.id] for each in self.values.visible() if each.id in self.faults.fields), None)
        self.focus_row(lacking or self.name_row, quietly=True)
        return True

    # --- Moving

    def focus_row(self, row: FieldRow, *, quietly: bool = False) -> None:
        """Go to a field; quietly: without telling its help, because something else is said."""
        self._quiet = row if quietly and not row.editor.has_focus else None
        self.screen.set_focus(row.editor, scroll_visible=False)  # at once: the next key may have been pressed already
        row.scroll_visible(animate=False)

    def focus_field(self, field: FormField) -> None:
        """Go to the field of a form, where something is said about it."""
        self.focus_row(self.rows[field.id], quietly=True)

    def on_resize(self) -> None:
        """Keep the field that has the focus in sight."""
        row = next((row for row in self._rows() if row.editor.has_focus), None)
        if row is not None:
            self.call_after_refresh(row.scroll_visible, animate=False)

    def action_go(self, step: int) -> None:
        rows = self._rows()
        index = next((index for index, row in enumerate(rows) if row.editor.has_focus), None)
        if index is None or not 0 <= index + step < len(rows):
            (self.screen.focus_next if step > 0 else self.screen.focus_previous)()
        else:
            self.focus_row(rows[index + step])

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        row = self._row_of(event.widget)
        quiet, self._quiet = self._quiet, None
        if row is not None and row is not quiet:
            self._tell_help(row)

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        if self.url_row is not None and event.widget is self.url_row.editor and isinstance(event.widget, ExactInput):
            self._leave_with_url(event.widget)

    # --- Help

    def _tell_help(self, row: FieldRow) -> None:
        if not row.editor.has_focus:
            return
        if row is self.name_row:
            text, keys = NAME_HELP, ""
        elif row is self.url_row:
            text, keys = URL_HELP, "enter reads it"
        else:
            assert row.field is not None
            text, keys = self._help_of(row.field, row.editor)
        editor = row.editor
        if isinstance(editor, ExactInput) and not (isinstance(editor, SecretInput) and editor.masked) and row is not self.url_row:
            unseen = clean(editor.value, limit=2000)
            if unseen != editor.value[:2000]:
                text = f"It holds characters that cannot be seen: {unseen[:200]}"
        self.post_message(self.HelpChanged(text, keys))

    def _help_of(self, field: FormField, editor: Widget) -> tuple[str, str]:
        text, keys = field.help, ""
        if isinstance(editor, SecretInput):
            keys = "ctrl+t hides it" if editor.revealed else "ctrl+t shows what you type"
            if is_reference(editor.value):
                return about_reference(editor.value), ""
            text = f"{text} Or a reference: ${{env:NAME}}, ${{file:/path}}, ${{keyring:service/name}}.".strip()
        elif field.path_kind is not None:
            keys = "ctrl+o browses"
        elif field.kind is FieldKind.SWITCH:
            keys = "space changes it"
        elif isinstance(editor, Chooser):
            keys = "enter shows the choices"
        elif field.kind is FieldKind.LIST:
            keys = "commas between"
        elif field.kind is FieldKind.MAPPING:
            keys = "key=value, commas between"
        elif field.kind is FieldKind.RECORDS:
            keys = "key=value, key=value; the next one"
        elif field.kind is FieldKind.DOCUMENT:
            keys = "JSON"
        if field.bounds:
            text = f"{text} {field.bounds[0].upper()}{field.bounds[1:]}.".strip()
        return text, keys
