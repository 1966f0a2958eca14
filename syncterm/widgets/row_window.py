"""The rows a live table holds: those in view and around it, which of them are out of date, and what to fetch next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from syncterm.widgets.table_model import Row

CACHED_ROWS = 1000
"""Rows kept beyond three pages before the rest is forgotten."""


class RowWindow:
    """Rows by key."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._stale: set[str] = set()

    def get(self, key: str) -> Row | None:
        """A row as last fetched; None when it never was."""
        return self._rows.get(key)

    def __len__(self) -> int:
        return len(self._rows)

    def invalidate(self, keys: Iterable[str] | None = None) -> None:
        """These rows (all, without an argument) may have changed; those that are not held need no note."""
        self._stale.update(self._rows if keys is None else (key for key in keys if key in self._rows))

    def wanted(self, keys: Sequence[str], top: int, page: int) -> tuple[list[str], bool]:
        """What to fetch for the rows from `top` on, and whether it can wait for the next round of live changes.

        Rows are fetched a page ahead on both sides as soon as half a page ahead is missing: so paging finds its rows there, and
        moving by single rows does not fetch single rows.
        """
        near = keys[max(0, top - page // 2) : top + page + page // 2]
        if any(key not in self._rows for key in near):
            around = keys[max(0, top - page) : top + 2 * page]
            return [key for key in around if key not in self._rows], False
        return [key for key in keys[top : top + page] if key in self._stale], True

    def begin(self, keys: Iterable[str]) -> None:
        """A fetch of these rows begins; what changes from now on makes them out of date again."""
        self._stale.difference_update(keys)

    def take(self, wanted: Iterable[str], rows: Mapping[str, Row]) -> dict[str, Row | None]:
        """Store what a fetch brought; the rows that differ from what was held, with what was held (None: nothing).

        A row that no longer exists is held as an empty one, until its key goes.
        """
        changed: dict[str, Row | None] = {}
        for key in wanted:
            new = rows.get(key) or {}
            old = self._rows.get(key)
            if old != new:
                changed[key] = old
                self._rows[key] = new
        return changed

    def trim(self, keys: Sequence[str], top: int, page: int) -> None:
        """Forget rows far from view, when there are many."""
        if len(self._rows) > CACHED_ROWS + 3 * page:
            near = set(keys[max(0, top - page) : top + 2 * page])
            self._rows = {key: row for key, row in self._rows.items() if key in near}
            self._stale &= near
