"""What a person chose to see of the table of connectors: statuses, failures, columns, width, order; what is remembered of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from syncterm.screens.connector_rows import DEFAULT_COLUMNS, SORTS, STATUS_ORDER, STATUS_STYLES, status_glyph
from syncterm.screens.menu import Choice
from syncterm.text import Glyphs, count
from syncterm.widgets.status_tabs import StatusTab
from syncterm.widgets.table_model import Column, TableQuery

if TYPE_CHECKING:
    from syncterm.engine.queries import ConnectorCounts

ALL = "all"
"""The tab of every status."""

WIDE_FACTOR = 2
"""How much wider the flexible columns are in the wide view."""

_TAB_STYLES = {"good": "$text-success", "bad": "$text-error", "warning": "$text-warning", "muted": "dim"}


class ConnectorView:
    """The choices, without a screen.

    Args:
        columns: Every column there is, in the order of the chooser.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns: Mapping[str, Column] = {column.id: column for column in columns}
        self.statuses: frozenset[str] = frozenset()
        """Statuses shown; empty for all."""
        self.failures_only = False
        self.wide = False
        """Nothing is left out for want of room; one scrolls."""
        self.shown: tuple[str, ...] = DEFAULT_COLUMNS
        """Ids of the columns, in order."""

    def restore(self, stored: Mapping[str, Any]) -> TableQuery:
        """Take over what was remembered, as far as it makes sense, and say which order that is."""
        sort, columns = stored.get("sort"), stored.get("columns", [])
        known_columns = isinstance(columns, list) and all(isinstance(name, str) and name in self._columns for name in columns)
        if known_columns and "name" in columns and len(set(columns)) == len(columns):
            self.shown = tuple(columns)
        self.wide = stored.get("wide") is True
        known = isinstance(sort, str) and sort in SORTS
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
        tabs = (ALL, *STATUS_ORDER)
        present = next(iter(self.statuses)) if len(self.statuses) == 1 else ALL
        return tabs[(tabs.index(present) + step) % len(tabs)]

    def tabs(self, counts: ConnectorCounts | None, glyphs: Glyphs) -> tuple[list[StatusTab], frozenset[str]]:
        """The tabs with their numbers, and which of them are chosen."""
        numbers = _numbers(counts)
        tabs = [StatusTab(ALL, "All", None if counts is None else sum(numbers.values()))]
        for status in STATUS_ORDER:
            number = None if counts is None else numbers.get(status, 0)
            tabs.append(StatusTab(status, status, number, status_glyph(status, glyphs), _TAB_STYLES[STATUS_STYLES[status]]))
        return tabs, self.statuses or frozenset({ALL})

    def status_choices(self, counts: ConnectorCounts | None, glyphs: Glyphs) -> list[Choice]:
        """The statuses, to tick."""
        numbers = _numbers(counts)
        return [
            Choice(
                status,
                f"{status_glyph(status, glyphs)} {status}",
                detail=count(numbers.get(status, 0)),
                checked=status in self.statuses,
            )
            for status in STATUS_ORDER
        ]

    def column_choices(self) -> list[Choice]:
        """All columns, the shown ones first, to tick and to move."""
        order = (*self.shown, *(name for name in self._columns if name not in self.shown))
        return [
            Choice(name, self._columns[name].title, checked=name in self.shown, reason="The name stays." if name == "name" else "")
            for name in order
        ]


def sort_choices(query: TableQuery, glyphs: Glyphs) -> list[Choice]:
    """Everything one can sort by, hidden columns included; the present one with its direction."""
    present = query.sort or "name"
    sign = glyphs.sort_down if query.descending else glyphs.sort_up
    return [Choice(sort, title, detail=sign if sort == present else "", checked=sort == present) for sort, title in SORTS.items()]


def _numbers(counts: ConnectorCounts | None) -> dict[str, int]:
    return {} if counts is None else {str(status): number for status, number in counts.by_status.items()}
