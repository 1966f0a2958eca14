"""The table of all connectors: what runs, what failed, what is due, and everything one can do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from syncterm.actions import ACTIONS, Argument, Group, Scope, bindings
from syncterm.engine.events import Change
from syncterm.engine.model import Activity
from syncterm.screens.acting import ActingScreen
from syncterm.screens.connector_details import ConnectorDetails
from syncterm.screens.connector_rows import (
    FILTER_FIELDS,
    STATUS_ORDER,
    ConnectorSource,
    Look,
    connector_query,
)
from syncterm.screens.connector_view import ALL, ConnectorView, sort_choices
from syncterm.screens.menu import Choice, Menu, Ticks
from syncterm.text import clip, count, countdown
from syncterm.widgets.filter_bar import FilterBar
from syncterm.widgets.header import Badge
from syncterm.widgets.live_table import LiveTable
from syncterm.widgets.status_tabs import StatusTabs
from syncterm.widgets.table_model import TableQuery

if TYPE_CHECKING:
    from syncterm.engine.queries import ConnectorCounts, ConnectorRow

CLOCK_INTERVAL = 20.0
"""Seconds between two looks at the visible rows for the sake of "4 min ago"; only cells that read differently are repainted."""

NOTHING_YET = (
    "No connectors yet.",
    "",
    "Run  syncterm demo  to look round with sample data,",
    "or  syncterm apply FILE  to set up connectors from a file.",
)


class ConnectorTable(LiveTable):
    """The live table, with the keys that mean something else here than in other tables."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", show=False, id="open"),
        Binding("s", "screen.sort", "Sort", show=False, id="sort"),
        Binding("S", "screen.reverse_sort", "Reverse sort", show=False, id="reverse_sort"),
        Binding("l", "screen.logs", "Logs", show=False, id="logs"),
    ]


class ConnectorsScreen(ActingScreen):
    """The main screen."""

    SCOPE = Scope.CONNECTORS
    BINDINGS: ClassVar[list[BindingType]] = [binding for binding in bindings(Scope.CONNECTORS) if binding.id != "open"]

    def __init__(self) -> None:
        super().__init__(id="connectors")
        self._frozen: set[str] | None = None
        """While the display is paused: the ids that changed meanwhile."""
        self.counts: ConnectorCounts | None = None
        """How many there are and match; None until the store has been asked."""
        self._reading = False
        """Whether the table reads the store: from its opening on."""

    # --- Picture

    def compose_body(self) -> ComposeResult:
        self._source = ConnectorSource(self.dashboard.host, self.look, self._fetched)
        self.view = ConnectorView(self._source.columns())
        query = self.view.restore(self.dashboard.state.get("connectors"))
        self._tabs = StatusTabs(id="status-tabs")
        self._table = ConnectorTable(_NothingYet(), self.view.arranged(), query=query, ascii=self.dashboard.ascii, id="table")
        yield self._tabs
        yield FilterBar(FILTER_FIELDS, placeholder="text   !text   source:pg   status:broken", id="filter")
        with Container(id="body"):
            yield self._table
            yield Static(id="notice")
            yield ConnectorDetails(id="details")

    def on_mount(self) -> None:
        self.table.empty = f"Opening the store {self.dashboard.glyphs.ellipsis}"
        self.table.focus()
        self._show_tabs()
        self.dashboard.engine_changes.subscribe(self, self._engine_changed)
        self.set_interval(CLOCK_INTERVAL, self._clock_moved)

    @property
    def table(self) -> ConnectorTable:
        return self._table

    @property
    def records(self) -> dict[str, ConnectorRow]:
        """The rows fetched last, by id."""
        return self._source.records

    def look(self) -> Look:
        """How rows are drawn now."""
        dashboard = self.dashboard
        return Look(dashboard.glyphs, dashboard.now(), dashboard.settings.dates, dashboard.settings.date_format)

    def crumbs(self) -> tuple[str, ...]:
        return ("Connectors",)

    def badges(self) -> tuple[Badge, ...]:
        badges: list[Badge] = []
        if self._frozen is not None:
            waiting = f" {count(len(self._frozen))} changes" if self._frozen else ""
            badges.append(Badge(f"PAUSED{waiting}", loud=True))
        text = self.view.filter_text(self.table.table_query.text)
        if text and self.counts is not None:
            ellipsis = self.dashboard.glyphs.ellipsis
            badges.append(Badge(f"FILTER {clip(text, 24, ellipsis)} ({count(self.counts.matching)}/{count(self.counts.total)})"))
        if marks := len(self.table.marks):
            badges.append(Badge(f"{count(marks)} marked"))
        until = self.dashboard.connector_actions.undo_until
        if until is not None and until > self.dashboard.now():
            badges.append(Badge(f"U undo {countdown((until - self.dashboard.now()).total_seconds())}"))
        return tuple(badges)

    def _show_tabs(self) -> None:
        self._tabs.set_tabs(*self.view.tabs(self.counts, self.dashboard.glyphs))

    def _notice(self, lines: Sequence[str], style: str = "") -> None:
        """Say something in the table's place; nothing brings the table back."""
        notice = self.query_one("#notice", Static)
        self.query_one("#body").set_class(bool(lines), "-notice")
        if lines:
            notice.update(Content("\n").join([Content(lines[0]).stylize(style or "bold"), *map(Content, lines[1:])]))

    # --- The store opens, rows change, time passes

    def _engine_changed(self, change: Change) -> None:
        dashboard = self.dashboard
        if dashboard.store_error is not None:
            error = dashboard.store_error
            self._notice(("The store could not be opened.", "", error.message, error.remedy), "bold $text-error")
        elif not self._reading:
            self._reading = True
            self.table.set_source(self._source, self.table.table_query)
            self.table.empty = ""
            self._count_soon()
        elif self._frozen is not None:
            self._frozen |= change.connector_ids or set()
            self.update_header()
        else:
            self._take(change)

    def _take(self, change: Change) -> None:
        if change.connector_ids is None:
            self.table.update_all_rows()
        else:
            self.table.update_rows(change.connector_ids)
        query = self.table.table_query
        filtered = bool(self.view.filter_text(query.text))
        if change.order_changed or filtered or query.sort not in (None, "name", "source"):
            self.table.refresh_keys()
        self._count_soon()

    def _count_soon(self) -> None:
        self.run_worker(self._count(), group="counts", exclusive=True, exit_on_error=False)

    async def _count(self) -> None:
        wanted = connector_query(self.table.table_query)
        counts = await self.dashboard.attempt(lambda engine: engine.queries.connector_counts(wanted))
        if counts is None or not self.query("#notice"):
            return
        self.counts = counts
        self._notice(NOTHING_YET if counts.total == 0 else ())
        if counts.total:
            self.table.empty = "Nothing matches this filter; esc clears it."
        self._show_tabs()
        self.update_header()

    def _clock_moved(self) -> None:
        if self._frozen is None and self.dashboard.opened.is_set():
            self.table.update_all_rows()

    @on(LiveTable.KeysLoaded)
    @on(LiveTable.RowHighlighted)
    def _cursor_moved(self) -> None:
        self._show_details()
        self.refresh_bindings()

    @on(LiveTable.MarksChanged)
    def _marks_changed(self) -> None:
        self.update_header()
        self.refresh_bindings()

    def _fetched(self) -> None:
        self.call_later(self._show_details)
        self.call_later(self.refresh_bindings)

    def _show_details(self) -> None:
        if self.has_class("-details"):
            key = self.table.cursor_key
            self.query_one(ConnectorDetails).show(self.records.get(key) if key is not None else None, self.look())

    # --- What applies here

    def reason_against(self, action: str) -> str:
        if not self.dashboard.opened.is_set():
            return "The store is not open." if ACTIONS[action].group in (Group.CONNECTOR, Group.COPY) else ""
        if action == "undo":
            until = self.dashboard.connector_actions.undo_until
            return "" if until is not None and until > self.dashboard.now() else "Nothing was deleted in the last ten minutes."
        if action in ("undo", "details") or (ACTIONS[action].group is not Group.CONNECTOR and action != "yank"):
            return ""
        ids = self.targets()
        if not ids:
            return "There is no connector under the cursor."
        if action == "cancel":
            known = [self.records[key] for key in ids if key in self.records]
            if len(known) == len(ids) and all(row.activity == Activity.IDLE for row in known):
                return "No sync runs or waits there."
        return ""

    def go_back(self) -> None:
        if self.has_class("-details"):
            self.action_details()
        elif self.table.table_query.text or self.query_one(FilterBar).value:
            self.query_one(FilterBar).close()
        elif self.view.statuses or self.view.failures_only:
            self._filter_by(frozenset(), failures_only=False)
        elif self.table.marks:
            self.table.clear_marks()

    # --- View

    def run_view_command(self, kind: Argument, argument: str) -> None:
        """What the palette asks of the table: sort by a column, show a status, filter by a text."""
        match kind:
            case Argument.COLUMN:
                self.sort_by(argument)
            case Argument.STATUS:
                self.filter_by_status(argument)
            case _:
                bar = self.query_one(FilterBar)
                bar.open(argument)
                bar.keep()

    def action_filter(self) -> None:
        self.query_one(FilterBar).open()

    @on(FilterBar.FilterChanged)
    def _filter_changed(self, event: FilterBar.FilterChanged) -> None:
        self._requery(replace(self.table.table_query, text=event.text))

    def _requery(self, query: TableQuery) -> None:
        self.table.set_query(query)
        self._count_soon()
        self.update_header()

    def _filter_by(self, statuses: frozenset[str], *, failures_only: bool) -> None:
        self.view.statuses, self.view.failures_only = statuses, failures_only
        self._requery(self.view.filtered(self.table.table_query))
        self._show_tabs()

    def action_failures_only(self) -> None:
        self._filter_by(self.view.statuses, failures_only=not self.view.failures_only)

    def action_filter_status(self) -> None:
        def chosen(statuses: tuple[str, ...] | None) -> None:
            if statuses is not None:
                several = frozenset(statuses) if len(statuses) < len(STATUS_ORDER) else frozenset()
                self._filter_by(several, failures_only=self.view.failures_only)

        choices = self.view.status_choices(self.counts, self.dashboard.glyphs)
        self.app.push_screen(Ticks("Show statuses", choices, self.dashboard.glyphs, hint="space ticks, enter applies"), chosen)

    def filter_by_status(self, status: str) -> None:
        """Show one status; `all` for all."""
        self._filter_by(frozenset() if status == ALL else frozenset({status}), failures_only=self.view.failures_only)

    def on_status_tabs_chosen(self, event: StatusTabs.Chosen) -> None:
        self.filter_by_status(event.tab)

    def action_next_tab(self) -> None:
        self.filter_by_status(self.view.neighbour(1))

    def action_previous_tab(self) -> None:
        self.filter_by_status(self.view.neighbour(-1))

    def action_sort(self) -> None:
        query = self.table.table_query

        def chosen(sort: str | None) -> None:
            if sort is not None:
                self.sort_by(sort, sort == query.sort and not query.descending)

        choices = sort_choices(query, self.dashboard.glyphs)
        self.app.push_screen(Menu("Sort by", choices, self.dashboard.glyphs, hint="the same again: reverse"), chosen)

    def action_reverse_sort(self) -> None:
        query = self.table.table_query
        self.sort_by(query.sort or "name", not query.descending)

    def sort_by(self, column: str, descending: bool = False) -> None:
        """Sort by any of `SORTS`, and remember it."""
        self.table.sort_by(column, descending)
        self.dashboard.remember("connectors", sort=column, descending=descending)

    @on(LiveTable.SortChanged)
    def _sorted_by_header(self, event: LiveTable.SortChanged) -> None:
        self.dashboard.remember("connectors", sort=event.column, descending=event.descending)

    def action_columns(self) -> None:
        def chosen(names: tuple[str, ...] | None) -> None:
            if names is not None:
                self.view.show_columns(names)
                self.table.set_columns(self.view.arranged())
                self.dashboard.remember("connectors", columns=list(self.view.shown))

        choices, hint = self.view.column_choices(), "space ticks, J K move, enter applies"
        self.app.push_screen(Ticks("Columns", choices, self.dashboard.glyphs, hint=hint, ordered=True), chosen)

    def action_wide(self) -> None:
        self.view.wide = not self.view.wide
        self.table.action_columns(-len(self.view.shown))
        self.table.set_columns(self.view.arranged())
        self.dashboard.remember("connectors", wide=self.view.wide)

    def action_pause_display(self) -> None:
        if self._frozen is None:
            self._frozen = set()
        else:
            self._frozen = None
            self.action_refresh()
        self.update_header()

    def action_refresh(self) -> None:
        if self.dashboard.opened.is_set():
            self.table.update_all_rows()
            self.table.refresh_keys()
            self._count_soon()

    def action_details(self) -> None:
        self.toggle_class("-details")
        self._show_details()

    # --- Connectors

    def targets(self) -> Sequence[str]:
        return self.table.targets()

    @property
    def _target(self) -> ConnectorRow | None:
        """The row of the one connector that an action applies to; None where there are several."""
        ids = self.targets()
        return self.records.get(ids[0]) if len(ids) == 1 else None

    def menu_title(self) -> str:
        row = self._target
        return row.name if row is not None else f"{count(len(self.targets()))} connectors"

    def wording(self, action: str) -> str:
        row = self._target
        if action == "toggle_pause" and row is not None:
            return "Resume" if row.status == "Paused" else "Pause"
        return super().wording(action)

    def action_open(self) -> None:
        if (key := self.table.cursor_key) is not None:
            self.dashboard.open_connector(key)

    def on_live_table_row_opened(self, event: LiveTable.RowOpened) -> None:
        self.dashboard.open_connector(event.key)

    def action_logs(self) -> None:
        if (key := self.table.cursor_key) is not None:
            self.dashboard.open_connector(key, tab="logs")

    def action_check(self) -> None:
        if (key := self.table.cursor_key) is not None:
            actions = self.dashboard.connector_actions
            actions.start(actions.check(key))

    def action_undo(self) -> None:
        actions = self.dashboard.connector_actions
        actions.start(actions.undo())

    def on_live_table_menu_requested(self) -> None:
        self.action_menu()

    # --- Copy and export

    def action_yank(self) -> None:
        key = self.table.cursor_key
        if key is None:
            return
        actions = self.dashboard.connector_actions
        actions.start(actions.yank(key, self.table.describe(key)))

    def action_export(self) -> None:
        choices = [Choice("csv", "CSV", "c", "for spreadsheets; no formulas"), Choice("json", "JSON", "j", "for programs")]

        actions = self.dashboard.connector_actions
        wanted, folder = connector_query(self.table.table_query), Path.cwd()

        def chosen(file_format: str | None) -> None:
            if file_format is not None:
                actions.start(actions.export(wanted, folder, file_format))

        rows = f"Export {count(self.table.count)} rows to {folder}"
        self.app.push_screen(Menu("Export", choices, self.dashboard.glyphs, text=rows), chosen)


class _NothingYet:
    """The table's source until the store is open."""

    async def keys(self, query: TableQuery) -> Sequence[str]:
        return ()

    async def rows(self, keys: Sequence[str]) -> dict[str, dict[str, str]]:
        return {}
