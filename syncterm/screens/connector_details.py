"""The details pane beside the table: everything known about the row under the cursor, and what mends it."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from syncterm.screens.connector_rows import STATUS_STYLES, Look, activity_text, status_glyph
from syncterm.text import NOTHING, byte_size, clean, count, duration

if TYPE_CHECKING:
    from syncterm.engine.queries import ConnectorRow

LABEL = 13  # cells of the label column
ERROR_LIMIT = 1200  # characters of an error message shown here; the connector's own screen shows all

_COLOURS = {
    "good": "$text-success",
    "bad": "$text-error",
    "warning": "$text-warning",
    "muted": "dim",
    "running": "$text-accent",
}
_REMEDIES = {
    "auth": "The credentials were refused: renew them, then c tests the connection.",
    "permission": "Grant the missing permission, then c tests the connection.",
    "config": "The set-up does not fit: change the connector's file and run `syncterm apply FILE`.",
    "timeout": "Nothing answered in time: c tests the connection.",
    "schema": "The source's schema changed: enter shows the difference, to approve.",
}


class ConnectorDetails(VerticalScroll):
    """Labelled facts of one connector."""

    DEFAULT_CSS = """
    ConnectorDetails {
        background: $surface;
        border: round $foreground 25%;
        border-title-color: $primary;
        border-title-style: bold;
        padding: 0 1;
        scrollbar-size-vertical: 1;
    }
    ConnectorDetails Static {
        width: 1fr;
        height: auto;
    }
    """

    can_focus = False

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(Static(id="facts"), id=id)
        self._row: ConnectorRow | None = None
        self._look: Look | None = None
        self._shown: Content | None = None

    def show(self, row: ConnectorRow | None, look: Look) -> None:
        """Show a row; None where there is none under the cursor."""
        self._row, self._look = row, look
        self._update()

    def on_resize(self) -> None:
        self._update()

    def _update(self) -> None:
        row, look, columns = self._row, self._look, self.scrollable_content_region.width
        if look is None or columns <= 0:
            return
        facts = Content("No row.").stylize("dim") if row is None else details(row, look, columns)
        if self._shown is None or not facts.is_same(self._shown):
            self._shown = facts
            self.border_title = Content("" if row is None else clean(row.name, limit=200))
            self.query_one("#facts", Static).update(facts)


def details(row: ConnectorRow, look: Look, columns: int) -> Content:
    """The facts of one connector as text, wrapped under their own column."""
    lines: list[Content] = []

    def fact(label: str, value: str, style: str = "") -> None:
        for part in wrap(clean(value, limit=ERROR_LIMIT), max(20, columns - LABEL)) or [""]:
            lines.append(Content.assemble((label.ljust(LABEL), "dim"), (part, style)))
            label = ""

    style = _COLOURS[STATUS_STYLES[row.status]]
    badge = f" (and {look.glyphs.failed} Broken)" if row.paused_and_broken else ""
    fact("Status", f"{status_glyph(row.status, look.glyphs)} {row.status}{badge}", style)
    if row.status_reason:
        fact("", row.status_reason)
    if activity := activity_text(row, look.glyphs):
        fact("Now", activity, "$text-accent")
        if row.activity_reason:
            fact("", row.activity_reason)
        if row.progress_stream:
            fact("Stream", f"{row.progress_stream}: {count(row.progress_records)} records, {byte_size(row.progress_bytes)}")
        if row.attempt and row.attempt > 1:
            fact("Attempt", str(row.attempt))
    if row.status != "Active" and (remedy := _REMEDIES.get(str(row.last_error_class or ""))):
        fact("What to do", remedy)
    fact("Source", f"{row.source_name or NOTHING} ({row.source_type or NOTHING})")
    fact("Destination", f"{row.destination_name or NOTHING} ({row.destination_type or NOTHING})")
    fact("Collection", row.collection or NOTHING)
    fact("Schedule", row.schedule_text)
    fact("Next sync", look.exact(row.next_fire_at))
    if row.due_since is not None:
        fact("Due since", look.exact(row.due_since))
    outcome = {"success": look.glyphs.check, "failed": look.glyphs.cross, "cancelled": look.glyphs.disabled}.get(
        str(row.last_outcome or ""), ""
    )
    fact("Last sync", f"{outcome} {look.exact(row.last_sync_at)}".strip())
    fact("Took", duration(row.last_duration.total_seconds() if row.last_duration is not None else None))
    fact("Records", f"{count(row.last_records)}, {byte_size(row.last_bytes)}")
    if row.last_rejected:
        fact("Rejected", count(row.last_rejected), "$text-warning")
    if row.last_error_message:
        fact("Error", f"{row.last_error_class}: {row.last_error_message}", "$text-error")
    fact("Created", f"{look.exact(row.created_at)} by {row.created_by}")
    fact("Id", row.id)
    return Content("\n").join(lines)
