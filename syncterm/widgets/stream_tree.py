"""The schema of a connector as a tree: streams, and under an open one its columns with their types.

Only the rows in the window are drawn, so 5,000 streams cost what 20 do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from textual.binding import Binding, BindingType

from syncterm.engine.model import SyncMode
from syncterm.text import Glyphs, clean, count, fit, width
from syncterm.widgets.lines import Line
from syncterm.widgets.row_view import RowView

OPEN_AT_FIRST = 2
"""Up to this many streams are shown with their columns from the start."""
TEXT_LIMIT = 500
"""Characters of an outside string that are looked at for one cell."""

MODE_NAMES = {
    SyncMode.REPLACE: "Full, replace",
    SyncMode.APPEND: "Full, append",
    SyncMode.INCREMENTAL_APPEND: "Incremental append",
    SyncMode.INCREMENTAL_UPSERT: "Incremental upsert",
}


@dataclass(frozen=True, slots=True)
class ColumnEntry:
    """One column of a stream."""

    name: str
    type: str
    """The logical type it arrives in, after a cast."""
    native: str
    """The source's own name of its type."""
    selected: bool = True
    nullable: bool = True
    cast_from: str = ""
    """The discovered logical type where a person's cast replaces it."""


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One stream, and what a person set for it."""

    name: str
    selected: bool
    sync_mode: SyncMode
    primary_key: tuple[str, ...] = ()
    cursor_field: str | None = None
    cursor_value: str | None = None
    """Where the next sync resumes: the source's own text."""
    target: str = ""
    """Name in the destination."""
    row_filter: str = ""
    note: str = ""
    """Whatever else is worth saying: an unapproved schema change, a re-sync asked for."""
    columns: tuple[ColumnEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class _Widths:
    name: int
    type: int
    third: int
    last: int


class StreamTree(RowView):
    """Streams and their columns; read-only."""

    BINDING_GROUP_TITLE = "Schema"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "choose", "Open or close", show=False, id="schema.toggle"),
        Binding("right", "open", "Open", show=False, id="schema.open"),
        Binding("left", "close", "Close", show=False, id="schema.close"),
        Binding("asterisk", "toggle_all", "Open or close all", show=False, id="schema.toggle_all"),
        Binding("n", "search_next(1)", "Next match", show=False, id="schema.next"),
        Binding("N", "search_next(-1)", "Previous match", show=False, id="schema.previous"),
    ]

    def __init__(self, symbols: Glyphs, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._glyphs = symbols
        self._streams: tuple[StreamEntry, ...] | None = None
        self._open: set[str] = set()
        self._starts: list[int] = []
        """First row of each stream."""
        self._rows = 0
        self._needle = ""

    # --- Content

    @property
    def streams(self) -> tuple[StreamEntry, ...]:
        return self._streams or ()

    def show_streams(self, streams: Sequence[StreamEntry]) -> None:
        """Show these streams; what was open stays open, and the cursor stays on its stream and column."""
        first = self._streams is None
        place = None if first else self.place()
        if self._streams == tuple(streams):
            return
        self._streams = tuple(streams)
        if first and len(self._streams) <= OPEN_AT_FIRST:
            self._open.update(stream.name for stream in self._streams)
        self._lay_out()
        if place is not None:
            self.cursor = self._row_of(*place)
        self.rows_changed()

    def place(self) -> tuple[str, str | None] | None:
        """The stream under the cursor, and the column where the cursor is on one."""
        if not self._rows:
            return None
        stream, column = self._at(self.cursor)
        return stream.name, None if column is None else column.name

    def stream_at_cursor(self) -> tuple[StreamEntry, ColumnEntry | None] | None:
        """What the cursor is on."""
        return self._at(self.cursor) if self._rows else None

    def _lay_out(self) -> None:
        heights = [1 + (len(stream.columns) if stream.name in self._open else 0) for stream in self.streams]
        *self._starts, self._rows = accumulate(heights, initial=0)

    def _at(self, row: int) -> tuple[StreamEntry, ColumnEntry | None]:
        index = bisect_right(self._starts, row) - 1
        stream = self.streams[index]
        column = row - self._starts[index] - 1
        return stream, None if column < 0 else stream.columns[column]

    def _row_of(self, name: str, column: str | None) -> int:
        for index, stream in enumerate(self.streams):
            if stream.name == name:
                within = (
                    next((1 + number for number, entry in enumerate(stream.columns) if entry.name == column), 0)
                    if column is not None and name in self._open
                    else 0
                )
                return self._starts[index] + within
        return min(self.cursor, max(0, self._rows - 1))

    # --- Opening

    def action_choose(self) -> None:
        if self._rows:
            stream, column = self._at(self.cursor)
            if column is None:
                self._set_open(stream, stream.name not in self._open)

    def action_open(self) -> None:
        if self._rows:
            stream, column = self._at(self.cursor)
            if column is None and stream.name in self._open:
                self.action_move(1)
            elif column is None:
                self._set_open(stream, True)

    def action_close(self) -> None:
        if self._rows:
            self._set_open(self._at(self.cursor)[0], False)

    def action_toggle_all(self) -> None:
        place = self.place()
        if place is None:
            return
        self._open = set() if self._open else {stream.name for stream in self.streams}
        self._lay_out()
        self.cursor = self._row_of(*place)
        self.rows_changed(everything=True)

    def _set_open(self, stream: StreamEntry, opened: bool) -> None:
        if opened == (stream.name in self._open):
            return
        self._open ^= {stream.name}
        self._lay_out()
        self.cursor = self._row_of(stream.name, None)
        self.rows_changed(everything=True)

    # --- Searching

    def search(self, text: str) -> bool:
        """Mark rows whose name or type contains the text and go to the first one from the cursor on; False where there is none."""
        self._needle = text.casefold()
        self.rows_changed(everything=True)
        return not self._needle or self._go_to_match(1, here=True)

    def action_search_next(self, step: int) -> None:
        if not self._needle:
            self.notify("Press / and type what to look for.", title="Nothing to search for")
        elif not self._go_to_match(step):
            self.notify("No stream and no column matches.", severity="warning")

    def _matches(self, stream: StreamEntry, column: ColumnEntry | None) -> bool:
        if column is None:
            return self._needle in stream.name.casefold()
        return any(self._needle in text.casefold() for text in (column.name, column.type, column.native))

    def _go_to_match(self, step: int, *, here: bool = False) -> bool:
        """The next match in that direction, in closed streams too (which then open), round the end to the other."""
        if not self._rows:
            return False
        row = bisect_right(self._starts, self.cursor) - 1
        for index, number in self._places(row, self.cursor - self._starts[row] - 1, step, here):
            stream = self.streams[index]
            if self._matches(stream, None if number < 0 else stream.columns[number]):
                if number >= 0:
                    self._set_open(stream, True)
                self.cursor = self._starts[index] + 1 + number
                return True
        return False

    def _places(self, index: int, number: int, step: int, here: bool) -> Iterator[tuple[int, int]]:
        """Every (stream, column or -1) once, from this one on."""
        total = len(self.streams)
        for turn in range(total + 1):
            at = (index + step * turn) % total
            last = len(self.streams[at].columns) - 1
            for place in range(-1, last + 1) if step > 0 else range(last, -2, -1):
                beyond = (place - number) * step
                if (0 < turn < total) or (turn == 0 and (beyond > 0 or (here and beyond == 0))) or (turn == total and beyond <= 0):
                    yield at, place

    # --- Drawing

    def row_count(self) -> int:
        return self._rows

    def empty_lines(self, cells: int) -> tuple[Line, ...]:
        if self._streams is None:
            return ()
        return (
            ((" No stream has been selected.", "bold"),),
            ((" The source's catalog is read at the first connection test or sync: press ", "dim"), ("c", "bold $primary")),
        )

    def heading(self, cells: int) -> Line:
        widths = self._widths(cells)
        titles = (("    Stream / column", widths.name), ("Type", widths.type), ("Sync mode / native", widths.third))
        return (*((fit(title, space) + " ", "") for title, space in titles), (fit("Key and cursor", widths.last), ""))

    def row_line(self, index: int, cells: int) -> Line:
        stream, column = self._at(index)
        widths = self._widths(cells)
        return self._stream_line(stream, widths) if column is None else self._column_line(stream, column, widths)

    @staticmethod
    def _widths(cells: int) -> _Widths:
        room = max(48, cells - 3)
        kind, third = (15, 19) if room < 100 else (18, 28)
        name = (room - kind - third) * 5 // 9
        return _Widths(name, kind, third, room - kind - third - name)

    def _cell(self, text: str, cells: int, style: str = "") -> tuple[str, str]:
        return fit(clean(text, limit=TEXT_LIMIT), cells, ellipsis=self._glyphs.ellipsis), style

    def _searched(self, text: str, cells: int, style: str, found: bool) -> Line:
        """A name, with what was searched for reversed."""
        shown = self._cell(text, cells)[0]
        at = shown.casefold().find(self._needle) if found and self._needle else -1
        if at < 0 or len(shown.casefold()) != len(shown):
            return ((shown, style),)
        end = at + len(self._needle)
        return ((shown[:at], style), (shown[at:end], f"{style} reverse".strip()), (shown[end:], style))

    def _stream_line(self, stream: StreamEntry, widths: _Widths) -> Line:
        symbols = self._glyphs
        opened = symbols.sort_down if stream.name in self._open else symbols.running
        tick = (symbols.check, "$text-success") if stream.selected else (symbols.unchecked, "dim")
        chosen = sum(column.selected for column in stream.columns)
        total = len(stream.columns)
        columns = f"{count(total)} columns" if chosen == total else f"{chosen} of {count(total)}"
        style = "bold" if stream.selected else "dim"
        mode = MODE_NAMES[stream.sync_mode] if stream.selected else "not selected"
        return (
            (f"{opened} ", "$primary"),
            tick,
            (" ", ""),
            *self._searched(stream.name, widths.name - 4, style, True),
            (" ", ""),
            self._cell(columns if total else "not discovered", widths.type, "dim"),
            (" ", ""),
            self._cell(
                mode,
                widths.third,
                "" if stream.selected else "dim",
            ),
            (" ", ""),
            self._cell(stream.note or self._key_and_cursor(stream), widths.last, "$text-warning" if stream.note else "dim"),
        )

    def _key_and_cursor(self, stream: StreamEntry) -> str:
        if not stream.selected:
            return ""
        parts = []
        if stream.cursor_value is not None:
            parts.append(f"at {stream.cursor_value}")
        elif stream.cursor_field:
            parts.append("from the beginning")
        if not parts and stream.primary_key:
            parts.append(f"key {', '.join(stream.primary_key)}")
        return "; ".join(parts)

    def _column_line(self, stream: StreamEntry, column: ColumnEntry, widths: _Widths) -> Line:
        symbols = self._glyphs
        used = column.selected and stream.selected
        roles = []
        if column.name in stream.primary_key:
            roles.append("primary key")
        if column.name == stream.cursor_field:
            roles.append("cursor")
        if column.cast_from:
            roles.append(f"cast from {column.cast_from}")
        if not column.selected:
            roles.append("not selected")
        elif not column.nullable and not roles:
            roles.append("required")
        tick = (symbols.check, "$text-success") if used else (symbols.unchecked, "dim")
        muted = "" if used else "dim"
        return (
            ("    ", ""),
            tick,
            (" ", ""),
            *self._searched(column.name, widths.name - 6, muted, True),
            (" ", ""),
            self._cell(column.type, widths.type, "$text-accent" if used else "dim"),
            (" ", ""),
            self._cell(column.native, widths.third, "dim"),
            (" ", ""),
            self._cell(", ".join(roles), widths.last, "" if used and roles else "dim"),
        )


def describe_place(stream: StreamEntry, column: ColumnEntry | None, cells: int, symbols: Glyphs) -> Line:
    """One line with everything about the row under the cursor, for the foot of the tree."""
    separator = f" {symbols.separator} "
    if column is not None:
        parts = [clean(column.name, limit=TEXT_LIMIT), clean(column.type)]
        if column.cast_from:
            parts.append(f"cast from {clean(column.cast_from)}")
        if column.native:
            parts.append(f"native {clean(column.native, limit=TEXT_LIMIT)}")
        parts.append("may be empty" if column.nullable else "never empty")
    else:
        name = clean(stream.name, limit=TEXT_LIMIT)
        target = clean(stream.target, limit=TEXT_LIMIT)
        parts = [name if target in ("", name) else f"{name} {symbols.arrow} {target}"]
        if stream.primary_key:
            parts.append(f"key {clean(', '.join(stream.primary_key), limit=TEXT_LIMIT)}")
        if stream.cursor_field:
            at = "none yet" if stream.cursor_value is None else clean(stream.cursor_value, limit=TEXT_LIMIT)
            parts.append(f"cursor {clean(stream.cursor_field, limit=TEXT_LIMIT)} at {at}")
        if stream.row_filter:
            parts.append(f"filter {clean(stream.row_filter, limit=TEXT_LIMIT)}")
        if stream.note:
            parts.append(clean(stream.note, limit=TEXT_LIMIT))
    text = " " + separator.join(parts)
    return ((fit(text, max(cells, width(symbols.ellipsis)), ellipsis=symbols.ellipsis), "dim"),)
