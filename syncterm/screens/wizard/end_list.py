"""The list of sources or destinations to choose from, with a search line over it and the way to add one at its foot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from syncterm.engine.model import EndpointKind
from syncterm.engine.queries import EndpointRow
from syncterm.engine.status import SourceStatus
from syncterm.text import Glyphs, clean, count, fit
from syncterm.widgets.lines import Line
from syncterm.widgets.row_view import RowView

NAME_LIMIT = 300
_STYLES = {
    SourceStatus.LIVE: "$text-success",
    SourceStatus.AUTHENTICATED: "$text-success",
    SourceStatus.ERROR: "$text-error",
    SourceStatus.REAUTH_REQUIRED: "$text-error",
    SourceStatus.SETUP: "$text-warning",
}


class EndList(RowView):
    """Sources or destinations, by name; the last row adds one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "choose", "Choose", show=False, id="ends.choose"),
    ]

    def __init__(self, kind: EndpointKind, symbols: Glyphs, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._kind = kind
        self._glyphs = symbols
        self._every: tuple[EndpointRow, ...] | None = None
        self._shown: tuple[EndpointRow, ...] = ()
        self._needle = ""
        self._chosen: str | None = None

    def show(self, rows: Sequence[EndpointRow]) -> None:
        """These are there now; the cursor stays on its row."""
        first = self._every is None
        at = self.row_at_cursor
        self._every = tuple(rows)
        self._filter()
        wanted = self._chosen if first else at.id if at is not None else None
        self.cursor = next((i for i, row in enumerate(self._shown) if row.id == wanted), self.cursor)
        self.rows_changed(everything=True)

    def choose(self, endpoint_id: str | None) -> None:
        """Mark the chosen one, and put the cursor on it."""
        self._chosen = endpoint_id
        self.cursor = next((i for i, row in enumerate(self._shown) if row.id == endpoint_id), self.cursor)
        self.rows_changed(everything=True)

    def search(self, text: str) -> None:
        """Keep those whose name or type contains the text."""
        self._needle = text.strip().casefold()
        self._filter()
        self.cursor = 0
        self.rows_changed(everything=True)

    def _filter(self) -> None:
        self._shown = tuple(
            row
            for row in self._every or ()
            if self._needle in row.name.casefold() or self._needle in row.type_title.casefold() or self._needle in row.type
        )

    @property
    def row_at_cursor(self) -> EndpointRow | None:
        """The row under the cursor; None on the row that adds one."""
        return self._shown[self.cursor] if self.cursor < len(self._shown) else None

    @property
    def loaded(self) -> bool:
        return self._every is not None

    def row_count(self) -> int:
        return len(self._shown) + 1 if self._every is not None else 0

    def heading(self, cells: int) -> Line:
        name, type_, status, rest = _widths(cells)
        title = f"    {self._kind.title()}"
        return ((f"{fit(title, name)} {fit('Type', type_)} {fit('Status', status)} {fit('Connectors', rest)}", ""),)

    def row_line(self, index: int, cells: int) -> Line:
        ellipsis = self._glyphs.ellipsis
        if index >= len(self._shown):
            return (
                ("  + ", "bold $primary"),
                (f"Add a {'new ' if self._every else ''}{self._kind}", "bold"),
                (f" {ellipsis}", "bold"),
                ("   its type, then its form", "dim"),
            )
        row = self._shown[index]
        name, type_, status, rest = _widths(cells)
        tick = self._glyphs.check if row.id == self._chosen else " "
        used = f"{count(row.connectors)} in use" if row.connectors else "not in use"
        return (
            (f"  {tick} ", "bold $text-success"),
            (fit(clean(row.name, limit=NAME_LIMIT), name - 4, ellipsis=ellipsis) + " ", "bold" if row.id == self._chosen else ""),
            (fit(clean(row.type_title or row.type, limit=NAME_LIMIT), type_, ellipsis=ellipsis) + " ", "dim"),
            (fit(str(row.status), status, ellipsis=ellipsis) + " ", _STYLES.get(row.status, "")),
            (fit(used, rest, ellipsis=ellipsis), "dim"),
        )


def _widths(cells: int) -> tuple[int, int, int, int]:
    """Name, type, status, the rest."""
    type_, status, rest = (16, 16, 10) if cells < 100 else (22, 18, 14)
    return max(12, cells - type_ - status - rest - 3), type_, status, rest
