"""A live table over a list that is fetched a page at a time, newest first, as one scrolls: infinite scrolling without a count.

What is old never changes, so a refresh asks for the newest page only and keeps the older ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from textual.binding import Binding, BindingType

from syncterm.widgets.live_table import LiveTable
from syncterm.widgets.table_model import Column, Row, TableQuery

T = TypeVar("T")

PAGE = 100
"""Items fetched at a time."""
AHEAD = 40
"""The next page is asked for when the window comes this near to the end of what is loaded."""


LOGS = Binding("l", "screen.logs", "Logs", show=False, id="logs")
"""In the tables of a screen that has logs, `l` shows them; columns scroll by arrow keys."""


class PagedSource(Generic[T]):
    """The rows loaded so far.

    Args:
        pages: (the item before which to go on, or None for the newest; how many) → items, newest first.
        key: an item's key.
        draw: makes a table row of an item.
    """

    def __init__(
        self, pages: Callable[[T | None, int], Awaitable[Sequence[T]]], key: Callable[[T], str], draw: Callable[[T], Row]
    ) -> None:
        self._pages = pages
        self._key = key
        self._draw = draw
        self.changed: Callable[[Sequence[str]], None] = lambda keys: None
        """Told of the items that look different after a page was fetched."""
        self.items: dict[str, T] = {}
        """What is loaded, newest first."""
        self.complete = False
        """Whether the oldest has been loaded."""
        self._more = False
        self._generation = 0

    def reset(self) -> None:
        """Begin anew."""
        self.items, self.complete, self._more = {}, False, False
        self._generation += 1

    def want_more(self) -> bool:
        """Have the next call of `keys` load another page; False where there is none, or one is asked for already."""
        if self.complete or self._more or not self.items:
            return False
        self._more = True
        return True

    async def keys(self, query: TableQuery) -> Sequence[str]:
        """Bring in what is new at the top and, where it was asked for, a page at the bottom."""
        generation, more = self._generation, self._more
        last = next(reversed(self.items.values()), None)
        newest = {self._key(item): item for item in await self._pages(None, PAGE)}
        oldest = await self._pages(last, PAGE) if more and last is not None else ()
        if generation != self._generation:
            return list(self.items)
        different = [key for key, item in newest.items() if key in self.items and self.items[key] != item]
        if newest.keys() & self.items.keys():
            self.items = newest | {key: item for key, item in self.items.items() if key not in newest}
            if more:
                self.items |= {self._key(item): item for item in oldest}
                self.complete = len(oldest) < PAGE
        else:
            # Nothing known, or more than a page is new: what is known would leave a gap.
            self.items = newest
            self.complete = len(newest) < PAGE
        self._more = False
        self.changed(different)
        return list(self.items)

    async def rows(self, keys: Sequence[str]) -> Mapping[str, Row]:
        return {key: self._draw(self.items[key]) for key in keys if key in self.items}


class PagedTable(LiveTable, Generic[T]):
    """The table of a `PagedSource`; asks for older items when one scrolls or moves near the end."""

    BINDINGS: ClassVar[list[BindingType]] = [LOGS]

    def __init__(
        self,
        source: PagedSource[T],
        columns: Sequence[Column],
        *,
        empty: str,
        ascii: bool = False,  # noqa: A002
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(source, columns, empty=empty, ascii=ascii, id=id)
        self.paged = source
        self._at_top = True
        """Whether the newest item was in view when the keys were asked for."""
        source.changed = self.update_rows

    def start_anew(self) -> None:
        """Forget what is loaded, and load the newest page."""
        self.paged.reset()
        self.set_source(self.paged)

    def on_resize(self) -> None:
        self._look_ahead()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._look_ahead()

    def on_live_table_row_highlighted(self) -> None:
        self._look_ahead()

    def refresh_keys(self) -> None:
        self._at_top = self.scroll_offset.y == 0
        super().refresh_keys()

    def on_live_table_keys_loaded(self) -> None:
        # Who looks at the newest sees the next one come in; the cursor stays with its item all the same.
        if self._at_top and self.cursor_key in list(self.paged.items)[: max(0, self.size.height - 1)]:
            self.scroll_to(y=0, animate=False)
        self._look_ahead()

    def _look_ahead(self) -> None:
        if self.count and self.scroll_offset.y + self.size.height + AHEAD >= self.count and self.paged.want_more():
            self.refresh_keys()
