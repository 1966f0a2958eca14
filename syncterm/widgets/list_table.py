"""A live table over a short list that is known whole, in the list's own order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from syncterm.widgets.live_table import LiveTable
from syncterm.widgets.table_model import Column, Row, TableQuery

Item = TypeVar("Item")


class ListSource(Generic[Item]):
    """The rows of a list.

    Args:
        key: an item's key.
        draw: makes a table row of an item.
    """

    def __init__(self, key: Callable[[Item], str], draw: Callable[[Item], Row]) -> None:
        self._key = key
        self._draw = draw
        self.items: dict[str, Item] = {}

    def replace(self, items: Sequence[Item]) -> tuple[set[str], bool]:
        """Take another list: the keys of the items that differ, and whether the order does."""
        before, self.items = self.items, {self._key(item): item for item in items}
        differ = {key for key, item in self.items.items() if before.get(key) != item}
        return differ, list(before) != list(self.items)

    async def keys(self, query: TableQuery) -> Sequence[str]:
        return list(self.items)

    async def rows(self, keys: Sequence[str]) -> Mapping[str, Row]:
        return {key: self._draw(self.items[key]) for key in keys if key in self.items}


class ListTable(LiveTable, Generic[Item]):
    """The table of a `ListSource`."""

    def __init__(
        self,
        key: Callable[[Item], str],
        draw: Callable[[Item], Row],
        columns: Sequence[Column],
        *,
        empty: str,
        ascii: bool = False,  # noqa: A002
        id: str | None = None,  # noqa: A002
    ) -> None:
        self.listed = ListSource(key, draw)
        super().__init__(self.listed, columns, empty=empty, ascii=ascii, id=id)

    def show_items(self, items: Sequence[Item], *, redraw: bool = False) -> None:
        """Show these items; `redraw` where all may look different, because time passed."""
        differ, order = self.listed.replace(items)
        if redraw:
            self.update_all_rows()
        else:
            self.update_rows(differ)
        if order:
            self.refresh_keys()
