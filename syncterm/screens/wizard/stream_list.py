"""The streams of a source to choose from: one line each with its mode, key and cursor; thousands cost what twenty do."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from syncterm.stream_editing import StreamEditing
from syncterm.text import Glyphs, clean, count, fit
from syncterm.widgets.lines import Line
from syncterm.widgets.row_view import RowView
from syncterm.widgets.stream_tree import MODE_NAMES

TEXT_LIMIT = 300
"""Characters of an outside string that are looked at for one cell."""


class StreamList(RowView):
    """Streams with a tick each."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "tick", "Select", show=False, id="streams.tick"),
        Binding("asterisk,ctrl+a", "tick_all", "Select all that match", show=False, id="streams.tick_all"),
        Binding("u", "undo", "Undo", show=False, id="streams.undo"),
    ]

    class Edited(Message):
        """Streams were selected or deselected."""

    def __init__(self, symbols: Glyphs, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._glyphs = symbols
        self._editing: StreamEditing | None = None
        self._names: tuple[str, ...] = ()
        self._needle = ""

    def show(self, editing: StreamEditing | None) -> None:
        """Show the streams of that editing; None for none."""
        self._editing = editing
        self._match()

    def search(self, text: str) -> None:
        """Keep the streams whose name contains the text."""
        self._needle = text.strip()
        self._match()

    def _match(self) -> None:
        at = self.name_at_cursor
        self._names = self._editing.matching(self._needle) if self._editing is not None else ()
        self.cursor = self._names.index(at) if at in self._names else 0
        self.rows_changed(everything=True)

    @property
    def names(self) -> tuple[str, ...]:
        """The streams that match."""
        return self._names

    @property
    def name_at_cursor(self) -> str | None:
        return self._names[self.cursor] if self.cursor < len(self._names) else None

    # --- Choosing

    def action_tick(self) -> None:
        name = self.name_at_cursor
        if name is not None and self._editing is not None:
            self._editing.select([name], not self._editing.selected(name))
            self.action_move(1)
            self._edited()

    def action_tick_all(self) -> None:
        editing = self._editing
        if editing is not None and self._names:
            everything = all(editing.selected(name) for name in self._names)
            editing.select(self._names, not everything)
            self._edited()

    def action_undo(self) -> None:
        undone = self._editing.undo() if self._editing is not None else None
        if undone is None:
            self.notify("There is nothing to undo.", severity="warning")
        else:
            self.notify(clean(undone), title="Undone")
            self._edited()

    def _edited(self) -> None:
        self.rows_changed()
        self.post_message(self.Edited())

    # --- Drawing

    def row_count(self) -> int:
        return len(self._names)

    def empty_lines(self, cells: int) -> tuple[Line, ...]:
        if self._editing is None:
            return ()
        if self._needle:
            return (((f"  No stream contains {clean(self._needle)!r}; esc clears the search.", "dim"),),)
        return (
            (("  The source offers no stream.", "bold"),),
            (("  Put data into it, then press R to read it again.", "dim"),),
        )

    def heading(self, cells: int) -> Line:
        name, columns, mode, rest = _widths(cells)
        return (
            (f"{fit('    Stream', name)} {fit('Columns', columns)} {fit('Sync mode', mode)} {fit('Key and cursor', rest)}", ""),
        )

    def row_line(self, index: int, cells: int) -> Line:
        editing = self._editing
        if editing is None:
            return ()
        stream, glyphs = self._names[index], self._glyphs
        name, columns, mode, rest = _widths(cells)
        selected, config = editing.selected(stream), editing.config(stream)
        chosen, total = editing.column_counts(stream)
        trouble = next((problem for problem in editing.problems(stream) if problem.blocking), None)
        tick = (glyphs.check, "bold $text-success") if selected else (glyphs.unchecked, "dim")
        style = "" if selected else "dim"
        parts = []
        if config.primary_key:
            parts.append(f"key {', '.join(config.primary_key)}")
        if config.cursor_field:
            parts.append(f"cursor {config.cursor_field}")
        last = trouble.message if trouble is not None else f" {glyphs.separator} ".join(parts) or "no key, no cursor"

        def cell(text: str, width: int) -> str:
            return fit(clean(text, limit=TEXT_LIMIT), width, ellipsis=glyphs.ellipsis)

        return (
            ("  ", ""),
            tick,
            (" ", ""),
            (cell(stream, name - 4) + " ", "bold" if selected else ""),
            (cell(count(total) if chosen == total else f"{count(chosen)} of {count(total)}", columns) + " ", "dim"),
            (cell(MODE_NAMES[config.sync_mode], mode) + " ", style),
            (cell(last, rest), "$text-error" if trouble is not None else "dim"),
        )


def _widths(cells: int) -> tuple[int, int, int, int]:
    """Name, columns, mode, key and cursor."""
    columns, mode = 8, 18
    rest = max(16, (cells - columns - mode - 3) * 9 // 20)
    return max(12, cells - columns - mode - rest - 3), columns, mode, rest
