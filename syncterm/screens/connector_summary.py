"""What the head of the connector screen says, as pure functions: status and why, the next fire times, how the last sync balanced.

Texts from outside are cleaned here. A line is a tuple of (text, style) pieces; nothing is markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from syncterm.engine.adapters import DESTINATIONS_GROUP, SOURCES_GROUP, adapter_class
from syncterm.engine.errors import SynctermError
from syncterm.engine.model import Activity, Outcome, SyncState
from syncterm.text import NOTHING, Glyphs, ago, byte_size, clip, duration, fit, until, width
from syncterm.widgets.lines import Line, wrapped

if TYPE_CHECKING:
    from syncterm.engine.queries import SyncRow
    from syncterm.engine.troubleshooting import Finding

LABEL_CELLS = 15
"""The column of labels at the left: a glyph, a word, a gap."""
WHY_LINES = 2
"""The why paragraph takes at most this many lines on a low screen; all of it is in the tooltip."""
WHY_LINES_HIGH = 5


STATUS_STYLES = {
    "Active": ("ok", "$text-success"),
    "Broken": ("failed", "$text-error"),
    "Incomplete": ("incomplete", "$text-warning"),
    "Paused": ("paused", "dim"),
}
"""Connector status → the name of its glyph, and its style."""

OUTCOMES = {
    Outcome.SUCCESS: ("Success", "check", "$text-success"),
    Outcome.FAILED: ("Failed", "cross", "$text-error"),
    Outcome.CANCELLED: ("Cancelled", "disabled", "dim"),
}
"""Outcome → the word on screen, the name of its glyph, and its style."""
IN_PROGRESS = ("In Progress", "running", "$text-accent")

STATES = {
    SyncState.CREATED: "Created",
    SyncState.PENDING: "Pending",
    SyncState.EXECUTING: "Executing",
    SyncState.COMPLETED: "Completed",
}


def type_title(end: str, type_: str | None) -> str:
    """The title of a type of source or destination; the type itself where it is not installed any more."""
    if type_ is None:
        return NOTHING
    try:
        return str(adapter_class(SOURCES_GROUP if end == "source" else DESTINATIONS_GROUP, type_).title)
    except (SynctermError, ImportError):
        return type_


def labelled(symbol: str, label: str, style: str) -> Line:
    """The piece at the left of a line of the head."""
    return ((f" {symbol} ", style), (fit(label, LABEL_CELLS - 3), style if style == "dim" else f"{style} bold".strip()))


def status_lines(status: str, badge: str, why: str, cells: int, most: int, symbols: Glyphs) -> tuple[Line, ...]:
    """The status and, beside it, the computed sentence that says why the connector is or isn't running."""
    name, style = STATUS_STYLES.get(status, ("ok", ""))
    text = f"{badge} {why}".strip() if badge else why
    first, *rest = wrapped(text, cells - LABEL_CELLS - 1, most, symbols.ellipsis)
    head = (*labelled(getattr(symbols, name), status, style), (first, ""))
    return (head, *(((" " * LABEL_CELLS, ""), (line, "")) for line in rest))


def remedy_line(findings: Sequence[Finding], cells: int, symbols: Glyphs) -> Line | None:
    """What mends the most pressing finding, and how many more there are; None where nothing needs mending."""
    if not findings:
        return None
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    text, key = f"{findings[0].remedy}{more}", "  W why"
    shown = clip(text, max(1, cells - LABEL_CELLS - 1 - width(key)), symbols.ellipsis)
    return (*labelled(symbols.arrow, "To do", "$text-warning"), (shown, ""), (key, "$primary"))


def fire_texts(fires: Sequence[datetime], zone: tzinfo, now: datetime) -> list[str]:
    """Fire times in a zone: times of today bare, others with their weekday, those beyond a week with their date."""
    seconds = any(fire.second for fire in fires)
    clock = "%H:%M:%S" if seconds else "%H:%M"
    today = now.astimezone(zone).date()
    texts = []
    for fire in fires:
        local = fire.astimezone(zone)
        if local.date() == today:
            texts.append(local.strftime(clock))
        elif local.date() - today < timedelta(days=7):
            texts.append(local.strftime(f"%a {clock}"))
        else:
            texts.append(local.strftime(f"%Y-%m-%d {clock}"))
    return texts


def fires_line(
    fires: Sequence[datetime], zone_name: str, local: tzinfo | None, now: datetime, cells: int, symbols: Glyphs, nothing: str
) -> Line:
    """The next fire times in the connector's zone; where the person's clock differs, the first one on that clock too."""
    head = labelled(" ", "Next", "dim")
    if not fires:
        return (*head, (fit(nothing, max(1, cells - LABEL_CELLS - 1), ellipsis=symbols.ellipsis), "dim"))
    zone = ZoneInfo(zone_name)
    here = same_instant_elsewhere(fires[0], zone, local, now)
    room = cells - LABEL_CELLS - 1 - width(zone_name) - 2 - (width(here) + 3 if here else 0)
    shown: list[str] = []
    for text in fire_texts(fires, zone, now):
        if shown and sum(map(width, shown)) + 2 * len(shown) + width(text) > room:
            break
        shown.append(text)
    rest = f"  {symbols.separator}  ".replace("  ", " ") + here if here else ""
    return (*head, (shown[0], "bold"), ("".join(f"  {text}" for text in shown[1:]), ""), (f"  {zone_name}{rest}", "dim"))


def same_instant_elsewhere(fire: datetime, zone: tzinfo, local: tzinfo | None, now: datetime) -> str:
    """The same instant on the person's clock, empty where both clocks agree; `local` None is this machine's zone."""
    there, here = fire.astimezone(zone), fire.astimezone(local)
    if there.utcoffset() == here.utcoffset():
        return ""
    return f"{fire_texts([fire], here.tzinfo or zone, now)[0]} here"


def last_sync_text(at: datetime | None, seconds: float | None, now: datetime) -> str:
    """When the last sync ended and how long it took; empty before the first."""
    return "" if at is None else f"{past(at, now)}, took {duration(seconds)}"


def past(at: datetime, now: datetime) -> str:
    """An instant of the past, to the minute: a quiet screen stays quiet."""
    return "just now" if timedelta(0) <= now - at < timedelta(minutes=1) else ago(at, now)


def last_sync_lines(
    outcome: Outcome | None, size: int | None, balance: str, error: str, cells: int, symbols: Glyphs
) -> tuple[Line, ...]:
    """How the last finished sync went: how it balances, or its error."""
    if outcome is None:
        text = "It has not run yet: press r to sync now."
        return ((*labelled(symbols.waiting, "No sync", "dim"), (text, "dim")),)
    word, glyph, style = OUTCOMES[outcome]
    room = cells - LABEL_CELLS - 1
    head = labelled(getattr(symbols, glyph), word, style)
    if outcome is Outcome.FAILED and error:
        first, *rest = wrapped(error, room, 2, symbols.ellipsis)
        return ((*head, (first, "$text-error")), *(((" " * LABEL_CELLS, ""), (line, "$text-error")) for line in rest))
    detail = f"{balance}, {byte_size(size)}" if size else balance
    return ((*head, (fit(detail if width(detail) <= room else balance, room, ellipsis=symbols.ellipsis), "")),)


def caption(activity: Activity, attempt: int | None, status: str, next_fire_at: datetime | None, now: datetime) -> str:
    """What the link of the picture says while nothing moves."""
    if activity is Activity.QUEUED:
        return "queued"
    if activity is Activity.BACKING_OFF:
        return f"backing off, attempt {attempt or 1}"
    if activity is Activity.CANCELLING:
        return "cancelling"
    if status == "Paused":
        return "paused"
    if status == "Incomplete":
        return "set-up incomplete"
    if next_fire_at is None:
        return "idle, by hand only"
    return f"next {until(next_fire_at, now)}"


def life_line(sync: SyncRow, zone: tzinfo | None, cells: int, symbols: Glyphs) -> Line:
    """A sync through Created, Pending, Executing, Completed, with times; for want of room, with the time since the step before."""
    line = _life_line(sync, zone, symbols, exact=True)
    if sum(width(text) for text, _ in line) <= cells:
        return line
    return _life_line(sync, zone, symbols, exact=False)


def _life_line(sync: SyncRow, zone: tzinfo | None, symbols: Glyphs, *, exact: bool) -> Line:
    order = list(SyncState)
    reached = order.index(sync.state)
    pieces: list[tuple[str, str]] = []
    before: datetime | None = None
    times = (sync.created_at, sync.claimed_at, sync.started_at, sync.finished_at)
    for index, (step, at) in enumerate(zip(order, times, strict=True)):
        label, style = STATES[step], ""
        if step is SyncState.COMPLETED and sync.outcome is not None:
            word, glyph, style = OUTCOMES[sync.outcome]
            label = f"{getattr(symbols, glyph)} {label}: {word}" if exact else f"{getattr(symbols, glyph)} {label}"
        elif index > reached or at is None:
            style = "dim"
        elif index == reached:
            label, style = f"{symbols.running} {label}", "$text-accent bold"
        if index:
            pieces.append((f" {symbols.arrow} ", "dim"))
        pieces.append((label, style))
        if at is not None:
            since = "" if exact or before is None else f" +{duration((at - before).total_seconds())}"
            pieces.append((since or f" {at.astimezone(zone):%H:%M:%S}", "dim"))
            before = at
    return tuple(pieces)
