"""One sync: how it went, its streams with their counts, its attempts, the records it set aside with their reasons, its log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import ContentSwitcher

from syncterm.actions import Scope, bindings
from syncterm.engine.model import Outcome, StreamCounts, SyncState
from syncterm.engine.troubleshooting import remedy_of
from syncterm.screens.base import DashboardScreen
from syncterm.screens.connector_summary import LABEL_CELLS, labelled, life_line
from syncterm.screens.dashboard import Place
from syncterm.screens.logs_pane import LogsPane
from syncterm.screens.looking import Looking
from syncterm.text import NOTHING, Glyphs, ago, byte_size, clean, count, duration, fit, width
from syncterm.widgets.balance import balance_within
from syncterm.widgets.history_table import OUTCOME_LOOKS, started_text, status_cell, trigger_text
from syncterm.widgets.lines import Line, Lines, wrapped
from syncterm.widgets.live_table import LiveTable
from syncterm.widgets.paged_table import LOGS, PagedSource, PagedTable
from syncterm.widgets.stream_tree import MODE_NAMES
from syncterm.widgets.tab_strip import TabStrip
from syncterm.widgets.table_model import Cell, Column, Row, TableQuery

if TYPE_CHECKING:
    from textual.widget import Widget

    from syncterm.engine.events import Change
    from syncterm.engine.host import EngineHost
    from syncterm.engine.queries import AttemptRow, FailedRecordRow, LogLine, StreamResultRow, SyncDetail

TABS = (("streams", "Streams"), ("attempts", "Attempts"), ("records", "Failed Records"), ("logs", "Logs"))
ERROR_LINES = 4
RECORD_LINES = 4
"""Lines of a failed record shown under the table."""


class ListSource:
    """Table rows of a list that is at hand."""

    def __init__(self) -> None:
        self.shown: dict[str, Row] = {}

    async def keys(self, query: TableQuery) -> Sequence[str]:
        return list(self.shown)

    async def rows(self, keys: Sequence[str]) -> Mapping[str, Row]:
        return {key: self.shown[key] for key in keys if key in self.shown}


class ListTable(LiveTable):
    """A table of a few rows that are given to it."""

    BINDINGS: ClassVar[list[BindingType]] = [LOGS]

    def __init__(self, columns: Sequence[Column], *, empty: str, ascii: bool, id: str) -> None:  # noqa: A002
        self._list = ListSource()
        super().__init__(self._list, columns, empty=empty, ascii=ascii, id=id)

    def show_rows(self, rows: Mapping[str, Row]) -> None:
        """Show these rows, by key; repaints what changed."""
        self._list.shown = dict(rows)
        self.refresh_keys()
        self.update_rows(list(rows))


def _plain(id_: str, title: str, cells: int, *, right: bool = False, priority: int = 0, flexible: bool = False) -> Column:
    return Column(id_, title, cells, flexible=flexible, align="right" if right else "left", sortable=False, priority=priority)


STREAM_COLUMNS = (
    _plain("stream", "Stream", 16, flexible=True),
    _plain("status", "Status", 13),
    _plain("read", "Read", 9, right=True),
    _plain("written", "Written", 9, right=True),
    _plain("unchanged", "Unchanged", 9, right=True, priority=3),
    _plain("filtered", "Filtered", 8, right=True, priority=3),
    _plain("rejected", "Rejected", 8, right=True),
    _plain("bytes", "Size", 9, right=True, priority=4),
    _plain("duration", "Duration", 8, right=True, priority=2),
    _plain("mode", "Sync mode", 18, priority=6),
    _plain("cursor", "Cursor after", 20, priority=5),
    _plain("error", "Error", 12, flexible=True, priority=1),
)
ATTEMPT_COLUMNS = (
    _plain("number", "#", 3, right=True),
    _plain("status", "Status", 13),
    _plain("started", "Started", 12),
    _plain("duration", "Duration", 8, right=True),
    _plain("progressed", "Progress", 9, priority=2),
    _plain("class", "Error class", 16, priority=1),
    _plain("error", "Error", 14, flexible=True),
    _plain("retry", "Next attempt", 12, priority=2),
)
RECORD_COLUMNS = (
    _plain("stream", "Stream", 14, flexible=True),
    _plain("key", "Key", 12, flexible=True),
    _plain("code", "Error code", 14),
    _plain("message", "Reason", 24, flexible=True),
    _plain("action", "Action", 8, priority=2),
    _plain("state", "State", 9, priority=1),
)


def outcome_cells(outcome: Outcome | None, symbols: Glyphs) -> tuple[Cell, ...]:
    """The sign and the word of a stream's or an attempt's outcome."""
    if outcome is None:
        return (Cell(f"{symbols.running} ", "running"), Cell("In Progress", "running"))
    glyph, style = OUTCOME_LOOKS[outcome]
    return (Cell(f"{getattr(symbols, glyph)} ", style), Cell(outcome.capitalize(), style))


def stream_row(stream: StreamResultRow, symbols: Glyphs) -> Row:
    """One stream of a sync as the table shows it."""
    counts = stream.counts
    return {
        "stream": Cell(stream.stream, "strong"),
        "status": outcome_cells(stream.outcome, symbols),
        "mode": MODE_NAMES[stream.sync_mode],
        "duration": duration(stream.duration.total_seconds() if stream.duration is not None else None),
        "bytes": byte_size(counts.bytes) if counts.bytes else Cell(NOTHING, "muted"),
        "cursor": Cell(stream.cursor_after if stream.cursor_after is not None else NOTHING, "muted"),
        "error": Cell(stream.error_message or ("" if counts.balanced or stream.outcome is None else "does not balance"), "bad"),
        **{
            name: Cell(count(number), "muted" if not number else "warning" if name == "rejected" else "")
            for name, number in _terms(counts).items()
        },
    }


def _terms(counts: StreamCounts) -> dict[str, int]:
    return {
        "read": counts.read,
        "written": counts.written,
        "unchanged": counts.unchanged,
        "filtered": counts.filtered,
        "rejected": counts.rejected,
    }


class SyncDetailScreen(DashboardScreen):
    """One sync, live while it runs."""

    SCOPE = Scope.SYNC
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.SYNC)]

    DEFAULT_CSS = """
    SyncDetailScreen {
        #head { height: auto; padding: 0 1; background: $background; }
        ContentSwitcher { width: 1fr; height: 1fr; }
        ContentSwitcher > Vertical { height: 1fr; }
        #record { height: auto; background: $panel; padding: 0 1; }
    }
    """

    def __init__(self, host: EngineHost, sync_id: str) -> None:
        super().__init__()
        self._host = host
        self.sync_id = sync_id
        self.place = Place("sync", sync_id)
        self._detail: SyncDetail | None = None
        self._looking = Looking(self, self._read)
        self._stale = False

    # --- Picture

    def compose_body(self) -> ComposeResult:
        ascii_only = self.dashboard.ascii
        yield Lines(id="head")
        yield TabStrip(TABS, hint="[ ] change tab", id="tabs")
        with ContentSwitcher(initial="streams"):
            with Vertical(id="streams"):
                yield ListTable(STREAM_COLUMNS, empty="No stream has begun yet.", ascii=ascii_only, id="stream-results")
            with Vertical(id="attempts"):
                yield ListTable(ATTEMPT_COLUMNS, empty="No attempt has begun yet.", ascii=ascii_only, id="attempt-rows")
            with Vertical(id="records"):
                source: PagedSource[FailedRecordRow] = PagedSource(self._records, lambda record: str(record.id), self._record_row)
                yield PagedTable(
                    source, RECORD_COLUMNS, empty="No record was set aside: all that was read could be delivered.",
                    ascii=ascii_only, id="failed-records",
                )  # fmt: skip
                yield Lines(id="record")
            yield LogsPane(self._log_lines, ascii=ascii_only, empty="This sync has logged nothing yet.", id="logs")

    def on_mount(self) -> None:
        self.query_one("#stream-results").focus()
        self.dashboard.engine_changes.subscribe(self, self._engine_changed)
        self._look()

    def on_screen_resume(self) -> None:
        if self._stale:
            self._look()

    def on_resize(self) -> None:
        self._draw_head()

    def crumb(self) -> str:
        return f"Sync {self.sync_id}"

    # --- Live

    def _engine_changed(self, change: Change) -> None:
        detail = self._detail
        if detail is not None and change.connector_ids is not None and detail.row.connector_id not in change.connector_ids:
            return
        if detail is not None and detail.row.state is SyncState.COMPLETED:
            return  # what is completed never changes
        if self.is_current:
            self._look()
        else:
            self._stale = True

    def _look(self) -> None:
        self._stale = False
        self._looking.soon()

    async def _read(self) -> None:
        detail = await self._host.call(lambda engine: engine.queries.sync(self.sync_id))
        if detail is None:
            self.notify("It is older than the history that is kept.", title="This sync is gone", severity="warning")
            if len(self.app.screen_stack) > 1 and self.is_current:
                self.app.pop_screen()
            return
        first, self._detail = self._detail is None, detail
        self._draw_head()
        results = self.query_one("#stream-results", ListTable)
        if detail.row.state is SyncState.COMPLETED:
            results.empty = "No stream was begun."
        results.show_rows({stream.stream: stream_row(stream, self.dashboard.glyphs) for stream in detail.streams})
        self.query_one("#attempt-rows", ListTable).show_rows(
            {str(attempt.number): self._attempt_row(attempt) for attempt in detail.attempts}
        )
        strip = self.query_one(TabStrip)
        strip.note("streams", count(len(detail.streams)))
        strip.note("attempts", count(len(detail.attempts)))
        strip.note("records", count(detail.row.counts.rejected))
        if not first:
            self.query_one("#failed-records", LiveTable).refresh_keys()
        if self._current == "logs":
            await self.query_one(LogsPane).fetch_lines()
        self.update_header()
        self.refresh_bindings()

    async def _records(self, before: FailedRecordRow | None, limit: int) -> Sequence[FailedRecordRow]:
        before_id = None if before is None else before.id
        return await self._host.call(
            lambda engine: engine.queries.failed_records(sync_id=self.sync_id, before_id=before_id, limit=limit)
        )

    async def _log_lines(self, after: int, before: int | None, limit: int) -> Sequence[LogLine]:
        return await self._host.call(
            lambda engine: engine.queries.log_lines(None, self.sync_id, after_id=after, before_id=before, limit=limit)
        )

    # --- Drawing

    def _draw_head(self) -> None:
        if self._detail is not None and self.is_mounted:
            head = self.query_one("#head", Lines)
            if cells := head.content_size.width:
                head.show(self._head(self._detail, cells))

    def _head(self, detail: SyncDetail, cells: int) -> tuple[Line, ...]:
        symbols, now, row = self.dashboard.glyphs, self.dashboard.now(), detail.row
        room = cells - LABEL_CELLS - 1

        def line(label: str, text: str, style: str = "") -> Line:
            shown = clean(text, limit=2000)
            return (*labelled(" ", label, "dim"), (fit(shown, min(room, width(shown)), ellipsis=symbols.ellipsis), style))

        sign, word = status_cell(row, symbols)
        tone = {"good": "$text-success", "bad": "$text-error", "running": "$text-accent"}.get(sign.style, "dim")
        when = f"{started_text(row.started_at, now, None)}, {ago(row.started_at, now)}" if row.started_at else "waits for its turn"
        took = f", took {duration(row.duration.total_seconds())}" if row.duration is not None else ""
        by = trigger_text(row.trigger, row.reason, row.requested_by, row.missed)
        lines: list[Line] = [(*labelled(sign.text.strip(), word.text, tone), (f"{clean(by, limit=300)}, {when}{took}", ""))]
        if row.error_message:
            for index, text in enumerate(wrapped(row.error_message, room, ERROR_LINES, symbols.ellipsis)):
                label = labelled(" ", "Error", "dim") if not index else ((" " * LABEL_CELLS, ""),)
                lines.append((*label, (text, "$text-error" if row.outcome is Outcome.FAILED else "")))
            if row.outcome is Outcome.FAILED and row.error_class is not None:
                lines.append(line("To do", remedy_of(row.error_class)))
        if row.cancel_requested_by:
            lines.append(line("Cancelled by", row.cancel_requested_by))
        size = f", {byte_size(row.counts.bytes)}" if row.counts.bytes else ""
        lines.append(line("Records", balance_within(row.counts, room - width(size)) + size))
        if row.summary:
            lines.append(line("Resumes", row.summary))
        lines.append(((" ", ""), *life_line(row, None, cells - 2, symbols)))
        return tuple(lines)

    def _attempt_row(self, attempt: AttemptRow) -> Row:
        now = self.dashboard.now()
        took = None if attempt.finished_at is None else (attempt.finished_at - attempt.started_at).total_seconds()
        return {
            "number": str(attempt.number),
            "status": outcome_cells(attempt.outcome, self.dashboard.glyphs),
            "started": started_text(attempt.started_at, now, None),
            "duration": duration(took),
            "progressed": "committed" if attempt.progressed else Cell("none", "muted"),
            "class": str(attempt.error_class or ""),
            "error": Cell(attempt.error_message or "", "bad"),
            "retry": started_text(attempt.retry_at, now, None) if attempt.retry_at is not None else Cell(NOTHING, "muted"),
        }

    def _record_row(self, record: FailedRecordRow) -> Row:
        return {
            "stream": Cell(record.stream, "strong"),
            "key": record.key if record.key is not None else Cell(NOTHING, "muted"),
            "code": Cell(record.code, "bad"),
            "message": record.message,
            "action": Cell(str(record.action), "muted"),
            "state": Cell(record.state, "warning" if record.state == "open" else "muted"),
        }

    @on(LiveTable.RowHighlighted, "#failed-records")
    @on(LiveTable.KeysLoaded, "#failed-records")
    def _show_record(self) -> None:
        """Under the table: the whole reason and the record itself."""
        table: PagedTable[FailedRecordRow] = self.query_one("#failed-records", PagedTable)
        record = table.paged.items.get(table.cursor_key or "")
        lines: list[Line] = []
        if record is not None:
            cells, ellipsis = self.size.width - 2, self.dashboard.glyphs.ellipsis
            lines += [((text, "$text-error"),) for text in wrapped(record.message, cells, 2, ellipsis)]
            lines += [((text, ""),) for text in wrapped(record.payload, cells, RECORD_LINES, ellipsis)]
        self.query_one("#record", Lines).show(lines)

    # --- Tabs

    @property
    def _current(self) -> str:
        return self.query_one(ContentSwitcher).current or "streams"

    def show_tab(self, tab: str) -> None:
        """Bring a tab into view, with the focus in it."""
        self.query_one(ContentSwitcher).current = tab
        self.query_one(TabStrip).activate(tab)
        targets = {"streams": "#stream-results", "attempts": "#attempt-rows", "records": "#failed-records", "logs": "#log"}
        target: Widget = self.query_one(targets[tab])
        target.focus()
        if tab == "logs":
            self._look()

    def action_next_tab(self) -> None:
        self.show_tab(self.query_one(TabStrip).neighbour(1))

    def action_previous_tab(self) -> None:
        self.show_tab(self.query_one(TabStrip).neighbour(-1))

    def action_logs(self) -> None:
        self.show_tab("logs")

    @on(TabStrip.Chosen)
    def _tab_chosen(self, event: TabStrip.Chosen) -> None:
        self.show_tab(event.tab)

    # --- Actions

    def reason_against(self, action: str) -> str:
        if action == "cancel" and (self._detail is None or self._detail.row.state is SyncState.COMPLETED):
            return "This sync is completed."
        return ""

    def action_cancel(self) -> None:
        self.dashboard.connector_actions.start(self._cancel())

    async def _cancel(self) -> None:
        actor, sync_id = self.dashboard.actor, self.sync_id
        result = await self._host.call(lambda engine: engine.operations.cancel_sync(actor, sync_id))
        self.notify(result.message, title=result.name, severity="information" if result.done else "warning")

    def action_yank(self) -> None:
        self.dashboard.connector_actions.copy("Sync ID", self.sync_id)

    def action_refresh(self) -> None:
        self._look()

    def go_back(self) -> None:
        if self._current == "logs" and self.query_one(LogsPane).clear_filter():
            return
        super().go_back()
