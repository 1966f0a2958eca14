"""The rows of the table of connectors: its columns, what each cell says, and what the filter line means to the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from syncterm.engine.model import Activity, Outcome
from syncterm.screens.look import Look
from syncterm.screens.table_view import StatusLook
from syncterm.text import NOTHING, Glyphs, byte_size, count, duration
from syncterm.widgets.filter_terms import Filter, Term
from syncterm.widgets.table_model import Cell, CellValue, Column, Row, TableQuery

if TYPE_CHECKING:
    from datetime import datetime

    from syncterm.engine.host import EngineHost
    from syncterm.engine.queries import ConnectorQuery, ConnectorRow

ROWS_KEPT = 3000
"""Rows remembered for tooltips, details and actions, the least recently fetched forgotten first."""

BAR = 8
"""Cells of a progress bar."""

STATUS_STYLES: Mapping[str, str] = {"Active": "good", "Broken": "bad", "Incomplete": "warning", "Paused": "muted"}
STATUS_ORDER = tuple(STATUS_STYLES)
_SIGNS = {"Active": "ok", "Broken": "failed", "Incomplete": "incomplete", "Paused": "paused"}

SORTS: Mapping[str, str] = {
    "name": "Name",
    "source": "Source",
    "destination": "Destination",
    "status": "Status",
    "last_sync": "Last Sync",
    "next_sync": "Next Sync",
    "schedule": "Schedule",
    "records": "Records",
    "duration": "Duration",
    "created": "Created",
    "collection": "Collection",
    "type": "Source Type",
    "user": "Created By",
}
"""What the store can sort by, hidden columns included."""

DEFAULT_COLUMNS = ("name", "source", "status", "last_sync", "next_sync", "schedule", "records", "duration", "progress")


_LOOKS = {status: StatusLook(status, glyph, STATUS_STYLES[status]) for status, glyph in _SIGNS.items()}
STATUS_LOOKS = tuple(_LOOKS.values())


def status_glyph(status: str, glyphs: Glyphs) -> str:
    """The sign of a connector's status."""
    return _LOOKS[status].sign(glyphs)


def share_done(row: ConnectorRow) -> float | None:
    """How much of the expected records has arrived, from 0 to 1; None while nothing runs or nothing is expected."""
    if row.activity != Activity.RUNNING or not row.progress_expected or row.progress_records is None:
        return None
    return min(1.0, row.progress_records / row.progress_expected)


def activity_text(row: ConnectorRow, glyphs: Glyphs) -> str:
    """What a connector does now, in a few words; empty while it is idle."""
    match row.activity:
        case Activity.RUNNING:
            share = share_done(row)
            return f"{glyphs.running} {'running' if share is None else f'{share:.0%}'}"
        case Activity.QUEUED:
            return f"{glyphs.waiting} queued"
        case Activity.BACKING_OFF:
            if row.back_off_until is None:
                return f"{glyphs.waiting} backing off"
            return f"{glyphs.waiting} backing off until {row.back_off_until.astimezone():%H:%M:%S}"
        case Activity.CANCELLING:
            return f"{glyphs.running} cancelling"
        case _:
            return ""


def status_cells(row: ConnectorRow, glyphs: Glyphs) -> tuple[Cell, ...]:
    """Sign, word, and what the connector does now."""
    style = STATUS_STYLES[row.status]
    cells = [Cell(f"{status_glyph(row.status, glyphs)} ", style), Cell(str(row.status), style)]
    if row.paused_and_broken:
        cells.append(Cell(f" {glyphs.failed} Broken", "bad"))
    if activity := activity_text(row, glyphs):
        cells.append(Cell(f" {activity}", "warning" if row.activity == Activity.BACKING_OFF else "running"))
    return tuple(cells)


def progress_cells(row: ConnectorRow, glyphs: Glyphs) -> CellValue:
    """A bar and its share, or the records so far where no total is known."""
    if row.activity != Activity.RUNNING:
        return ""
    share = share_done(row)
    if share is None:
        return Cell(f"{count(row.progress_records or 0)} rec", "running")
    full = int(share * BAR)
    return (
        Cell(glyphs.blocks[-1] * full, "running"),
        Cell(glyphs.shade * (BAR - full), "muted"),
        Cell(f" {share:.0%}".rjust(5), ""),
    )


def last_sync_cells(at: datetime | None, outcome: Outcome | None, look: Look) -> CellValue:
    """When the last sync ended, and a sign where it did not succeed."""
    text = look.past(at)
    if outcome == "failed":
        return (Cell(text), Cell(f" {look.glyphs.failed}", "bad"))
    if outcome == "cancelled":
        return (Cell(text), Cell(f" {look.glyphs.disabled}", "muted"))
    return Cell(text, "" if at else "muted")


def row_cells(row: ConnectorRow, look: Look) -> Row:
    """Every column of one connector. Texts are cleaned by the table."""
    glyphs = look.glyphs
    next_sync = "waits" if row.due_since is not None else look.future(row.next_fire_at)
    return {
        "name": row.name,
        "source": (
            Cell(row.source_name or NOTHING),
            Cell(f" {glyphs.arrow} ", "muted"),
            Cell(row.destination_name or NOTHING),
        ),
        "status": status_cells(row, glyphs),
        "last_sync": last_sync_cells(row.last_sync_at, row.last_outcome, look),
        "next_sync": Cell(next_sync, "muted" if next_sync == NOTHING else ""),
        "schedule": row.schedule_text,
        "records": count(row.last_records),
        "duration": duration(row.last_duration.total_seconds() if row.last_duration is not None else None),
        "progress": progress_cells(row, glyphs),
        "type": f"{row.source_type or NOTHING} {glyphs.arrow} {row.destination_type or NOTHING}",
        "collection": row.collection or NOTHING,
        "bytes": byte_size(row.last_bytes),
        "rejected": Cell(count(row.last_rejected), "warning" if row.last_rejected else "muted"),
        "created": look.past(row.created_at),
        "user": row.created_by,
        "id": row.id,
    }


class ConnectorSource:
    """The live table's source: asks the store through the engine's host, and remembers the rows it fetched.

    Args:
        host: The engine's host.
        look: How rows are drawn, asked at each fetch, because time passes.
        fetched: Called after each fetch, when `records` is up to date.
    """

    def __init__(self, host: EngineHost, look: Callable[[], Look], fetched: Callable[[], None]) -> None:
        self._host = host
        self._look = look
        self._fetched = fetched
        self.records: dict[str, ConnectorRow] = {}
        """Connector id → its row as fetched last, for a few thousand rows."""

    async def keys(self, query: TableQuery) -> Sequence[str]:
        wanted = connector_query(query)
        return await self._host.call(lambda engine: engine.queries.connector_keys(wanted))

    async def rows(self, keys: Sequence[str]) -> Mapping[str, Row]:
        fetched = await self._host.call(lambda engine: engine.queries.connector_rows(keys))
        for key, row in fetched.items():
            self.records.pop(key, None)
            self.records[key] = row
        for key in list(self.records)[: max(0, len(self.records) - ROWS_KEPT)]:
            del self.records[key]
        self._fetched()
        look = self._look()
        return {key: row_cells(row, look) for key, row in fetched.items()}

    def columns(self) -> tuple[Column, ...]:
        """Every column there is, in the order of the chooser; those of `DEFAULT_COLUMNS` are shown unless a person chose others."""
        look = self._look()
        return (
            Column("name", "Name", 14, flexible=True, tooltip=self._id),
            Column("source", f"Source {look.glyphs.arrow} Destination", 20, flexible=True, priority=5),
            Column("status", "Status", 16, flexible=True, priority=1, tooltip=self._reason),
            Column("last_sync", "Last Sync", look.instant_width(12), priority=2, tooltip=self._last_sync),
            Column("next_sync", "Next Sync", look.instant_width(9), priority=3, tooltip=self._next_sync),
            Column("schedule", "Schedule", 15, priority=6),
            Column("records", "Records", 9, align="right", priority=7),
            Column("duration", "Duration", 8, align="right", priority=8),
            Column("progress", "Progress", BAR + 5, priority=9, sortable=False),
            Column("type", "Types", 17, priority=10),
            Column("collection", "Collection", 12, priority=11),
            Column("bytes", "Bytes", 8, align="right", priority=12, sortable=False),
            Column("rejected", "Rejected", 8, align="right", priority=13, sortable=False),
            Column("created", "Created", look.instant_width(10), priority=14, tooltip=self._created),
            Column("user", "Created By", 12, priority=15),
            Column("id", "Id", 20, priority=16, sortable=False),
        )

    def _id(self, key: str, row: Row) -> str | None:
        record = self.records.get(key)
        return None if record is None else f"{record.name}\nid {record.id}"

    def _reason(self, key: str, row: Row) -> str | None:
        record = self.records.get(key)
        if record is None:
            return None
        parts = (
            f"{record.status}{' and Broken' if record.paused_and_broken else ''}",
            record.status_reason,
            record.activity_reason or "",
        )
        return "\n".join(part for part in parts if part)

    def _last_sync(self, key: str, row: Row) -> str | None:
        record = self.records.get(key)
        if record is None or record.last_sync_at is None:
            return "Never synced."
        error = f"\n{record.last_error_message}" if record.last_error_message else ""
        return f"{record.last_outcome} at {self._look().exact(record.last_sync_at)}{error}"

    def _next_sync(self, key: str, row: Row) -> str | None:
        record = self.records.get(key)
        if record is None or record.next_fire_at is None:
            return "Not due by itself."
        return self._look().exact(record.next_fire_at)

    def _created(self, key: str, row: Row) -> str | None:
        record = self.records.get(key)
        return None if record is None else f"{self._look().exact(record.created_at)} by {record.created_by}"


FILTER_FIELDS = ("id", "name", "source", "destination", "type", "schedule", "collection", "user", "status")
"""What may stand before a colon in the filter line."""


def connector_query(query: TableQuery) -> ConnectorQuery:
    """What a table's query means to the store.

    `!text` keeps what does not contain it, `source:pg` looks at one field, `status:broken` at the status; other words are one text.
    """
    from syncterm.engine.queries import ConnectorQuery
    from syncterm.engine.status import ConnectorStatus

    statuses = set(query.filters.get("statuses", ()))
    fields: dict[str, str] = {}
    words: list[Term] = []
    for term in Filter.parse(query.text, FILTER_FIELDS).terms:
        if term.field == "status":
            statuses.update(status for status in ConnectorStatus if status.lower().startswith(term.text.lower()) != term.inverse)
        elif term.field:
            fields[term.field] = f"!{term.text}" if term.inverse else term.text
        else:
            words.append(term)
    return ConnectorQuery(
        text=" ".join(term.text for term in words),
        inverse=bool(words) and words[0].inverse,
        statuses=frozenset(ConnectorStatus(status) for status in statuses),
        failures_only=bool(query.filters.get("failures_only", False)),
        sort=query.sort or "name",
        descending=query.descending,
        fields=fields,
    )
