"""What a source offers: its streams, thousands of them, and under an open one its columns, which are fetched when it is opened."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from syncterm.text import Glyphs, clean, count, fit
from syncterm.widgets.lines import Line
from syncterm.widgets.row_view import RowView

TEXT_LIMIT = 500
"""Characters of an outside string that are looked at for one cell."""


@dataclass(frozen=True, slots=True)
class CatalogStream:
    """One stream that a source offers."""

    name: str
    column_count: int


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """One column of it."""

    name: str
    type: str
    """The logical type it arrives in."""
    native: str
    """The source's own name of its type."""
    nullable: bool
    in_key: bool


class CatalogTree(RowView):
    """Streams and their columns; read-only."""

    BINDING_GROUP_TITLE = "Streams"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "choose", "Open or close", show=False, id="catalog.toggle"),
        Binding("right", "open", "Open", show=False, id="catalog.open"),
        Binding("left", "close", "Close", show=False, id="catalog.close"),
    ]

    class ColumnsWanted(Message):
        """A stream was opened whose columns are not known yet."""

        def __init__(self, stream: str) -> None:
            super().__init__()
            self.stream = stream

    def __init__(self, symbols: Glyphs, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._glyphs = symbols
        self._every: tuple[CatalogStream, ...] = ()
        self._shown: tuple[CatalogStream, ...] = ()
        """Those that the search leaves."""
        self._columns: dict[str, tuple[CatalogColumn, ...]] = {}
        self._open: set[str] = set()
        self._starts: list[int] = []
        """First row of each stream."""
        self._rows = 0
        self._needle = ""
        self.empty: tuple[Line, ...] = ()
        """What is said where there is no stream."""

    # --- Content

    @property
    def streams(self) -> tuple[CatalogStream, ...]:
        """Those that the search leaves."""
        return self._shown

    @property
    def total(self) -> int:
        return len(self._every)

    def show_streams(self, streams: Sequence[CatalogStream]) -> None:
        """Show these streams; open ones stay open and ask for their columns again, the cursor stays on its stream."""
        self._every = tuple(streams)
        self._columns.clear()
        self._open &= {stream.name for stream in self._every}
        self._narrow()
        for name in self._open:
            self.post_message(self.ColumnsWanted(name))

    def show_columns(self, stream: str, columns: Sequence[CatalogColumn]) -> None:
        """The columns of a stream have arrived."""
        self._columns[stream] = tuple(columns)
        self._lay_out()

    def search(self, text: str) -> None:
        """Keep the streams whose name contains the text, in any case."""
        self._needle = text.casefold()
        self._narrow()

    def place(self) -> tuple[CatalogStream, CatalogColumn | None] | None:
        """What the cursor is on."""
        return self._at(self.cursor) if self._rows else None

    def _narrow(self) -> None:
        place = self.place()
        self._shown = tuple(stream for stream in self._every if self._needle in stream.name.casefold())
        self._lay_out(None if place is None else place[0].name)

    def _lay_out(self, keep: str | None = None) -> None:
        place = self.place() if keep is None and self._rows else None
        keep = place[0].name if place is not None else keep
        within = self.cursor - self._starts[self._index(self.cursor)] if place is not None else 0
        heights = [1 + (len(self._columns.get(stream.name, ())) if stream.name in self._open else 0) for stream in self._shown]
        *self._starts, self._rows = accumulate(heights, initial=0)
        for index, stream in enumerate(self._shown):
            if stream.name == keep:
                self.cursor = self._starts[index] + min(within, heights[index] - 1)
                break
        self.rows_changed(everything=True)

    def _index(self, row: int) -> int:
        return min(bisect_right(self._starts, row) - 1, len(self._shown) - 1)

    def _at(self, row: int) -> tuple[CatalogStream, CatalogColumn | None]:
        index = self._index(row)
        stream = self._shown[index]
        column = row - self._starts[index] - 1
        columns = self._columns.get(stream.name, ())
        return stream, columns[column] if 0 <= column < len(columns) else None

    # --- Opening

    def action_choose(self) -> None:
        if (place := self.place()) is not None:
            self._set_open(place[0].name, place[0].name not in self._open)

    def action_open(self) -> None:
        if (place := self.place()) is not None:
            self._set_open(place[0].name, True)

    def action_close(self) -> None:
        if (place := self.place()) is not None:
            self._set_open(place[0].name, False)

    def _set_open(self, stream: str, opened: bool) -> None:
        if opened == (stream in self._open):
            return
        self._open ^= {stream}
        if opened and stream not in self._columns:
            self.post_message(self.ColumnsWanted(stream))
        if not opened:
            self.cursor = self._starts[self._index(self.cursor)]
        self._lay_out()

    # --- Drawing

    def row_count(self) -> int:
        return self._rows

    def empty_lines(self, cells: int) -> tuple[Line, ...]:
        if self._every:
            return (((" No stream has that in its name; esc clears the search.", "dim"),),)
        return self.empty

    def heading(self, cells: int) -> Line:
        name, kind, _ = self._widths(cells)
        return ((fit("    Stream / column", name), ""), (fit("Type", kind), ""), ("In the source", ""))

    @staticmethod
    def _widths(cells: int) -> tuple[int, int, int]:
        room = max(30, cells - 1)
        name = room * 5 // 10
        kind = room * 2 // 10
        return name, kind, room - name - kind

    def row_line(self, index: int, cells: int) -> Line:
        stream, column = self._at(index)
        name, kind, rest = self._widths(cells)
        if column is None:
            sign = self._glyphs.sort_down if stream.name in self._open else self._glyphs.running
            columns = f"{count(stream.column_count)} column{'' if stream.column_count == 1 else 's'}"
            return ((f" {sign} ", "$primary"), *self._title(stream.name, name - 3), (fit(columns, kind), "dim"))
        roles = ["primary key"] if column.in_key else [] if column.nullable else ["required"]
        native = self._cell(f"{column.native}{f'  {roles[0]}' if roles else ''}", rest)
        return (
            ("     ", ""),
            (self._cell(column.name, name - 5), ""),
            (self._cell(column.type, kind), "$text-accent"),
            (native, "dim"),
        )

    def _cell(self, text: str, cells: int) -> str:
        return fit(clean(text, limit=TEXT_LIMIT), cells - 1, ellipsis=self._glyphs.ellipsis) + " "

    def _title(self, text: str, cells: int) -> Line:
        """A stream's name, with what was searched for reversed."""
        shown = self._cell(text, cells)
        at = shown.casefold().find(self._needle) if self._needle and len(shown.casefold()) == len(shown) else -1
        if at < 0:
            return ((shown, "bold"),)
        end = at + len(self._needle)
        return ((shown[:at], "bold"), (shown[at:end], "bold reverse"), (shown[end:], "bold"))
