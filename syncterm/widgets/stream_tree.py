"""The schema of a connector as a tree: streams, and under an open one its columns with their types.

Only the rows in the window are drawn, and the columns of a stream are asked for when it is opened: 5,000 streams, or a table of
10,000 columns, cost what 20 do. What is chosen is a `StreamEditing`'s; the tree shows it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator
from itertools import accumulate
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from syncterm.editing.stream_editing import StreamEditing
from syncterm.engine.schema import Field
from syncterm.text import Glyphs
from syncterm.widgets.lines import Line
from syncterm.widgets.row_view import RowView
from syncterm.widgets.stream_lines import MODE_NAMES, StreamFacts, StreamLines

__all__ = ["MODE_NAMES", "StreamTree"]

OPEN_AT_FIRST = 2
"""Up to this many streams are shown with their columns from the start."""
_STREAM = -1
"""In the place of a column's number: the stream's own row."""


class StreamTree(RowView):
    """Streams and their columns."""

    BINDING_GROUP_TITLE = "Streams and columns"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "open", "Open", show=False, id="schema.open"),
        Binding("left", "close", "Close", show=False, id="schema.close"),
        Binding("n", "search_next(1)", "Next match", show=False, id="schema.next"),
        Binding("N", "search_next(-1)", "Previous match", show=False, id="schema.previous"),
    ]

    class ColumnsWanted(Message):
        """A stream was opened whose columns are not known: answer with `columns_arrived`."""

        def __init__(self, stream: str) -> None:
            super().__init__()
            self.stream = stream

    def __init__(self, symbols: Glyphs, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._lines = StreamLines(symbols)
        self._glyphs = symbols
        self._editing: StreamEditing | None = None
        self._facts = StreamFacts()
        self._names: tuple[str, ...] = ()
        self._open: set[str] = set()
        self._failed: dict[str, str] = {}
        """Streams whose columns could not be read → why."""
        self._starts: list[int] = []
        """First row of each stream."""
        self._rows = 0
        self._needle = ""
        self._hits: Collection[str] | None = None
        """Streams that have a column that matches; None as long as nobody has looked."""
        self._landing: str | None = None
        """A stream whose first matching column the cursor goes to when its columns arrive."""

    # --- Content

    @property
    def editing(self) -> StreamEditing | None:
        return self._editing

    @property
    def opened(self) -> Collection[str]:
        """The streams whose columns are in view."""
        return self._open.intersection(self._names)

    @property
    def needle(self) -> str:
        """What is searched for, case folded; empty for nothing."""
        return self._needle

    def show(self, editing: StreamEditing, facts: StreamFacts) -> None:
        """Show these streams; what was open stays open, and the cursor stays on its stream and column."""
        first = self._editing is None
        place = None if first else self.place()
        self._editing, self._facts = editing, facts
        self._names = tuple(entry.name for entry in editing.entries)
        if first and len(self._names) <= OPEN_AT_FIRST:
            self._open.update(self._names)
        for name in self._open:
            self._want(name)
        before = self.cursor
        self._lay_out(place)
        self.rows_changed(everything=first)
        if self.cursor != before:
            self.call_after_refresh(self._show_cursor)  # the window has its new height then

    def columns_arrived(self, name: str, failure: str = "") -> None:
        """The columns of a stream were learned, or why they could not be."""
        self._failed.pop(name, None)
        if failure:
            self._failed[name] = failure
        self._lay_out(self.place())
        if self._landing == name:
            self._landing = None
            place = self.place()
            if place is not None and place[0] == name:
                number = next((number for number, column in enumerate(self._columns(name)) if self._column_matches(column)), None)
                if number is not None:
                    self.cursor = self._starts[self._names.index(name)] + 1 + number
        self.rows_changed(everything=True)
        self.post_message(self.Highlighted(self, self.cursor))

    def edited(self) -> None:
        """The set-up changed: draw what looks different."""
        self.rows_changed()
        self.post_message(self.Highlighted(self, self.cursor))

    def place(self) -> tuple[str, str | None] | None:
        """The stream under the cursor, and the column where the cursor is on one."""
        if not self._rows:
            return None
        name, number = self._at(self.cursor)
        column = self._column(name, number)
        return name, None if column is None else column.name

    def column_at_cursor(self) -> Field | None:
        """The column under the cursor; None on a stream."""
        return self._column(*self._at(self.cursor)) if self._rows else None

    def foot_line(self, cells: int) -> Line:
        """Everything about the row under the cursor."""
        place = self.place()
        if place is None or self._editing is None:
            return (("", ""),)
        return self._lines.describe(self._editing, place[0], self.column_at_cursor(), self._facts, cells)

    def _columns(self, name: str) -> tuple[Field, ...]:
        schema = self._editing.schema(name) if self._editing is not None else None
        return schema.fields if schema is not None else ()

    def _column(self, name: str, number: int) -> Field | None:
        columns = self._columns(name)
        return columns[number] if 0 <= number < len(columns) else None

    def _lay_out(self, place: tuple[str, str | None] | None) -> None:
        """Count the rows anew, with the cursor where it was."""
        heights = [1 + max(1, len(self._columns(name))) if name in self._open else 1 for name in self._names]
        *self._starts, self._rows = accumulate(heights, initial=0)
        if place is not None:
            self.cursor = self._row_of(*place)

    def _at(self, row: int) -> tuple[str, int]:
        index = bisect_right(self._starts, row) - 1
        return self._names[index], row - self._starts[index] - 1

    def _row_of(self, name: str, column: str | None) -> int:
        try:
            index = self._names.index(name)
        except ValueError:
            return max(0, min(self.cursor, self._rows - 1))
        within = 0
        if column is not None and name in self._open:
            within = next((1 + number for number, each in enumerate(self._columns(name)) if each.name == column), 0)
        return self._starts[index] + within

    # --- Opening

    def action_choose(self) -> None:
        if self._rows:
            name, number = self._at(self.cursor)
            if number == _STREAM:
                self._set_open(name, name not in self._open)

    def action_open(self) -> None:
        if self._rows:
            name, number = self._at(self.cursor)
            if number == _STREAM and name in self._open:
                self.action_move(1)
            elif number == _STREAM:
                self._set_open(name, True)

    def action_close(self) -> None:
        if self._rows:
            self._set_open(self._at(self.cursor)[0], False)

    def _set_open(self, name: str, opened: bool) -> None:
        if opened == (name in self._open):
            return
        self._open ^= {name}
        if opened:
            self._failed.pop(name, None)
            self._want(name)
        self._lay_out((name, None))
        self.rows_changed(everything=True)

    def _want(self, name: str) -> None:
        if self._editing is not None and self._editing.schema(name) is None and name not in self._failed:
            self.post_message(self.ColumnsWanted(name))

    # --- Searching

    def search(self, text: str) -> bool:
        """Mark rows whose name or type contains the text, and go to the first one from the cursor on; False where there is none.

        Columns of streams that are not open are found once `columns_match` said where they are.
        """
        self._needle = text.casefold()
        self._hits = None
        self._landing = None
        self._lines = StreamLines(self._glyphs, self._needle)
        self.rows_changed(everything=True)
        return not self._needle or self._go_to_match(1, here=True)

    def columns_match(self, streams: Collection[str]) -> bool:
        """Take note of the streams that have a matching column; False where nothing at all matches."""
        self._hits = streams
        return not self._rows or self._matches(*self._at(self.cursor)) or self._go_to_match(1, here=True)

    def action_search_next(self, step: int) -> None:
        if not self._needle:
            self.notify("Press / and type what to look for.", title="Nothing to search for")
        elif not self._go_to_match(step):
            self.notify("No stream and no column matches.", severity="warning")

    def _matches(self, name: str, number: int) -> bool:
        if number == _STREAM:
            return self._needle in name.casefold()
        column = self._column(name, number)
        return column is not None and self._column_matches(column)

    def _column_matches(self, column: Field) -> bool:
        return any(self._needle in text.casefold() for text in (column.name, str(column.type), column.native))

    def _go_to_match(self, step: int, *, here: bool = False) -> bool:
        """The next match in that direction, in closed streams too (which then open), round the end to the other."""
        if not self._rows:
            return False
        row = bisect_right(self._starts, self.cursor) - 1
        for index, number in self._places(row, self.cursor - self._starts[row] - 1, step, here):
            name = self._names[index]
            if number == _STREAM and self._needle in name.casefold():
                self.cursor = self._starts[index]
                return True
            if number == _STREAM and self._unread(name):
                self._landing = name
                self._set_open(name, True)
                self.cursor = self._starts[index]
                return True
            if number != _STREAM and self._matches(name, number):
                self._set_open(name, True)
                self.cursor = self._starts[index] + 1 + number
                return True
        return False

    def _unread(self, name: str) -> bool:
        """Whether a stream has a matching column that has yet to be read."""
        return self._hits is not None and name in self._hits and not self._columns(name) and name not in self._failed

    def _places(self, index: int, number: int, step: int, here: bool) -> Iterator[tuple[int, int]]:
        """Every (stream, column or -1) once, from this one on; columns only where they may match."""
        total = len(self._names)
        for turn in range(total + 1):
            at = (index + step * turn) % total
            name = self._names[at]
            searched = name in self._hits if self._hits is not None else name in self._open
            last = len(self._columns(name)) - 1 if searched else _STREAM
            for place in range(_STREAM, last + 1) if step > 0 else range(last, _STREAM - 1, -1):
                beyond = (place - number) * step
                if (0 < turn < total) or (turn == 0 and (beyond > 0 or (here and beyond == 0))) or (turn == total and beyond <= 0):
                    yield at, place

    # --- Drawing

    def row_count(self) -> int:
        return self._rows

    def empty_lines(self, cells: int) -> tuple[Line, ...]:
        if self._editing is None:
            return ()
        return (
            ((" The streams of the source are not known yet.", "bold"),),
            ((" Each sync reads them; now: press ", "dim"), ("R", "bold $primary")),
        )

    def heading(self, cells: int) -> Line:
        return self._lines.heading(cells)

    def row_line(self, index: int, cells: int) -> Line:
        assert self._editing is not None
        name, number = self._at(index)
        if number == _STREAM:
            return self._lines.stream(self._editing, name, self._facts, opened=name in self._open, cells=cells)
        column = self._column(name, number)
        if column is not None:
            return self._lines.column(self._editing, name, column, cells=cells)
        if name in self._failed:
            return self._lines.under(self._failed[name], failed=True, cells=cells)
        read = self._editing.schema(name) is not None
        text = "It has no columns." if read else f"Reading the columns{self._glyphs.ellipsis}"
        return self._lines.under(text, failed=False, cells=cells)
