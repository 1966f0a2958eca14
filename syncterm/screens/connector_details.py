"""What the details pane says of a connector: everything known about it, and what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from syncterm.engine.troubleshooting import remedy_of
from syncterm.screens.connector_rows import STATUS_STYLES, activity_text, status_glyph
from syncterm.screens.row_details import TONES, Facts
from syncterm.text import NOTHING, byte_size, count, duration

if TYPE_CHECKING:
    from syncterm.engine.queries import ConnectorRow
    from syncterm.screens.look import Look


def details(row: ConnectorRow, look: Look, columns: int) -> Content:
    """The facts of one connector as text, wrapped under their own column."""
    facts = Facts(columns)
    fact = facts.add
    style = TONES[STATUS_STYLES[row.status]]
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
    if row.status not in ("Active", "Paused") or row.paused_and_broken:
        label = "What to do"
        if row.last_error_class is not None and row.status != "Incomplete":
            fact(label, remedy_of(row.last_error_class))
            label = ""
        fact(label, "W says more, and does it.")
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
    return facts.content()
