"""The screen of one source or destination: whether it works and what to do, what it offers, who uses it, what failed, its audit.

Live: a change of one of its connectors, or of itself, costs one reading, at most one a second.
"""

from __future__ import annotations

from asyncio import sleep
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import ContentSwitcher

from syncterm.actions import ACTIONS, ENDPOINT_MENU, Scope, bindings, key_label, keys_of
from syncterm.engine.errors import SynctermError
from syncterm.engine.model import EndpointKind
from syncterm.screens.catalog_pane import CatalogPane
from syncterm.screens.dashboard import Place
from syncterm.screens.endpoint_acting import EndpointActingScreen
from syncterm.screens.endpoint_summary import OPERATIONS, audit_text, head_lines, plural_note, setup_lines, version_note
from syncterm.screens.look import Look
from syncterm.screens.looking import Looking
from syncterm.text import ago, clean, count
from syncterm.widgets.catalog_tree import CatalogTree
from syncterm.widgets.footer import FooterKey, QuickActions
from syncterm.widgets.lines import Lines
from syncterm.widgets.list_table import ListTable
from syncterm.widgets.live_table import LiveTable
from syncterm.widgets.paged_table import PagedSource, PagedTable
from syncterm.widgets.tab_strip import TabStrip
from syncterm.widgets.table_model import Cell, Column, Row

if TYPE_CHECKING:
    from textual.widget import Widget

    from syncterm.engine.events import Change
    from syncterm.engine.host import EngineHost
    from syncterm.engine.queries import AuditRow, EndpointDetail, EndpointError, EndpointUse

CLOCK_INTERVAL = 10.0
"""Seconds between two looks at the ages shown."""
PATIENCE = 0.1
"""Seconds between two looks at whether a rest was ended by something that cannot wait."""
LOOK_INTERVAL = 1.0
"""Least seconds between two readings."""
LOW = 30
"""On screens with fewer lines the head is kept short."""
QUICK = ("check", "edit", "refresh")
"""The quick actions, in their order."""
ROW_ACTIONS = (*ENDPOINT_MENU, "menu", "yank")

USES = (
    Column("name", "Connector", 16, flexible=True, sortable=False),
    Column("status", "Status", 14, sortable=False),
    Column("other", "With", 12, flexible=True, priority=2, sortable=False),
    Column("last_sync", "Last Sync", 12, priority=1, sortable=False),
    Column("version", "Version applied", 16, priority=3, sortable=False),
)
ERRORS = (
    Column("at", "When", 12, sortable=False, tooltip=lambda key, row: str(row["exact"])),
    Column("connector", "Connector", 16, flexible=True, sortable=False),
    Column("message", "Error", 24, flexible=True, sortable=False),
)
AUDIT = (
    Column("at", "When", 12, sortable=False, tooltip=lambda key, row: str(row["exact"])),
    Column("actor", "Who", 12, sortable=False),
    Column("operation", "Did", 12, sortable=False),
    Column("text", "What", 24, flexible=True, sortable=False),
)


class SetupPane(VerticalScroll):
    """The set-up, scrolled by the usual keys."""

    BINDING_GROUP_TITLE = "Set-up"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False, id="setup.down"),
        Binding("k", "scroll_up", "Up", show=False, id="setup.up"),
        Binding("g", "scroll_home", "To the top", show=False, id="setup.top"),
        Binding("G", "scroll_end", "To the end", show=False, id="setup.end"),
        Binding("ctrl+f", "page_down", "Page down", show=False, id="setup.page_down"),
        Binding("ctrl+b", "page_up", "Page up", show=False, id="setup.page_up"),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        self.lines = Lines(id="setup-lines")
        super().__init__(self.lines, id=id)


class EndpointScreen(EndpointActingScreen):
    """One source or destination."""

    SCOPE = Scope.ENDPOINT
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.ENDPOINT)]

    DEFAULT_CSS = """
    EndpointScreen {
        #head { height: auto; padding: 0 1; background: $background; }
        QuickActions { padding: 0 1; background: $background; }
        ContentSwitcher { width: 1fr; height: 1fr; }
        ContentSwitcher > Vertical, ContentSwitcher > SetupPane { height: 1fr; }
        SetupPane { background: $surface; scrollbar-size-vertical: 1; }
        SetupPane Lines { background: $surface; }
        &.-zoomed #head, &.-zoomed QuickActions { display: none; }
    }
    """

    def __init__(self, host: EngineHost, kind: EndpointKind, endpoint_id: str) -> None:
        super().__init__()
        self._host = host
        self.kind = kind
        self.endpoint_id = endpoint_id
        self.place = Place(kind, endpoint_id)
        self.detail: EndpointDetail | None = None
        """What was read last."""
        self._looking = Looking(self, self._read)
        self._next_look = 0.0
        self._stale = False
        """Something changed while another screen covered this one."""
        self._gone = False
        self._discovering: float | None = None
        """When discovering began, on the monotonic clock; None while nobody discovers."""
        self._catalog: object = None
        """Of which discovery the streams shown are."""

    # --- Picture

    def compose_body(self) -> ComposeResult:
        glyphs, ascii_only = self.dashboard.glyphs, self.dashboard.ascii
        self._head = Lines(id="head-lines")
        self._quick = QuickActions(id="quick")
        self._streams = CatalogPane(glyphs, id="streams")
        self._uses: ListTable[EndpointUse] = ListTable(
            lambda use: use.connector_id,
            self._use_row,
            USES if self.kind is EndpointKind.SOURCE else USES[:-1],
            empty=f"No connector uses this {self.kind} yet.",
            ascii=ascii_only,
            id="connectors",
        )
        self._setup = SetupPane(id="setup")
        self._errors: ListTable[EndpointError] = ListTable(
            lambda error: error.sync_id,
            self._error_row,
            ERRORS,
            empty="No sync of its connectors has failed.",
            ascii=ascii_only,
            id="errors",
        )
        self._audit: PagedTable[AuditRow] = PagedTable(
            PagedSource(self._audit_page, lambda row: str(row.id), self._audit_row),
            AUDIT,
            empty=f"Nobody has done anything with this {self.kind} yet.",
            ascii=ascii_only,
            id="audit",
        )
        panes: dict[str, tuple[str, Widget]] = {
            "streams": ("Streams", self._streams),
            "connectors": ("Connectors", self._uses),
            "setup": ("Set-up", self._setup),
            "errors": ("Errors", self._errors),
            "audit": ("Audit", self._audit),
        }
        if self.kind is EndpointKind.DESTINATION:
            del panes["streams"]
        self._panes: Mapping[str, Widget] = {name: pane for name, (_, pane) in panes.items()}
        first = next(iter(panes))
        self._strip = TabStrip([(name, title) for name, (title, _) in panes.items()], hint="[ ] change tab", id="tabs")
        self._switcher = ContentSwitcher(*self._panes.values(), initial=first)
        yield Vertical(self._head, id="head")
        yield self._quick
        yield self._strip
        yield self._switcher

    def on_mount(self) -> None:
        self._focus_target(self._tab).focus()
        self.dashboard.engine_changes.subscribe(self, self._engine_changed)
        self.set_interval(CLOCK_INTERVAL, self._clock_moved)
        self._draw_quick_actions()
        self._look()

    def on_screen_resume(self) -> None:
        if self._gone:
            self._leave()
        elif self._stale:
            self._look()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def crumb(self) -> str:
        return self.detail.row.name if self.detail is not None else self.endpoint_id

    @property
    def _tab(self) -> str:
        """The tab in view."""
        return self._switcher.current or next(iter(self._panes))

    def _focus_target(self, tab: str) -> Widget:
        return self._streams.focus_target if tab == "streams" else self._panes[tab]

    def look(self) -> Look:
        """How instants are shown now."""
        dashboard = self.dashboard
        return Look(dashboard.glyphs, dashboard.now(), dashboard.settings.dates, dashboard.settings.date_format)

    # --- Live

    def _engine_changed(self, change: Change) -> None:
        ids = change.connector_ids
        users = {use.connector_id for use in self.detail.uses} if self.detail is not None else set()
        if ids and not change.order_changed and not ids & users:
            return  # others' connectors; a change that names none may be of a source
        if self.is_current:
            self._look()
        else:
            self._stale = True

    def _look(self) -> None:
        """Look at the store; changes that come meanwhile cost one more look."""
        if self.dashboard.opened.is_set():
            self._stale = False
            self._looking.soon()

    async def _read(self) -> None:
        if self._gone:
            return
        while (delay := self._next_look - monotonic()) > 0:
            await sleep(min(delay, PATIENCE))
        self._next_look = monotonic() + LOOK_INTERVAL
        detail = await self._host.call(lambda engine: engine.queries.endpoint_detail(self.kind, self.endpoint_id))
        if detail is None:
            self._say_gone()
            return
        self.detail = detail
        self._draw()
        self.update_header()
        self.refresh_bindings()
        self._draw_quick_actions()
        await self._read_streams(detail)
        self._audit.refresh_keys()

    async def _read_streams(self, detail: EndpointDetail) -> None:
        """The streams, where they were discovered since they were read."""
        seen = (detail.row.catalog_at,)
        if self.kind is EndpointKind.DESTINATION or seen == self._catalog:
            return
        streams = await self._host.call(lambda engine: engine.queries.source_streams(self.endpoint_id))
        self._catalog = seen
        self._streams.show_streams(streams, discovered=detail.row.catalog_at is not None)
        self._strip.note("streams", count(len(streams)) if streams else "")

    @on(CatalogTree.ColumnsWanted)
    def _columns_wanted(self, event: CatalogTree.ColumnsWanted) -> None:
        self.run_worker(self._read_columns(event.stream), group=f"columns of {event.stream}", exit_on_error=False)

    async def _read_columns(self, stream: str) -> None:
        schema = await self._host.call(lambda engine: engine.queries.source_stream(self.endpoint_id, stream))
        self._streams.show_columns(stream, schema)

    async def _audit_page(self, before: AuditRow | None, limit: int) -> Sequence[AuditRow]:
        last = None if before is None else before.id
        return await self._host.call(lambda engine: engine.queries.audit(self.endpoint_id, before_id=last, limit=limit))

    def _say_gone(self) -> None:
        if not self._gone:
            self._gone = True
            self.notify(f"{clean(self.crumb())} was deleted.", title=f"This {self.kind} is gone", severity="warning")
            if self.is_current:
                self._leave()

    def _leave(self) -> None:
        if len(self.app.screen_stack) > 1 and self.is_current:
            self.app.pop_screen()

    # --- Drawing

    def _clock_moved(self) -> None:
        self._draw(redraw=True)

    def _draw(self, *, redraw: bool = False) -> None:
        """Everything but streams and audit trail, as it is now."""
        detail = self.detail
        if detail is None or not self.is_mounted:
            return
        look = self.look()
        cells = self._head.size.width or self.size.width - 2
        self._head.show(head_lines(detail, self.kind, look, cells, low=self.size.height < LOW))
        self._head.tooltip = Content(clean(detail.row.status_reason, limit=2000)) if detail.row.status_reason else None
        self._setup.lines.show(setup_lines(detail, look, max(20, self.size.width - 2)))
        self._uses.show_items(detail.uses, redraw=redraw)
        self._errors.show_items(detail.errors, redraw=redraw)
        if redraw:
            self._audit.update_all_rows()
        self._strip.note("connectors", plural_note(detail.uses, detail.row.connectors))
        self._strip.note("errors", plural_note(detail.errors, 0))
        self._draw_age()

    def _draw_age(self) -> None:
        detail = self.detail
        if detail is None or self.kind is EndpointKind.DESTINATION:
            return
        if self._discovering is not None:
            text = f"discovering {self.dashboard.glyphs.ellipsis} {monotonic() - self._discovering:.0f} s"
        elif detail.row.catalog_at is None:
            text = "never discovered"
        else:
            text = f"discovered {ago(detail.row.catalog_at, self.dashboard.now())}"
        self._streams.show_age(text)

    def _use_row(self, use: EndpointUse) -> Row:
        from syncterm.screens.connector_rows import STATUS_STYLES, last_sync_cells, status_glyph

        style = STATUS_STYLES[use.status]
        present = self.detail.row.version if self.detail is not None else 0
        return {
            "name": use.name,
            "status": (Cell(f"{status_glyph(use.status, self.dashboard.glyphs)} ", style), Cell(str(use.status), style)),
            "other": use.other_end or "",
            "last_sync": last_sync_cells(use.last_sync_at, use.last_outcome, self.look()),
            "version": Cell(version_note(use.applied_version, present, use.outdated), "warning" if use.outdated else ""),
        }

    def _error_row(self, error: EndpointError) -> Row:
        look = self.look()
        return {
            "at": look.past(error.at),
            "exact": look.exact(error.at),
            "connector": error.connector_name,
            "message": Cell(error.message or str(error.error_class or ""), "bad"),
        }

    def _audit_row(self, row: AuditRow) -> Row:
        look = self.look()
        return {
            "at": look.past(row.at),
            "exact": look.exact(row.at),
            "actor": row.actor,
            "operation": Cell(OPERATIONS.get(row.operation, row.operation), "bad" if row.refused else ""),
            "text": Cell(audit_text(row), "muted"),
        }

    def _draw_quick_actions(self) -> None:
        keymap = self.dashboard.settings.keymap
        keys = []
        for name in QUICK:
            if (state := self.check_action(name, ())) is not False:
                label = key_label(keys_of(ACTIONS[name], keymap)[0], ascii=self.dashboard.ascii)
                keys.append(FooterKey(name, label, self.wording(name), enabled=bool(state)))
        self._quick.set_keys(keys)

    # --- Tabs

    def show_tab(self, tab: str) -> None:
        """Bring a tab into view, with the focus in it."""
        self._switcher.current = tab
        self._strip.activate(tab)
        self._focus_target(tab).focus()
        self.update_header()

    def action_next_tab(self) -> None:
        self.show_tab(self._strip.neighbour(1))

    def action_previous_tab(self) -> None:
        self.show_tab(self._strip.neighbour(-1))

    @on(TabStrip.Chosen)
    def _tab_chosen(self, event: TabStrip.Chosen) -> None:
        self.show_tab(event.tab)

    @on(LiveTable.RowOpened, "#connectors")
    def _connector_opened(self, event: LiveTable.RowOpened) -> None:
        self.dashboard.open_connector(event.key)

    @on(LiveTable.RowOpened, "#errors")
    def _error_opened(self, event: LiveTable.RowOpened) -> None:
        self.dashboard.open_sync(event.key)

    # --- Actions

    def targets(self) -> Sequence[str]:
        return (self.endpoint_id,)

    def menu_title(self) -> str:
        return self.crumb()

    def wording(self, action: str) -> str:
        if action == "refresh":
            return "Discover streams" if self.kind is EndpointKind.SOURCE else "Refresh"
        return super().wording(action)

    def reason_against(self, action: str) -> str:
        if action == "undo":
            return self.reason_against_undo()
        if action in ROW_ACTIONS and self.detail is None:
            return f"The {self.kind} is still being read."
        if action == "refresh_source" and not (self.detail is not None and any(use.outdated for use in self.detail.uses)):
            if self.kind is EndpointKind.DESTINATION:
                return "Connectors use a destination's present set-up at once."
            return "All its connectors are on the present version."
        if action == "check" and self.detail is not None and self.detail.row.incomplete_reason:
            return f"There is nothing to test yet: {self.detail.row.incomplete_reason}."
        return ""

    def action_refresh_source(self) -> None:
        users = tuple(use.connector_id for use in self.detail.uses if use.outdated) if self.detail is not None else ()
        actions = self.dashboard.connector_actions
        actions.start(actions.refresh_source(users))

    def action_yank(self) -> None:
        actions = self.dashboard.endpoint_actions
        actions.start(actions.yank(self.kind, self.endpoint_id, self._cells()))

    def _cells(self) -> list[tuple[str, str]]:
        """Titles and texts of the row that the cursor is on."""
        pane = self._panes[self._tab]
        if pane is self._streams:
            place = self._streams.tree_of_streams.place()
            if place is None:
                return []
            stream, column = place
            return [("Stream", stream.name)] if column is None else [("Column", column.name), ("Stream", stream.name)]
        if pane is self._setup and self.detail is not None:
            return list(self.detail.config)
        if isinstance(pane, LiveTable) and (key := pane.cursor_key) is not None:
            return pane.describe(key)
        return []

    def action_refresh(self) -> None:
        self._next_look = 0.0
        self._look()
        may = self.kind is EndpointKind.SOURCE and not self.dashboard.read_only
        if may and self._discovering is None and self.detail is not None:
            self._discovering = monotonic()
            self.run_worker(self._discover(), group="discover", exit_on_error=False)

    async def _discover(self) -> None:
        """Ask the source what it offers now."""
        ticking = self.set_interval(1.0, self._draw_age)
        self._draw_age()
        actor = self.dashboard.actor
        try:
            found = await self._host.call(lambda engine: engine.operations.discover(actor, self.endpoint_id))
        except SynctermError as error:
            self.dashboard.notify_error(error)
        else:
            self.notify(f"{count(found)} stream{'' if found == 1 else 's'}.", title="Discovered")
            self._catalog = None
        finally:
            ticking.stop()
            self._discovering = None
            self._draw_age()
            self._next_look = 0.0
            self._look()

    def action_zoom(self) -> None:
        self.toggle_class("-zoomed")

    def go_back(self) -> None:
        if self._tab == "streams" and self._streams.clear_search():
            return
        if self.has_class("-zoomed"):
            self.action_zoom()
        else:
            super().go_back()
