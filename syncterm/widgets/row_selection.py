"""The rows of a live table as an ordered list of keys, with a cursor and marks that belong to keys, not to positions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class RowSelection:
    """Keys in order, a cursor that stays with its row, and a set of marked keys.

    A change of order, an insertion or a removal elsewhere never moves the cursor to another row; when the cursor's own row goes,
    the nearest row that is left takes it: the next below in the old order, else the next above.
    """

    def __init__(self) -> None:
        self.keys: Sequence[str] = ()
        """Row keys in the order shown."""
        self.marks: set[str] = set()
        """Marked keys, including ones that the present filter hides."""
        self.cursor: int = 0
        """Position of the cursor's row in `keys`; 0 when there are none."""
        self._index: dict[str, int] = {}
        self._range_anchor: str | None = None
        self._range_base: frozenset[str] = frozenset()

    @property
    def cursor_key(self) -> str | None:
        """The key of the row under the cursor; None in an empty table."""
        return self.keys[self.cursor] if self.keys else None

    @property
    def in_range(self) -> bool:
        """Whether moving the cursor extends a range of marks."""
        return self._range_anchor is not None

    def position(self, key: str) -> int | None:
        """Where a row stands now; None when it is not shown."""
        return self._index.get(key)

    def replace(self, keys: Sequence[str], *, same_rows: bool) -> None:
        """Take a new order of keys.

        Args:
            keys: The keys now shown.
            same_rows: The filter has not changed, so a key that is missing belongs to a row that has gone, and its mark goes too.
        """
        old, key = self.keys, self.cursor_key
        index = {row: position for position, row in enumerate(keys)}
        if key is None:
            cursor = 0
        elif key in index:
            cursor = index[key]
        else:
            cursor = self._nearest(old, index)
        self.keys, self._index, self.cursor = keys, index, min(cursor, max(0, len(keys) - 1))
        if same_rows:
            self.marks = {mark for mark in self.marks if mark in index}
        if self._range_anchor is not None and self._range_anchor not in index:
            self.end_range()

    def _nearest(self, old: Sequence[str], index: dict[str, int]) -> int:
        for position in range(self.cursor + 1, len(old)):
            if (found := index.get(old[position])) is not None:
                return found
        for position in range(self.cursor - 1, -1, -1):
            if (found := index.get(old[position])) is not None:
                return found
        return 0

    def move(self, position: int) -> set[str]:
        """Put the cursor on a row (clamped to the table); returns the keys whose mark changed because a range is open."""
        self.cursor = max(0, min(position, len(self.keys) - 1))
        return self._extend() if self._range_anchor is not None else set()

    def toggle(self, key: str) -> None:
        """Mark a row, or unmark it."""
        self.marks ^= {key}

    def mark(self, keys: Iterable[str]) -> None:
        """Mark rows."""
        self.marks.update(keys)

    def clear(self) -> None:
        """Unmark every row and end an open range."""
        self.marks.clear()
        self.end_range()

    def begin_range(self) -> None:
        """Open a range at the cursor's row, which is marked."""
        self._range_anchor = self.cursor_key
        self._range_base = frozenset(self.marks)
        self._extend()

    def end_range(self) -> None:
        """Keep what the range marked; moving marks no more."""
        self._range_anchor = None

    def _extend(self) -> set[str]:
        anchor = self._index.get(self._range_anchor or "")
        if anchor is None:
            return set()
        low, high = sorted((anchor, self.cursor))
        before = self.marks
        self.marks = set(self._range_base.union(self.keys[low : high + 1]))
        return before ^ self.marks

    def between(self, first: int, last: int) -> Sequence[str]:
        """The keys from one position to another, both included, in the order shown."""
        low, high = sorted((first, last))
        return self.keys[max(0, low) : high + 1]

    def targets(self) -> list[str]:
        """What an action applies to: the marked rows in the order shown (hidden ones last), else the row under the cursor."""
        if self.marks:
            return sorted(self.marks, key=lambda key: (self._index.get(key, len(self.keys)), key))
        return [] if self.cursor_key is None else [self.cursor_key]
