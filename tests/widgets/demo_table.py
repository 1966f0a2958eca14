"""A live table over rows in memory: driven by tests in process, and as a program through a pseudo-terminal.

As a program: ``python -m tests.widgets.demo_table ROWS [SCENARIO]``. The scenario, if any, is a JSON file: {"names": [...]}, the
names of the first rows. Keys beside the table's own: ``1`` changes one cell, ``0`` announces changes where there are none, ``2``
inserts a row above.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from rich.console import RenderableType
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from syncterm.painting import FrameDifference
from syncterm.widgets.live_table import Cell, Column, LiveTable, Row, TableQuery

COLUMNS = (
    Column("name", "Name", 20, flexible=True),
    Column("route", "Source → Destination", 22, flexible=True, priority=3),
    Column("status", "Status", 10, tooltip=lambda key, row: f"why {key}"),
    Column("last", "Last sync", 12, priority=1),
    Column("records", "Records", 9, align="right", priority=2),
    Column("next", "Next", 8, align="right", sortable=False),
)


class MemoryRows:
    """A `RowSource` over a dictionary. `gate`, when cleared, holds back answers until it is set again."""

    def __init__(self, rows: dict[str, dict[str, str | Cell]]) -> None:
        self.all = rows
        self.gate = asyncio.Event()
        self.gate.set()
        self.fetched: list[list[str]] = []
        """Every call of `rows`, for counting."""
        self.error: Exception | None = None

    async def keys(self, query: TableQuery) -> Sequence[str]:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        keys = [key for key, row in self.all.items() if query.text in _text(row.get("name", ""))]
        if query.sort is not None:
            column = query.sort
            keys.sort(key=lambda key: _text(self.all[key].get(column, "")), reverse=query.descending)
        return keys

    async def rows(self, keys: Sequence[str]) -> Mapping[str, Row]:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.fetched.append(list(keys))
        return {key: dict(self.all[key]) for key in keys if key in self.all}


def _text(value: str | Cell) -> str:
    return value if isinstance(value, str) else value.text


def make_rows(count: int, names: Sequence[str] = ()) -> dict[str, dict[str, str | Cell]]:
    """Rows k0, k1, …; the first ones named as given."""
    return {
        f"k{number}": {
            "name": names[number] if number < len(names) else f"connector-{number:06}",
            "route": f"pg-{number % 7} → duck-{number % 3}",
            "status": Cell("● Active", "good") if number % 5 else Cell("✗ Broken", "bad"),
            "last": f"{number % 60} min ago",
            "records": f"{number * 37 % 100000:,}",
            "next": f"00:{number % 60:02}",
        }
        for number in range(count)
    }


class TableApp(App[None]):
    """A title line and a table below it."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        ("1", "change", "Change"),
        ("0", "announce", "Announce"),
        ("2", "insert", "Insert"),
        ("q", "quit", "Quit"),
    ]

    def __init__(self, rows: dict[str, dict[str, str | Cell]], *, ascii: bool = False) -> None:  # noqa: A002
        super().__init__()
        self.source = MemoryRows(rows)
        self.table = LiveTable(self.source, COLUMNS, ascii=ascii, id="table")
        self.messages: list[object] = []
        self.changes = 0
        self.frame = FrameDifference()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        super()._display(screen, self.frame.reduce(renderable))

    def compose(self) -> ComposeResult:
        yield Static(Content("syncterm demo table"), id="title")
        yield self.table

    def action_change(self) -> None:
        self.changes += 1
        self.source.all["k2"]["next"] = f"{self.changes % 60:02}:{self.changes % 60:02}"
        self.table.update_rows(["k2"])

    def action_announce(self) -> None:
        self.table.update_rows(list(self.source.all)[:50])

    def action_insert(self) -> None:
        self.changes += 1
        self.source.all = {f"new{self.changes}": {"name": f"new-{self.changes}"}, **self.source.all}
        self.table.refresh_keys()

    def on_live_table_row_opened(self, message: LiveTable.RowOpened) -> None:
        self.messages.append(message)

    def on_live_table_sort_changed(self, message: LiveTable.SortChanged) -> None:
        self.messages.append(message)

    def on_live_table_menu_requested(self, message: LiveTable.MenuRequested) -> None:
        self.messages.append(message)

    def on_live_table_load_failed(self, message: LiveTable.LoadFailed) -> None:
        self.messages.append(message)


if __name__ == "__main__":
    scenario = json.loads(Path(sys.argv[2]).read_text("utf-8")) if len(sys.argv) > 2 else {}
    TableApp(make_rows(int(sys.argv[1]), scenario.get("names", ()))).run()
