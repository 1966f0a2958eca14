"""The filter line: `/` opens it, what is typed applies at once, enter keeps it, escape clears it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

from syncterm.text import clean
from syncterm.widgets.clean_input import CleanInput
from syncterm.widgets.filter_terms import Filter, Term

__all__ = ["Filter", "FilterBar", "Term"]

DEBOUNCE = 0.12
"""Seconds of rest after a keystroke before the filter applies."""

LONGEST = 500
"""Characters taken; a pasted novel is not a filter."""


class FilterInput(CleanInput):
    """The line one types into."""

    BINDING_GROUP_TITLE = "Filter"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "clear_filter", "Clear", id="filter.clear"),
        Binding("enter,down", "keep_filter", "Keep", id="filter.keep"),
    ]

    def action_clear_filter(self) -> None:
        self.query_ancestor(FilterBar).close()

    def action_keep_filter(self) -> None:
        self.query_ancestor(FilterBar).keep()


class FilterBar(Widget):
    """One line, hidden until it is opened or holds a filter.

    ``FilterBar(fields, placeholder=…)``; `open()`, `keep()` (leave the line, keep the filter), `close()` (clear and hide), `value`,
    `filter`. Message: `FilterChanged(bar, text, filter)`, 120 ms after the last keystroke, at once on enter and escape.
    """

    DEFAULT_CSS = """
    FilterBar {
        height: 1;
        display: none;
        layout: horizontal;
        background: $panel;

        &.-shown { display: block; }
        #filter-sign { width: 2; color: $text-accent; text-style: bold; }
        FilterInput { width: 1fr; }
    }
    """

    @dataclass
    class FilterChanged(Message):
        """Another filter applies."""

        bar: FilterBar
        text: str
        filter: Filter

        @property
        def control(self) -> FilterBar:
            return self.bar

    def __init__(
        self,
        fields: Collection[str] = (),
        *,
        placeholder: str = "text  !text  field:value",
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.fields = tuple(fields)
        """Names that may stand before a colon."""
        self._placeholder = clean(placeholder)
        self._timer: Timer | None = None
        self._applied = ""
        self._return_to: Widget | None = None
        self._holds_focus = False
        """The line has the focus, or will have: Textual gives it later than it is asked for."""

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(Content("/"), id="filter-sign")
            yield FilterInput(compact=True, placeholder=self._placeholder, select_on_focus=False, max_length=LONGEST)

    @property
    def value(self) -> str:
        """The text that applies now."""
        return self._applied

    @property
    def filter(self) -> Filter:
        """The conditions that apply now."""
        return Filter.parse(self._applied, self.fields)

    @property
    def _input(self) -> FilterInput:
        return self.query_one(FilterInput)

    def open(self, text: str | None = None) -> None:
        """Show the line and put the cursor into it, optionally with a text."""
        focused = self.screen.focused
        if focused is not self._input:
            self._return_to = focused
        self.add_class("-shown")
        if text is not None:
            self._input.value = text
        self._input.focus()
        self._holds_focus = True

    def keep(self) -> None:
        """Apply what is typed now, and give the focus back."""
        self._apply()
        self.set_class(bool(self._applied), "-shown")
        self._give_back_focus()

    def close(self) -> None:
        """Clear the filter, hide the line, give the focus back."""
        self._input.value = ""
        self._apply()
        self.remove_class("-shown")
        self._give_back_focus()

    def _give_back_focus(self) -> None:
        if self._holds_focus:
            self._holds_focus = False
            if self._return_to is not None and self._return_to.is_attached:
                self._return_to.focus()
            else:
                self.call_later(self.screen.focus_next)

    def on_descendant_focus(self) -> None:
        self._holds_focus = True

    def on_descendant_blur(self) -> None:
        self._holds_focus = False

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(DEBOUNCE, self._apply)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()

    def _apply(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        text = self._input.value.strip()
        if text != self._applied:
            self._applied = text
            self.post_message(self.FilterChanged(self, text, self.filter))
