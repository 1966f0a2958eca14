"""What the head of the connector screen says, as pure functions: status and why, the next fire times, how the last sync balanced.

Texts from outside are cleaned here. A line is a tuple of (text, style) pieces; nothing is markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from textwrap import wrap
from zoneinfo import ZoneInfo

from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import Activity, Outcome, StreamCounts, SyncState
from syncterm.text import Glyphs, ago, byte_size, clean, count, duration, fit, until, width
from syncterm.widgets.lines import Line

LABEL_CELLS = 12
"""The column of labels at the left: a glyph, a word, a gap."""
WHY_LINES = 2
"""The why sentence takes at most this many lines; the rest is in its tooltip."""
TEXT_LIMIT = 2000


STATUS_STYLES = {
    "Active": ("ok", "$text-success"),
    "Broken": ("failed", "$text-error"),
    "Incomplete": ("incomplete", "$text-warning"),
    "Paused": ("paused", "$text-muted"),
}
"""Connector status → the name of its glyph, and its style."""

OUTCOMES = {
    Outcome.SUCCESS: ("Success", "check", "$text-success"),
    Outcome.FAILED: ("Failed", "cross", "$text-error"),
    Outcome.CANCELLED: ("Cancelled", "disabled", "$text-muted"),
}
"""Outcome → the word on screen, the name of its glyph, and its style."""
IN_PROGRESS = ("In Progress", "running", "$text-accent")

REMEDIES = {
    ErrorClass.AUTH: "Renew the credentials in the set-up (e), then test the connection (c).",
    ErrorClass.PERMISSION: "Grant the account the missing right, then test the connection (c).",
    ErrorClass.CONFIG: "Correct the set-up (e), then sync again (r).",
    ErrorClass.TIMEOUT: "Test the connection (c): address, port, firewall.",
    ErrorClass.RATE_LIMITED: "Lower the frequency of the schedule (e).",
    ErrorClass.SOURCE_TRANSIENT: "Test the connection (c), then sync again (r).",
    ErrorClass.SOURCE_DATA: "Look at the failed records: Sync History, enter on the sync.",
    ErrorClass.SCHEMA: "Look at the schema change and approve it (A).",
    ErrorClass.DESTINATION: "Test the connection (c), then sync again (r).",
    ErrorClass.INTERNAL: "Look at the log (l), then sync again (r).",
    ErrorClass.INTERRUPTED: "It resumes by itself when an engine runs.",
}
"""What mends a connector, by the class of its error."""

STATES = {
    SyncState.CREATED: "Created",
    SyncState.PENDING: "Pending",
    SyncState.EXECUTING: "Executing",
    SyncState.COMPLETED: "Completed",
}


def wrapped(text: str, cells: int, most: int, ellipsis: str) -> list[str]:
    """A cleaned text in at most `most` lines of `cells`; the last is clipped where there would be more."""
    lines = wrap(clean(text, limit=TEXT_LIMIT), max(10, cells)) or [""]
    if len(lines) > most:
        lines[most - 1 :] = [" ".join(lines[most - 1 :])]
    return [fit(line, min(cells, width(line)), ellipsis=ellipsis) for line in lines]


def labelled(symbol: str, label: str, style: str) -> Line:
    """The piece at the left of a line of the head."""
    return ((f" {symbol} ", style), (fit(label, LABEL_CELLS - 3), f"{style} bold".strip()))


def status_lines(status: str, badge: str, why: str, cells: int, symbols: Glyphs) -> tuple[Line, ...]:
    """The status and, beside it, the computed sentence that says why the connector is or isn't running."""
    name, style = STATUS_STYLES.get(status, ("ok", ""))
    text = f"{badge} {why}".strip() if badge else why
    first, *rest = wrapped(text, cells - LABEL_CELLS - 1, WHY_LINES, symbols.ellipsis)
    head = (*labelled(getattr(symbols, name), status, style), (first, ""))
    return (head, *(((" " * LABEL_CELLS, ""), (line, "")) for line in rest))


def remedy_line(status: str, schema_change_waits: bool, error_class: ErrorClass | None, cells: int, symbols: Glyphs) -> Line | None:
    """What mends a Broken or Incomplete connector; None where nothing needs mending."""
    if schema_change_waits:
        text = REMEDIES[ErrorClass.SCHEMA]
    elif status == "Incomplete":
        text = "Finish the set-up (e)."
    elif status == "Broken" or (status == "Paused" and error_class is not None):
        text = REMEDIES.get(error_class or ErrorClass.CONFIG, "")
    else:
        text = ""
    if not text:
        return None
    shown = fit(text, min(width(text), cells - LABEL_CELLS - 1), ellipsis=symbols.ellipsis)
    return (*labelled(symbols.arrow, "To do", "$text-warning"), (shown, ""))


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
    head = labelled(" ", "Next", "$text-muted")
    if not fires:
        return (*head, (fit(nothing, max(1, cells - LABEL_CELLS - 1), ellipsis=symbols.ellipsis), "$text-muted"))
    zone = ZoneInfo(zone_name)
    here = same_instant_elsewhere(fires[0], zone, local, now)
    room = cells - LABEL_CELLS - 1 - width(zone_name) - 2 - (width(here) + 3 if here else 0)
    shown: list[str] = []
    for text in fire_texts(fires, zone, now):
        if shown and sum(map(width, shown)) + 2 * len(shown) + width(text) > room:
            break
        shown.append(text)
    rest = f"  {symbols.separator}  ".replace("  ", " ") + here if here else ""
    return (*head, (shown[0], "bold"), ("".join(f"  {text}" for text in shown[1:]), ""), (f"  {zone_name}{rest}", "$text-muted"))


def same_instant_elsewhere(fire: datetime, zone: tzinfo, local: tzinfo | None, now: datetime) -> str:
    """The same instant on the person's clock, empty where both clocks agree; `local` None is this machine's zone."""
    there, here = fire.astimezone(zone), fire.astimezone(local)
    if there.utcoffset() == here.utcoffset():
        return ""
    return f"{fire_texts([fire], here.tzinfo or zone, now)[0]} here"


def balance_text(counts: StreamCounts) -> str:
    """How a sync balances: 1,000 read = 900 written + 90 unchanged + 5 filtered + 5 rejected; terms of nothing are left out."""
    terms = {
        "written": counts.written,
        "unchanged": counts.unchanged,
        "filtered": counts.filtered,
        "rejected": counts.rejected,
    }
    if not counts.read and not any(terms.values()):
        return "nothing to read"
    parts = [f"{count(number)} {name}" for name, number in terms.items() if number] or ["0 written"]
    return f"{count(counts.read)} read {'=' if counts.balanced else '!='} {' + '.join(parts)}"


def last_sync_lines(
    outcome: Outcome | None,
    at: datetime | None,
    seconds: float | None,
    size: int | None,
    balance: str,
    error: str,
    now: datetime,
    cells: int,
    symbols: Glyphs,
) -> tuple[Line, ...]:
    """How the last finished sync went; two lines where one is too short."""
    if outcome is None or at is None:
        text = "It has not run yet: press r to sync now."
        return ((*labelled(symbols.waiting, "No sync", "$text-muted"), (text, "$text-muted")),)
    word, glyph, style = OUTCOMES[outcome]
    when = f"{ago(at, now)}, took {duration(seconds)}" + (f", {byte_size(size)}" if size else "")
    detail = clean(error, limit=TEXT_LIMIT) if outcome is Outcome.FAILED and error else balance
    room = cells - LABEL_CELLS - 1
    head = labelled(getattr(symbols, glyph), word, style)
    tone = "$text-error" if outcome is Outcome.FAILED else "$text-muted"
    if width(when) + 3 + width(detail) <= room:
        return ((*head, (when, ""), (f" {symbols.separator} ", "$text-muted"), (detail, tone)),)
    return (
        (*head, (fit(when, room, ellipsis=symbols.ellipsis), "")),
        ((" " * LABEL_CELLS, ""), (fit(detail, room, ellipsis=symbols.ellipsis), tone)),
    )


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


def life_line(
    created: datetime,
    claimed: datetime | None,
    started: datetime | None,
    finished: datetime | None,
    state: SyncState,
    outcome: Outcome | None,
    zone: tzinfo | None,
    symbols: Glyphs,
) -> Line:
    """A sync through Created, Pending, Executing and Completed, each with its time; what lies ahead is dim."""
    order = list(SyncState)
    reached = order.index(state)
    pieces: list[tuple[str, str]] = []
    for index, (step, at) in enumerate(zip(order, (created, claimed, started, finished), strict=True)):
        skipped = index <= reached and at is None
        done = index < reached or state is SyncState.COMPLETED
        style = "$text-muted" if index > reached or skipped else "" if done else "$text-accent bold"
        glyph = symbols.unchecked if index > reached or skipped else symbols.check if done else symbols.running
        if step is SyncState.COMPLETED and outcome is not None:
            word, glyph_name, tone = OUTCOMES[outcome]
            glyph, style, label = getattr(symbols, glyph_name), f"{tone} bold", f"Completed: {word}"
        else:
            label = STATES[step]
        if index:
            pieces.append((f" {symbols.arrow} ", "$text-muted"))
        pieces.append((f"{glyph} {label}", style))
        if at is not None:
            pieces.append((f" {at.astimezone(zone):%H:%M:%S}", "$text-muted"))
    return tuple(pieces)
