"""What the screen of a source or a destination says, as pure functions: its head, its set-up, its versions, its audit trail.

Texts from outside are cleaned here. A line is a tuple of (text, style) pieces; nothing is markup.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from syncterm.engine.model import CheckResult, EndpointKind
from syncterm.screens.endpoint_details import connectors_text
from syncterm.screens.endpoint_rows import LOOK_OF, next_step, type_name
from syncterm.screens.row_details import TONES
from syncterm.text import NOTHING, clean, clip, count, fit, width
from syncterm.widgets.lines import Line, wrapped

if TYPE_CHECKING:
    from syncterm.engine.queries import AuditRow, EndpointDetail, EndpointRow, EndpointVersion
    from syncterm.screens.look import Look

LABEL = 20
"""Cells of the head's labels: the longest status with its sign."""
REASON_LINES = 2
CHANGES_SHOWN = 4
TEXT_LIMIT = 500

OPERATIONS = {
    "save_endpoint": "Saved",
    "test_endpoint": "Tested",
    "delete_endpoints": "Deleted",
    "undo": "Restored",
    "discover": "Discovered",
    "rotate_key": "Key rotated",
    "apply": "Applied from a file",
}
"""Operation → the word of the audit trail."""


def head_lines(detail: EndpointDetail, kind: EndpointKind, look: Look, cells: int, *, low: bool) -> tuple[Line, ...]:
    """Status with its reason, what to do next, the last test, and what it has moved; on a high screen also who made it."""
    row, glyphs = detail.row, look.glyphs
    drawn = LOOK_OF[row.status]
    tone = TONES[drawn.style]
    room = cells - LABEL - 1
    separator = f" {glyphs.separator} "
    facts = [clean(type_name(row), limit=TEXT_LIMIT), f"version {row.version}", f"connectors: {connectors_text(row)}"]
    first = clip(separator.join(facts), room, glyphs.ellipsis)
    lines: list[Line] = [((f" {drawn.sign(glyphs)} ", tone), (fit(str(row.status), LABEL - 3), f"{tone} bold"), (first, ""))]
    if row.status_reason:
        lines += [_under(line, tone) for line in wrapped(row.status_reason, room, REASON_LINES, glyphs.ellipsis)]
    if step := next_step(row, "the Errors tab shows"):
        lines.append(((f" {glyphs.arrow} ", "$text-warning"), (fit("To do", LABEL - 3), "$text-warning bold"), (step, "")))
    lines.append(_test_line(row, look, room))
    moved = f"{look.past(row.last_run)}{separator}{count(row.records_30_days)} records in the last 30 days"
    lines.append((("   ", ""), (fit("Last run", LABEL - 3), "dim"), (clip(moved, room, glyphs.ellipsis), "")))
    if not low:
        made = f"{look.exact(row.created_at)} by {clean(row.created_by, limit=TEXT_LIMIT)}"
        changed = f"{separator}changed {look.past(row.updated_at)}" if row.version > 1 or row.updated_at != row.created_at else ""
        lines.append((("   ", ""), (fit("Created", LABEL - 3), "dim"), (clip(made + changed, room, glyphs.ellipsis), "")))
    return tuple(lines)


def _under(text: str, style: str) -> Line:
    return ((" " * LABEL, ""), (text, style))


def _test_line(row: EndpointRow, look: Look, room: int) -> Line:
    glyphs = look.glyphs
    if row.check_at is None or row.check_result is None:
        return (
            ("   ", ""),
            (fit("Last test", LABEL - 3), "dim"),
            ("never" if row.incomplete_reason else "never: c tests it", "dim"),
        )
    working = row.check_result is CheckResult.WORKING
    sign, tone = (glyphs.check, "$text-success") if working else (glyphs.cross, "$text-error")
    said = (
        ""
        if working or not row.check_message or row.check_message == row.status_reason
        else f": {clean(row.check_message, limit=TEXT_LIMIT)}"
    )
    text = clip(f"{row.check_result}, {look.past(row.check_at)}{said}", room - 2, glyphs.ellipsis)
    return (("   ", ""), (fit("Last test", LABEL - 3), "dim"), (f"{sign} ", tone), (text, ""))


def setup_lines(detail: EndpointDetail, look: Look, cells: int) -> tuple[Line, ...]:
    """The set-up, title by title, secrets masked; below it a source's versions and how many connectors are on each."""
    glyphs = look.glyphs
    titles = max((width(clean(title, limit=60)) for title, _ in detail.config), default=0)
    label = min(max(titles + 2, LABEL - 3), max(12, cells // 3))
    lines: list[Line] = [((" Set-up", "bold"),)]
    if detail.row.incomplete_reason:
        lines.append(((f" {glyphs.warning} Unfinished: {clean(detail.row.incomplete_reason, limit=TEXT_LIMIT)}", "$text-warning"),))
    for title, value in detail.config:
        shown = wrapped(value, cells - label - 3, 3, glyphs.ellipsis) if value.strip() else [NOTHING]
        for number, line in enumerate(shown):
            name = fit(clean(title, limit=60), label, ellipsis=glyphs.ellipsis) if number == 0 else " " * label
            lines.append(((f" {name} ", "dim"), (line, "dim" if line == NOTHING else "")))
    if detail.versions:
        lines += [(), ((" Versions", "bold"),)]
        lines += [_version_line(version, detail.row.version, look, cells) for version in detail.versions]
    return tuple(lines)


def _version_line(version: EndpointVersion, present: int, look: Look, cells: int) -> Line:
    users = "no connector" if not version.used_by else f"{count(version.used_by)} connector{'' if version.used_by == 1 else 's'}"
    behind = version.version != present and version.used_by
    note = f", {'waits' if version.used_by == 1 else 'wait'} for a refresh" if behind else ""
    text = f"{look.past(version.created_at)} by {clean(version.created_by, limit=TEXT_LIMIT)}"
    return (
        (f" {fit(str(version.version), 4, 'right')} ", "bold" if version.version == present else "dim"),
        (fit("present" if version.version == present else "", 9), "$text-success"),
        (fit(text, max(20, cells // 3), ellipsis=look.glyphs.ellipsis), ""),
        (f" {users}{note}", "$text-warning" if behind else "dim"),
    )


def audit_text(row: AuditRow) -> str:
    """What an entry of the audit trail says was changed, in a line."""
    if row.refused:
        return "refused"
    after = _document(row.after)
    before = _document(row.before)
    if "result" in after:
        return ": ".join(str(after[name]) for name in ("result", "cause") if after.get(name))
    if "streams" in after:
        return f"{count(after['streams'])} streams"
    parts = []
    for name, value in after.items():
        if name == "incomplete":
            parts += [f"unfinished: {value}"] if value else []
        elif name in before:
            parts.append(f"{name}: {before[name]} > {value}")
        else:
            parts.append(f"{name}: {value}")
    more = f" and {len(parts) - CHANGES_SHOWN} more" if len(parts) > CHANGES_SHOWN else ""
    return ", ".join(parts[:CHANGES_SHOWN]) + more


def _document(text: str | None) -> Mapping[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def version_note(applied: int | None, present: int, outdated: bool) -> str:
    """The version of a source that a connector applied, and where it differs."""
    if applied is None:
        return NOTHING
    return f"{applied}, newest is {present}" if outdated else str(applied)


def plural_note(numbers: Sequence[object], shown_of: int) -> str:
    """The note behind a tab's title: how many there are."""
    return count(max(len(numbers), shown_of)) if numbers or shown_of else ""
