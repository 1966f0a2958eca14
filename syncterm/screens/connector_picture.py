"""What one full look at a connector brings, and the picture and the lines of the head that are made of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from syncterm.engine.advice import Advice
from syncterm.engine.model import Activity, CredentialsState
from syncterm.engine.troubleshooting import Finding
from syncterm.screens.connector_summary import (
    LABEL_CELLS,
    WHY_LINES,
    caption,
    fires_line,
    labelled,
    last_sync_lines,
    last_sync_text,
    remedy_line,
    status_lines,
    type_title,
)
from syncterm.text import Glyphs, clean, count, fit
from syncterm.widgets.balance import balance_within
from syncterm.widgets.flow import FlowEnd, FlowPicture
from syncterm.widgets.lines import Line

if TYPE_CHECKING:
    from syncterm.engine.engine import Engine
    from syncterm.engine.queries import ConnectorDetail, ConnectorRow, EndpointRow, SyncRow

NEWEST = 10
"""Syncs looked at for the head: among them the last one that was not cancelled."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that one full look at the store brings."""

    detail: ConnectorDetail
    newest: tuple[SyncRow, ...]
    """The newest syncs, newest first."""
    source_title: str
    destination_title: str
    waiting: int = 0
    """Schema changes that wait for a person."""
    findings: tuple[Finding, ...] = ()
    """What is wrong with it, the most pressing first."""
    advice: tuple[Advice, ...] = ()
    """What its history says about its schedule."""


async def read_picture(engine: Engine, connector_id: str) -> Picture | None:
    """Look at the store, on the engine's loop; None where the connector is gone."""
    detail = await engine.queries.connector(connector_id)
    if detail is None:
        return None
    newest = await engine.queries.sync_page(connector_id, limit=NEWEST)
    titles = type_title("source", detail.row.source_type), type_title("destination", detail.row.destination_type)
    waiting = await engine.queries.waiting_schema_changes(connector_id)
    troubles = await engine.queries.troubles(connector_id)
    advice = await engine.queries.schedule_advice(connector_id)
    return Picture(detail, tuple(newest), *titles, waiting, troubles.findings if troubles is not None else (), advice=advice)


def flow_picture(picture: Picture, row: ConnectorRow, rate: tuple[float, float] | None, phase: int, now: datetime) -> FlowPicture:
    """The picture of the flow; `rate` is (records, bytes) a second."""
    detail = picture.detail
    chosen, total = detail.streams_selected, detail.streams_total
    streams = (
        f"{count(chosen)} of {count(total)} streams" if chosen != total else "1 stream" if total == 1 else f"{count(total)} streams"
    )
    running = row.activity in (Activity.RUNNING, Activity.CANCELLING)
    return FlowPicture(
        source=FlowEnd(picture.source_title, row.source_name or "no source", streams, _refused(detail.source)),
        destination=FlowEnd(
            picture.destination_title,
            row.destination_name or "no destination",
            row.collection or "default",
            _refused(detail.destination),
        ),
        running=running,
        stopping=row.activity == Activity.CANCELLING,
        caption=caption(row.activity, row.attempt, str(row.status), row.next_fire_at, now),
        footnote=last_sync_text(row.last_sync_at, _seconds(row.last_duration), now),
        stream=row.progress_stream or "",
        records=row.progress_records,
        bytes=row.progress_bytes,
        expected=row.progress_expected,
        records_per_second=rate[0] if rate else None,
        bytes_per_second=rate[1] if rate else None,
        phase=phase,
    )


def head_lines(picture: Picture, row: ConnectorRow, cells: int, most: int, now: datetime, symbols: Glyphs) -> tuple[Line, ...]:
    """Status and why (at most `most` lines), what mends it, the next fire times, the last sync."""
    detail = picture.detail
    badge = "Also Broken." if row.paused_and_broken else ""
    last = next((sync for sync in picture.newest if sync.outcome is not None and sync.outcome == row.last_outcome), None)
    nothing = "by hand only: press r to sync now" if str(row.status) != "Paused" else "paused: press t to resume"
    remedy = remedy_line(picture.findings, cells, symbols)
    return (
        *status_lines(str(row.status), badge, detail.why, cells, most, symbols),
        *((remedy,) if remedy is not None else ()),
        (*fires_line(detail.next_fires, detail.schedule.timezone, None, now, cells, symbols, nothing), *_held(detail)),
        *(advice_line(advice, cells, symbols) for advice in picture.advice[: most > WHY_LINES]),
        *last_sync_lines(
            row.last_outcome,
            row.last_bytes,
            balance_within(last.counts, cells - LABEL_CELLS - 1) if last is not None else "",
            row.last_error_message or "",
            cells,
            symbols,
        ),
    )


def version_lines(detail: ConnectorDetail, cells: int, symbols: Glyphs) -> tuple[Line, ...]:
    """Says, above the schema, that the source was edited since the connector applied it; nothing where it was not."""
    source, applied = detail.source, detail.source_version
    if source is None or applied in (None, source.version):
        return ()
    text = (
        f" {symbols.warning} The source is at version {source.version}; this connector stays on {applied}. V shows the difference."
    )
    return (((fit(text, cells, ellipsis=symbols.ellipsis), "$text-warning"),),)


def waiting_lines(waiting: int, cells: int, symbols: Glyphs) -> tuple[Line, ...]:
    """Says, above the schema, that changes wait that do not stop the connector; nothing where none do."""
    if not waiting:
        return ()
    what = (
        "A schema change waits for approval; syncs go on without it."
        if waiting == 1
        else (f"{count(waiting)} schema changes wait for approval; syncs go on without them.")
    )
    return (((fit(f" {symbols.warning} {what} A reviews.", cells, ellipsis=symbols.ellipsis), "bold"),),)


def advice_line(advice: Advice, cells: int, symbols: Glyphs) -> Line:
    """What its history advises, with the figures, in one line."""
    text = clean(f"{advice.title}: {advice.reason} C edits.", limit=600)
    shown = fit(text, max(1, cells - LABEL_CELLS - 1), ellipsis=symbols.ellipsis)
    return (*labelled(symbols.arrow, "Advice", "$text-accent"), (shown, ""))


def _held(detail: ConnectorDetail) -> Line:
    """That the next start waits for the end of a blackout window."""
    held = bool(detail.next_starts) and detail.next_starts[0].held_since is not None
    return (("  after a blackout window", "$text-warning"),) if held else ()


def _refused(end: EndpointRow | None) -> bool:
    return end is not None and end.credentials is CredentialsState.REJECTED


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else length.total_seconds()
