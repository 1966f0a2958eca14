"""The table of all connectors: what runs, what failed, what is due, and everything one can do about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from syncterm.actions import Scope, bindings
from syncterm.engine.model import Activity
from syncterm.screens.acting import ActingScreen
from syncterm.screens.connector_details import details
from syncterm.screens.connector_rows import (
    DEFAULT_COLUMNS,
    FILTER_FIELDS,
    SORTS,
    STATUS_LOOKS,
    ConnectorSource,
    connector_query,
)
from syncterm.screens.table_screen import ScreenTable, TableScreen
from syncterm.screens.table_view import Counts, TableView

if TYPE_CHECKING:
    from textual.content import Content

    from syncterm.engine.events import Change
    from syncterm.engine.queries import ConnectorRow
    from syncterm.widgets.table_model import Column, TableQuery

NOTHING_YET = (
    "No connectors yet.",
    "",
    "Press  a  to add one: source, streams, destination, schedule.",
    "Or run  syncterm demo  to look round with sample data,",
    "or  syncterm apply FILE  to set up connectors from a file.",
)


class ConnectorTable(ScreenTable):
    """The table of connectors."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("l", "screen.logs", "Logs", show=False, id="logs")]


class ConnectorsScreen(TableScreen["ConnectorRow"], ActingScreen):
    """The main screen."""

    SCOPE = Scope.CONNECTORS
    BINDINGS: ClassVar[list[BindingType]] = [binding for binding in bindings(Scope.CONNECTORS) if binding.id != "open"]
    TABLE = ConnectorTable
    fields = FILTER_FIELDS
    examples = "text   !text   source:pg   status:broken"
    noun, plural = "connector", "connectors"

    def __init__(self) -> None:
        super().__init__("connectors")

    def crumb(self) -> str:
        return "Connectors"

    # --- The rows

    def make_source(self) -> ConnectorSource:
        return ConnectorSource(self.dashboard.host, self.look, self._fetched)

    def make_view(self, columns: Sequence[Column]) -> TableView:
        return TableView(columns, DEFAULT_COLUMNS, SORTS, STATUS_LOOKS)

    async def read_counts(self, query: TableQuery) -> Counts | None:
        wanted = connector_query(query)
        return await self.dashboard.attempt(lambda engine: engine.queries.connector_counts(wanted))

    def take(self, change: Change) -> None:
        if change.connector_ids is None:
            self.table.update_all_rows()
        else:
            self.table.update_rows(change.connector_ids)
        query = self.table.table_query
        filtered = bool(self.view.filter_text(query.text))
        if change.order_changed or filtered or query.sort not in (None, "name", "source"):
            self.table.refresh_keys()
        self.count_soon()

    def draw_details(self, row: ConnectorRow, columns: int) -> Content:
        return details(row, self.look(), columns)

    def nothing_yet(self) -> Sequence[str]:
        return NOTHING_YET

    def open_row(self, key: str) -> None:
        self.dashboard.open_connector(key)

    # --- What one can do with them

    def reason_against(self, action: str) -> str:
        if reason := super().reason_against(action):
            return reason
        if action == "cancel":
            ids = self.targets()
            known = [self.records[key] for key in ids if key in self.records]
            if len(known) == len(ids) and all(row.activity == Activity.IDLE for row in known):
                return "No sync runs or waits there."
        return ""

    def wording(self, action: str) -> str:
        row = self.target
        if action == "toggle_pause" and row is not None:
            return "Resume" if row.status == "Paused" else "Pause"
        return super().wording(action)

    def action_add(self) -> None:
        actions = self.dashboard.connector_actions
        actions.start(actions.add())

    def action_logs(self) -> None:
        if (key := self.table.cursor_key) is not None:
            self.dashboard.open_connector(key, tab="logs")

    def action_check(self) -> None:
        if (key := self.table.cursor_key) is not None:
            actions = self.dashboard.connector_actions
            actions.start(actions.check(key))

    def action_yank(self) -> None:
        if (key := self.table.cursor_key) is not None:
            actions = self.dashboard.connector_actions
            actions.start(actions.yank(key, self.table.describe(key)))

    def export_rows(self, query: TableQuery, folder: Path, file_format: str) -> None:
        actions = self.dashboard.connector_actions
        actions.start(actions.export(connector_query(query), folder, file_format))
