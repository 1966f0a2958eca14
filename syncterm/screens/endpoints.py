"""The tables of sources and of destinations: which work, which need a hand, who uses them."""

from __future__ import annotations

from asyncio import sleep
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from syncterm.actions import Scope, bindings
from syncterm.engine.model import EndpointKind
from syncterm.screens.endpoint_acting import EndpointActingScreen
from syncterm.screens.endpoint_details import details
from syncterm.screens.endpoint_rows import (
    DEFAULT_COLUMNS,
    OTHER_END,
    STATUS_LOOKS,
    EndpointSource,
    filter_fields,
    sorts,
)
from syncterm.screens.looking import Looking
from syncterm.screens.table_screen import TableScreen
from syncterm.screens.table_view import Counts, TableView

if TYPE_CHECKING:
    from textual.content import Content

    from syncterm.engine.events import Change
    from syncterm.engine.queries import EndpointRow
    from syncterm.widgets.table_model import Column, TableQuery

PATIENCE = 0.1
"""Seconds between two looks at whether a rest was ended by something that cannot wait."""
LOOK_INTERVAL = 1.0
"""Least seconds between two readings for changes of connectors, of which there are many while syncs run."""
REST = 10
"""A reading is followed by a rest of so many times its length at least: a thousand ends take a while to read."""


class EndpointsScreen(TableScreen["EndpointRow"], EndpointActingScreen):
    """Every source, or every destination."""

    SCOPE = Scope.ENDPOINTS
    BINDINGS: ClassVar[list[BindingType]] = [binding for binding in bindings(Scope.ENDPOINTS) if binding.id != "open"]

    def __init__(self, kind: EndpointKind) -> None:
        super().__init__(f"{kind}s")
        self.kind = kind
        self.fields = filter_fields(kind)
        self.examples = f"text   !text   type:postgres   status:live   {OTHER_END[kind]}:name"
        self.noun, self.plural = kind.value, f"{kind}s"
        self.never = {"sync_now": f"A {kind} is synced by its connectors: enter shows them."}
        self._looking = Looking(self, self._read_again)
        self._next_look = 0.0
        self._stale = False
        """Something changed while another screen covered this one."""

    def crumb(self) -> str:
        return self.plural.title()

    # --- The rows

    def make_source(self) -> EndpointSource:
        self._endpoints = EndpointSource(self.dashboard.host, self.kind, self.look, self._fetched)
        return self._endpoints

    def make_view(self, columns: Sequence[Column]) -> TableView:
        return TableView(columns, DEFAULT_COLUMNS, sorts(self.kind), STATUS_LOOKS)

    async def read_counts(self, query: TableQuery) -> Counts | None:
        return (await self._endpoints.arranged(query)).counts

    def take(self, change: Change) -> None:
        if change.order_changed:
            self._next_look = 0.0
        if self.is_current:
            self._looking.soon()
        else:
            self._stale = True

    async def _read_again(self) -> None:
        while (delay := self._next_look - monotonic()) > 0:
            await sleep(min(delay, PATIENCE))
        begun = monotonic()
        changed = await self._endpoints.read()
        ended = monotonic()
        self._next_look = ended + max(LOOK_INTERVAL, REST * (ended - begun))
        if changed:
            self.table.update_rows(changed)
            self.table.refresh_keys()
            self.count_soon()

    def on_screen_resume(self) -> None:
        if self._stale:
            self._stale = False
            self._looking.soon()

    def action_refresh(self) -> None:
        if self.dashboard.opened.is_set():
            self._next_look = 0.0
            self._looking.soon()
        super().action_refresh()

    def draw_details(self, row: EndpointRow, columns: int) -> Content:
        return details(row, self.kind, self.look(), columns)

    def nothing_yet(self) -> Sequence[str]:
        purpose = "where data comes from" if self.kind is EndpointKind.SOURCE else "where data goes"
        add = "" if self.dashboard.read_only else "Press  a  to add one: choose its type, fill in its form, test it."
        return (f"No {self.plural} yet.", "", f"A {self.kind} is {purpose}.", add)

    # --- What one can do with them

    def open_row(self, key: str) -> None:
        self.dashboard.open_endpoint(self.kind, key)

    def reason_against(self, action: str) -> str:
        if reason := super().reason_against(action):
            return reason
        if action in ("edit", "check") and len(self.targets()) > 1:
            return "One at a time: ctrl+\\ clears the marks."
        return ""

    def action_add(self) -> None:
        actions = self.dashboard.endpoint_actions
        actions.start(actions.add(self.kind))

    def action_yank(self) -> None:
        if (key := self.table.cursor_key) is not None:
            actions = self.dashboard.endpoint_actions
            actions.start(actions.yank(self.kind, key, self.table.describe(key)))

    def export_rows(self, query: TableQuery, folder: Path, file_format: str) -> None:
        actions = self.dashboard.endpoint_actions
        actions.start(self._export(query, folder, file_format))

    async def _export(self, query: TableQuery, folder: Path, file_format: str) -> None:
        rows = (await self._endpoints.arranged(query)).rows
        await self.dashboard.endpoint_actions.export(self.kind, rows, folder, file_format)
