"""The rows of the tables of sources and destinations: columns, cells, filter and order.

There are a few thousand at most, and what decides their status lies in other tables; so they are read whole, in one pass, and
filtered and sorted here. A change costs one reading, and only the rows that differ are drawn anew.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncterm.engine.model import CredentialsState, EndpointKind
from syncterm.engine.status import SourceStatus
from syncterm.screens.look import Look
from syncterm.screens.table_view import StatusLook
from syncterm.text import NOTHING, count
from syncterm.widgets.filter_terms import Filter
from syncterm.widgets.table_model import Cell, CellValue, Column, Row, TableQuery

if TYPE_CHECKING:
    from syncterm.engine.host import EngineHost
    from syncterm.engine.queries import EndpointRow

MANY = 500
"""From so many rows on they are sorted in a thread."""

STATUS_LOOKS = (
    StatusLook(SourceStatus.LIVE, "ok", "good"),
    StatusLook(SourceStatus.AUTHENTICATED, "check", "accent"),
    StatusLook(SourceStatus.SETUP, "incomplete", "warning"),
    StatusLook(SourceStatus.REAUTH_REQUIRED, "warning", "bad"),
    StatusLook(SourceStatus.ERROR, "failed", "bad"),
)
"""In the order of the tabs."""

LOOK_OF = {look.status: look for look in STATUS_LOOKS}

ATTENTION = (
    SourceStatus.ERROR,
    SourceStatus.REAUTH_REQUIRED,
    SourceStatus.SETUP,
    SourceStatus.AUTHENTICATED,
    SourceStatus.LIVE,
)
"""The statuses as they ask for attention: the order of the column."""

OTHER_END = {EndpointKind.SOURCE: "destination", EndpointKind.DESTINATION: "source"}

DEFAULT_COLUMNS = ("name", "status", "others", "last_run", "records", "type", "connectors")


def filter_fields(kind: EndpointKind) -> tuple[str, ...]:
    """What may stand before a colon in the filter line."""
    return ("id", "name", "type", "status", OTHER_END[kind], "user")


def sorts(kind: EndpointKind) -> dict[str, str]:
    """What one can sort by, hidden columns included."""
    return {
        "name": "Name",
        "status": "Status",
        "others": f"{OTHER_END[kind].title()}s",
        "last_run": "Last Run",
        "records": "Records Last 30 Days",
        "type": "Type",
        "connectors": "Connectors",
        "tested": "Last Test",
        "changed": "Changed",
        "created": "Created",
        "user": "Created By",
    }


_SORT_VALUES: Mapping[str, Callable[[EndpointRow], Any]] = {
    "name": lambda row: row.name.casefold(),
    "status": lambda row: ATTENTION.index(row.status),
    "others": lambda row: tuple(name.casefold() for name in row.other_ends) or None,
    "last_run": lambda row: row.last_run,
    "records": lambda row: row.records_30_days,
    "type": lambda row: type_name(row).casefold(),
    "connectors": lambda row: row.connectors,
    "tested": lambda row: row.check_at,
    "changed": lambda row: row.updated_at,
    "created": lambda row: row.created_at,
    "user": lambda row: row.created_by.casefold(),
}


def type_name(row: EndpointRow) -> str:
    """The type's name for people."""
    return row.type_title or row.type


def next_step(row: EndpointRow, errors: str) -> str:
    """What mends it, or comes next; empty where all is well.

    Args:
        errors: how one gets to what failed.
    """
    match row.status:
        case SourceStatus.SETUP if row.incomplete_reason is not None:
            return "e completes the set-up, c tests the connection."
        case SourceStatus.SETUP:
            return "c tests the connection, e changes the set-up."
        case SourceStatus.AUTHENTICATED:
            return "Ready: no connector that runs uses it yet."
        case SourceStatus.REAUTH_REQUIRED:
            return "e renews the credentials, c tests them."
        case SourceStatus.ERROR:
            return f"c tests the connection; {errors} what failed."
        case _:
            return ""


def fails(row: EndpointRow) -> bool:
    """Whether it stands in the way of syncs."""
    return row.status in (SourceStatus.ERROR, SourceStatus.REAUTH_REQUIRED) or row.credentials is CredentialsState.REJECTED


def searched(row: EndpointRow, kind: EndpointKind) -> dict[str, str]:
    """What the filter line looks at."""
    return {
        "name": row.name,
        "type": f"{type_name(row)} {row.type}",
        "status": str(row.status),
        OTHER_END[kind]: "\n".join(row.other_ends),
        "user": row.created_by,
        "id": row.id,
    }


@dataclass(frozen=True, slots=True)
class EndpointCounts:
    """How many there are."""

    total: int
    matching: int
    by_status: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Arranged:
    """The rows that a query matches, in its order."""

    rows: tuple[EndpointRow, ...]
    counts: EndpointCounts


def arranged(rows: Sequence[EndpointRow], kind: EndpointKind, query: TableQuery) -> Arranged:
    """Filter, sort and count. What has no value comes last in both directions; ties by name."""
    conditions = Filter.parse(query.text, filter_fields(kind))
    failures_only = bool(query.filters.get("failures_only", False))
    statuses = set(query.filters.get("statuses", ()))
    found = [
        row for row in rows if (not failures_only or fails(row)) and (not conditions or conditions.matches(searched(row, kind)))
    ]
    by_status = Counter(str(row.status) for row in found)
    shown = [row for row in found if not statuses or row.status in statuses]
    value = _SORT_VALUES[query.sort or "name"]
    shown.sort(key=lambda row: (row.name.casefold(), row.id))
    with_value = [row for row in shown if value(row) is not None]
    with_value.sort(key=value, reverse=query.descending)
    without = [row for row in shown if value(row) is None]
    return Arranged((*with_value, *without), EndpointCounts(len(rows), len(shown), by_status))


def status_cells(row: EndpointRow, look: Look) -> CellValue:
    """Sign and word."""
    drawn = LOOK_OF[row.status]
    return (Cell(f"{drawn.sign(look.glyphs)} ", drawn.style), Cell(str(row.status), drawn.style))


def row_cells(row: EndpointRow, look: Look) -> Row:
    """Every column of one row. Texts are cleaned by the table."""
    tested = look.past(row.check_at)
    if row.check_at is None:
        test: CellValue = Cell(tested, "muted")
    else:
        working = row.check_result is not None and row.check_result.name == "WORKING"
        sign = Cell(f" {look.glyphs.check}", "good") if working else Cell(f" {look.glyphs.cross}", "bad")
        test = (Cell(tested), sign)
    return {
        "name": row.name,
        "status": status_cells(row, look),
        "others": ", ".join(row.other_ends) if row.other_ends else Cell(NOTHING, "muted"),
        "last_run": Cell(look.past(row.last_run), "" if row.last_run else "muted"),
        "records": Cell(count(row.records_30_days), "" if row.records_30_days else "muted"),
        "type": type_name(row),
        "connectors": Cell(count(row.connectors), "" if row.connectors else "muted"),
        "reason": Cell(row.status_reason, LOOK_OF[row.status].style),
        "tested": test,
        "version": str(row.version),
        "changed": look.past(row.updated_at),
        "created": look.past(row.created_at),
        "user": row.created_by,
        "id": row.id,
    }


class EndpointSource:
    """The live table's source: every source, or every destination.

    Args:
        host: The engine's host.
        look: How rows are drawn, asked each time, because time passes.
        fetched: Called after rows were drawn.
    """

    def __init__(self, host: EngineHost, kind: EndpointKind, look: Callable[[], Look], fetched: Callable[[], None]) -> None:
        self._host = host
        self._kind = kind
        self._look = look
        self._fetched = fetched
        self._known: dict[str, EndpointRow] | None = None

    @property
    def records(self) -> Mapping[str, EndpointRow]:
        """Id → its row as read last."""
        return self._known or {}

    async def read(self) -> set[str]:
        """Read every row anew; the ids of those that came, went or differ."""
        source = self._kind is EndpointKind.SOURCE
        rows = await self._host.call(lambda engine: engine.queries.sources() if source else engine.queries.destinations())
        before = self._known or {}
        self._known = {row.id: row for row in rows}
        return {id_ for id_ in before.keys() | self._known.keys() if before.get(id_) != self._known.get(id_)}

    async def arranged(self, query: TableQuery) -> Arranged:
        """The rows of a query, as read last."""
        if self._known is None:
            await self.read()
        rows = tuple(self.records.values())
        if len(rows) < MANY:
            return arranged(rows, self._kind, query)
        return await asyncio.to_thread(arranged, rows, self._kind, query)

    async def keys(self, query: TableQuery) -> Sequence[str]:
        return [row.id for row in (await self.arranged(query)).rows]

    async def rows(self, keys: Sequence[str]) -> Mapping[str, Row]:
        look, known = self._look(), self.records
        self._fetched()
        return {key: row_cells(known[key], look) for key in keys if key in known}

    def columns(self) -> tuple[Column, ...]:
        """Every column there is, in the order of the chooser."""
        look = self._look()
        return (
            Column("name", "Name", 11, flexible=True, tooltip=self._id),
            Column("status", "Status", 18, priority=1, tooltip=self._reason),
            Column("others", f"{OTHER_END[self._kind].title()}s", 12, flexible=True, priority=4, tooltip=self._others),
            Column("last_run", "Last Run", look.instant_width(10), priority=2, tooltip=self._exact("last_run")),
            Column("records", "Records Last 30 Days", 20, align="right", priority=3),
            Column("type", "Type", 14, priority=5),
            Column("connectors", "Connectors", 10, align="right", priority=6),
            Column("reason", "Reason", 20, flexible=True, priority=7, sortable=False),
            Column("tested", "Last Test", look.instant_width(12), priority=8, tooltip=self._test),
            Column("version", "Version", 7, align="right", priority=9, sortable=False),
            Column("changed", "Changed", look.instant_width(10), priority=10, tooltip=self._exact("updated_at")),
            Column("created", "Created", look.instant_width(10), priority=11, tooltip=self._exact("created_at")),
            Column("user", "Created By", 12, priority=12),
            Column("id", "Id", 20, priority=13, sortable=False),
        )

    def _id(self, key: str, row: Row) -> str | None:
        record = self.records.get(key)
        return None if record is None else f"{record.name}\nid {record.id}"

    def _reason(self, key: str, row: Row) -> str | None:
        record = self.records.get(key)
        if record is None:
            return None
        return "\n".join(part for part in (str(record.status), record.status_reason, next_step(record, "enter shows")) if part)

    def _others(self, key: str, row: Row) -> str | None:
        record = self.records.get(key)
        return None if record is None or not record.other_ends else "\n".join(record.other_ends)

    def _test(self, key: str, row: Row) -> str | None:
        record = self.records.get(key)
        if record is None or record.check_at is None:
            return "Never tested."
        return f"{record.check_result} at {self._look().exact(record.check_at)}\n{record.check_message or ''}".strip()

    def _exact(self, field: str) -> Callable[[str, Row], str | None]:
        def text(key: str, row: Row) -> str | None:
            record = self.records.get(key)
            return None if record is None else self._look().exact(getattr(record, field))

        return text
