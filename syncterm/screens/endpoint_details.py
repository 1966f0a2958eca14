"""What the details pane says of a source or a destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from syncterm.engine.model import EndpointKind
from syncterm.screens.endpoint_rows import LOOK_OF, OTHER_END, next_step, type_name
from syncterm.screens.row_details import TONES, Facts
from syncterm.text import NOTHING, count

if TYPE_CHECKING:
    from syncterm.engine.queries import EndpointRow
    from syncterm.screens.look import Look


def details(row: EndpointRow, kind: EndpointKind, look: Look, columns: int) -> Content:
    """The facts of one of them as text, wrapped under their own column."""
    drawn = LOOK_OF[row.status]
    facts = Facts(columns)
    facts.add("Status", f"{drawn.sign(look.glyphs)} {row.status}", TONES[drawn.style])
    if row.status_reason:
        facts.add("", row.status_reason)
    if step := next_step(row, "enter shows"):
        facts.add("What to do", step)
    facts.add("Type", type_name(row))
    facts.add("Connectors", connectors_text(row))
    facts.add(f"{OTHER_END[kind].title()}s", ", ".join(row.other_ends) or NOTHING)
    facts.add("Last run", look.exact(row.last_run))
    facts.add("Records", f"{count(row.records_30_days)} in the last 30 days")
    facts.add("Last test", test_text(row, look))
    if row.last_error and row.last_error != row.status_reason:
        facts.add("Last error", row.last_error, "$text-error")
    if kind is EndpointKind.SOURCE:
        facts.add("Discovered", look.exact(row.catalog_at))
    facts.add("Changed", f"{look.exact(row.updated_at)}, version {row.version}")
    facts.add("Created", f"{look.exact(row.created_at)} by {row.created_by}")
    facts.add("Id", row.id)
    return facts.content()


def connectors_text(row: EndpointRow) -> str:
    """How many use it, and how many of those are paused or broken."""
    if not row.connectors:
        return "none"
    paused = row.connectors - row.enabled
    parts = [count(row.connectors)]
    parts += [f"{count(paused)} paused"] if paused else []
    parts += [f"{count(row.broken)} Broken"] if row.broken else []
    return ", ".join(parts)


def test_text(row: EndpointRow, look: Look) -> str:
    """The result of the last test, and when that was."""
    if row.check_at is None:
        return "never"
    return f"{row.check_result}, {look.past(row.check_at)}"
