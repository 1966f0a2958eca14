"""The detail screen of one connector: the picture of its flow, why it is or isn't running, its schema, its history, its logs.

Live: a change of the connector costs one small query; the full picture is asked for only when more than the progress moved, and
only the tab in view is refreshed. Nothing is painted that looks as before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import ContentSwitcher

from syncterm.actions import ACTIONS, Scope, bindings, key_label, keys_of
from syncterm.engine.model import Activity, Outcome
from syncterm.screens.acting import ActingScreen
from syncterm.screens.connector_picture import Picture, flow_picture, head_lines, read_picture, version_lines, waiting_lines
from syncterm.screens.connector_summary import (
    WHY_LINES,
    WHY_LINES_HIGH,
    fires_line,
    life_line,
)
from syncterm.screens.dashboard import Place
from syncterm.screens.history_pane import PATTERN_PERIOD, HistoryPane
from syncterm.screens.logs_pane import LogsPane
from syncterm.screens.looking import Looking
from syncterm.screens.schema_pane import SchemaPane, change_lines
from syncterm.text import clean
from syncterm.widgets.flow import Flow, Throughput
from syncterm.widgets.footer import FooterKey, QuickActions
from syncterm.widgets.header import Badge
from syncterm.widgets.lines import Line, Lines
from syncterm.widgets.tab_strip import TabStrip

if TYPE_CHECKING:
    from textual.timer import Timer
    from textual.widget import Widget

    from syncterm.engine.engine import Engine
    from syncterm.engine.events import Change
    from syncterm.engine.host import EngineHost
    from syncterm.engine.queries import (
        ConnectorRow,
        FailureGroup,
        LogLine,
        SyncRow,
        TrendPoint,
    )

CLOCK_INTERVAL = 10.0
"""Seconds between two looks at the ages and distances shown."""
TREND_COUNT = 60
"""Syncs in the duration trend."""
LOW = 30
"""On screens with fewer lines the head is kept short."""
QUICK = ("check", "sync_now", "toggle_pause", "cancel", "historical_resync")
"""The quick actions, in their order."""
TABS = (("schema", "Schema"), ("history", "Sync History"), ("logs", "Logs"))


class ConnectorScreen(ActingScreen):
    """One connector."""

    SCOPE = Scope.CONNECTOR
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.CONNECTOR)]

    DEFAULT_CSS = """
    ConnectorScreen {
        #head { height: auto; padding: 0 1; background: $background; }
        QuickActions { padding: 0 1; background: $background; }
        ContentSwitcher { width: 1fr; height: 1fr; }
        ContentSwitcher > Vertical { height: 1fr; }
        &.-zoomed #head, &.-zoomed QuickActions { display: none; }
    }
    """

    def __init__(self, host: EngineHost, connector_id: str, *, tab: str = "schema") -> None:
        super().__init__()
        self._host = host
        self.connector_id = connector_id
        self.place = Place("connector", connector_id)
        self._first_tab = tab if tab in dict(TABS) else "schema"
        self._row: ConnectorRow | None = None
        self._settled: ConnectorRow | None = None
        """The row without its progress: what decides whether the full picture is asked for again."""
        self._picture: Picture | None = None
        self._throughput = Throughput([])
        self._phase = 0
        self._looking = Looking(self, self._read)
        self._full = True
        """Whether the next look brings the full picture, whatever the row says."""
        self._stale = False
        """Something changed while another screen covered this one."""
        self._gone = False
        self._clock: Timer | None = None

    # --- Picture

    def compose_body(self) -> ComposeResult:
        symbols, ascii_only = self.dashboard.glyphs, self.dashboard.ascii
        self._flow = Flow(ascii=ascii_only, id="flow")
        self._status_lines = Lines(id="status")
        self._quick = QuickActions(id="quick")
        self._strip = TabStrip(TABS, hint="[ ] change tab", id="tabs")
        self._schema = SchemaPane(self._host, self.connector_id, symbols, id="schema")
        self._history = HistoryPane(self._sync_page, symbols, ascii=ascii_only, id="history")
        self._logs = LogsPane(self._log_lines, ascii=ascii_only, empty="Nothing has been logged: press r to sync now.", id="logs")
        self._panes: Mapping[str, SchemaPane | HistoryPane | LogsPane] = {
            "schema": self._schema,
            "history": self._history,
            "logs": self._logs,
        }
        self._switcher = ContentSwitcher(*self._panes.values(), initial=self._first_tab)
        yield Vertical(self._flow, self._status_lines, id="head")
        yield self._quick
        yield self._strip
        yield self._switcher

    def on_mount(self) -> None:
        self._strip.activate(self._first_tab)
        self._panes[self._first_tab].focus_target.focus()
        self.dashboard.engine_changes.subscribe(self, self._engine_changed)
        self._clock = self.set_interval(CLOCK_INTERVAL, self._draw)
        self._draw_quick_actions()
        self._look()

    def on_screen_resume(self) -> None:
        if self._gone:
            self._leave()
        elif self._stale:
            self._look(full=True)

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def crumb(self) -> str:
        return self._row.name if self._row is not None else self.connector_id

    def badges(self) -> tuple[Badge, ...]:
        if not self.is_mounted:
            return ()
        unsaved = (Badge(self._schema.badge, loud=True),) if self._schema.badge else ()
        return (*unsaved, Badge("FAILURES ONLY")) if self._history.failures_only else unsaved

    def inner(self) -> tuple[Scope, Widget] | None:
        return (Scope.STREAMS, self._schema.editor) if self.is_mounted and self._tab == "schema" else None

    @property
    def _tab(self) -> str:
        """The tab in view."""
        return self._switcher.current or self._first_tab

    # --- Live

    def _engine_changed(self, change: Change) -> None:
        if change.connector_ids is not None and self.connector_id not in change.connector_ids:
            return
        if self.is_current:
            self._look()
        else:
            self._stale = True

    def _look(self, *, full: bool = False) -> None:
        """Look at the store; changes that come meanwhile cost one more look."""
        self._full = self._full or full
        if not self.dashboard.opened.is_set():
            return  # the app says when the store is open
        self._stale = False
        self._looking.soon()

    async def _read(self) -> None:
        if self._gone:
            return
        rows = await self._host.call(lambda engine: engine.queries.connector_rows([self.connector_id]))
        row = rows.get(self.connector_id)
        if row is None:
            self._say_gone()
            return
        settled = replace(row, progress_stream=None, progress_records=None, progress_bytes=None, progress_expected=None)
        full = self._full or settled != self._settled or await self._waiting_changed()
        if full:
            picture = await self._host.call(lambda engine: read_picture(engine, self.connector_id))
            if picture is None:
                self._say_gone()
                return
            self._picture, row, self._full = picture, picture.detail.row, False
            self._settled = settled
        self._take_progress(row)
        self._row = row
        self._draw()
        if full:
            self.update_header()
            self.refresh_bindings()
            self._draw_quick_actions()
        await self._refresh_pane(full=full)

    async def _waiting_changed(self) -> bool:
        """Whether other schema changes wait than were shown."""
        waiting = await self._host.call(lambda engine: engine.queries.waiting_schema_changes(self.connector_id))
        return self._picture is not None and waiting != self._picture.waiting

    async def _refresh_pane(self, *, full: bool) -> None:
        """Bring the tab in view up to date; the others are when they come into view."""
        picture, row = self._picture, self._row
        if picture is None or row is None:
            return
        now = self.dashboard.now()
        current = self._tab
        if current == "schema" and full:
            cells, symbols = self.size.width, self.dashboard.glyphs
            changes = change_lines(picture.detail, cells, symbols) or waiting_lines(picture.waiting, cells, symbols)
            changes = (*changes, *version_lines(picture.detail, cells, symbols))
            await self._schema.show_schema(changes)
        elif current == "history":
            progress = (row.progress_records or 0, row.progress_bytes or 0) if row.activity == Activity.RUNNING else None
            self._history.show_progress(progress, now)
            if full:
                points, groups = await self._host.call(self._read_history)
                self._history.show_history(points, groups, now)
        elif current == "logs":
            self._logs.show_life(self._life(picture))
            await self._logs.fetch_lines()

    async def _read_history(self, engine: Engine) -> tuple[Sequence[TrendPoint], Sequence[FailureGroup]]:
        points = await engine.queries.duration_trend(self.connector_id, TREND_COUNT)
        groups = await engine.queries.failure_groups(self.connector_id, engine.clock.now() - PATTERN_PERIOD)
        return points, groups

    async def _sync_page(self, before: str | None, limit: int, outcome: Outcome | None) -> Sequence[SyncRow]:
        return await self._host.call(
            lambda engine: engine.queries.sync_page(self.connector_id, before=before, limit=limit, outcome=outcome)
        )

    async def _log_lines(self, after: int, before: int | None, limit: int) -> Sequence[LogLine]:
        return await self._host.call(
            lambda engine: engine.queries.log_lines(self.connector_id, after_id=after, before_id=before, limit=limit)
        )

    def _take_progress(self, row: ConnectorRow) -> None:
        if row.activity != Activity.RUNNING or row.progress_records is None:
            self._throughput.clear()
            return
        before = self._row
        if before is None or (before.progress_records, before.progress_bytes) != (row.progress_records, row.progress_bytes):
            self._phase += 1
            self._throughput.add(self.dashboard.now().timestamp(), row.progress_records, row.progress_bytes or 0)

    def _say_gone(self) -> None:
        if not self._gone:
            self._gone = True
            name = self._row.name if self._row is not None else self.connector_id
            self.notify(f"{clean(name)} was deleted.", title="This connector is gone", severity="warning")
            if self.is_current:
                self._leave()

    def _leave(self) -> None:
        if len(self.app.screen_stack) > 1 and self.is_current:
            self.app.pop_screen()

    # --- Drawing

    def _draw(self) -> None:
        """The head, as it is now."""
        picture, row = self._picture, self._row
        if picture is None or row is None or not self.is_mounted:
            return
        now, symbols = self.dashboard.now(), self.dashboard.glyphs
        self._flow.show_picture(flow_picture(picture, row, self._throughput.rate(), self._phase, now))
        cells = self._status_lines.size.width
        if cells:
            most = WHY_LINES if self._is_low else WHY_LINES_HIGH
            self._status_lines.show(head_lines(picture, row, cells, most, now, symbols))
            self._status_lines.tooltip = Content(clean(picture.detail.why, limit=2000))

    @property
    def _is_low(self) -> bool:
        """Whether the screen has few lines."""
        return self.size.height < LOW

    def _life(self, picture: Picture) -> tuple[Line, ...]:
        symbols = self.dashboard.glyphs
        cells = self._logs.size.width or self.app.size.width
        lines: list[Line] = []
        if picture.newest:
            lines.append(((" ", ""), *life_line(picture.newest[0], None, cells - 2, symbols)))
        if not self._is_low or self.has_class("-zoomed"):
            detail, now = picture.detail, self.dashboard.now()
            zone = detail.schedule.timezone
            lines.append(fires_line(detail.next_fires, zone, None, now, cells, symbols, "no fire time ahead"))
        return tuple(lines)

    def _draw_quick_actions(self) -> None:
        keymap = self.dashboard.settings.keymap
        keys = []
        for name in QUICK:
            state = self.check_action(name, ())
            if state is not False:
                label = key_label(keys_of(ACTIONS[name], keymap)[0], ascii=self.dashboard.ascii)
                keys.append(FooterKey(name, label, self.wording(name), enabled=bool(state)))
        self._quick.set_keys(keys)

    def targets(self) -> Sequence[str]:
        return (self.connector_id,)

    def menu_title(self) -> str:
        return self.crumb()

    def wording(self, action: str) -> str:
        if action == "toggle_pause":
            return "Resume" if self._row is not None and self._row.status == "Paused" else "Pause"
        return "Cancel" if action == "cancel" else super().wording(action)

    # --- Tabs

    def show_tab(self, tab: str) -> None:
        """Bring a tab into view, with the focus in it."""
        self._switcher.current = tab
        self._strip.activate(tab)
        self._panes[tab].focus_target.focus()
        self.update_header()
        self.update_footer()
        self._look(full=True)

    def action_next_tab(self) -> None:
        self.show_tab(self._strip.neighbour(1))

    def action_previous_tab(self) -> None:
        self.show_tab(self._strip.neighbour(-1))

    def action_logs(self) -> None:
        self.show_tab("logs")

    @on(TabStrip.Chosen)
    def _tab_chosen(self, event: TabStrip.Chosen) -> None:
        self.show_tab(event.tab)

    @on(HistoryPane.SyncOpened)
    def _sync_opened(self, event: HistoryPane.SyncOpened) -> None:
        self.dashboard.open_sync(event.sync_id)

    @on(SchemaPane.Changed)
    def _schema_edited(self) -> None:
        self.update_header()

    @on(HistoryPane.Narrowed)
    def _history_narrowed(self) -> None:
        self.update_header()

    # --- Actions

    def reason_against(self, action: str) -> str:
        row = self._row
        if row is None:
            return "The connector is still being read." if action in (*QUICK, "delete", "yank", "menu") else ""
        if action == "cancel" and row.activity == Activity.IDLE:
            return "No sync runs or waits."
        if action in ("sync_now", "historical_resync") and str(row.status) == "Incomplete" and not self._waits_for_approval:
            return row.status_reason or "The set-up is not complete."
        return ""

    @property
    def _waits_for_approval(self) -> bool:
        """Whether nothing but a schema change stops it: then a sync looks whether the source has it still."""
        return self._picture is not None and self._picture.detail.schema_change is not None

    def action_check(self) -> None:
        actions = self.dashboard.connector_actions
        actions.start(actions.check(self.connector_id))

    def action_yank(self) -> None:
        actions = self.dashboard.connector_actions
        actions.start(actions.yank(self.connector_id, self._cells()))

    def _cells(self) -> list[tuple[str, str]]:
        """Titles and texts of the row that the cursor is on."""
        current = self._tab
        if current == "schema" and (place := self._schema.stream_tree.place()) is not None:
            stream, column = place
            return [("Stream", stream)] if column is None else [("Column", column), ("Stream", stream)]
        if current == "history" and (key := self._history.table.cursor_key) is not None:
            return self._history.table.describe(key)
        return []

    def action_refresh(self) -> None:
        self._look(full=True)
        if self._tab == "schema":
            self._schema.read_source()

    def action_zoom(self) -> None:
        self.toggle_class("-zoomed")
        self._look(full=True)

    def go_back(self) -> None:
        current = self._tab
        if current == "schema" and self._schema.clear_search():
            return
        if current == "logs" and self._logs.clear_filter():
            return
        if current == "history" and self._history.failures_only:
            self._history.show_failures(False)
        elif self.has_class("-zoomed"):
            self.action_zoom()
        elif self._schema.unsaved:
            self.run_worker(self._ask_and_leave(), group="leave", exclusive=True, exit_on_error=False)
        else:
            super().go_back()

    async def _ask_and_leave(self) -> None:
        if await self._schema.may_leave():
            self._leave()
