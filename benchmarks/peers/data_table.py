"""Textual's own DataTable with the columns of the connector table: python -m benchmarks.peers.data_table ROWS.

Columns have fixed widths, as its documentation advises for many rows. The key `1` changes one cell of the first row by
`update_cell`; `8` lets eight cells a half second change, as eight running syncs do, until it is pressed again.
"""

from __future__ import annotations

import itertools
import sys
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.widgets import DataTable

COLUMNS = {
    "Name": 22,
    "Source → Destination": 28,
    "Status": 16,
    "Last Sync": 12,
    "Next Sync": 9,
    "Schedule": 15,
    "Records": 9,
    "Progress": 13,
}


class DataTableApp(App[None]):
    BINDINGS: ClassVar[list[Any]] = [
        ("1", "change", "Change"),
        ("8", "work", "Work"),
        ("j", "table('cursor_down')", "Down"),
        ("k", "table('cursor_up')", "Up"),
    ]

    def compose(self) -> ComposeResult:
        yield DataTable[str](cursor_type="row")

    def on_mount(self) -> None:
        self._steps = itertools.count(1)
        self._work = self.set_interval(0.5, self._work_on, pause=True)
        self._working = False
        table = self._table
        for name, width in COLUMNS.items():
            table.add_column(name, width=width, key=name)
        for number in range(int(sys.argv[1])):
            table.add_row(
                f"orders {number:05}",
                f"sources {number % 200} → destinations {number % 7}",
                "● Active",
                f"{number % 60} min ago",
                f"{number % 60} min",
                "every hour",
                f"{number * 37 % 100_000:,}",
                "",
                key=str(number),
            )
        table.focus()

    @property
    def _table(self) -> DataTable[str]:
        return self.query_one(DataTable)

    def _set(self, row: int) -> None:
        self._table.update_cell(str(row), "Progress", f"{next(self._steps):,} rec")

    def action_table(self, action: str) -> None:
        getattr(self._table, f"action_{action}")()

    def action_change(self) -> None:
        self._set(0)

    def action_work(self) -> None:
        self._working = not self._working
        (self._work.resume if self._working else self._work.pause)()

    def _work_on(self) -> None:
        for row in range(8):
            self._set(row)


if __name__ == "__main__":
    DataTableApp().run()
