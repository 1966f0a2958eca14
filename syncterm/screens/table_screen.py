"""A table over the whole screen: live rows with status tabs, a filter line, sorting, a columns chooser, details and export.

A subclass says what the rows are and where they come from; everything one can do with a table is here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from syncterm.actions import ACTIONS, Argument, Group
from syncterm.screens.look import Look
from syncterm.screens.menu import Choice, Menu, Ticks
from syncterm.screens.menus import MenuScreen
from syncterm.screens.row_actions import Named
from syncterm.screens.row_details import RowDetails
from syncterm.screens.table_view import ALL, Counts, TableView
from syncterm.text import clip, count, countdown
from syncterm.widgets.filter_bar import FilterBar
from syncterm.widgets.header import Badge
from syncterm.widgets.live_table import LiveTable
from syncterm.widgets.status_tabs import StatusTabs
from syncterm.widgets.table_model import Column, Row, TableQuery

if TYPE_CHECKING:
    from syncterm.engine.events import Change

CLOCK_INTERVAL = 20.0
"""Seconds between two looks at the visible rows for the sake of "4 min ago"; only cells that read differently are repainted."""

Record = TypeVar("Record", bound=Named)
Fetched = TypeVar("Fetched", bound=Named, covariant=True)


class Records(Protocol[Fetched]):
    """Where the rows come from, and which of them were fetched last."""

    @property
    def records(self) -> Mapping[str, Fetched]:
        """Id → the row as fetched last."""
        ...

    def columns(self) -> tuple[Column, ...]:
        """Every column there is, in the order of the chooser."""
        ...

    async def keys(self, query: TableQuery) -> Sequence[str]: ...

    async def rows(self, keys: Sequence[str]) -> Mapping[str, Row]: ...


class ScreenTable(LiveTable):
    """The live table, with the keys that mean something else here than in other tables."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", show=False, id="open"),
        Binding("s", "screen.sort", "Sort", show=False, id="sort"),
        Binding("S", "screen.reverse_sort", "Reverse sort", show=False, id="reverse_sort"),
    ]


class TableScreen(MenuScreen, Generic[Record]):
    """A table of records."""

    TABLE: ClassVar[type[ScreenTable]] = ScreenTable
    fields: tuple[str, ...]
    """What may stand before a colon in the filter line."""
    examples: str
    """What the empty filter line shows."""
    noun: str
    """What a row is."""
    plural: str

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self.state_name = name
        """Under which the screen remembers its settings."""
        self._frozen: set[str] | None = None
        """While the display is paused: the ids that changed meanwhile."""
        self.counts: Counts | None = None
        """How many there are and match; None until the store has been asked."""
        self._reading = False
        """Whether the table reads the store: from its opening on."""

    # --- What a subclass provides

    def make_source(self) -> Records[Record]:
        """Where the rows come from."""
        raise NotImplementedError

    def make_view(self, columns: Sequence[Column]) -> TableView:
        """What a person may choose to see of those columns."""
        raise NotImplementedError

    async def read_counts(self, query: TableQuery) -> Counts | None:
        """How many rows there are; None where that could not be read, which was said."""
        raise NotImplementedError

    def take(self, change: Change) -> None:
        """Bring up to date what a change may have changed."""
        raise NotImplementedError

    def draw_details(self, row: Record, columns: int) -> Content:
        """Everything known about a row, for that many cells."""
        raise NotImplementedError

    def nothing_yet(self) -> Sequence[str]:
        """What is said where there is no row at all: the first line is its title."""
        raise NotImplementedError

    def open_row(self, key: str) -> None:
        """Show a row's own screen."""
        raise NotImplementedError

    def export_rows(self, query: TableQuery, folder: Path, file_format: str) -> None:
        """Write the rows of a query to a file."""
        raise NotImplementedError

    # --- Picture

    def compose_body(self) -> ComposeResult:
        self._source = self.make_source()
        self.view = self.make_view(self._source.columns())
        query = self.view.restore(self.dashboard.state.get(self.state_name))
        self._tabs = StatusTabs(id="status-tabs")
        self._table = self.TABLE(_NothingYet(), self.view.arranged(), query=query, ascii=self.dashboard.ascii, id="table")
        yield self._tabs
        yield FilterBar(self.fields, placeholder=self.examples, id="filter")
        with Container(id="body"):
            yield self._table
            yield Static(id="notice")
            yield RowDetails(id="details")

    def on_mount(self) -> None:
        self.table.empty = f"Opening the store {self.dashboard.glyphs.ellipsis}"
        self.table.focus()
        self._show_tabs()
        self.dashboard.engine_changes.subscribe(self, self._engine_changed)
        self.set_interval(CLOCK_INTERVAL, self._clock_moved)
        if self.dashboard.opened.is_set() or self.dashboard.store_error is not None:
            self._begin()

    @property
    def table(self) -> ScreenTable:
        return self._table

    @property
    def records(self) -> Mapping[str, Record]:
        """The rows fetched last, by id."""
        return self._source.records

    def look(self) -> Look:
        """How rows are drawn now."""
        dashboard = self.dashboard
        return Look(dashboard.glyphs, dashboard.now(), dashboard.settings.dates, dashboard.settings.date_format)

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
        until = self.dashboard.last_deletion.until
        if until is not None and until > self.dashboard.now():
            badges.append(Badge(f"U undo {countdown((until - self.dashboard.now()).total_seconds())}"))
        return tuple(badges)

    def _show_tabs(self) -> None:
        self._tabs.set_tabs(*self.view.tabs(self.counts, self.dashboard.glyphs))

    def _notice(self, lines: Sequence[str], style: str = "") -> None:
        """Say something in the table's place; nothing brings the table and its keys back."""
        notice = self.query_one("#notice", Static)
        self.query_one("#body").set_class(bool(lines), "-notice")
        if lines:
            notice.update(Content("\n").join([Content(lines[0]).stylize(style or "bold"), *map(Content, lines[1:])]))
        elif self.focused is None:  # Textual took the focus from the table when the notice hid it
            self.table.focus()

    # --- The store opens, rows change, time passes

    def _begin(self) -> None:
        """The store is open, or could not be opened."""
        error = self.dashboard.store_error
        if error is not None:
            self._notice(("The store could not be opened.", "", error.message, error.remedy), "bold $text-error")
        elif not self._reading:
            self._reading = True
            self.table.set_source(self._source, self.table.table_query)
            self.table.empty = ""
            self.count_soon()

    def _engine_changed(self, change: Change) -> None:
        if not self._reading:
            self._begin()
        elif self._frozen is not None:
            self._frozen |= change.connector_ids or set()
            self.update_header()
        else:
            self.take(change)

    def count_soon(self) -> None:
        """Count the rows anew."""
        self.run_worker(self._count(), group="counts", exclusive=True, exit_on_error=False)

    async def _count(self) -> None:
        counts = await self.read_counts(self.table.table_query)
        if counts is None or not self.query("#notice"):
            return
        self.counts = counts
        self._notice(self.nothing_yet() if counts.total == 0 else ())
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
            row = self.records.get(key) if key is not None else None
            draw = None if row is None else lambda columns: self.draw_details(row, columns)
            self.query_one(RowDetails).show("" if row is None else row.name, draw)

    # --- What applies here

    def reason_against(self, action: str) -> str:
        acts = ACTIONS[action].group is Group.ACTION
        if not self.dashboard.opened.is_set():
            return "The store is not open." if acts or ACTIONS[action].group is Group.COPY else ""
        if action == "undo":
            return self.reason_against_undo()
        if action in ("details", "add") or not (acts or action == "yank"):
            return ""
        return "" if self.targets() else f"There is no {self.noun} under the cursor."

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
        self.count_soon()
        self.update_header()

    def _filter_by(self, statuses: frozenset[str], *, failures_only: bool) -> None:
        self.view.statuses, self.view.failures_only = statuses, failures_only
        self._requery(self.view.filtered(self.table.table_query))
        self._show_tabs()

    def action_failures_only(self) -> None:
        self._filter_by(self.view.statuses, failures_only=not self.view.failures_only)

    def action_filter_status(self) -> None:
        choices = self.view.status_choices(self.counts, self.dashboard.glyphs)

        def chosen(statuses: tuple[str, ...] | None) -> None:
            if statuses is not None:
                several = frozenset(statuses) if len(statuses) < len(choices) else frozenset()
                self._filter_by(several, failures_only=self.view.failures_only)

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

        choices = self.view.sort_choices(query, self.dashboard.glyphs)
        self.app.push_screen(Menu("Sort by", choices, self.dashboard.glyphs, hint="the same again: reverse"), chosen)

    def action_reverse_sort(self) -> None:
        query = self.table.table_query
        self.sort_by(query.sort or "name", not query.descending)

    def sort_by(self, column: str, descending: bool = False) -> None:
        """Sort by one of the view's sorts, and remember it."""
        self.table.sort_by(column, descending)
        self.dashboard.remember(self.state_name, sort=column, descending=descending)

    @on(LiveTable.SortChanged)
    def _sorted_by_header(self, event: LiveTable.SortChanged) -> None:
        self.dashboard.remember(self.state_name, sort=event.column, descending=event.descending)

    def action_columns(self) -> None:
        def chosen(names: tuple[str, ...] | None) -> None:
            if names is not None:
                self.view.show_columns(names)
                self.table.set_columns(self.view.arranged())
                self.dashboard.remember(self.state_name, columns=list(self.view.shown))

        choices, hint = self.view.column_choices(), "space ticks, J K move, enter applies"
        self.app.push_screen(Ticks("Columns", choices, self.dashboard.glyphs, hint=hint, ordered=True), chosen)

    def action_wide(self) -> None:
        self.view.wide = not self.view.wide
        self.table.action_columns(-len(self.view.shown))
        self.table.set_columns(self.view.arranged())
        self.dashboard.remember(self.state_name, wide=self.view.wide)

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
            self.count_soon()

    def action_details(self) -> None:
        self.toggle_class("-details")
        self._show_details()

    # --- Rows

    def targets(self) -> Sequence[str]:
        return self.table.targets()

    @property
    def target(self) -> Record | None:
        """The row of the one that an action applies to; None where there are several."""
        ids = self.targets()
        return self.records.get(ids[0]) if len(ids) == 1 else None

    def menu_title(self) -> str:
        row = self.target
        return row.name if row is not None else f"{count(len(self.targets()))} {self.plural}"

    def action_open(self) -> None:
        if (key := self.table.cursor_key) is not None:
            self.open_row(key)

    def on_live_table_row_opened(self, event: LiveTable.RowOpened) -> None:
        self.open_row(event.key)

    def on_live_table_menu_requested(self) -> None:
        self.action_menu()

    def action_export(self) -> None:
        choices = [Choice("csv", "CSV", "c", "for spreadsheets; no formulas"), Choice("json", "JSON", "j", "for programs")]
        query, folder = self.table.table_query, Path.cwd()

        def chosen(file_format: str | None) -> None:
            if file_format is not None:
                self.export_rows(query, folder, file_format)

        rows = f"Export {count(self.table.count)} rows to {folder}"
        self.app.push_screen(Menu("Export", choices, self.dashboard.glyphs, text=rows), chosen)


class _NothingYet:
    """The table's source until the store is open."""

    async def keys(self, query: TableQuery) -> Sequence[str]:
        return ()

    async def rows(self, keys: Sequence[str]) -> dict[str, dict[str, str]]:
        return {}
