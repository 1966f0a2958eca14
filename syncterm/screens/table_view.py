"""What a person chose to see of a table: statuses, failures, columns, width, order; what is remembered of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from syncterm.screens.menu import Choice
from syncterm.text import Glyphs, count
from syncterm.widgets.status_tabs import StatusTab
from syncterm.widgets.table_model import Column, TableQuery

ALL = "all"
"""The tab of every status."""

WIDE_FACTOR = 2
"""How much wider the flexible columns are in the wide view."""

_TAB_STYLES = {
    "good": "$text-success",
    "bad": "$text-error",
    "warning": "$text-warning",
    "accent": "$text-accent",
    "muted": "dim",
}


@dataclass(frozen=True, slots=True)
class StatusLook:
    """How a status of a row is drawn."""

    status: str
    glyph: str
    """The name of its sign among the glyphs."""
    style: str
    """One of a table's styles."""

    def sign(self, glyphs: Glyphs) -> str:
        return str(getattr(glyphs, self.glyph))


class Counts(Protocol):
    """How many rows there are."""

    @property
    def total(self) -> int:
        """All of them."""
        ...

    @property
    def matching(self) -> int:
        """Those that the filter leaves."""
        ...

    @property
    def by_status(self) -> Mapping[Any, int]:
        """Status → those that the filter leaves, its statuses aside."""
        ...


class TableView:
    """The choices, without a screen.

    Args:
        columns: Every column there is, in the order of the chooser; `name` among them.
        shown: Ids of the columns that are shown unless a person chose others.
        sorts: What one can sort by, hidden columns included, with titles.
        statuses: The statuses, in the order of their tabs.
    """

    def __init__(
        self, columns: Sequence[Column], shown: Sequence[str], sorts: Mapping[str, str], statuses: Sequence[StatusLook]
    ) -> None:
        self._columns: Mapping[str, Column] = {column.id: column for column in columns}
        self.sorts = sorts
        self.statuses_known = tuple(look.status for look in statuses)
        self._looks = tuple(statuses)
        self.statuses: frozenset[str] = frozenset()
        """Statuses shown; empty for all."""
        self.failures_only = False
        self.wide = False
        """Nothing is left out for want of room; one scrolls."""
        self.shown: tuple[str, ...] = tuple(shown)
        """Ids of the columns, in order."""

    def restore(self, stored: Mapping[str, Any]) -> TableQuery:
        """Take over what was remembered, as far as it makes sense, and say which order that is."""
        sort, columns = stored.get("sort"), stored.get("columns", [])
        known_columns = isinstance(columns, list) and all(isinstance(name, str) and name in self._columns for name in columns)
        if known_columns and "name" in columns and len(set(columns)) == len(columns):
            self.shown = tuple(columns)
        self.wide = stored.get("wide") is True
        known = isinstance(sort, str) and sort in self.sorts
        return TableQuery(sort=sort if known else "name", descending=known and stored.get("descending") is True)

    def show_columns(self, names: Sequence[str]) -> None:
        """Show those columns in that order; the name stays, and first."""
        self.shown = ("name", *(name for name in names if name != "name"))

    def arranged(self) -> tuple[Column, ...]:
        """The columns for the table."""
        shown = [self._columns[name] for name in self.shown]
        if not self.wide:
            return tuple(shown)
        return tuple(
            replace(column, priority=0, width=column.width * WIDE_FACTOR if column.flexible else column.width) for column in shown
        )

    def filtered(self, query: TableQuery) -> TableQuery:
        """A query with the present statuses and failures."""
        return replace(query, filters={"statuses": tuple(sorted(self.statuses)), "failures_only": self.failures_only})

    def filter_text(self, text: str) -> str:
        """What the header's badge says of the filter; empty where everything is shown."""
        parts = (text, ",".join(sorted(self.statuses)), "failures" if self.failures_only else "")
        return " ".join(part for part in parts if part)

    def neighbour(self, step: int) -> str:
        """The tab that many places from the present one."""
        tabs = (ALL, *self.statuses_known)
        present = next(iter(self.statuses)) if len(self.statuses) == 1 else ALL
        return tabs[(tabs.index(present) + step) % len(tabs)]

    def tabs(self, counts: Counts | None, glyphs: Glyphs) -> tuple[list[StatusTab], frozenset[str]]:
        """The tabs with their numbers, and which of them are chosen."""
        numbers = _numbers(counts)
        tabs = [StatusTab(ALL, "All", None if counts is None else sum(numbers.values()))]
        for look in self._looks:
            number = None if counts is None else numbers.get(look.status, 0)
            tabs.append(StatusTab(look.status, look.status, number, look.sign(glyphs), _TAB_STYLES[look.style]))
        return tabs, self.statuses or frozenset({ALL})

    def status_choices(self, counts: Counts | None, glyphs: Glyphs) -> list[Choice]:
        """The statuses, to tick."""
        numbers = _numbers(counts)
        return [
            Choice(
                look.status,
                f"{look.sign(glyphs)} {look.status}",
                detail=count(numbers.get(look.status, 0)),
                checked=look.status in self.statuses,
            )
            for look in self._looks
        ]

    def column_choices(self) -> list[Choice]:
        """All columns, the shown ones first, to tick and to move."""
        order = (*self.shown, *(name for name in self._columns if name not in self.shown))
        return [
            Choice(name, self._columns[name].title, checked=name in self.shown, reason="The name stays." if name == "name" else "")
            for name in order
        ]

    def sort_choices(self, query: TableQuery, glyphs: Glyphs) -> list[Choice]:
        """Everything one can sort by, hidden columns included; the present one with its direction."""
        present = query.sort or "name"
        sign = glyphs.sort_down if query.descending else glyphs.sort_up
        return [
            Choice(sort, title, detail=sign if sort == present else "", checked=sort == present)
            for sort, title in self.sorts.items()
        ]


def _numbers(counts: Counts | None) -> dict[str, int]:
    return {} if counts is None else {str(status): number for status, number in counts.by_status.items()}
