"""The sync history of a connector, newest first: loaded a page at a time as one scrolls, live at the top."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from syncterm.engine.model import Outcome, Reason, SyncState, Trigger
from syncterm.text import NOTHING, Glyphs, ago, byte_size, count, duration
from syncterm.widgets.balance import balance_text
from syncterm.widgets.paged_table import PagedSource, PagedTable
from syncterm.widgets.table_model import Cell, CellValue, Column, Row

if TYPE_CHECKING:
    from syncterm.engine.queries import SyncRow

WIDE = 110
"""From this many cells on, Sync IDs are shown whole."""
WIDEST = 140
"""From this many cells on, the trigger gets a share of the room that is left."""

NO_SYNC = "No sync yet: press r to sync now."

OUTCOME_LOOKS: Mapping[Outcome, tuple[str, str]] = {
    Outcome.SUCCESS: ("check", "good"),
    Outcome.FAILED: ("cross", "bad"),
    Outcome.CANCELLED: ("disabled", "muted"),
}
"""Outcome → the name of its glyph, and its style in a table."""

TRIGGER_NAMES = {Trigger.SCHEDULED: "Scheduled", Trigger.MANUAL: "Manual", Trigger.REAL_TIME: "Real time"}
REASON_NAMES = {
    Reason.SCHEDULE: "",
    Reason.SYNC_NOW: "",
    Reason.HISTORICAL_RESYNC: "historical re-sync",
    Reason.RETRY: "retry",
}

Pages = Callable[[str | None, int, Outcome | None], Awaitable[Sequence["SyncRow"]]]
"""(before this sync's id or None for the newest, how many, only this outcome or None) → syncs, newest first."""


def history_columns(cells: int) -> list[Column]:
    """The columns for a table of that many cells."""
    wide = cells >= WIDE
    return [
        Column("id", "Sync ID", 20 if wide else 10, sortable=False, tooltip=lambda key, row: key),
        Column("status", "Status", 13, sortable=False),
        Column("started", "Started", 12, sortable=False, tooltip=_tooltip("started_exact")),
        Column("duration", "Duration", 8, align="right", sortable=False),
        Column("records", "Records", 9, align="right", sortable=False, tooltip=_tooltip("balance")),
        Column("bytes", "Size", 9, align="right", sortable=False, priority=4),
        Column("rejected", "Rejected", 8, align="right", sortable=False, priority=3),
        Column("trigger", "Trigger", 16 if wide else 12, sortable=False, priority=2, flexible=cells >= WIDEST),
        Column("error", "Error", 12, sortable=False, priority=1, flexible=True),
    ]


def _tooltip(field: str) -> Callable[[str, Row], str | None]:
    def text(key: str, row: Row) -> str | None:
        value = row.get(field)
        return value if isinstance(value, str) and value else None

    return text


def trigger_text(trigger: Trigger, reason: Reason, by: str, missed: int = 0) -> str:
    """Who or what asked for a sync: `Scheduled`, `Manual by alice`, `Manual, historical re-sync by bob`, `Scheduled, 49 missed`."""
    text = TRIGGER_NAMES[trigger]
    if detail := REASON_NAMES[reason]:
        text += f", {detail}"
    if trigger is Trigger.MANUAL and by:
        text += f" by {by}"
    return f"{text}, {count(missed)} missed" if missed else text


def started_text(at: datetime | None, now: datetime, zone: tzinfo | None) -> str:
    """When a sync began, short: the time today, the day and time this year, else the date."""
    if at is None:
        return "waits"
    local, today = at.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return f"{local:%H:%M:%S}"
    return f"{local:%b %d %H:%M}" if local.year == today.year else f"{local:%Y-%m-%d}"


def status_cell(row: SyncRow, symbols: Glyphs) -> tuple[Cell, ...]:
    """The sign and the word of a sync's status."""
    if row.outcome is not None:
        glyph, style = OUTCOME_LOOKS[row.outcome]
        sign = getattr(symbols, glyph)
    else:
        sign, style = (symbols.running if row.state is SyncState.EXECUTING else symbols.waiting), "running"
    return (Cell(f"{sign} ", style), Cell(str(row.status), style))


def history_row(row: SyncRow, now: datetime, zone: tzinfo | None, symbols: Glyphs, progress: tuple[int, int] | None) -> Row:
    """One sync as the table shows it; `progress` is (records, bytes) of the one that runs."""
    running = row.outcome is None
    records, size = progress if running and progress is not None else (row.counts.written, row.counts.bytes)
    took: float | None = row.duration.total_seconds() if row.duration is not None else None
    if running and row.started_at is not None:
        took = float(int((now - row.started_at).total_seconds()))
    error: CellValue = ""
    if row.error_message:
        error = Cell(row.error_message, "bad" if row.outcome == Outcome.FAILED else "muted")
    elif running and row.state is not SyncState.EXECUTING:
        error = Cell("waits", "muted")
    started, rejected = row.started_at or row.created_at, row.counts.rejected
    return {
        "id": Cell(row.id, "muted"),
        "status": status_cell(row, symbols),
        "started": Cell(started_text(row.started_at, now, zone)),
        "started_exact": f"{started.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}, {ago(started, now)}",
        "duration": Cell(duration(took), "running" if running else ""),
        "records": Cell(count(records), "running" if running else "" if records else "muted"),
        "balance": balance_text(row.counts),
        "bytes": Cell(byte_size(size) if size else NOTHING, "" if size else "muted"),
        "rejected": Cell(count(rejected) if rejected else NOTHING, "warning" if rejected else "muted"),
        "trigger": Cell(trigger_text(row.trigger, row.reason, row.requested_by, row.missed)),
        "error": error,
    }


class HistoryTable(PagedTable["SyncRow"]):
    """Syncs, newest first.

    Args:
        pages: fetches a page.
        draw: makes a table row of a sync.
    """

    def __init__(self, pages: Pages, draw: Callable[[SyncRow], Row], *, ascii: bool = False, id: str | None = None) -> None:  # noqa: A002
        self.outcome: Outcome | None = None
        """Only syncs of that outcome are shown; None for all."""
        self._fetch = pages
        super().__init__(
            PagedSource(self._page_before, lambda sync: sync.id, draw), history_columns(80), empty=NO_SYNC, ascii=ascii, id=id
        )
        self._laid_out_for = (False, False)

    async def _page_before(self, sync: SyncRow | None, limit: int) -> Sequence[SyncRow]:
        return await self._fetch(None if sync is None else sync.id, limit, self.outcome)

    def show_outcome(self, outcome: Outcome | None) -> None:
        """Only syncs of that outcome; None for all."""
        self.outcome = outcome
        self.empty = "No sync has failed." if outcome is Outcome.FAILED else NO_SYNC
        self.start_anew()

    def update_running(self) -> None:
        """Draw the syncs that run or wait anew: their progress has moved."""
        self.update_rows([key for key, sync in self.paged.items.items() if sync.outcome is None])

    def on_resize(self) -> None:
        room = (self.size.width >= WIDE, self.size.width >= WIDEST)
        if room != self._laid_out_for:
            self._laid_out_for = room
            self.set_columns(history_columns(self.size.width))
