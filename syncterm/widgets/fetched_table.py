"""A table canvas that fetches: the order of the rows first, then the rows in view and around it, from a `RowSource`.

What changes while a fetch runs costs one more round, however often it changed; the cursor, the marks and the scroll position stay
with their rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic

from textual.geometry import Region, Size
from textual.strip import Strip
from textual.worker import Worker

from syncterm.text import clean
from syncterm.widgets.row_selection import RowSelection
from syncterm.widgets.row_window import RowWindow
from syncterm.widgets.table_canvas import HEADER, TableCanvas
from syncterm.widgets.table_model import Column, Row, RowSource, TableQuery

LIVE_INTERVAL = 0.1
"""Least seconds between two rounds of live changes: at most ten repaints a second."""


class FetchedTable(TableCanvas):
    """Rows of a source, live."""

    def __init__(
        self,
        source: RowSource,
        columns: Sequence[Column],
        *,
        query: TableQuery | None = None,
        empty: str = "Nothing here yet.",
        ascii: bool = False,  # noqa: A002
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(columns, query=query, ascii=ascii, name=name, id=id, classes=classes)
        self._source = source
        self._empty = empty
        self._loaded: TableQuery | None = None
        """The query whose keys are shown; None before the first answer."""
        self._error: str = ""
        self._keys_worker: Worker[None] | None = None
        self._keys_again = False
        """The order changed while it was being fetched."""
        self._rows_worker: Worker[None] | None = None
        self._next_live = 0.0
        """When, on the monotonic clock, the next round of live changes may be fetched."""
        self._asleep = False
        """Changes came while another screen covered this one; they are fetched at the next paint."""

    # --- What a subclass hears

    def _keys_taken(self, cursor_key: str | None, marks: int) -> None:
        """The order has arrived; the arguments are the row under the cursor and the number of marks before it came."""

    def _load_failed(self, error: Exception) -> None:
        """The source raised an error; what was shown before stays."""

    # --- What a screen reads and orders

    @property
    def count(self) -> int:
        return len(self._selection.keys)

    @property
    def is_settled(self) -> bool:
        return self._loaded is not None and self._keys_worker is None and self._rows_worker is None and not self._wanted()[0]

    def row(self, key: str) -> Row | None:
        return self._rows.get(key)

    @property
    def empty(self) -> str:
        return self._empty

    @empty.setter
    def empty(self, text: str) -> None:
        self._empty = text
        if not self._selection.keys:
            self.refresh()

    def set_query(self, query: TableQuery) -> None:
        """Show other rows, or another order of them."""
        if query != self.table_query:
            self.table_query = query
            self._load_keys()
            self._refresh_header()

    def set_source(self, source: RowSource, query: TableQuery | None = None) -> None:
        """Show the rows of another source, from the top."""
        self._source = source
        self.table_query = query or TableQuery()
        self._selection = RowSelection()
        self._loaded = None
        self._rows = RowWindow()
        self._strips.clear()
        self._set_scroll(0)
        self.refresh()
        self._load_keys()

    def refresh_keys(self) -> None:
        """Ask for the order again: rows came, went, or changed in a way that matters to the filter or the order."""
        if self._keys_worker is not None:
            self._keys_again = True
        else:
            self._load_keys()

    def update_rows(self, keys: Iterable[str]) -> None:
        """These rows may have changed: those in view are fetched, ten rounds a second at most, others when they come into view."""
        self._rows.invalidate(keys)
        self._load_rows()

    def update_all_rows(self) -> None:
        """Every row may have changed."""
        self._rows.invalidate()
        self._load_rows()

    # --- Fetching

    def on_mount(self) -> None:
        self._load_keys()

    def _load_keys(self) -> None:
        if self.is_attached:
            self._keys_again = False
            self._keys_worker = self.run_worker(self._fetch_keys(), group="keys", exclusive=True, exit_on_error=False)

    async def _fetch_keys(self) -> None:
        this = self._keys_worker
        query = self.table_query
        try:
            keys = await self._source.keys(query)
        except Exception as error:
            self._failed(error)
        else:
            self._error = ""
            self._take_keys(query, keys)
        if this is self._keys_worker:
            if self._keys_again:
                # Changes arrived meanwhile: one more round, after a breath, however many they were.
                await asyncio.sleep(LIVE_INTERVAL)
                self._load_keys()
            else:
                self._keys_worker = None

    def _take_keys(self, query: TableQuery, keys: Sequence[str]) -> None:
        selection = self._selection
        loaded = self._loaded
        same_rows = loaded is None or (loaded.text, loaded.filters) == (query.text, query.filters)
        first = loaded is None
        self._loaded = query
        if not first and same_rows and list(selection.keys) == list(keys):
            return
        top, height, before, cursor_key, marks = (
            self.scroll_offset.y,
            self._page,
            selection.keys,
            selection.cursor_key,
            len(selection.marks),
        )
        anchor = cursor_key
        if not top <= selection.cursor < top + height and top < len(before):
            anchor = before[top]
        line = (selection.position(anchor) or 0) - top if anchor is not None else 0
        window = before[top : top + height]
        selection.replace(keys, same_rows=same_rows)
        self.virtual_size = Size(0, len(keys) + HEADER)
        position = selection.position(anchor) if anchor is not None else None
        if position is None:
            position = selection.cursor
        self._set_scroll(position - line)
        if anchor == cursor_key:
            self._scroll_to_cursor()
        if first or len(before) == 0 or len(keys) == 0 or self.scroll_offset.y != top:
            self._refresh_body()
        else:
            # Only lines that now hold another row are painted.
            after = keys[top : top + height]
            for index in range(max(len(window), len(after))):
                if index >= len(window) or index >= len(after) or window[index] != after[index]:
                    self._refresh_line(index)
        if selection.cursor_key != cursor_key:
            self._refresh_row(selection.cursor)
        self._keys_taken(cursor_key, marks)
        self._load_rows()

    def _wanted(self) -> tuple[list[str], bool]:
        return self._rows.wanted(self._selection.keys, self.scroll_offset.y, self._page)

    def _load_rows(self) -> None:
        if self._rows_worker is not None or not self.is_attached:
            return
        if not self.screen.is_current:
            self._asleep = True
            return
        if self._wanted()[0]:
            self._rows_worker = self.run_worker(self._fetch_rows(), group="rows", exclusive=True, exit_on_error=False)

    async def _fetch_rows(self) -> None:
        this, source = self._rows_worker, self._source
        try:
            while True:
                wanted, can_wait = self._wanted()
                if not wanted or not self.screen.is_current:
                    break
                if can_wait and (delay := self._next_live - monotonic()) > 0:
                    await asyncio.sleep(delay)
                    wanted, can_wait = self._wanted()
                self._rows.begin(wanted)
                rows = await source.rows(wanted)
                if source is not self._source:
                    continue
                self._next_live = monotonic() + LIVE_INTERVAL
                self._take_rows(wanted, rows)
        except Exception as error:
            self._failed(error)
        finally:
            if this is self._rows_worker:
                self._rows_worker = None

    def _take_rows(self, wanted: Sequence[str], rows: Mapping[str, Row]) -> None:
        for key, old in self._rows.take(wanted, rows).items():
            self._repaint(key, old)
        self._rows.trim(self._selection.keys, self.scroll_offset.y, self._page)

    def _failed(self, error: Exception) -> None:
        self._error = clean(error, limit=500)
        if not self._selection.keys:
            self.refresh()
        self._load_failed(error)

    # --- Painting

    def _empty_text(self) -> str:
        return self._error or (self._empty if self._loaded is not None else f"Loading{self._glyphs.ellipsis}")

    def _window_moved(self) -> None:
        self._load_rows()

    def render_lines(self, crop: Region) -> list[Strip]:
        if self._asleep:
            self._asleep = False
            self.call_later(self._load_rows)
        return super().render_lines(crop)
